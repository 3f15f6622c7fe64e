"""The bank's matches on a CPU: compiled loops over runs of timepoints.

They compute the same as `DilatedShapelets.features_by_tensors`, series by series, so
that a series has the same features in every batch. The windows and responses of a run
stay in the innermost cache, whereas tensor operations write every step to memory and
read it back.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from .bank import FLAT, GROUP_SIZE, PATTERN_LENGTH

# Timepoints in a run. Its 9 windows and 8 responses take 17 kB in single precision.
RUN = 256
# Runs are multiples of the compiler's unrolling, so that no loop has a remainder.
UNROLLED = 32

# Where numba caches compiled code. It notices changes to this file only, but these
# numbers, which are compiled in, come from another one.
_CACHE = Path(".cache", "mug_sklearn", f"{PATTERN_LENGTH}-{GROUP_SIZE}-{FLAT}")

Function = TypeVar("Function", bound=Callable)


@contextmanager
def _despite_faults(cache: Any) -> Iterator[None]:
    """Go on, and compile, if the cache is damaged, as by a crash, or the disk full."""
    try:
        yield
    except Exception:
        with suppress(OSError):
            cache.flush()  # so that what is damaged is written anew


def compiled(function: Function) -> Function:
    """Compile at first use, and cache the result on disk if there is a place for it.

    Sums may be reordered and products fused; NaN keeps its meaning.
    """
    options = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": {"reassoc", "contract", "nsz"},
    }
    before = numba.config.CACHE_DIR
    try:
        # numba's own choice, beside the source, would outlast an uninstall.
        numba.config.CACHE_DIR = before or str(Path.home() / _CACHE)
        loop = numba.njit(cache=True, **options)(function)
        with suppress(AttributeError):  # of what NUMBA_DISABLE_JIT leaves as it is
            cache = loop._cache
            # On Windows, numba itself takes some errors so.
            cache._guard_against_spurious_io_errors = partial(_despite_faults, cache)
        return loop
    except RuntimeError:  # no writable folder
        return numba.njit(**options)(function)
    finally:
        numba.config.CACHE_DIR = before


@compiled
def pool_matches(
    values: NDArray,
    observed: NDArray,
    mixing: NDArray,
    patterns: NDArray,
    thresholds: NDArray,
    dilation: int,
    features: NDArray,
) -> None:
    """Square roots of the shares of matches of one dilation's patterns in each series.

    Parameters
    ----------
    values : array of shape (n, C, T)
    observed : array of shape (n, C, T)
        1 where a value is observed, else 0.
    mixing : array of shape (mixes, C)
    patterns : array of shape (mixes, patterns, 9)
        Full groups of eight.
    thresholds : array of shape (mixes, patterns)
    dilation : int
    features : array of shape (n, 3, mixes, patterns)
        Filled in place with prevalence, strength of wins and opposite wins.
    """
    n_timepoints = values.shape[2]
    reach = dilation * (PATTERN_LENGTH // 2)
    # Zeros around the series, and then on to the end of the last run.
    padded = n_timepoints + 2 * reach + UNROLLED
    signal = np.zeros(padded, values.dtype)
    seen = np.zeros(padded, values.dtype)
    inside = slice(reach, reach + n_timepoints)
    windows = np.empty(PATTERN_LENGTH * RUN, values.dtype)
    responses = np.empty((GROUP_SIZE, RUN), values.dtype)
    extremes = np.empty((3, RUN), values.dtype)
    sums = np.empty((3, patterns.shape[1]))
    for series in range(len(values)):
        for mix in range(len(mixing)):
            mix_channels(
                values[series],
                observed[series],
                mixing[mix],
                signal[inside],
                seen[inside],
            )
            sums[:] = 0
            for start in range(0, n_timepoints, RUN):
                rest = n_timepoints - start + UNROLLED - 1
                size = min(RUN, rest // UNROLLED * UNROLLED)
                cut_windows(signal[start:], seen[start:], dilation, size, windows)
                for group in range(0, patterns.shape[1], GROUP_SIZE):
                    for member in range(0, GROUP_SIZE, 2):
                        respond(
                            windows,
                            patterns[mix, group + member],
                            patterns[mix, group + member + 1],
                            size,
                            responses[member],
                            responses[member + 1],
                        )
                    find_extremes(responses, size, extremes)
                    for member in range(GROUP_SIZE):
                        index = group + member
                        add_matches(
                            responses[member],
                            thresholds[mix, index],
                            extremes[0],
                            # In a flat window all tie; only the first is counted.
                            extremes[1 if member == 0 else 2],
                            size,
                            sums[:, index],
                        )
            root_shares(sums, seen.sum(), features[series, :, mix])


@compiled
def root_shares(sums: NDArray, count: float, features: NDArray) -> None:
    """Square roots of means over the observed timepoints, like `bank.rooted_shares`."""
    kind = features.dtype.type
    share = 1 / max(count, 1)
    for row in range(len(sums)):
        for index in range(sums.shape[1]):
            mean = kind(max(sums[row, index], 0.0) * share)
            features[row, index] = np.sqrt(mean)


@compiled
def mix_channels(
    values: NDArray, observed: NDArray, mix: NDArray, signal: NDArray, seen: NDArray
) -> None:
    """The weighted sum of a mix's channels, and where any of them is observed."""
    signal[:] = 0
    seen[:] = 0
    for channel in range(len(mix)):
        if mix[channel] != 0:
            row, known = values[channel], observed[channel]
            for time in range(len(signal)):
                signal[time] += mix[channel] * row[time] * known[time]
                seen[time] = 1 if known[time] else seen[time]


