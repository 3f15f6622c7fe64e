"""Files of series, by their extension."""

import csv
import importlib.util
import math
from collections.abc import Iterable, Iterator
from errno import EINVAL
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ._files import MALFORMED, line_of_text, load_archive, load_arrays
from ._input_forms import refuse_dates
from ._warnings import warn_user
from .datasets import read_ts

SERIES_FORMATS = [
    "  .npz      the array X, or the only one, or that of --array, of shape",
    "            (series, timepoints) or (series, channels, timepoints)",
    "  .npy      such an array; read in pieces, so it may be larger than memory",
    "  .csv      one series a row, which may end early; an empty cell is a missing",
    "            value; a line of names on top, with no number in it, is skipped, as",
    "            are empty lines; no row labels",
    "  .parquet  one series a row, of numeric columns, or of one column of lists",
    "  .ts       the format of the UCR and UEA archives; labels are not looked at",
]
_SUFFIXES = (".npz", ".npy", ".csv", ".parquet", ".ts")
# How CSV files are opened, and how pandas reads them.
_TEXT: dict[str, Any] = {"newline": "", "encoding": "utf-8-sig"}
_CSV: dict[str, Any] = {
    "header": None,
    "skipinitialspace": True,
    "float_precision": "round_trip",  # the default is not exact
}


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
            return _read_csv(path)
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


def _read_csv(path: Path) -> NDArray:
    n_lines_of_names, width = _survey_csv(path)
    try:
        with path.open(**_TEXT) as file:
            # Taken for a header, fewer names than values would be an error of pandas'.
            for _ in range(n_lines_of_names):
                file.readline()
            frame = pd.read_csv(file, names=range(width), dtype=np.float64, **_CSV)
    except pd.errors.EmptyDataError:
        frame = pd.DataFrame()
    except ValueError as error:
        with path.open(**_TEXT) as file:
            reader = csv.reader(file, skipinitialspace=True)
            line = line_of_text(error, ((reader.line_num, row) for row in reader))
        raise ValueError(
            f"{line}{error}; accepted are numbers, empty cells and one line of names "
            "on top"
        ) from error
    if n_lines_of_names and frame.empty:
        raise ValueError(
            "it holds only a line without numbers, which is taken for names; cells are "
            "separated by commas"
        )
    return _checked(frame.to_numpy())


def _survey_csv(path: Path) -> tuple[int, int]:
    """Lines that the names on top take, and cells in the widest row.

    Refused are names that may be values, and numbers of rows and columns.
    """
    with path.open(**_TEXT) as file:
        reader = csv.reader(_refusing_nul(file), skipinitialspace=True)
        rows = (row for row in reader if row)
        first_line = next(rows, None)
        after_first_line = reader.line_num
        if first_line is None:
            raise ValueError("it is empty")
        top = pd.read_csv(
            path,
            names=range(len(first_line)),
            nrows=1,
            dtype=str,
            encoding=_TEXT["encoding"],
            **_CSV,
        )
        cells = [cell for cell in top.to_numpy().ravel() if isinstance(cell, str)]
        # A single number makes it a series: a stray word must not turn it into names.
        has_names = bool(cells) and not any(map(_is_number, cells))
        width = _width_without_numbering(path.name, first_line, rows, has_names)
    if cells and all(cell.lower() in ("true", "false") for cell in cells):
        raise ValueError(
            f"its first line, {', '.join(cells[:3])} and so on, may be names or "
            "values; write values as 1 and 0, and names that say more"
        )
    if has_names and first_line[0] == "":
        raise ValueError(
            "its first column has no name, as pandas writes an index; write it by "
            "to_csv(..., index=False)"
        )
    return after_first_line if has_names else 0, width


def _refusing_nul(lines: Iterable[str]) -> Iterator[str]:
    """The lines of text, in which pandas would read a cell with NUL as empty."""
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise ValueError(f"line {number} holds a NUL character, so it is no text")
        yield line


