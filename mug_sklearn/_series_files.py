"""Files of series, by their extension."""

import csv
import importlib.util
from errno import EINVAL
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ._csv_files import read_csv, warn_of_labels
from ._files import MALFORMED, load_archive, load_arrays
from ._input_forms import refuse_dates
from .datasets import read_ts

SERIES_FORMATS = """\
series are read from
  .npz      the array X, or the only one, or that of --array, of shape
            (series, timepoints) or (series, channels, timepoints)
  .npy      such an array; read in pieces, so it may be larger than memory
  .csv      one series a row, which may end early; an empty cell is a missing
            value; a line of names on top, with no number in it, is skipped, as
            are empty lines; no row labels
  .parquet  one series a row, of numeric columns, or of one column of lists
  .ts       the format of the UCR and UEA archives; labels are not looked at"""
_SUFFIXES = (".npz", ".npy", ".csv", ".parquet", ".ts")


def check_series_path(path: Path) -> None:
    """Refuse a path that cannot be a file of series.

    Parameters
    ----------
    path : Path

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it has another extension, or is something else than a file.
    ImportError
        If its format needs a package that is not installed.

    Examples
    --------
    >>> check_series_path(Path("series.xls"))
    Traceback (most recent call last):
    ValueError: 'series.xls': accepted are .npz, .npy, .csv, .parquet, .ts.
    """
    check_suffix(path, _SUFFIXES)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {str(path)!r}.")
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is not a regular file.")


def check_suffix(path: Path, accepted: tuple[str, ...]) -> None:
    """Refuse another extension, or one whose format needs a package that is missing.

    Parameters
    ----------
    path : Path
    accepted : tuple of str

    Raises
    ------
    ValueError
        If the extension is none of those accepted.
    ImportError
        If its format needs a package that is not installed.

    Examples
    --------
    >>> check_suffix(Path("embedding.npz"), (".npz", ".npy"))
    """
    if path.suffix not in accepted:
        raise ValueError(f"{str(path)!r}: accepted are {', '.join(accepted)}.")
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ImportError(
            f'{str(path)!r} needs pyarrow: pip install "mug_sklearn[parquet]"'
        )


def read_series_file(path: Path, array: str | None = None) -> Any:
    r"""Read series from a file.

    Parameters
    ----------
    path : Path
        With one of the extensions that `check_series_path` accepts.
    array : str, default=None
        Name of the array in a .npz file.

    Returns
    -------
    ndarray of shape (n_series, n_timepoints) or (n_series, n_channels, n_timepoints)
        Or a list of arrays, if lengths differ.

    Raises
    ------
    ValueError
        If the file holds something else; the message says what.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "series.csv"
    >>> _ = path.write_text("1,2,3\n4,5\n")
    >>> read_series_file(path)
    array([[ 1.,  2.,  3.],
           [ 4.,  5., nan]])
    """
    if array is not None and path.suffix != ".npz":
        raise ValueError(f"--array={array!r}: {str(path)!r} is no .npz file.")
    if path.suffix == ".ts":
        return read_ts(path)[0]
    try:
        if path.suffix == ".npz":
            return _read_npz(path, array)
        if path.suffix == ".npy":
            return _read_npy(path)
        if path.suffix == ".csv":
            return _checked(read_csv(path))
        return _read_parquet(path)
    except (OSError, *MALFORMED, csv.Error) as error:
        # Of damaged content; pyarrow's have no number.
        if isinstance(error, OSError) and error.errno not in (None, EINVAL):
            raise
        raise ValueError(f"cannot read {str(path)!r}: {error}") from error


def _read_npy(path: Path) -> NDArray:
    content = load_arrays(path, mmap_mode="r")
    if not isinstance(content, np.ndarray):
        raise ValueError("it is an archive of arrays, for which .npz stands")
    return _checked(content)


def _read_npz(path: Path, array: str | None) -> NDArray:
    with load_archive(path) as content:
        names = content.files
        held = ", ".join(names) or "nothing"
        if array is None:
            if "X" not in names and len(names) != 1:
                raise ValueError(f"it holds {held}, and no X; name one by --array")
            array = "X" if "X" in names else names[0]
        if array not in names:
            raise ValueError(f"it holds {held}, and no {array!r}")
        found = content[array]
    if not isinstance(found, np.ndarray):
        raise ValueError(f"its member {array!r} is no array")
    return _checked(found)


def _read_parquet(path: Path) -> Any:
    frame = pd.read_parquet(path)
    if frame.shape[1] == 1 and pd.api.types.is_object_dtype(frame.dtypes.iloc[0]):
        arrays = [np.asarray(one) for one in frame.iloc[:, 0]]
        for one in arrays:
            refuse_dates(one, "its column")
        series = [one.astype(np.float64) for one in arrays]
        if any(one.ndim != 1 for one in series):
            raise ValueError("its column holds something other than lists of numbers")
        return series
    others = [
        str(name)
        for name, kind in frame.dtypes.items()
        if not pd.api.types.is_numeric_dtype(kind)
    ]
    if others:
        raise ValueError(f"these columns are not numeric: {', '.join(others)}")
    width = frame.shape[1]
    # In the frame, integers of which some are missing are floats.
    integers = _names_of_integers(path)
    with_integers = {
        place
        for place, column in enumerate(frame.columns)
        if str(column) in integers and frame.iloc[:, place].notna().any()
    }
    columns = {
        end: [f"{cell:.0f}" for cell in frame.iloc[:, end].dropna()]
        for end in with_integers & {0, width - 1}
    }
    warn_of_labels(path.name, columns, with_integers, width)
    return _checked(frame.to_numpy(dtype=np.float64, na_value=np.nan))


def _names_of_integers(path: Path) -> set[str]:
    """Names of a Parquet file's columns of integers."""
    from pyarrow import parquet, types  # an extra

    schema = parquet.read_schema(path)
    return {field.name for field in schema if types.is_integer(field.type)}


def _checked(X: NDArray) -> NDArray:
    if X.dtype.kind not in "bfiu" or X.ndim not in (2, 3) or 0 in X.shape:
        raise ValueError(
            f"it has shape {X.shape} and dtype {X.dtype}; accepted are numbers of "
            "shape (n_series, n_timepoints) or (n_series, n_channels, n_timepoints)"
        )
    return X