@compiled
def cut_windows(
    signal: NDArray, seen: NDArray, dilation: int, size: int, windows: NDArray
) -> None:
    """Cut the window around each timepoint of a run, centred on its observed mean.

    Windows around unobserved timepoints are NaN, which wins no comparison.
    """
    kind = windows.dtype.type
    total = np.zeros(RUN, windows.dtype)
    n_present = np.zeros(RUN, windows.dtype)
    for tap in range(PATTERN_LENGTH):
        value = signal[tap * dilation : tap * dilation + size]
        present = seen[tap * dilation : tap * dilation + size]
        for time in range(size):
            total[time] += value[time]
            n_present[time] += present[time]
    middle = PATTERN_LENGTH // 2 * dilation
    known = seen[middle : middle + size]
    mean, gap = total, np.empty(RUN, windows.dtype)
    for time in range(size):
        mean[time] = total[time] / max(n_present[time], kind(1))
        gap[time] = kind(0) if known[time] > 0 else kind(np.nan)
    for tap in range(PATTERN_LENGTH):
        value = signal[tap * dilation : tap * dilation + size]
        present = seen[tap * dilation : tap * dilation + size]
        window = windows[tap * RUN : tap * RUN + size]
        for time in range(size):
            centred = (value[time] - mean[time]) * present[time]
            window[time] = (centred if abs(centred) > kind(FLAT) else kind(0)) + gap[
                time
            ]


# Inlined: a call with so many arrays takes as long as the loop itself.
@numba.njit(inline="always")
def respond(
    windows: NDArray,
    first: NDArray,
    second: NDArray,
    size: int,
    to_first: NDArray,
    to_second: NDArray,
) -> None:
    """Products of two patterns with the window around each timepoint of a run.

    Two patterns share each read of a window; with more, loops are not vectorised.
    """
    for time in range(size):
        value = windows[time]
        one, other = first[0] * value, second[0] * value
        for tap in range(1, PATTERN_LENGTH):
            value = windows[tap * RUN + time]
            one += first[tap] * value
            other += second[tap] * value
        to_first[time] = one
        to_second[time] = other


@compiled
def find_extremes(responses: NDArray, size: int, extremes: NDArray) -> None:
    """A group's strongest response, its weakest, and the weakest or NaN if they tie."""
    nan = responses.dtype.type(np.nan)
    for time in range(size):
        most = least = responses[0, time]
        for member in range(1, GROUP_SIZE):
            most = max(most, responses[member, time])
            least = min(least, responses[member, time])
        extremes[0, time] = most
        extremes[1, time] = least
        extremes[2, time] = least if most != least else nan


@compiled
def add_matches(
    response: NDArray,
    threshold: float,
    strongest: NDArray,
    weakest: NDArray,
    size: int,
    sums: NDArray,
) -> None:
    """Add one pattern's prevalence, strength of wins and opposite wins over a run."""
    kind = response.dtype.type
    # Two counts share one sum, which stays exact: three sums take twice as long.
    counts, strength = kind(0), kind(0)
    for time in range(size):
        value = response[time]
        passes = kind(1) if value > threshold else kind(0)
        counts += passes + (kind(2 * RUN) if value == weakest[time] else kind(0))
        strength += value if value == strongest[time] else kind(0)
    opposite = np.floor(counts / kind(2 * RUN))
    sums[0] += counts - opposite * kind(2 * RUN)
    sums[1] += strength
    sums[2] += opposite
