"""The wide part of the coarse granularity: a bank of random dilated shapelets. Ours.

A shapelet transform with thousands of short Gaussian patterns in place of a few long
discovered ones. Each pattern slides over the series or its differences at one dilation;
the pooled features say how prevalent its matches are ("MiniRocket", Dempster et al.,
2021) and, among eight competing patterns, how often and how strongly each wins
("Hydra", Dempster et al., 2023). The patterns are drawn at random, not trained. The
distance of the best match is left to the discovered shapelets: of so many patterns it
only added noise.
"""

import math
from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import as_numbers, drawn_by

PATTERN_LENGTH = 9
GROUP_SIZE = 8
MAX_MIXES = 8
MAX_MIXED_CHANNELS = 6
# Rounding must not decide a comparison: a threshold lies a little above the response
# it was taken from, and a nearly flat window is made exactly flat.
MARGIN = 1e-4
FLAT = 1e-6
# Responses that tensor operations compute at once. On a CPU they take 1 MB in single
# precision, which fits into a cache.
CPU_RESPONSES = 2**18
ACCELERATOR_RESPONSES = 2**26
SHORTEST_RUN = 1024
CALIBRATION_TIMEPOINTS = 2**16
# Most timepoints of a series that both of its halves have.
SPLIT_TIMEPOINTS = 2**11


def dilations(n_timepoints: int) -> tuple[int, ...]:
    """Powers of two at which a dilated pattern fits a series of `n_timepoints`."""
    reach = max((n_timepoints - 1) / (PATTERN_LENGTH - 1), 1.0)
    return tuple(2**level for level in range(int(math.log2(reach)) + 1))