def _width_without_numbering(
    name: str, top: list[str], rows: Iterable[list[str]], has_names: bool
) -> int:
    """Number of cells in the widest row; numbers of rows and columns are refused.

    Pandas writes such numbers by default. Taken for a series, or for the first
    timepoint of each, they would change all embeddings, and nobody would notice. They
    are plain integers, while pandas writes floats with a point. Other integers at
    either end of the rows may be labels, which is warned of.

    Parameters
    ----------
    name : str
        Name of the file.
    top : list of str
        The cells of the first line.
    rows : iterable of list of str
        Those of the other lines.
    has_names : bool
        Whether the first line holds names.

    Raises
    ------
    ValueError
        If columns or rows are numbered.
    """
    left, last, width = [], [_last_filled(top)], len(top)
    narrowest = math.inf if has_names else len(top)
    with_integers: set[int] = set()  # columns, below the first line
    for row in rows:
        left.append(row[0])
        last.append(_last_filled(row))
        width, narrowest = max(width, len(row)), min(narrowest, len(row))
        with_integers.update(
            place
            for place, cell in enumerate(row)
            if place not in with_integers and _is_integer(cell)
        )
    right_holds_integers = bool(with_integers - {0})
    if left and all(map(str.isdecimal, left)) and top[0] == "" and len(top) > 1:
        # With an index at their left, numbers of columns begin with an empty cell.
        _refuse_column_numbers(top[1:], not right_holds_integers)
    elif len(top) > 2:
        _refuse_column_numbers(top, bool(left) and not with_integers)
    first = left if has_names else [top[0], *left]
    with_integers.update(i for i, cell in enumerate(top) if _is_integer(cell))
    # Under a name, few values may count by chance; without one, it is refused later.
    if len(left) > 1:
        numbers_rows = _count_up(left) and (len(left) > 2 or left[0] in ("0", "1"))
        if not has_names or (top[0] and numbers_rows):
            _refuse_row_numbers(first, width > 1 and not with_integers - {0})
    filled = 1 + max((place for place, _ in last[has_names:]), default=0)
    at_the_end = [cell for place, cell in last[has_names:] if place == filled - 1]
    columns = {0: first} if narrowest < filled else {0: first, filled - 1: at_the_end}
    _warn_of_labels(name, columns, with_integers, filled)
    return width


def _last_filled(row: list[str]) -> tuple[int, str]:
    """The place of a row's last cell that is not empty, and the cell."""
    for place in reversed(range(len(row))):
        if row[place]:
            return place, row[place]
    return 0, ""


def _refuse_column_numbers(cells: list[str], are_beside_floats: bool) -> None:
    if _count_up(cells) and (cells[0] == "0" or are_beside_floats):
        raise ValueError(
            f"its first line counts {cells[0]}, …, {cells[-1]}, as pandas names "
            "columns; write it by to_csv(..., header=False, index=False), or, where "
            f"they are values, with a point, {cells[0]}.0"
        )


def _refuse_row_numbers(cells: list[str], are_beside_floats: bool) -> None:
    differ = all(map(str.isdecimal, cells)) and len(set(cells)) == len(cells)
    if differ and (are_beside_floats or (cells[0] == "0" and _count_up(cells))):
        raise ValueError(
            f"its first column, {cells[0]}, {cells[1]} and so on, numbers the series, "
            "as pandas writes an index; write it by to_csv(..., index=False), or, "
            f"where they are values, with a point, {cells[0]}.0"
        )


def _warn_of_labels(
    name: str, columns: dict[int, list[str]], with_integers: set[int], width: int
) -> None:
    """Warn of a column of integers beside columns without any: labels, perhaps.

    Parameters
    ----------
    name : str
        Name of the file.
    columns : dict of int to list of str
        The cells of the first and of the last column, by the column's number; empty
        ones do not count.
    with_integers : set of int
        Numbers of all columns that hold an integer.
    width : int
        Number of columns.
    """
    columns = {place: list(filter(None, cells)) for place, cells in columns.items()}
    whole = {
        place
        for place, cells in columns.items()
        if cells and all(map(_is_integer, cells))
    }
    if with_integers != whole or width == len(whole):
        return  # values, some of which happen to be whole
    for place in sorted(whole):
        cells = columns[place]
        if len(set(cells)) > 1:
            end = "last" if place else "first"
            shown = ", ".join(cells[:3])
            warn_user(
                f"The {end} column of {name!r}, {shown} and so on, holds whole numbers "
                "beside decimals. If these are labels or numbers of rows, leave the "
                "column out: it is read as a timepoint."
            )


def _is_integer(cell: str) -> bool:
    return cell.removeprefix("-").isdecimal()


def _count_up(cells: list[str]) -> bool:
    """Whether cells are consecutive integers."""
    if not all(map(str.isdecimal, cells)):
        return False
    first = int(cells[0])
    return [int(cell) for cell in cells] == list(range(first, first + len(cells)))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


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
    _warn_of_labels(path.name, columns, with_integers, width)
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
