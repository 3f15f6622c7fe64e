"""Reading the benchmark's results and published accuracies."""

import csv
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

PathLikes: TypeAlias = str | PathLike[str] | Sequence[str | PathLike[str]]

KEY = ["dataset", "resample", "method", "seed", "classifier"]
# Stands in the classifier column for methods that classify by themselves.
OWN_CLASSIFIER = "own"
_NUMBERS = [
    "accuracy",
    "balanced_accuracy",
    "fit_seconds",
    "transform_seconds",
    "classifier_seconds",
    "embedding_width",
    "peak_memory_mb",
    "n_train",
    "n_test",
]
RESULT_COLUMNS = [*KEY, *_NUMBERS, "error", "finished", "versions", "machine"]
PUBLISHED_COLUMNS = ["dataset", "method", "accuracy", "source"]


def load_results(path: str | PathLike[str]) -> pd.DataFrame:
    r"""Read a benchmark's ``results.csv``.

    Of several rows with the same data set, resample, method, seed and classifier, the
    last that succeeded counts, or the last if none did. A last line that was cut off
    while being written is left out.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    results : pandas.DataFrame of shape (n_runs, n_columns)
        One row per run; failed runs have a non-empty ``error`` and no accuracy.
        Resample and seed are strings; the seed of a deterministic method may be empty.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is empty, lacks a column, holds no run, or holds a malformed row or
        an accuracy that is not between 0 and 1.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from mug_sklearn.benchmark import load_results
    >>> from mug_sklearn.benchmark.report_reading import RESULT_COLUMNS
    >>> row = {"dataset": "Coffee", "method": "mug", "classifier": "svm"}
    >>> row["accuracy"] = "0.9"
    >>> values = [row.get(column, "") for column in RESULT_COLUMNS]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "results.csv"
    ...     text = ",".join(RESULT_COLUMNS) + "\n" + ",".join(values) + "\n"
    ...     _ = path.write_text(text)
    ...     results = load_results(path)
    >>> results[["dataset", "method", "accuracy"]].values.tolist()
    [['Coffee', 'mug', 0.9]]
    """
    results = read_results(Path(path), _NUMBERS, may_be_torn=True)
    if results.empty:
        raise ValueError(f"{path} has a header, but holds no run.")
    unexplained = results["accuracy"].isna() & (results["error"] == "")
    results.loc[unexplained, "error"] = "neither an accuracy nor an error was recorded"
    # Successes last: a run that has succeeded is never tried again.
    results = results.sort_values("error", key=lambda error: error == "", kind="stable")
    results = results.drop_duplicates(KEY, keep="last").sort_index()
    results.loc[results["error"] != "", ["accuracy", "balanced_accuracy"]] = np.nan
    _require_shares(Path(path), results)
    return results.reset_index(drop=True)


def load_published(path: str | PathLike[str]) -> pd.DataFrame:
    r"""Read a file of published accuracies: data set, method, accuracy and source.

    Parameters
    ----------
    path : str or path-like
        The CSV file.

    Returns
    -------
    published : pandas.DataFrame of shape (n_figures, 4)
        As in the file, which may hold several figures for one data set and method.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is empty, lacks a column, or holds a malformed row or an accuracy
        that is not between 0 and 1.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from mug_sklearn.benchmark.report import load_published
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "ucr.csv"
    ...     header = "dataset,method,accuracy,source\n"
    ...     _ = path.write_text(header + "Coffee,TS2Vec,1.0,table 9\n")
    ...     load_published(path)["method"].tolist()
    ['TS2Vec']
    """
    published = read_csv(Path(path), PUBLISHED_COLUMNS, ["accuracy"])
    if published["accuracy"].isna().any():
        row = published[published["accuracy"].isna()].iloc[0]
        raise ValueError(
            f"{path} has no accuracy for {row['method']!r} on {row['dataset']!r}; "
            "leave out figures that were not published."
        )
    _require_shares(Path(path), published)
    return published


def _require_shares(path: Path, table: pd.DataFrame) -> None:
    """Refuse accuracies in percent, or of no meaning."""
    accuracy = table["accuracy"]
    beyond = table[accuracy.notna() & ~accuracy.between(0, 1)]
    if len(beyond):
        row = beyond.iloc[0]
        raise ValueError(
            f"{path} has the accuracy {row['accuracy']:g} for {row['method']!r} on "
            f"{row['dataset']!r}; accepted are shares, from 0 to 1."
        )


def as_paths(paths: PathLikes) -> list[Path]:
    """One path or several, as a list."""
    return [Path(p) for p in ([paths] if isinstance(paths, str | PathLike) else paths)]


def listed(names: Sequence[str]) -> str:
    """Names in quotes, separated by commas."""
    return ", ".join(repr(str(name)) for name in names) or "none"


def read_results(
    path: Path, numbers: list[str], may_be_torn: bool = False
) -> pd.DataFrame:
    """Read a file of results as it is, like `read_csv`."""
    table = read_csv(path, RESULT_COLUMNS, numbers, may_be_torn)
    for column in ("dataset", "method"):
        for name in table[column].unique():
            if "\ufffd" in name:  # stands for what cannot be decoded
                raise ValueError(
                    f"{path} is not text in UTF-8: it holds the {column} {name!r}. "
                    "Save it as UTF-8."
                )
    return table


def read_csv(
    path: Path, required: list[str], numbers: list[str], may_be_torn: bool = False
) -> pd.DataFrame:
    """Read a CSV file as strings and numbers; `may_be_torn` drops a torn last row.

    Not by pandas, which fails on a file that ends within a quoted field and fills up
    rows that are too short.
    """
    # Spreadsheets put a byte order mark in front.
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.reader(file)
        try:
            header = next(reader, [])
            rows = [(reader.line_num, row) for row in reader if row]
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}.") from error
    missing = [column for column in required if column not in header]
    if missing:
        found = f"the header {listed(header)}" if header else "nothing"
        raise ValueError(
            f"{path} holds {found}, but must have the columns {listed(required)}; "
            f"it lacks {listed(missing)}."
        )
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise ValueError(f"{path} has several columns {listed(twice)}.")
    last = rows[-1][1][-1].splitlines() if rows else []
    if any(len(row) == len(header) for row in csv.reader(last[1:])):
        raise ValueError(
            f"{path} has a quote without an end before {last[1]!r}, which takes all "
            "further lines into one field."
        )
    if may_be_torn and rows and len(rows[-1][1]) < len(header):
        rows.pop()
    for line, row in rows:
        if len(row) != len(header):
            raise ValueError(
                f"{path} has {len(row)} fields in line {line}, but {len(header)} "
                "columns."
            )
    table = pd.DataFrame([row for _, row in rows], columns=header, dtype=str)
    for column in numbers:
        values = pd.to_numeric(table[column], errors="coerce").astype(float)
        wrong = ~np.isfinite(values) & ~table[column].isin(["", "nan"])
        if wrong.any():
            line, text = rows[wrong.argmax()][0], table[column][wrong].iloc[0]
            raise ValueError(
                f"{path} holds {text!r} in column {column!r} of line {line}, where a "
                "number is expected."
            )
        table[column] = values
    return table
