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
from numba.extending import lower_builtin, type_callable
from numpy.typing import NDArray

from .bank import FLAT, GROUP_SIZE, PATTERN_LENGTH

# Timepoints in a run. In single precision, what is read of it again and again takes 31
# kB: 9 windows, 8 responses and 3 extremes.
RUN = 384
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


def prefer_wide_vectors() -> None:
    """Compile the loops of the calling function with 512 bits where there are such.

    On Intel's processors LLVM keeps to 256 bits unless a function asks for more, as the
    first of them that had 512 lowered their clock to use them. These loops take a third
    longer with 256.
    """


@type_callable(prefer_wide_vectors)
def _type_of_prefer_wide_vectors(context: Any) -> Callable[[], Any]:
    return lambda: numba.types.void


@lower_builtin(prefer_wide_vectors)
def _lower_prefer_wide_vectors(
    context: Any, builder: Any, signature: Any, arguments: Any
) -> Any:
    # Past the set's own `add`, which knows no attribute that has a value.
    set.add(builder.function.attributes, '"prefer-vector-width"="512"')
    return context.get_dummy_value()


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
    prefer_wide_vectors()
    n_timepoints = values.shape[2]
    reach = dilation * (PATTERN_LENGTH // 2)
    # Zeros around the series, and then on to the end of the last run.
    padded = n_timepoints + 2 * reach + UNROLLED
    signal = np.zeros(padded, values.dtype)
    seen = np.zeros(padded, values.dtype)
    inside = slice(reach, reach + n_timepoints)
    means = np.empty(n_timepoints + UNROLLED, values.dtype)
    n_present = np.empty(n_timepoints + UNROLLED, values.dtype)
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
            find_means(signal, seen, dilation, means, n_present)
            sums[:] = 0
            for start in range(0, n_timepoints, RUN):
                rest = n_timepoints - start + UNROLLED - 1
                size = min(RUN, rest // UNROLLED * UNROLLED)
                cut_windows(
                    signal[start:],
                    seen[start:],
                    means[start:],
                    dilation,
                    size,
                    windows,
                )
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
                    for member in range(0, GROUP_SIZE, 2):
                        index = group + member
                        add_matches(
                            responses,
                            member,
                            thresholds[mix, index : index + 2],
                            extremes,
                            size,
                            sums[:, index : index + 2],
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
def find_means(
    signal: NDArray, seen: NDArray, dilation: int, means: NDArray, n_present: NDArray
) -> None:
    """Mean of what is observed in the window around each timepoint.

    NaN where the timepoint itself is not observed.
    """
    kind = means.dtype.type
    size = len(means)
    means[:] = 0
    n_present[:] = 0
    for tap in range(PATTERN_LENGTH):
        value = signal[tap * dilation : tap * dilation + size]
        present = seen[tap * dilation : tap * dilation + size]
        for time in range(size):
            means[time] += value[time]
            n_present[time] += present[time]
    middle = PATTERN_LENGTH // 2 * dilation
    known = seen[middle : middle + size]
    for time in range(size):
        mean = means[time] / n_present[time]
        means[time] = mean if known[time] > 0 else kind(np.nan)


# Inlined, like the next: a call with so many arrays takes as long as the loop itself.
@numba.njit(inline="always")
def cut_windows(
    signal: NDArray,
    seen: NDArray,
    means: NDArray,
    dilation: int,
    size: int,
    windows: NDArray,
) -> None:
    """Cut the window around each timepoint of a run, centred on its mean.

    Windows around unobserved timepoints are NaN, which wins no comparison.
    """
    kind = windows.dtype.type
    for tap in range(PATTERN_LENGTH):
        value = signal[tap * dilation : tap * dilation + size]
        present = seen[tap * dilation : tap * dilation + size]
        window = windows[tap * RUN : tap * RUN + size]
        for time in range(size):
            centred = (value[time] - means[time]) * present[time]
            # Not the other way round: NaN has to stay.
            window[time] = kind(0) if abs(centred) <= kind(FLAT) else centred


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


@numba.njit(inline="always")
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


@numba.njit(inline="always")
def add_matches(
    responses: NDArray,
    member: int,
    thresholds: NDArray,
    extremes: NDArray,
    size: int,
    sums: NDArray,
) -> None:
    """Add two patterns' prevalence, strength of wins and opposite wins over a run."""
    kind = responses.dtype.type
    none, one, many = kind(0), kind(1), kind(2 * RUN)
    # In a flat window all tie; only the first is counted.
    weakest = 1 if member == 0 else 2
    # Two counts share one sum, which stays exact: three sums take twice as long.
    counts = other_counts = strength = other_strength = none
    for time in range(size):
        most = extremes[0, time]
        value = responses[member, time]
        counts += one if value > thresholds[0] else none
        counts += many if value == extremes[weakest, time] else none
        strength += value if value == most else none
        value = responses[member + 1, time]
        other_counts += one if value > thresholds[1] else none
        other_counts += many if value == extremes[2, time] else none
        other_strength += value if value == most else none
    for column, count, strength_of_wins in (
        (0, counts, strength),
        (1, other_counts, other_strength),
    ):
        opposite = np.floor(count / many)
        sums[0, column] += count - opposite * many
        sums[1, column] += strength_of_wins
        sums[2, column] += opposite
