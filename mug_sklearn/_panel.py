"""Every accepted input form becomes a `Panel`, and what tells the forms apart.

A panel refers to the caller's data and hands out batches; it never copies the whole.
"""

import hashlib
import math
import mmap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from numbers import Integral
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import issparse
from sklearn.utils import check_array
from torch import Tensor

CHUNK_VALUES = 2**21
STANDARDISED_LIMIT = 1e6
_FORMS_OF_A_SERIES = (
    "accepted are arrays of shape (n_timepoints,) or (n_channels, n_timepoints)"
)


@dataclass(frozen=True)
class Batch:
    """Some series of a panel, standardised and padded to a common length.

    Attributes
    ----------
    values : float32 Tensor of shape (n, C, T)
        0 where nothing is observed.
    observed : bool Tensor of shape (n, C, T)
    lengths : int Tensor of shape (n,)
        Timepoints up to the last observed one.
    """

    values: Tensor
    observed: Tensor
    lengths: Tensor


class StoredSeries:
    """Series in a file or another store, of which only some are read at a time.

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

    def read(self, start: int, stop: int) -> np.ndarray:
        """Series `start` to `stop` as a float array of shape (stop - start, C, T).

        Raises
        ------
        ValueError
            Where one of them holds infinity.
        """
        rows = check_array(
            np.array(self.store[start:stop]),
            allow_nd=True,
            ensure_all_finite="allow-nan",
            dtype=[np.float64, np.float32],
            input_name="X",
        )
        # Pages of a memory map would stay resident as long as there is memory. Those of
        # mode "c" hold changes that are nowhere else.
        mapped = getattr(self.store, "_mmap", None)
        can_forget = hasattr(mmap, "MADV_DONTNEED")
        if can_forget and isinstance(mapped, mmap.mmap) and self.store.mode != "c":
            mapped.madvise(mmap.MADV_DONTNEED)
        return rows.reshape(len(rows), *self.shape[1:])

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Chosen series in this order, neighbours read at once."""
        taken = np.empty((len(indices), *self.shape[1:]))
        if not len(indices):
            return taken
        order = np.argsort(indices, kind="stable")
        runs = np.split(order, np.flatnonzero(np.diff(indices[order]) != 1) + 1)
        for run in runs:
            taken[run] = self.read(int(indices[run[0]]), int(indices[run[-1]]) + 1)
        return taken


