"""Turns every accepted form of input into a `Panel`, and refuses all others."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from numbers import Integral
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data
from torch import Tensor

from ._panel import Panel, StoredSeries, computed, without_mask
from ._warnings import warn_user

MANY_PATCHES = 1024  # attention among which takes longer than all else
_FORMS_OF_A_SERIES = (
    "accepted are arrays of shape (n_timepoints,) or (n_channels, n_timepoints)"
)
_OF_ANOTHER_LENGTH = (
    "For another length pass a 3-D array, np.asarray(X)[:, np.newaxis]."
)


def read_panel(estimator: Any, X: Any, reset: bool) -> Panel:
    """Validate `X` and return it as a panel.

    Parameters
    ----------
    estimator : MUGTransformer
        If `reset` is true, it gets the attributes that `validate_data` sets and notes
        on the form of `X`; otherwise `X` must agree with them.
    X : array-like or list of arrays
    reset : bool

    Returns
    -------
    Panel

    Raises
    ------
    TypeError, ValueError
        If `X` is not acceptable; the message says what is.
    """
    X = _as_plain_array(X)
    is_column = isinstance(X, np.ndarray) and X.ndim == 1
    if (isinstance(X, list | tuple) or is_column) and len(X) == 0:
        raise ValueError("X holds no series; at least one is required.")
    series: Any
    if is_list_of_series(X, not reset and not estimator._fitted_on_table):
        series = _series_from_list(X)
        if reset:
            estimator._fitted_on_table = False
            estimator._fitted_width = max(one.shape[1] for one in series)
            estimator.n_features_in_ = series[0].shape[0]
            estimator.__dict__.pop("feature_names_in_", None)
        n_channels = series[0].shape[0]
    elif _is_stored(X):
        if not all(isinstance(size, Integral) for size in X.shape):
            raise ValueError(
                f"X has shape {X.shape}; all sizes must be known. Those of a dask "
                "array are found by X.compute_chunk_sizes()."
            )
        # The first row shows whether the rest will do.
        series = StoredSeries(X)
        first = series.rows(0, 1).reshape(min(1, X.shape[0]), *X.shape[1:])
        n_channels = _read_array(estimator, first, reset).shape[1]
    elif isinstance(X, Mapping | Iterator) and not issparse(X):
        values = "its values" if isinstance(X, Mapping) else "what it yields"
        raise TypeError(
            f"X is of type {type(X).__name__}; accepted are arrays and lists of "
            f"arrays, such as a list of {values}."
        )
    elif hasattr(X, "collect") and not (
        hasattr(X, "__len__") or hasattr(X, "__array__")
    ):
        # polars' LazyFrame
        raise TypeError(
            f"X is of type {type(X).__name__}, which holds no values yet; accepted are "
            "arrays and tables, such as X.collect()."
        )
    elif _holds_series_in_cells(X):
        raise ValueError(
            f"X is a table of shape {X.shape} with a series in each cell; accepted "
            "are an array (n_series, n_channels, n_timepoints), a list of "
            "arrays (n_channels, n_timepoints_i) and a single column of series; "
            "ColumnTransformer gives one for a plain name, not for a list of names. "
            "The adapters in mug_sklearn.adapters take the panels of sktime and aeon."
        )
    else:
        series = _read_array(estimator, X, reset)
        n_channels = series.shape[1]
    if not reset and n_channels != estimator.n_channels_in_:
        is_array = isinstance(X, np.ndarray) and X.ndim == 2
        is_one_series = is_array and len(X) == estimator.n_channels_in_
        hint = " A single series is passed as [X]." if is_one_series else ""
        raise ValueError(
            f"X has {n_channels} channels, but {type(estimator).__name__} was fitted "
            f"on series of {estimator.n_channels_in_} channels.{hint}"
        )
    return Panel(series)


def _read_array(estimator: Any, X: Any, reset: bool) -> np.ndarray:
    """Validate a 2-D or 3-D array and return it as (n, C, T)."""
    X = _array_of_list(X, "X", "accepted are rows of one length")
    refuse_dates(X, "X")
    settings: dict[str, Any] = {
        "allow_nd": True,
        "ensure_all_finite": "allow-nan",
        "dtype": [np.float64, np.float32],
    }
    # Without `ndim`, as polars' frames are, it counts as a table.
    if reset or (estimator._fitted_on_table and getattr(X, "ndim", 2) == 2):
        try:
            array = validate_data(estimator, X, reset=reset, **settings)
        except ValueError as error:
            if reset or "features, but" not in str(error):
                raise
            # scikit-learn's words, and what to do with series of another length.
            raise ValueError(f"{error} {_OF_ANOTHER_LENGTH}") from None
    else:
        # n_features_in_ counts something else here, so it cannot be compared.
        array = check_array(X, estimator=estimator, input_name="X", **settings)
        longest = estimator.n_timepoints_in_
        width = estimator._fitted_width
        if array.ndim == 2 and array.shape[1] not in (longest, width):
            padding = f", padded to {width}" if width > longest else ""
            raise ValueError(
                f"X has {array.shape[1]} timepoints, but "
                f"{type(estimator).__name__} was fitted on series of "
                f"{longest}{padding}. {_OF_ANOTHER_LENGTH}"
            )
    if array.ndim > 3 or 0 in array.shape:
        raise ValueError(
            f"X has shape {array.shape}; accepted are (n_series, n_timepoints) and "
            "(n_series, n_channels, n_timepoints) without empty dimensions."
        )
    if reset:
        estimator._fitted_on_table = array.ndim == 2
        estimator._fitted_width = array.shape[-1]
    return array[:, None, :] if array.ndim == 2 else array


def is_list_of_series(X: Any, rows_are_series: bool = False) -> bool:
    """Whether `X` is a list, tuple or 1-D object array with an entry for each series.

    Nested lists of numbers with rows of one length are a table, as everywhere in
    scikit-learn; with rows of unequal length they can only be series, as can lists of
    channels, and all entries of a list with an array in it, even if refused later.

    Parameters
    ----------
    X : object
    rows_are_series : bool, default=False
        Whether nested lists are series in any case: after a fit on unequal lengths,
        those of a batch may happen to be equal.
    """
    holds_objects = getattr(X, "ndim", 0) == 1 and X.dtype == np.dtype(object)
    if not (isinstance(X, list | tuple) or holds_objects) or len(X) == 0:
        return False
    is_plain = [isinstance(one, list | tuple) for one in X]
    if not any(plain or _is_array(one) for plain, one in zip(is_plain, X, strict=True)):
        return False
    if holds_objects or rows_are_series or not all(is_plain):
        return True
    # Lists of channels are series; lists of numbers are, if their lengths differ.
    first = next(chain.from_iterable(X), 0.0)
    has_channels = isinstance(first, list | tuple) or np.ndim(first) > 0
    return has_channels or len({len(one) for one in X}) > 1


def _is_array(X: Any) -> bool:
    """Whether `X` is an array or, as the columns of tables, nearly one."""
    if hasattr(X, "ndim"):
        return bool(X.ndim > 0)
    return hasattr(X, "__array__") and hasattr(X, "__len__")


def _holds_series_in_cells(X: Any) -> bool:
    """Whether `X` is a table with a series in each cell, as sktime's nested panels."""
    shape: tuple[Any, ...] = getattr(X, "shape", ())  # a frame of polars has no ndim
    # Dask's frames do not know theirs.
    is_known = len(shape) == 2 and all(isinstance(size, Integral) for size in shape)
    is_numeric = isinstance(X, np.ndarray) and X.dtype != np.dtype(object)
    if not is_known or 0 in shape or issparse(X) or is_numeric:
        return False
    try:
        cells = X.iloc[0] if hasattr(X, "iloc") else (X[0, j] for j in range(shape[1]))
        return any(np.ndim(cell) > 0 for cell in cells)
    except TypeError:  # pyarrow's tables have no cells to index
        return False