def first_differences(values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """Differences to the next timepoint, known where both are observed.

    The last timepoint has no successor and counts as unobserved.
    """
    known = F.pad(observed[..., 1:] & observed[..., :-1], (0, 1))
    return F.pad(values[..., 1:] - values[..., :-1], (0, 1)) * known, known


def rooted_shares(sums: Tensor, count: Tensor) -> Tensor:
    """Features from sums: square roots of the means over the observed timepoints.

    Roots let rare matches count. (n, 3, mixes, patterns), (n, mixes) -> first shape.
    """
    return (sums.clamp(min=0) / count.clamp(min=1)[:, None, :, None]).sqrt()


class ShapeletBank(nn.Module):
    """Random dilated shapelets with pooled match statistics.

    Parameters
    ----------
    n_channels : int
    n_timepoints : int
        Length of the longest training series; bounds the dilations.
    n_shapelets : int
        Patterns per dilation and representation (the series or its first differences),
        rounded up to full groups, the same number for each mix of channels.
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
        for scale, read, known in self._represented(values, observed):
            scale.calibrate(read, known, generator)

    def forward(self, values: Tensor, observed: Tensor) -> Tensor:
        """Pooled features, (n, C, T) -> (n, width)."""
        way = DilatedShapelets.features_by_tensors
        if values.device.type == "cpu":
            way = DilatedShapelets.features_by_loops
        elif values.device.type == "cuda" and _kernel_runs(values.device):
            way = DilatedShapelets.features_by_kernel
        pooled = (way(*part) for part in self._represented(values, observed))
        return torch.cat([features.flatten(1) for features in pooled], dim=1)

    def split_half_noise(self, values: Tensor, observed: Tensor) -> Tensor:
        """How much chance changes the features of each series, (n, C, T) -> (n, width).

        See `DilatedShapelets.split_half_noise`.
        """
        noise = (
            scale.split_half_noise(read, known)
            for scale, read, known in self._represented(values, observed)
        )
        return torch.cat([part.flatten(1) for part in noise], dim=1)

    def _represented(
        self, values: Tensor, observed: Tensor
    ) -> "Iterator[tuple[DilatedShapelets, Tensor, Tensor]]":
        """Each scale with the values and the mask that it reads, both (n, C, T)."""
        differences, known = first_differences(values, observed)
        # Converted here, once: each scale would convert the booleans again.
        series = values, as_numbers(observed, values.dtype)
        differenced = differences, as_numbers(known, values.dtype)
        for scale in self.scales:
            assert isinstance(scale, DilatedShapelets)
            read, seen = differenced if scale.differenced else series
            yield scale, read, seen


@cache
def _kernel_runs(device: torch.device) -> bool:
    """Whether triton is installed and can compile for a GPU (it needs a C compiler)."""
    try:
        # Whatever a caller's default dtype and device are.
        with torch.device(device):
            scale = DilatedShapelets(1, 1, 1, GROUP_SIZE, False).float()
            values = torch.zeros((1, 1, PATTERN_LENGTH), dtype=torch.float32)
        scale.features_by_kernel(values, values > 0)
    except Exception as error:
        lacks_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if lacks_memory or "out of memory" in str(error):
            raise  # and ask again
        return False  # whatever is missing, tensors give the same, more slowly
    return True


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
        drawn = torch.randn(self.patterns.shape, **drawn_by(generator))
        drawn -= drawn.mean(dim=-1, keepdim=True)
        self.patterns.copy_(drawn / drawn.norm(dim=-1, keepdim=True))
        n_channels = self.mixing.shape[1]
        self.mixing.zero_()
        most = min(n_channels, MAX_MIXED_CHANNELS)
        for mix in self.mixing:
            log_size = torch.rand((), **drawn_by(generator)) * math.log2(most + 1)
            size = min(int(2**log_size), most)
            order = torch.randperm(
                n_channels, generator=generator, device=generator.device
            )
            mix[order[:size]] = 1.0 / math.sqrt(size)

    @torch.no_grad()
    def calibrate(
        self, values: Tensor, observed: Tensor, generator: torch.Generator
    ) -> None:
        """Put each prevalence threshold at a random quantile of the responses.

        Long series are sampled at regular steps, for about 65,536 timepoints in all.

        Parameters
        ----------
        values, observed : Tensor of shape (n, C, T)
            A few training series.
        generator : torch.Generator
        """
        signal, seen = self._mixed(values, observed)
        n, _, n_timepoints = values.shape
        step = max(1, n * n_timepoints // CALIBRATION_TIMEPOINTS)
        windows, known = self._windows(signal, seen, range(0, n_timepoints, step))
        count = known.sum(dim=(0, 2))  # (mixes,)
        draw = torch.rand(self.thresholds.T.shape, **drawn_by(generator)).T
        position = (draw.to(values.device) * (count - 1)[:, None]).long().clamp(min=0)
        for chunk in self._chunks(windows):
            response = self.patterns[:, chunk] @ windows  # (n, mixes, chunk, T)
            response = response.masked_fill(~known.unsqueeze(2), torch.inf)
            responses = response.permute(1, 2, 0, 3).flatten(2).cpu().numpy()
            places = position[:, chunk].cpu().numpy()
            selected = np.empty(places.shape, responses.dtype)
            # One selection per row: sorting all rows at once takes far longer.
            for row, place in np.ndenumerate(places):
                selected[row] = np.partition(responses[row], place)[place]
            quantile = torch.from_numpy(selected).to(values.device)
            quantile = torch.where(count[:, None] > 0, quantile, 0.0)
            self.thresholds[:, chunk] = quantile + MARGIN

    def features_by_loops(self, values: Tensor, observed: Tensor) -> Tensor:
        """Square roots of the shares of matches at observed timepoints, on a CPU.

        Parameters
        ----------
        values, observed : Tensor of shape (n, C, T)

        Returns
        -------
        Tensor of shape (n, 3, mixes, patterns)
            Prevalence: the timepoints whose response exceeds the pattern's threshold.
            Within each group of eight patterns: the response where a pattern is the
            nearest one, and the timepoints where it is the most opposite one. In a flat
            window, or one of a single observed value, all tie: the first is that one.
        """
        # Imported here: the compiler takes as long to import as everything else.
        from .bank_loops import pool_matches

        dtype = self.patterns.dtype
        series, known = (x.to(dtype).contiguous().numpy() for x in (values, observed))
        mixing, patterns = self.mixing.numpy(), self.patterns.numpy()
        thresholds, dilation = self.thresholds.numpy(), self.dilation
        features = np.empty((len(series), 3, *thresholds.shape), series.dtype)
        pool_matches(series, known, mixing, patterns, thresholds, dilation, features)
        return torch.from_numpy(features)

    def split_half_noise(self, values: Tensor, observed: Tensor) -> Tensor:
        """How much chance changes the features of each series, from its halves. Ours.

        What is true of a series is mostly true of its even and of its odd timepoints:
        what differs between them is taken for chance. Short events and alternations
        differ, too. Long series are sampled at regular steps, at most 2,048 timepoints,
        and the squares divided by the step.

        Parameters
        ----------
        values, observed : Tensor of shape (n, C, T)

        Returns
        -------
        Tensor of shape (n, 3, mixes, patterns)
            Squares, 0 where a half has no observed timepoint. Their mean over series is
            about the variance of a feature by chance, or more where the responses of
            neighbouring timepoints are opposed.
        """
        n_timepoints = values.shape[-1]
        step = math.ceil(n_timepoints / SPLIT_TIMEPOINTS)
        mixed = self._mixed(values, observed)
        (even, n_even), (odd, n_odd) = (
            self._sums_by_tensors(*mixed, range(first, n_timepoints, 2 * step))
            for first in (0, step)
        )
        difference = rooted_shares(even, n_even) - rooted_shares(odd, n_odd)
        # A mean over n values has a variance in proportion to 1 / n: the difference of
        # the halves has 1 / n_even + 1 / n_odd. The features themselves are means over
        # `step` times as many timepoints as both halves have.
        share = n_even * n_odd / (n_even + n_odd).clamp(min=1).square()
        return difference.square() * share[:, None, :, None] / step

    def features_by_tensors(self, values: Tensor, observed: Tensor) -> Tensor:
        """The same as `features_by_loops`, on any device."""
        mixed, every = self._mixed(values, observed), range(values.shape[-1])
        return rooted_shares(*self._sums_by_tensors(*mixed, every))

    def _sums_by_tensors(
        self, signal: Tensor, seen: Tensor, places: range
    ) -> tuple[Tensor, Tensor]:
        """Sums over the observed ones of some timepoints, and their number.

        Parameters
        ----------
        signal, seen : Tensor of shape (n, mixes, T + 2 * reach)
        places : range
            Timepoints.

        Returns
        -------
        sums : Tensor of shape (n, 3, mixes, patterns)
        count : Tensor of shape (n, mixes)
        """
        n, n_mixes, _ = signal.shape
        sums = signal.new_zeros((n, 3, n_mixes, self.patterns.shape[1]))
        count = signal.new_zeros((n, n_mixes))
        length = max(SHORTEST_RUN, self._response_values(n * n_mixes) // GROUP_SIZE)
        for start in range(0, len(places), length):
            run = places[start : start + length]
            windows, known = self._windows(signal, seen, run)
            # Unobserved timepoints respond with NaN, which wins no comparison.
            windows = windows.masked_fill(~known.unsqueeze(2), torch.nan)
            for chunk in self._chunks(windows):
                response = self.patterns[:, chunk] @ windows  # (n, mixes, chunk, run)
                thresholds = self.thresholds[:, chunk, None]
                sums[..., chunk] += _pool_matches(response, thresholds)
            count += known.sum(dim=2)
        return sums, count

    def features_by_kernel(self, values: Tensor, observed: Tensor) -> Tensor:
        """The same on a GPU that triton supports, in single precision."""
        # Imported here: without a GPU there may be no triton.
        from .bank_kernel import pool_matches

        signal, seen = self._mixed(values, observed)
        sums = pool_matches(signal, seen, self.patterns, self.thresholds, self.dilation)
        return rooted_shares(sums, seen.sum(dim=2))

    def _response_values(self, n_signals: int) -> int:
        """Responses to compute at once for each mixed signal of a batch."""
        on_cpu = self.patterns.device.type == "cpu"
        return (CPU_RESPONSES if on_cpu else ACCELERATOR_RESPONSES) // n_signals

    def _chunks(self, windows: Tensor) -> Iterator[slice]:
        """Slices of the patterns, in full groups, whose responses fit into a cache."""
        n, n_mixes, _, n_timepoints = windows.shape
        affordable = self._response_values(n * n_mixes) // n_timepoints
        size = max(1, affordable // GROUP_SIZE) * GROUP_SIZE
        for start in range(0, self.patterns.shape[1], size):
            yield slice(start, start + size)

    def _mixed(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """The mixed signals and the mask of where they are observed, both zero-padded.

        Parameters
        ----------
        values, observed : Tensor of shape (n, C, T)

        Returns
        -------
        signal, seen : Tensor of shape (n, mixes, T + 2 * reach)
            `seen` is 1 where any channel of the mix is observed, else 0.
        """
        weight = observed.to(values.dtype)
        signal, seen = values * weight, weight
        if values.shape[1] > 1:  # one channel is its own mix
            signal = self._sums_of_channels(signal)
            channels = (self.mixing != 0).to(values.dtype)
            n_seen = torch.einsum("mc,nct->nmt", channels, weight)
            seen = (n_seen > 0).to(values.dtype)
        reach = self.dilation * (PATTERN_LENGTH // 2)
        return F.pad(signal, (reach, reach)), F.pad(seen, (reach, reach))

    def _sums_of_channels(self, values: Tensor) -> Tensor:
        # One by one, in the order of the loops, so that both round alike.
        most = min(self.mixing.shape[1], MAX_MIXED_CHANNELS)
        members = (self.mixing == 0).int().argsort(dim=1, stable=True)[:, :most]
        shares = self.mixing.gather(1, members)
        mixed = values.new_zeros((len(values), len(members), values.shape[-1]))
        for channels, share in zip(members.T, shares.T, strict=True):  # (mixes,)
            mixed += values[:, channels] * share.unsqueeze(-1)
        return mixed

    def _windows(
        self, signal: Tensor, seen: Tensor, places: range
    ) -> tuple[Tensor, Tensor]:
        """Centred windows around chosen timepoints of each mixed signal.

        A window with gaps, or one that reaches past the ends, is centred on the mean
        of its observed values, and only those are compared.

        Parameters
        ----------
        signal, seen : Tensor of shape (n, mixes, T + 2 * reach)
        places : range
            Timepoints.

        Returns
        -------
        windows : Tensor of shape (n, mixes, 9, n_places)
            0 where nothing is observed.
        known : bool Tensor of shape (n, mixes, n_places)
            True where the timepoint itself is observed.
        """
        start, stop, step = places.start, places.stop, places.step
        taps = range(0, self.dilation * PATTERN_LENGTH, self.dilation)
        cut, seen_cut = (
            [x[..., start + t : stop + t : step] for t in taps] for x in (signal, seen)
        )
        windows, present = torch.stack(cut, dim=2), torch.stack(seen_cut, dim=2)
        n_present = present.sum(dim=2, keepdim=True).clamp(min=1)
        # Tap by tap, in the order of the loops: rounding can decide a comparison.
        mean = sum(cut[1:], start=cut[0]).unsqueeze(2) / n_present
        known = present[:, :, PATTERN_LENGTH // 2] > 0
        return F.hardshrink((windows - mean) * present, FLAT), known


def _pool_matches(response: Tensor, thresholds: Tensor) -> Tensor:
    """Sums over the observed timepoints: prevalence, strength of wins, opposites.

    Parameters
    ----------
    response : Tensor of shape (n, mixes, patterns, T)
        Full groups of patterns; NaN where nothing is observed.
    thresholds : Tensor of shape (mixes, patterns, 1)

    Returns
    -------
    Tensor of shape (n, 3, mixes, patterns)
    """
    # Comparisons write zeros and ones into one buffer, which is then summed: many times
    # faster than argmax and scattered sums.
    verdict = torch.empty_like(response)
    prevalence = torch.gt(response, thresholds, out=verdict).sum(dim=3)

    groups = response.unflatten(2, (-1, GROUP_SIZE))  # (n, mixes, groups, 8, T)
    verdicts = verdict.view(groups.shape)
    strongest = groups.amax(dim=3, keepdim=True)
    weakest = groups.amin(dim=3, keepdim=True)
    is_nearest = torch.eq(groups, strongest, out=verdicts)
    strength = is_nearest.mul_(strongest.nan_to_num(nan=0.0)).sum(dim=4)
    opposites = torch.eq(groups, weakest, out=verdicts).sum(dim=4)
    # In a flat window all patterns tie; only the first is counted.
    opposites[..., 1:] -= (strongest == weakest).sum(dim=4)
    return torch.stack((prevalence, strength.flatten(2), opposites.flatten(2)), dim=1)