class Panel:
    """A collection of multivariate series of equal or unequal length.

    Parameters
    ----------
    series : array (n, C, T), list of arrays (C, T_i), or StoredSeries
        Real numbers; NaN stands for a missing value, and at the end for padding.

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
        """One pass over the data for lengths, magnitudes and what is observed."""
        lengths = []
        self._channels_seen = np.zeros(self.n_channels, dtype=bool)
        self._largest = np.zeros(self.n_channels)
        for values in self._chunks():
            known = ~np.isnan(values)
            lengths.append(_observed_lengths(known))
            self._channels_seen |= known.any(axis=(0, 2))
            # These pass over NaN.
            for extreme in (np.fmax.reduce, np.fmin.reduce):
                magnitude = np.abs(extreme(values, axis=(0, 2)))
                self._largest = np.fmax(self._largest, magnitude)
        self.lengths = np.concatenate(lengths)
        self.n_timepoints = max(1, int(self.lengths.max()))

    def summary(self) -> dict[str, Any]:
        """What tells a panel from another one, whatever form each had."""
        return {
            "n_series": self.n_series,
            "n_timepoints": self.n_timepoints,
            "digest": self._digest,
        }

    @cached_property
    def channel_statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each channel over all observed values.

        By one pass over the data. Both are float64 arrays of shape (n_channels,), 0 and
        1 for a channel without values; the deviation is 1 for a constant one.
        """
        # Working relative to the largest magnitude, no square can overflow.
        unit = np.where(self._largest > 0, self._largest, 1.0)
        count = np.zeros(self.n_channels)
        mean = np.zeros(self.n_channels)
        squares = np.zeros(self.n_channels)
        for values in self._chunks():
            known = ~np.isnan(values)
            relative = np.where(known, values / unit[:, None], 0.0)
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
        varies = (deviation > 10 * np.finfo(np.float64).eps) & (scale > 0)
        return mean * unit, np.where(varies, scale, 1.0)

    @cached_property
    def _digest(self) -> str:
        """Of all values in order, up to the last observed one of each series."""
        digest = hashlib.blake2b(digest_size=16)
        lengths = iter(self.lengths)
        for values in self._chunks():
            # One NaN, one zero: others of them are the same values.
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

    def batch(
        self,
        indices: np.ndarray,
        location: np.ndarray,
        scale: np.ndarray,
        device: torch.device,
        width: int | None = None,
    ) -> Batch:
        """Read, standardise and pad some series.

        An accelerator standardises in a tenth of the time that a CPU takes, and to the
        same bit, as every step is one that the IEEE standard rounds.

        Parameters
        ----------
        indices : int array
        location, scale : float64 array of shape (n_channels,)
        device : torch.device
            Where to compute in double precision, and where the batch will be.
        width : int, optional
            Timepoints to pad to, at least as many as the longest series has. By
            default as many, at least one.

        Returns
        -------
        Batch
        """
        lengths = self.lengths[indices]
        longest = max(1, int(lengths.max(initial=0)))
        raw = torch.from_numpy(self._padded(indices, longest)).to(device)
        missing = raw.isnan()
        # Copied, as they may lie in memory that may only be read.
        mean, deviation = (
            torch.tensor(statistic, device=device)[:, None]
            for statistic in (location, scale)
        )
        # In place, since fresh memory costs more than what is computed.
        raw.sub_(mean).div_(deviation)
        raw.clamp_(-STANDARDISED_LIMIT, STANDARDISED_LIMIT).masked_fill_(missing, 0.0)
        further = 0 if width is None else width - longest
        values, observed = (
            F.pad(x, (0, further)).contiguous() for x in (raw.float(), ~missing)
        )
        return Batch(values, observed, torch.from_numpy(lengths).to(device))

    def take(self, indices: np.ndarray) -> list[np.ndarray]:
        """Copies of some series, float64 arrays of shape (C, T_i) without padding."""
        lengths = np.maximum(self.lengths[indices], 1)
        padded = self._padded(indices, max(lengths, default=1))
        return [
            one[:, :length].copy() for one, length in zip(padded, lengths, strict=True)
        ]

    def _padded(self, indices: np.ndarray, width: int) -> np.ndarray:
        """Copies of some series, cut or padded with NaN to so many timepoints."""
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


@dataclass(frozen=True)
class Reservoir:
    """A uniform sample of all series of a stream.

    Vitter, "Random Sampling with a Reservoir", ACM TOMS 1985, algorithm R.

    Attributes
    ----------
    series : list of float64 arrays of shape (C, T_i)
    n_seen : int
        Series of the stream so far.
    """

    series: list[np.ndarray] = field(default_factory=list)
    n_seen: int = 0

    def extended(
        self, panel: Panel, capacity: int, rng: np.random.Generator
    ) -> "Reservoir":
        """The sample after the series of `panel`; this one is left as it is.

        Parameters
        ----------
        panel : Panel
        capacity : int
            Most series to keep.
        rng : numpy Generator
        """
        place = self.n_seen + np.arange(panel.n_series)
        drawn = rng.integers(0, place + 1)
        slots = np.where(place < capacity, place, drawn)
        # A later series takes the slot of an earlier one.
        entering = {int(slot): row for row, slot in enumerate(slots) if slot < capacity}
        rows = np.array(list(entering.values()), dtype=np.intp)
        series = dict(enumerate(self.series))
        series |= dict(zip(entering, panel.take(rows), strict=True))
        kept = [series[slot] for slot in sorted(series)]
        return Reservoir(kept, self.n_seen + panel.n_series)


def _observed_lengths(observed: np.ndarray) -> np.ndarray:
    known = np.asarray(observed.any(axis=1))  # (n, C, T) -> (n, T)
    reversed_first = known[:, ::-1].argmax(axis=1)
    return np.where(known.any(axis=1), known.shape[1] - reversed_first, 0)