def _is_stored(X: Any) -> bool:
    """Whether `X`, which is no tensor, is a store to be read in pieces."""
    if isinstance(X, np.ndarray):
        return isinstance(X, np.memmap) and X.ndim in (2, 3)
    is_table = hasattr(X, "iloc") or hasattr(X, "columns")
    if is_table or issparse(X):
        return False
    has_rows = hasattr(X, "__getitem__") and hasattr(X, "dtype")
    return has_rows and len(getattr(X, "shape", ())) in (2, 3)


def _as_plain_array(X: Any, name: str = "X") -> Any:
    """Convert what is nearly a numpy array to one; return anything else as it is.

    Converted are torch tensors, masked arrays (masked values become NaN), columns of
    tables, and objects that have nothing but ``__array__``.

    Raises
    ------
    ValueError
        If a tensor has no form in numpy, or a column holds dates; the message calls it
        by `name`.
    """
    if isinstance(X, np.ma.MaskedArray) and X.dtype.kind in "OSU":
        # Filled first: what is masked need not be a number.
        return np.ma.filled(X.astype(object), np.nan).astype(np.float64)
    X = without_mask(X)
    if isinstance(X, torch.Tensor):
        return _array_of_tensor(X, name)
    becomes_array = hasattr(X, "__array__") and not isinstance(X, np.ndarray)
    if becomes_array and len(getattr(X, "shape", (0,))) == 1:
        refuse_dates(X, name)  # those of a time zone become objects
        return np.asarray(X)
    return X


def _array_of_tensor(X: Tensor, name: str) -> np.ndarray:
    try:
        # numpy has no bfloat16
        return (X.float() if X.dtype == torch.bfloat16 else X).numpy(force=True)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"{name} is a torch tensor of layout {X.layout} and dtype {X.dtype}; dense "
            f"tensors of numbers are accepted ({error})."
        ) from error


def refuse_dates(X: Any, name: str) -> None:
    """Refuse dates and durations, which would be read as numbers of their units."""
    if any(map(_is_of_time, _dtypes(X))):
        raise ValueError(
            f"{name} holds dates or durations; numbers are accepted (float or integer)."
        )


