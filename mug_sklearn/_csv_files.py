"""CSV files of series: what are values, names, numbering and labels in them."""

import csv
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ._files import line_of_text
from ._warnings import warn_user

# How CSV files are opened, and how pandas reads them.
_TEXT: dict[str, Any] = {"newline": "", "encoding": "utf-8-sig"}
_CSV: dict[str, Any] = {
    "header": None,
    "skipinitialspace": True,
    "float_precision": "round_trip",  # the default is not exact
}


def read_csv(path: Path) -> NDArray[np.float64]:
    """Read a CSV file with a series in each row.

    Parameters
    ----------
    path : Path

    Returns
    -------
    ndarray of shape (n_series, n_timepoints)
        Rows that end early are filled up with NaN. Empty if all rows are.

    Raises
    ------
    ValueError
        If a cell is neither empty nor a number, or the file is empty, or holds names
        that may be values, or numbers of rows or columns.
    """
    n_lines_of_names, width = _survey(path)
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
    return frame.to_numpy()


def _survey(path: Path) -> tuple[int, int]:
    """Lines that the names on top take, and cells in the widest row.

    Names that may be values, and numbers of rows and columns, are refused; what may be
    labels is warned of.
    """
    with path.open(**_TEXT) as file:
        reader = csv.reader(_lines_as_pandas(file), skipinitialspace=True)
        rows = (row for row in reader if row)
        top = next(rows, None)
        n_lines_of_top = reader.line_num
        if top is None:
            raise ValueError("it is empty")
        read = pd.read_csv(
            path,
            names=range(len(top)),
            nrows=1,
            dtype=str,
            encoding=_TEXT["encoding"],
            **_CSV,
        )
        cells = [cell for cell in read.to_numpy().ravel() if isinstance(cell, str)]
        # A single number makes it a series: a stray word must not turn it into names.
        has_names = bool(cells) and not any(map(_is_number, cells))
        below = _Rows.of(rows)
    values = below if has_names else _Rows.of([top]).followed_by(below)
    _refuse_numbering(top, below, values)
    _warn_of_labels_in(values, path.name)
    if cells and all(cell.lower() in ("true", "false") for cell in cells):
        raise ValueError(
            f"its first line, {', '.join(cells[:3])} and so on, may be names or "
            "values; write values as 1 and 0, and names that say more"
        )
    if has_names and top[0] == "":
        raise ValueError(
            "its first column has no name, as pandas writes an index; write it by "
            "to_csv(..., index=False)"
        )
    return n_lines_of_top if has_names else 0, max(len(top), below.widest)


def _lines_as_pandas(lines: Iterable[str]) -> Iterator[str]:
    """The lines of text, of which csv must make what pandas makes of them.

    To pandas a line of spaces and tabs is empty, and a cell with NUL would be, too.
    """
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise ValueError(f"line {number} holds a NUL character, so it is no text")
        yield line if line.strip(" \t\r\n") else "\n"


class _Rows(NamedTuple):
    """What tells values from numbering and labels in some rows of cells.

    Attributes
    ----------
    first : list of str
        First cell of each row.
    last : list of tuple of int and str
        Place of each row's last cell that is not empty, and the cell.
    widest, narrowest : int or float
        Most and fewest cells in a row; 0 and infinity if there are no rows.
    with_integers : set of int
        Numbers of the columns that hold an integer.
    """

    first: list[str]
    last: list[tuple[int, str]]
    widest: int
    narrowest: float
    with_integers: set[int]

    @classmethod
    def of(cls, rows: Iterable[list[str]]) -> Self:
        """Go through some rows, none of which is empty."""
        first, last, widest, narrowest = [], [], 0, math.inf
        with_integers: set[int] = set()
        for row in rows:
            first.append(row[0])
            last.append(_last_filled(row))
            widest, narrowest = max(widest, len(row)), min(narrowest, len(row))
            with_integers.update(
                place
                for place, cell in enumerate(row)
                if place not in with_integers and _is_integer(cell)
            )
        return cls(first, last, widest, narrowest, with_integers)

    def followed_by(self, others: Self) -> Self:
        """What there is in these rows and in others after them."""
        return type(self)(
            self.first + others.first,
            self.last + others.last,
            max(self.widest, others.widest),
            min(self.narrowest, others.narrowest),
            self.with_integers | others.with_integers,
        )


def _last_filled(row: list[str]) -> tuple[int, str]:
    """The place of a row's last cell that is not empty, and the cell."""
    for place in reversed(range(len(row))):
        if row[place]:
            return place, row[place]
    return 0, ""


def _refuse_numbering(top: list[str], below: _Rows, values: _Rows) -> None:
    """Refuse numbers of rows and of columns.

    Pandas writes them by default. Taken for a series, or for the first timepoint of
    each, they would change all embeddings, and nobody would notice. They are plain
    integers, while pandas writes floats with a point.

    Parameters
    ----------
    top : list of str
        The cells of the first line.
    below, values : _Rows
        The lines below it, and all lines but names.
    """
    index = below.first
    if index and all(map(str.isdecimal, index)) and top[0] == "" and len(top) > 1:
        # With an index at their left, numbers of columns begin with an empty cell.
        _refuse_column_numbers(top[1:], not below.with_integers - {0})
    elif len(top) > 2:
        _refuse_column_numbers(top, bool(index) and not below.with_integers)
    # Under a name, few values may count by chance; without one, it is refused later.
    if len(index) > 1:
        has_names = values is below
        numbers_rows = _count_up(index) and (len(index) > 2 or index[0] in ("0", "1"))
        if not has_names or (top[0] and numbers_rows):
            has_others = max(len(top), below.widest) > 1
            beside_floats = has_others and not values.with_integers - {0}
            _refuse_row_numbers(values.first, beside_floats)


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


def _warn_of_labels_in(values: _Rows, name: str) -> None:
    """Warn of integers at either end of the rows of a file: they may be labels."""
    width = 1 + max((place for place, _ in values.last), default=0)
    columns = {0: values.first}
    if values.narrowest >= width:
        columns[width - 1] = [cell for place, cell in values.last if place == width - 1]
    warn_of_labels(name, columns, values.with_integers, width)


def warn_of_labels(
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
