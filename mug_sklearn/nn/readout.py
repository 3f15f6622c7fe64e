"""Step 7: pooled blocks -> one embedding. Ours.

Each block is standardised with fitted statistics, brought towards unit length and
weighted, so that no block and no series drowns out the others. The joined blocks are
then rotated onto their principal axes, cut to the embedding's width, mildly evened out,
and rotated so that all dimensions have the same variance: standardising the embedding
again changes nothing, whereas it would blow up the noise of minor principal axes.

If it is known how much of the features' variance is chance, the unreliable ones count
for less.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .layers import convolve, has_convolution

# Chosen by cross-validation of SVC() on the training splits of archive data sets.
BLOCK_WEIGHTS = {
    "bank": 1.0,
    "shapelets": 0.5,
    "coarse": 0.7,
    "fine": 0.1,
    "multi": 0.1,
}
SCALE_SHRINKAGE = 0.3
WHITENING = 0.1
# Share of a feature's variance that is kept if all of it is chance.
UNRELIABLE_SHARE = 0.03
# A block that varies by less than this share of its size is constant: its values come
# in single precision. Distances to shapelets are of size 1, though the best ones are 0.
ROUNDING = 1e-6


@dataclass(frozen=True)
class BlockScaling:
    """Fitted scaling of one block.

    Attributes
    ----------
    location, scale : float64 Tensor of shape (width,)
    typical_square : float
        Mean squared length of the standardised training series; 1 if the block is the
        same for all of them.
    weight : float
        0 if the block is the same for all of them.
    """

    location: Tensor
    scale: Tensor
    typical_square: float
    weight: float

    def __call__(self, block: Tensor) -> Tensor:
        """Scale a block: (n, width) -> float64 (n, width).

        A series far from all others gets a length of at most `weight`; one near the
        mean stays near it.
        """
        # In place and without division: a pass over memory costs more than its sums,
        # and a division more than both. Moved first: not every device supports double
        # precision.
        standardised = block.to(self.location.device).to(torch.float64, copy=True)
        standardised.sub_(self.location).mul_(1 / self.scale)
        length = torch.linalg.vector_norm(standardised, dim=1, keepdim=True)
        square = length.square() + self.typical_square
        return standardised.mul_(self.weight * square.rsqrt())

    def to(self, device: torch.device) -> "BlockScaling":
        """A copy on a device that supports double precision."""
        location, scale = self.location.to(device), self.scale.to(device)
        return replace(self, location=location, scale=scale)


@dataclass(frozen=True)
class Readout:
    """Fitted map from pooled blocks to the embedding.

    Attributes
    ----------
    scalings : dict of str to BlockScaling
        Scaling of each block by its name, in the order in which they are joined.
    location : float64 Tensor of shape (width,)
        Mean of the joined, scaled blocks.
    axes : Tensor of shape (embedding width, width), or None
        In the precision that products with them are taken in. None leaves the scaled
        blocks as they are.
    """

    scalings: dict[str, BlockScaling]
    location: Tensor
    axes: Tensor | None

    @property
    def is_constant(self) -> bool:
        """Whether the training series differ in nothing but rounding."""
        return all(scaling.weight == 0 for scaling in self.scalings.values())

    @property
    def width(self) -> int:
        """Width of the embedding."""
        return len(self.location) if self.axes is None else len(self.axes)

    def __call__(self, blocks: dict[str, Tensor]) -> Tensor:
        """Embed: name -> (n, width) becomes float32 (n, embedding width)."""
        centred = _join(self.scalings, blocks).sub_(self.location)
        return centred.float() if self.axes is None else _along(self.axes, centred)

    def to(self, device: torch.device) -> "Readout":
        """A copy on a device that supports double precision."""
        return Readout(
            {name: scaling.to(device) for name, scaling in self.scalings.items()},
            self.location.to(device),
            None if self.axes is None else _for_products(self.axes.to(device)),
        )


def fit_readout(
    blocks: dict[str, Tensor],
    embedding_dim: int | None,
    noise: Mapping[str, Tensor] | None = None,
) -> Readout:
    """Fit the readout on the pooled blocks of training series.

    Parameters
    ----------
    blocks : dict of str to Tensor of shape (n, width)
        On a device that supports double precision; the readout will be there, too.
    embedding_dim : int or None
        Most principal axes to keep; at most ``n - 1`` (at least 1) exist. None keeps
        the scaled and centred blocks themselves, with a mean variance of one.
    noise : mapping of str to Tensor of shape (width,), optional
        How much of each feature's variance is chance, for "bank", whose features are
        then weighed one by one, and "coarse", which is weighed as a whole.

    Returns
    -------
    Readout
    """
    noise = noise or {}
    scalings = {
        name: _fit_scaling(name, block, noise.get(name))
        for name, block in blocks.items()
    }
    joined = _join(scalings, blocks)
    location = joined.mean(dim=0)
    if embedding_dim is None:
        return _with_mean_variance_one(Readout(scalings, location, None), joined)
    axes, variance = _principal_axes(joined - location, embedding_dim)
    rotation = variance_evening_rotation(variance.cpu()).to(axes.device)
    return Readout(scalings, location, _for_products((axes @ rotation).T.contiguous()))


def _with_mean_variance_one(readout: Readout, joined: Tensor) -> Readout:
    """Scale a readout without axes, given its joined training blocks."""
    unit = float(joined.var(dim=0, correction=0).mean().sqrt()) or 1.0
    scalings = {
        name: replace(scaling, weight=scaling.weight / unit)
        for name, scaling in readout.scalings.items()
    }
    return Readout(scalings, readout.location / unit, None)


def _fit_scaling(name: str, block: Tensor, noise: Tensor | None) -> BlockScaling:
    weight = BLOCK_WEIGHTS[name]
    values = block.double()
    location = values.mean(dim=0)
    deviation = values.std(dim=0, correction=0)
    # Deviations of few series are noisy: pull them towards the block's typical one.
    typical = deviation.square().mean().sqrt()
    size = values.square().mean().sqrt()
    if typical <= ROUNDING * (size.clamp(min=1) if name == "shapelets" else size):
        return BlockScaling(location, torch.ones_like(location), 1.0, 0.0)
    scale = deviation + SCALE_SHRINKAGE * typical
    if noise is not None:
        variance = deviation.square().clamp(min=torch.finfo(torch.float64).tiny)
        reliability = (1 - noise.to(variance) / variance).clamp(min=0)
        # Weighing those of the coarse encoder one by one gains nothing.
        if name == "bank":
            kept = UNRELIABLE_SHARE + (1 - UNRELIABLE_SHARE) * reliability
            scale = scale / kept.sqrt()
        else:
            weight *= float(reliability.mean())
    squares = ((values - location) / scale).square().sum(dim=1)
    return BlockScaling(location, scale, float(squares.mean()), weight)


def _join(scalings: dict[str, BlockScaling], blocks: dict[str, Tensor]) -> Tensor:
    return torch.cat([scale(blocks[name]) for name, scale in scalings.items()], dim=1)


def _for_products(axes: Tensor) -> Tensor:
    """Rounded to single precision, and in double where products must be in double."""
    single = axes.float()
    return single if has_convolution(single) else single.double()


def _along(axes: Tensor, centred: Tensor) -> Tensor:
    """Where series are along the axes: float64 (n, width) -> float32 (n, kept).

    The rounding of a series must not depend on how many there are. That of a
    convolution does not, and that of a product in double precision is too small to be
    seen in single, but for a rare last bit.
    """
    if axes.dtype == torch.float64:
        return (centred @ axes.T).float()
    # All series as tokens of one.
    tokens, weight = centred.float().unsqueeze(0), axes.unsqueeze(1)
    return convolve(tokens, weight, axes.new_zeros(len(axes))).squeeze(0)


def _principal_axes(centred: Tensor, embedding_dim: int) -> tuple[Tensor, Tensor]:
    """Leading principal axes, scaled so that the embedding's mean variance is one.

    Returns
    -------
    axes : float64 Tensor of shape (width, kept)
    variance : float64 Tensor of shape (kept,)
        Variance of the training series along the scaled axes.
    """
    n, width = centred.shape
    kept = max(1, min(embedding_dim, n - 1, width))
    # The smaller of the two product matrices has the same leading eigenvalues.
    wide = width > n
    product = centred @ centred.T if wide else centred.T @ centred
    eigenvalues, vectors = torch.linalg.eigh(product)
    variance = eigenvalues.flip(0)[:kept] / n
    vectors = vectors.flip(1)[:, :kept]
    real = variance > variance[0] * 1e-9
    if not bool(real[0]):
        return centred.new_zeros(width, kept), centred.new_zeros(kept)
    axes = centred.T @ vectors if wide else vectors
    axes = axes / axes.norm(dim=0).clamp(min=1e-300)
    # An axis has no sign of its own: let its largest entry be positive.
    largest = axes.abs().argmax(dim=0)
    axes = axes * axes.gather(0, largest.unsqueeze(0)).sign()
    stretch = torch.where(real, variance.clamp(min=1e-300) ** -WHITENING, 0.0)
    stretched = variance.clamp(min=0) * stretch.square()
    mean_variance = stretched.mean()
    return axes * (stretch / mean_variance.sqrt()), stretched / mean_variance


def variance_evening_rotation(variance: Tensor) -> Tensor:
    """Rotation that gives all of several uncorrelated dimensions the same variance.

    A dimension above the mean is paired with one below it, and the two are rotated
    until one has the mean variance; the other goes into the next pair.

    Parameters
    ----------
    variance : float64 Tensor of shape (d,)
        Variances of the dimensions, in descending order.

    Returns
    -------
    float64 Tensor of shape (d, d)
        Orthogonal; ``(rotation.T * variance) @ rotation`` has a constant diagonal.

    References
    ----------
    Chan and Li, "Diagonal Elements and Eigenvalues of a Real Symmetric Matrix",
    Journal of Mathematical Analysis and Applications, 1983.
    """
    target = float(variance.mean())
    values = variance.tolist()
    unit = torch.eye(len(values), dtype=variance.dtype, device=variance.device)
    carried, direction = values[0], unit[0]
    waiting = deque(range(1, len(values)))
    finished = []
    while waiting:
        partner = waiting.pop() if carried > target else waiting.popleft()
        gap = carried - values[partner]
        share = min(max((carried - target) / gap, 0.0), 1.0) if gap else 0.0
        cosine, sine = (1.0 - share) ** 0.5, share**0.5
        finished.append(cosine * direction + sine * unit[partner])
        direction = cosine * unit[partner] - sine * direction
        carried += values[partner] - target
    return torch.stack([*finished, direction], dim=1)