def is_list_of_series(X: Any, rows_are_series: bool = False) -> bool:
    """Whether `X` is a list, tuple or 1-D object array with an entry for each series.

    Plain nested lists of numbers in rows of one length are a table, as everywhere in
    scikit-learn, and channels of one length a 3-D array; where lengths differ, they can
    only be series. So can what stands among arrays, even what is refused later.

    Parameters
    ----------
    X : object
    rows_are_series : bool, default=False
        Whether nested lists are series in any case: where lengths may differ, those of
        a batch may happen to be equal.
    """
    holds_objects = getattr(X, "ndim", 0) == 1 and X.dtype == np.dtype(object)
    if not (isinstance(X, list | tuple) or holds_objects) or len(X) == 0:
        return False
    is_plain = [isinstance(one, list | tuple) for one in X]
    if not any(
        plain or getattr(one, "ndim", 0) > 0
        for plain, one in zip(is_plain, X, strict=True)
    ):
        return False
    if holds_objects or rows_are_series or not all(is_plain):
        return True
    # Channels make a series; numbers a row of a table, if all rows have one length.
    first = next(chain.from_iterable(X), 0.0)
    has_channels = isinstance(first, list | tuple) or np.ndim(first) > 0
    return has_channels or len({len(one) for one in X}) > 1


def holds_series_in_cells(X: Any) -> bool:
    """Whether `X` is a table with a series in each cell, as sktime's nested panels."""
    shape: tuple[Any, ...] = getattr(X, "shape", ())  # a frame of polars has no ndim
    # Dask's frames do not know theirs.
    is_known = len(shape) == 2 and all(isinstance(size, Integral) for size in shape)
    is_numeric = getattr(X, "dtype", None) not in (None, np.dtype(object))
    if not is_known or 0 in shape or issparse(X) or is_numeric:
        return False
    try:
        cells = X.iloc[0] if hasattr(X, "iloc") else (X[0, j] for j in range(shape[1]))
        return any(np.ndim(cell) > 0 for cell in cells)
    except TypeError:  # tables of pyarrow's are not asked for a cell this way
        return False


def is_stored(X: Any) -> bool:
    """Whether `X`, no tensor, is a store to read from bit by bit."""
    if isinstance(X, np.ndarray):
        return isinstance(X, np.memmap) and X.ndim in (2, 3)
    is_table = hasattr(X, "iloc") or hasattr(X, "columns")
    if is_table or issparse(X):
        return False
    has_rows = hasattr(X, "__getitem__") and hasattr(X, "dtype")
    return has_rows and len(getattr(X, "shape", ())) in (2, 3)


def as_plain_array(X: Any, name: str = "X") -> Any:
    """What is no array of numpy's, but easily one, as such; anything else as it is.

    That is a torch tensor, a masked array, whose masked values become NaN, a column of
    a table, and what tells only how it becomes an array.

    Raises
    ------
    ValueError
        Where a tensor has no form in numpy; the message calls it by `name`.
    """
    if isinstance(X, np.ma.MaskedArray) and X.dtype.kind in "biuf":
        return np.ma.filled(X.astype(np.result_type(X.dtype, np.float32)), np.nan)
    if isinstance(X, np.ma.MaskedArray) and X.dtype.kind in "OSU":
        # Filled first: what is masked need not be a number.
        return np.ma.filled(X.astype(object), np.nan).astype(np.float64)
    if isinstance(X, torch.Tensor):
        return _array_of_tensor(X, name)
    becomes_array = hasattr(X, "__array__") and not isinstance(X, np.ndarray)
    has_rows_only = len(getattr(X, "shape", (0,))) == 1
    return np.asarray(X) if becomes_array and has_rows_only else X


def _array_of_tensor(X: Tensor, name: str) -> np.ndarray:
    try:
        tensor = X.detach().cpu().resolve_conj().resolve_neg()
        # numpy has no bfloat16
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"{name} is a torch tensor of layout {X.layout} and dtype {X.dtype}; dense "
            f"tensors of numbers are accepted ({error})."
        ) from error


def refuse_dates(X: Any, name: str) -> None:
    """Refuse dates and durations, which would count as numbers of their units."""
    if any(map(_is_of_time, _dtypes(X))):
        raise ValueError(
            f"{name} holds dates or durations; numbers are accepted (float or integer)."
        )