def _dtypes(X: Any) -> Iterable[Any]:
    """Dtypes of an array, of the objects in it, or of the columns of a table."""
    if isinstance(X, np.ndarray) and X.dtype == np.dtype(object):
        return (one.dtype for one in X.flat if isinstance(one, np.generic))
    if hasattr(X, "dtype"):
        return [X.dtype]
    schema = getattr(X, "schema", None)  # of pyarrow's tables
    return getattr(X, "dtypes", getattr(schema, "types", ()))


def _is_of_time(dtype: Any) -> bool:
    """Whether a dtype of numpy, pandas, polars or pyarrow is of dates or durations."""
    if hasattr(dtype, "kind"):
        return dtype.kind in ("m", "M")
    if hasattr(dtype, "is_temporal"):
        return bool(dtype.is_temporal())
    return str(dtype).startswith(("date", "time", "duration"))


def _array_of_list(X: Any, name: str, accepted: str) -> Any:
    """Convert a nested list to an array; return anything else as it is.

    Raises
    ------
    ValueError
        If the items of the list have unlike shapes.
    """
    if not isinstance(X, list | tuple):
        return X
    rows = [_as_plain_array(row, name) for row in X]
    try:
        return np.asarray(rows)
    except ValueError as error:
        raise ValueError(
            f"{name} is a list whose items have unlike shapes; {accepted}."
        ) from error


def _series_from_list(X: Sequence[Any]) -> list[np.ndarray]:
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
        If a series has a wrong number of dimensions or channels, no timepoints,
        infinite values or values that are not numbers. The message names its position.
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
    """Validate one series, of shape (T,) or (C, T), and return it as (C, T).

    Parameters
    ----------
    X : array-like
    name : str
        What messages call it.

    Raises
    ------
    ValueError
        If it has a wrong number of dimensions, no timepoints, infinite values or values
        that are not numbers.
    """
    if hasattr(X, "columns"):
        raise ValueError(
            f"{name} is a {type(X).__name__}, whose rows may be channels or "
            f"timepoints; {_FORMS_OF_A_SERIES}. The adapters in mug_sklearn.adapters "
            "take the panels of sktime and aeon."
        )
    series = _as_plain_array(computed(X), name)
    if isinstance(series, np.ndarray) and is_list_of_series(series):
        series = list(series)  # of channels
    array = _array_of_list(series, name, _FORMS_OF_A_SERIES)
    if not hasattr(array, "ndim"):
        array = np.asarray(array)
    if array.ndim == 0:
        raise ValueError(f"{name} is {X!r}; {_FORMS_OF_A_SERIES}.")
    of_objects = getattr(array, "dtype", None) == np.dtype(object)
    if of_objects and not isinstance(series, list | tuple):
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


def warn_of_unobserved(panel: Panel) -> None:
    """Warn of series and channels without a value: probably a mistake."""
    series, channels = panel.unobserved()
    for kind, missing in (("series", series), ("channels", channels)):
        if missing.any():
            warn_user(
                f"{int(missing.sum())} of {len(missing)} {kind} of X hold no observed "
                f"value (only NaN): {_numbers(missing)}. They are treated as "
                "unobserved."
            )


def _numbers(chosen: np.ndarray) -> str:
    """Numbers of the series or channels chosen, of many the first five."""
    shown = ", ".join(map(str, np.flatnonzero(chosen)[:5]))
    return f"{shown}, ..." if chosen.sum() > 5 else shown


def warn_of_no_scale(panel: Panel, estimator: Any) -> None:
    """Warn of channels by whose values in `fit` theirs cannot be standardised."""
    # Not of the same number in single precision.
    rounding = float(np.finfo(np.float32).eps)
    late = ~estimator._varied & panel.differs_from(estimator.location_, rounding)
    if late.any():
        warn_user(
            f"{int(late.sum())} of {len(late)} channels of X held no two different "
            f"values in fit and hold others now: {_numbers(late)}. There is no "
            "standard deviation to divide them by, so they count as they are. Fit on "
            "series in which they vary."
        )


def warn_of_few_timepoints(panel: Panel) -> None:
    """Warn of far more channels than timepoints: the axes may be swapped."""
    n_channels, longest = panel.n_channels, panel.lengths.max()
    if n_channels >= 10 * longest > 0 or n_channels > longest == 1:
        length = "one timepoint" if longest == 1 else f"{longest} timepoints"
        warn_user(
            f"X holds series of {n_channels} channels and {length}. Timepoints come "
            "last, after channels: is each series to be transposed?"
        )


def warn_of_many_patches(panel: Panel, config: Any) -> None:
    """Warn of series so much longer than those of `fit` that they take long."""
    n_patches = -(-panel.n_timepoints // config.patch_length)
    if config.has_fine and n_patches > max(MANY_PATCHES, 2 * config.n_patches):
        warn_user(
            f"The longest series of X has {panel.n_timepoints} timepoints, that of fit "
            f"had {config.n_timepoints}. It is cut into {n_patches} patches; time and "
            "memory grow with the square of their number. A fit on such series makes "
            "longer patches."
        )
