"""A `Panel` refers to a caller's series and hands out batches, never copying all."""

import hashlib
import math
import mmap
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Generic, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.utils import check_array
from torch import Tensor

CHUNK_VALUES = 2**21
STANDARDISED_LIMIT = 1e6
# Share of a channel's largest value below which differences may be of rounding.
ROUNDING = 10 * float(np.finfo(np.float64).eps)

Value = TypeVar("Value")


def without_mask(X: Any) -> Any:
    """Masked numbers as an array with NaN; anything else as it is."""
    if isinstance(X, np.ma.MaskedArray) and X.dtype.kind in "biuf":
        return np.ma.filled(X.astype(np.result_type(X.dtype, np.float32)), np.nan)
    return X


def computed(X: Any) -> Any:
    """Result of one of dask's arrays, whose conversion to numpy would lose a mask."""
    return X.compute() if hasattr(X, "__dask_graph__") else X


class StoredSeries:
    """Series in a file or another store, read a few at a time.

    Parameters
    ----------
    store : array-like of shape (n, T) or (n, C, T)
        Anything with ``shape``, ``dtype`` and ``__getitem__`` for slices of rows, such
        as a numpy memory map, an HDF5 data set or a zarr array.
    """

    def __init__(self, store: Any) -> None:
        self.store = store
        n_series, *n_channels, n_timepoints = map(int, store.shape)
        self.shape = (n_series, *(n_channels or [1]), n_timepoints)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Copies of series `start` to `stop` as they are; NaN for what is masked."""
        return np.array(without_mask(computed(self.store[start:stop])))

    def read(self, start: int, stop: int) -> np.ndarray:
        """Series `start` to `stop` as a float array of shape (stop - start, C, T).

        What the store masks, as those of netCDF4 may, is NaN.

        Raises
        ------
        ValueError
            If one of them holds infinity.
        """
        rows = check_array(
            self.rows(start, stop),
            allow_nd=True,
            ensure_all_finite="allow-nan",
            dtype=[np.float64, np.float32],
            input_name="X",
        )
        # Pages of a memory map would stay resident as long as there is memory. In mode
        # "c" they may hold changes that exist nowhere else.
        mapped = getattr(self.store, "_mmap", None)
        can_forget = hasattr(mmap, "MADV_DONTNEED")
        if can_forget and isinstance(mapped, mmap.mmap) and self.store.mode != "c":
            with suppress(OSError):  # where they are locked in memory
                mapped.madvise(mmap.MADV_DONTNEED)
        return rows.reshape(len(rows), *self.shape[1:])

    def take(self, indices: np.ndarray) -> np.ndarray:
        """The chosen series in the given order; neighbours are read at once."""
        taken = np.empty((len(indices), *self.shape[1:]))
        if not len(indices):
            return taken
        order = np.argsort(indices, kind="stable")
        runs = np.split(order, np.flatnonzero(np.diff(indices[order]) != 1) + 1)
        for run in runs:
            taken[run] = self.read(int(indices[run[0]]), int(indices[run[-1]]) + 1)
        return taken


class _Once(Generic[Value]):
    """A property that is computed once, as Python 3.12's `cached_property`.

    That of 3.11 holds one lock for all instances while it computes: fits in several
    threads would wait for each other's passes over the data, and a process that is
    forked meanwhile would wait for ever.
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self.compute = compute

    def __get__(self, instance: Any, owner: type) -> Value:
        # Found on the instance first from now on.
        value = self.compute(instance)
        instance.__dict__[self.compute.__name__] = value
        return value


