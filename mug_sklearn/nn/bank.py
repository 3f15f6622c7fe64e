"""The wide part of the coarse granularity: a bank of random dilated shapelets. Ours.

A shapelet transform with thousands of short Gaussian patterns in place of a few long
discovered ones. Each pattern slides over the series and its differences at a dilation;
the pooled features say how prevalent matches are ("MiniRocket", Dempster et al., 2021)
and, among eight competing patterns, how often and how strongly each wins ("Hydra",
Dempster et al., 2023). The patterns are drawn, not trained. The best match itself is
left to the discovered shapelets: among so many patterns it only added noise.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATTERN_LENGTH = 9
GROUP_SIZE = 8
MAX_MIXES = 8
MAX_MIXED_CHANNELS = 6
# Rounding must not decide a comparison: a threshold lies a little above the response
# that it was taken from, and a flat window is exactly flat.
MARGIN = 1e-4
FLAT = 1e-6


def dilations(n_timepoints: int) -> tuple[int, ...]:
    """Powers of two whose dilated pattern fits a series of `n_timepoints`."""
    reach = max((n_timepoints - 1) / (PATTERN_LENGTH - 1), 1.0)
    return tuple(2**level for level in range(int(math.log2(reach)) + 1))


def first_differences(values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """Differences to the next timepoint, known where both are observed.

    The last timepoint has no next one: it counts as unobserved.
    """
    known = F.pad(observed[..., 1:] & observed[..., :-1], (0, 1))
    return F.pad(values[..., 1:] - values[..., :-1], (0, 1)) * known, known


class ShapeletBank(nn.Module):
    """Random dilated shapelets with pooled match statistics.

    Parameters
    ----------
    n_channels : int
    n_timepoints : int
        Length of the longest training series; bounds the dilations.
    n_shapelets : int
        Patterns for each dilation and each representation (the series, its first
        differences); rounded up to full groups.
    """

    def __init__(self, n_channels: int, n_timepoints: int, n_shapelets: int) -> None:
        super().__init__()
        n_groups = -(-n_shapelets // GROUP_SIZE)
        n_mixes = 1 if n_channels == 1 else min(n_groups, MAX_MIXES)
        per_mix = -(-n_groups // n_mixes) * GROUP_SIZE
        self.scales = nn.ModuleList(
            DilatedShapelets(n_channels, dilation, n_mixes, per_mix, differenced)
            for differenced in (False, True)
            for dilation in dilations(n_timepoints)
        )

    @torch.no_grad()
    def calibrate(
        self, values: Tensor, observed: Tensor, generator: torch.Generator
    ) -> None:
        """Fit the prevalence thresholds on a few training series."""
        for scale, series in self._represented(values, observed):
            scale.calibrate(*series, generator)

    def forward(self, values: Tensor, observed: Tensor) -> Tensor:
        """Pooled features, (n, C, T) -> (n, width)."""
        represented = self._represented(values, observed)
        return torch.cat([scale(*series) for scale, series in represented], dim=1)

    def _represented(
        self, values: Tensor, observed: Tensor
    ) -> "Iterator[tuple[DilatedShapelets, tuple[Tensor, Tensor]]]":
        """Each scale with the representation of the series that it looks at."""
        differences = first_differences(values, observed)
        for scale in self.scales:
            assert isinstance(scale, DilatedShapelets)
            yield scale, differences if scale.differenced else (values, observed)


class DilatedShapelets(nn.Module):
    """The patterns of one dilation on one representation."""

    patterns: Tensor
    mixing: Tensor
    thresholds: Tensor

    def __init__(
        self,
        n_channels: int,
        dilation: int,
        n_mixes: int,
        per_mix: int,
        differenced: bool,
    ) -> None:
        super().__init__()
        self.dilation = dilation
        self.differenced = differenced
        self.register_buffer("patterns", torch.zeros(n_mixes, per_mix, PATTERN_LENGTH))
        self.register_buffer("mixing", torch.zeros(n_mixes, n_channels))
        self.register_buffer("thresholds", torch.zeros(n_mixes, per_mix))

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        """Draw centred unit-norm Gaussian patterns and the channels that they see."""
        drawn = torch.randn(self.patterns.shape, generator=generator)
        drawn -= drawn.mean(dim=-1, keepdim=True)
        self.patterns.copy_(drawn / drawn.norm(dim=-1, keepdim=True))
        n_channels = self.mixing.shape[1]
        self.mixing.zero_()
        most = min(n_channels, MAX_MIXED_CHANNELS)
        for mix in self.mixing:
            log_size = torch.rand((), generator=generator) * math.log2(most + 1)
            size = min(int(2**log_size), most)
            chosen = torch.randperm(n_channels, generator=generator)[:size]
            mix[chosen] = 1.0 / math.sqrt(size)

    @torch.no_grad()
    def calibrate(
        self, values: Tensor, observed: Tensor, generator: torch.Generator
    ) -> None:
        """Put each prevalence threshold at a random quantile of the responses.

        Parameters
        ----------
        values, observed : Tensor of shape (n, C, T)
            A few training series.
        generator : torch.Generator
        """
        response, known = self._responses(values, observed)
        known = known.expand_as(response)
        ordered = response.masked_fill(~known, torch.inf).transpose(0, 2).flatten(2)
        ordered = ordered.sort(dim=-1).values  # (patterns, mixes, n * T), unknown last
        count = known.transpose(0, 2).flatten(2).sum(dim=-1)
        draw = torch.rand(count.shape, generator=generator).to(values.device)
        position = (draw * (count - 1)).long().clamp(min=0)
        quantile = ordered.gather(2, position.unsqueeze(-1)).squeeze(-1)
        self.thresholds.copy_(torch.where(count > 0, quantile, 0.0).T + MARGIN)

    def forward(self, values: Tensor, observed: Tensor) -> Tensor:
        """Pooled features, (n, C, T) -> (n, width).

        Prevalence: the share of timepoints whose response passes the pattern's
        threshold. Among the eight patterns of a group: the mean response where a
        pattern is the nearest, and the share of timepoints where it is the most
        opposite one. Shares and means run over the observed timepoints, and are
        rooted, so that rare matches count.
        """
        response, known = self._responses(values, observed)
        count = known.sum(dim=-1).clamp(min=1)  # (n, mixes, 1)
        passes = (response > self.thresholds.unsqueeze(-1)) & known
        prevalence = passes.sum(dim=-1) / count

        groups = response.unflatten(2, (-1, GROUP_SIZE))  # (n, mixes, groups, 8, T)
        present = known.unsqueeze(2).squeeze(3).to(response.dtype)  # (n, mixes, 1, T)
        strongest, nearest = groups.max(dim=3)
        opposite = groups.min(dim=3).indices  # argmin is ten times slower here
        empty = groups.new_zeros(groups.shape[:4])
        strength = empty.scatter_add(3, nearest, strongest * present)
        wins = empty.scatter_add(3, opposite, present.expand_as(strongest))
        strength, wins = (x.flatten(2).clamp(min=0) / count for x in (strength, wins))
        return torch.stack((prevalence, strength, wins), dim=1).sqrt().flatten(1)

    def _responses(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Correlation of each pattern with the window around each timepoint.

        A window with gaps, or one that reaches past the ends, is centred on the mean
        of what is observed in it, and only that is compared.

        Returns
        -------
        response : Tensor of shape (n, mixes, patterns, T)
        known : bool Tensor of shape (n, mixes, 1, T)
            True where the timepoint itself is observed.
        """
        weight = observed.to(values.dtype)
        signal = torch.einsum("mc,nct->nmt", self.mixing, values * weight)
        seen = (self.mixing != 0).to(values.dtype)
        known = torch.einsum("mc,nct->nmt", seen, weight) > 0  # (n, mixes, T)
        present = self._windows(known.to(values.dtype))  # (n, mixes, 9, T)
        windows = self._windows(signal)
        mean = windows.sum(dim=2, keepdim=True) / present.sum(
            dim=2, keepdim=True
        ).clamp(min=1)
        centred = F.hardshrink((windows - mean) * present, FLAT)
        return self.patterns @ centred, known.unsqueeze(2)

    def _windows(self, signal: Tensor) -> Tensor:
        # (n, m, T) -> (n, m, 9, T): the 9 dilated timepoints centred at each timepoint
        reach = self.dilation * (PATTERN_LENGTH // 2)
        padded = F.pad(signal, (reach, reach))
        length = signal.shape[-1]
        taps = range(0, 2 * reach + 1, self.dilation)
        return torch.stack([padded[..., t : t + length] for t in taps], dim=2)