def _dtypes(X: Any) -> Iterable[Any]:
    """Of an array, its objects that have one, or the columns of a table."""
    if isinstance(X, np.ndarray) and X.dtype == np.dtype(object):
        return (one.dtype for one in X.flat if isinstance(one, np.generic))
    if hasattr(X, "dtype"):
        return [X.dtype]
    schema = getattr(X, "schema", None)  # pyarrow's tables have nothing else
    return getattr(X, "dtypes", getattr(schema, "types", ()))


def _is_of_time(dtype: Any) -> bool:
    """Whether a dtype of numpy, pandas, polars or pyarrow is of dates or durations."""
    if hasattr(dtype, "kind"):
        return dtype.kind in ("m", "M")
    if hasattr(dtype, "is_temporal"):
        return bool(dtype.is_temporal())
    return str(dtype).startswith(("date", "time", "duration"))


def array_of_list(X: Any, name: str, accepted: str) -> Any:
    """A nested list as an array; anything else as it is.

    Raises
    ------
    ValueError
        Where the list has no shape.
    """
    if not isinstance(X, list | tuple):
        return X
    rows = [as_plain_array(row, name) for row in X]
    try:
        return np.asarray(rows)
    except ValueError as error:
        raise ValueError(f"{name} is a list of unlike things; {accepted}.") from error


def series_from_list(X: Sequence[Any]) -> list[np.ndarray]:
    """Validate a list of series.

    Parameters
    ----------
    X : sequence of arrays of shape (T_i,) or (C, T_i)

    Returns
    -------
    list of float arrays of shape (C, T_i)

    Raises
    ------
    ValueError
        Where a series has a wrong number of dimensions or channels, no timepoints,
        infinite values or values that are no numbers. The message names its position.
    """
    series: list[np.ndarray] = []
    for position, one in enumerate(X):
        name = f"series {position} of X"
        array = one_series(one, name)
        if series and array.shape[0] != series[0].shape[0]:
            swapped = array.shape[1] == series[0].shape[1] < len(array)
            hint = " Timepoints come last: is each array to be transposed?"
            raise ValueError(
                f"{name} has {array.shape[0]} channels, but series 0 has "
                f"{series[0].shape[0]}; all series of a panel need the same channels."
                f"{hint if swapped else ''}"
            )
        series.append(array)
    return series


def one_series(X: Any, name: str) -> np.ndarray:
    """Validate one series, of shape (T,) or (C, T), and give it as (C, T).

    Parameters
    ----------
    X : array-like
    name : str
        What the messages call it.

    Raises
    ------
    ValueError
        Where it has a wrong number of dimensions, no timepoints, infinite values or
        values that are no numbers.
    """
    if hasattr(X, "columns"):
        raise ValueError(
            f"{name} is a {type(X).__name__}, whose rows may be channels or "
            f"timepoints; {_FORMS_OF_A_SERIES}. The adapters in mug_sklearn.adapters "
            "take the panels of sktime and aeon."
        )
    array = as_plain_array(array_of_list(X, name, _FORMS_OF_A_SERIES), name)
    if not hasattr(array, "ndim"):
        array = np.asarray(array)
    if array.ndim == 0:
        raise ValueError(f"{name} is {X!r}; {_FORMS_OF_A_SERIES}.")
    of_objects = getattr(array, "dtype", None) == np.dtype(object)
    if of_objects and not isinstance(X, list | tuple):
        raise ValueError(
            f"{name} has dtype object; numbers are accepted (float or integer)."
        )
    refuse_dates(array, name)
    array = check_array(
        array,
        ensure_2d=False,
        allow_nd=True,
        ensure_all_finite="allow-nan",
        ensure_min_samples=0,
        ensure_min_features=0,
        dtype=[np.float64, np.float32],
        input_name=name,
    )
    if array.ndim not in (1, 2):
        raise ValueError(
            f"{name} has {array.ndim} dimensions, of shape {array.shape}; "
            f"{_FORMS_OF_A_SERIES}."
        )
    array = array[None] if array.ndim == 1 else array
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise ValueError(
            f"{name} is empty, with shape {array.shape}; at least one channel and "
            "one timepoint are required."
        )
    return array