class Panel:
    """A collection of multivariate series of equal or unequal length.

    Parameters
    ----------
    series : array (n, C, T), list of arrays (C, T_i), or StoredSeries
        Real numbers; NaN is a missing value, or padding at the end of a series.

    Attributes
    ----------
    n_series, n_channels : int
    lengths : int array of shape (n_series,)
        Timepoints up to the last observed one; 0 for a series without any value.
    n_timepoints : int
        Length of the longest series, at least 1.
    """

    def __init__(self, series: np.ndarray | list[np.ndarray] | StoredSeries) -> None:
        self.series = series
        if isinstance(series, list):
            self.n_series, self.n_channels = len(series), int(series[0].shape[0])
        else:
            self.n_series, self.n_channels = series.shape[:2]
        self._survey()

    def _survey(self) -> None:
        """Find lengths, magnitudes and observed channels in one pass over the data."""
        lengths = []
        self._channels_seen = np.zeros(self.n_channels, dtype=bool)
        greatest = np.full(self.n_channels, np.nan)
        least = np.full(self.n_channels, np.nan)
        for values in self._chunks():
            known = ~np.isnan(values)
            lengths.append(_observed_lengths(known))
            self._channels_seen |= known.any(axis=(0, 2))
            # These ignore NaN.
            greatest = np.fmax(greatest, np.fmax.reduce(values, axis=(0, 2)))
            least = np.fmin(least, np.fmin.reduce(values, axis=(0, 2)))
        self._greatest = np.where(self._channels_seen, greatest, 0.0)
        self._least = np.where(self._channels_seen, least, 0.0)
        self.lengths = np.concatenate(lengths)
        self.n_timepoints = max(1, int(self.lengths.max()))

    def summary(self) -> dict[str, Any]:
        """What distinguishes a panel from others, whatever its form was."""
        return {
            "n_series": self.n_series,
            "n_timepoints": self.n_timepoints,
            "digest": self._digest,
        }

    @property
    def channel_statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each channel over all observed values.

        Both are float64 arrays of shape (n_channels,), with 0 and 1 for a channel
        without values; the deviation of a constant channel is 1.
        """
        mean, deviation = self._mean_and_deviation
        return mean, np.where(self.varies, deviation, 1.0)

    @property
    def varies(self) -> np.ndarray:
        """Channels that hold different values: bool array of shape (n_channels,)."""
        return self._mean_and_deviation[1] > 0

    @_Once
    def _mean_and_deviation(self) -> tuple[np.ndarray, np.ndarray]:
        # In one pass over the data; a deviation of 0 stands for one of rounding, too.
        # Relative to the middle and half of the range, which no order of summation
        # changes; no square can overflow, and a large offset costs no digits.
        middle = self._greatest / 2 + self._least / 2
        half_range = self._greatest / 2 - self._least / 2
        unit = np.where(half_range > 0, half_range, 1.0)
        count = np.zeros(self.n_channels)
        mean = np.zeros(self.n_channels)
        squares = np.zeros(self.n_channels)
        for values in self._chunks():
            known = ~np.isnan(values)
            relative = np.where(known, (values - middle[:, None]) / unit[:, None], 0.0)
            size = known.sum(axis=(0, 2))
            chunk_mean = relative.sum(axis=(0, 2)) / np.maximum(size, 1)
            residual = np.where(known, relative - chunk_mean[:, None], 0.0)
            total = np.maximum(count + size, 1)
            shift = chunk_mean - mean
            squares += np.square(residual).sum(axis=(0, 2))
            squares += np.square(shift) * count * size / total
            mean += shift * size / total
            count += size
        deviation = np.sqrt(squares / np.maximum(count, 1))
        scale = deviation * unit  # 0 where the values are the smallest there are
        varies = scale > ROUNDING * self._largest
        return middle + mean * unit, np.where(varies, scale, 0.0)

    @property
    def _largest(self) -> np.ndarray:
        return np.maximum(np.abs(self._greatest), np.abs(self._least))

    def differs_from(
        self, constant: np.ndarray, rounding: float = ROUNDING
    ) -> np.ndarray:
        """Channels with a value other than a constant of each, from the survey.

        Parameters
        ----------
        constant : float64 array of shape (n_channels,)
        rounding : float
            Share of a channel's largest value by which it may differ.

        Returns
        -------
        bool array of shape (n_channels,)
        """
        with np.errstate(over="ignore"):  # infinite is away, too
            away = np.maximum(self._greatest - constant, constant - self._least)
        return self._channels_seen & (away > rounding * self._largest)

    @_Once
    def _digest(self) -> str:
        """Digest of all values in order, up to the last observed one of each series."""
        digest = hashlib.blake2b(digest_size=16)
        lengths = iter(self.lengths)
        for values in self._chunks():
            # NaN and zero have several bit patterns for the same value.
            values = np.where(np.isnan(values), np.nan, values) + 0.0
            for one in values:
                digest.update(b"series")
                digest.update(one[:, : next(lengths)].tobytes())
        return digest.hexdigest()

    def unobserved(self) -> tuple[np.ndarray, np.ndarray]:
        """Series without any value, and channels without any value.

        Returns
        -------
        series : bool array of shape (n_series,)
        channels : bool array of shape (n_channels,)
        """
        return self.lengths == 0, ~self._channels_seen

    @_Once
    def with_values(self) -> np.ndarray:
        """Row numbers of the series with an observed value; of all, if none has one."""
        rows = np.flatnonzero(self.lengths)
        return rows if len(rows) else np.arange(self.n_series)

    def batch(
        self,
        indices: np.ndarray,
        location: np.ndarray,
        scale: np.ndarray,
        device: torch.device,
        multiple_of: int = 1,
    ) -> tuple[Tensor, Tensor]:
        """Read, standardise and pad some series.

        An accelerator standardises in a tenth of the time that a CPU takes, with the
        same bits, as the IEEE standard defines the rounding of every step.

        Parameters
        ----------
        indices : int array
        location, scale : float64 array of shape (n_channels,)
        device : torch.device
            Where to compute, in double precision, and to leave the batch.
        multiple_of : int, default=1
            The batch has as many timepoints as the longest of the series, but at least
            one, padded to a multiple of this number.

        Returns
        -------
        values : float32 Tensor of shape (n, C, T)
            0 where nothing is observed.
        observed : bool Tensor of shape (n, C, T)
        """
        longest = int(self.lengths[indices].max(initial=1))
        raw = torch.from_numpy(self._padded(indices, longest)).to(device)
        missing = raw.isnan()
        # Copied, as they may lie in read-only memory.
        mean, deviation = (
            torch.tensor(statistic, device=device)[:, None]
            for statistic in (location, scale)
        )
        # In place, since new memory costs more than the computation.
        raw.sub_(mean).div_(deviation)
        raw.clamp_(-STANDARDISED_LIMIT, STANDARDISED_LIMIT).masked_fill_(missing, 0.0)
        further = -longest % multiple_of
        values = F.pad(raw.float(), (0, further)).contiguous()
        return values, F.pad(~missing, (0, further)).contiguous()

    def take(self, indices: np.ndarray) -> list[np.ndarray]:
        """Copies of some series, float64 arrays of shape (C, T_i) without padding."""
        lengths = np.maximum(self.lengths[indices], 1)
        # Not padded: one of them may be far longer than the rest.
        rows: Iterable[np.ndarray] = (
            self.series.take(indices)
            if isinstance(self.series, StoredSeries)
            else (self.series[index] for index in indices)
        )
        return [
            np.array(one[:, :length], dtype=np.float64)
            for one, length in zip(rows, lengths, strict=True)
        ]

    def _padded(self, indices: np.ndarray, width: int) -> np.ndarray:
        """Copies of some series, cut or padded with NaN to `width` timepoints."""
        if isinstance(self.series, np.ndarray):
            return np.asarray(self.series[indices, :, :width], dtype=np.float64)
        if isinstance(self.series, StoredSeries):
            return self.series.take(indices)[:, :, :width]
        padded = np.full((len(indices), self.n_channels, width), np.nan)
        for row, index in enumerate(indices):
            length = min(self.series[index].shape[1], width)
            padded[row, :, :length] = self.series[index][:, :length]
        return padded

    def _chunks(self) -> Iterator[np.ndarray]:
        """Runs of consecutive series as float64 arrays of bounded size."""
        series = self.series
        if isinstance(series, list):
            for values in series:
                yield np.asarray(values, dtype=np.float64)[None]
            return
        size = max(1, CHUNK_VALUES // math.prod(series.shape[1:]))
        for start in range(0, self.n_series, size):
            stop = min(start + size, self.n_series)
            if isinstance(series, StoredSeries):
                chunk = series.read(start, stop)
            else:
                chunk = series[start:stop]
            yield np.asarray(chunk, dtype=np.float64)


def _observed_lengths(observed: np.ndarray) -> np.ndarray:
    known = np.asarray(observed.any(axis=1))  # (n, C, T) -> (n, T)
    reversed_first = known[:, ::-1].argmax(axis=1)
    return np.where(known.any(axis=1), known.shape[1] - reversed_first, 0)
