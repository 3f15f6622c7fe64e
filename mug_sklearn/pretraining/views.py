"""Augmented views of a batch, and the masks of the masked-value pretext task.

Every function draws from the generator that it is given, on the generator's device,
where its input must be, and does not change its input.
Ours: the paper does not say how its two views are made.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ..nn.layers import drawn_by

JITTER = 0.05
SCALING = 0.1
SMALLEST_CROP = 0.6
MASKED_SHARE = 0.15
MASKED_RUN = 3.0


class View(NamedTuple):
    """One augmented view of a batch.

    Attributes
    ----------
    values : Tensor of shape (n, C, T)
        0 where nothing is observed.
    observed : bool Tensor of shape (n, C, T)
    hidden : bool Tensor of shape (n, C, T)
        Observed values that the fine encoder must not see, and must reconstruct.
    """

    values: Tensor
    observed: Tensor
    hidden: Tensor


def geometric_mask(
    shape: tuple[int, int, int],
    generator: torch.Generator,
    masked_share: float = MASKED_SHARE,
    mean_length: float = MASKED_RUN,
) -> Tensor:
    """Masks whose runs have geometric length, drawn separately per channel (TST).

    A two-state Markov chain over time: a masked run ends with probability
    ``1 / mean_length``, an unmasked run with ``masked_share / (1 - masked_share) /
    mean_length``, so that `masked_share` of all timepoints are masked on average.

    Parameters
    ----------
    shape : tuple (n, C, T)
    generator : torch.Generator
    masked_share : float, default=0.15
    mean_length : float, default=3.0
        Mean length of a masked run, in timepoints.

    Returns
    -------
    bool Tensor of shape (n, C, T)
        True where masked.

    References
    ----------
    Zerveas et al., "A Transformer-based Framework for Multivariate Time Series
    Representation Learning", KDD 2021, section 3.2.
    """
    n, channels, length = shape
    leave = 1.0 / mean_length
    enter = leave * masked_share / (1.0 - masked_share)
    # Drawn with time as the first axis, so that a seed keeps giving the same masks.
    draws = torch.rand((length, n, channels), **drawn_by(generator))
    draws = draws.permute(1, 2, 0).contiguous()
    # With one uniform draw u per timepoint, every state becomes "masked" if u < enter
    # and "unmasked" if u >= 1 - leave, and stays as it is in between. So the last draw
    # that was not in between decides the state.
    becomes_masked = draws < enter
    decided = becomes_masked | (draws >= 1.0 - leave)
    becomes_masked[..., 0] = draws[..., 0] < masked_share
    decided[..., 0] = True
    # Each decision as a number that grows with time, whose last bit says "masked".
    time = torch.arange(length, dtype=torch.int32, device=generator.device)
    decisions = (2 * time + becomes_masked).mul_(decided)
    return decisions.cummax(dim=-1).values.bitwise_and_(1).bool()


def crop_mask(
    starts: Tensor, stops: Tensor, n_timepoints: int, generator: torch.Generator
) -> Tensor:
    """One random window of each series, as a mask over its timepoints.

    The window keeps 60 % to 100 % of the span from the first to the last observed
    timepoint, rounded up to whole timepoints. Cropping by mask keeps tensor shapes
    fixed, so that no convolution is planned anew.

    Parameters
    ----------
    starts, stops : int Tensor of shape (n,)
        First observed timepoint of each series, and the one after its last.
    n_timepoints : int
    generator : torch.Generator

    Returns
    -------
    bool Tensor of shape (n, 1, n_timepoints)
        True inside the window.
    """
    device = generator.device
    draw, place = (torch.rand(len(stops), **drawn_by(generator)) for _ in range(2))
    keep = SMALLEST_CROP + (1 - SMALLEST_CROP) * draw
    width = (keep * (stops - starts)).ceil()
    start = starts + (place * (stops - starts - width + 1)).floor()
    time = torch.arange(n_timepoints, device=device)
    inside = (time >= start[:, None]) & (time < (start + width)[:, None])
    return inside[:, None, :]


def augmented_view(
    values: Tensor, observed: Tensor, generator: torch.Generator
) -> View:
    """Crop, scale and jitter each series, and hide spans for the pretext task.

    A series stays whole if the crop would keep none of its values.

    Parameters
    ----------
    values : Tensor of shape (n, C, T)
        Standardised; 0 where nothing is observed.
    observed : bool Tensor of shape (n, C, T)
    generator : torch.Generator

    Returns
    -------
    View
    """
    n, channels, length = values.shape
    scaling = torch.randn((n, channels, 1), **drawn_by(generator))
    noise = torch.randn(values.shape, **drawn_by(generator))
    scale, jitter = 1.0 + SCALING * scaling, JITTER * noise
    known = observed.any(dim=1).int()
    starts, stops = known.argmax(dim=-1), length - known.flip(-1).argmax(dim=-1)
    kept = observed & crop_mask(starts, stops, length, generator)
    # A window inside a gap would show nothing.
    kept = torch.where(kept.any(dim=(1, 2), keepdim=True), kept, observed)
    hidden = kept & geometric_mask((n, channels, length), generator)
    return View((values * scale + jitter) * kept, kept, hidden)
