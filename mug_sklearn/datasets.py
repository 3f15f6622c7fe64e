"""Labelled data sets to try the transformer on, read from this machine only.

`load_dataset` reads the classification data sets that come with sktime, local ``.ts``
pairs as published by the UCR and UEA archives, and ``.npz`` files. Nothing here ever
downloads anything.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._files import MALFORMED, line_of_text, load_archive

__all__ = ["Dataset", "bundled_names", "find_datasets", "load_dataset", "read_ts"]

# To type checkers, a list of float64 arrays is no list of np.floating ones.
Series: TypeAlias = NDArray[np.floating] | list[NDArray[Any]]

# A mark of UTF-8 at the beginning of a .ts file, which editors leave, is no text. Some
# of the archives' files have signs of Windows in their descriptions.
_ENCODING, _OF_WINDOWS = "utf-8-sig", "cp1252"
_ARRAYS = ("X_train", "y_train", "X_test", "y_test")
_ACCEPTED = (
    "a bundled name, a .npz file, a NAME_TRAIN.ts file, or a folder NAME with "
    "NAME_TRAIN.ts and NAME_TEST.ts"
)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled collection of time series with its train/test split.

    Attributes
    ----------
    name : str
        Name of the data set.
    X_train, X_test : ndarray of shape (n_series, n_channels, n_timepoints) or list
        The series; a list of ``(n_channels, n_timepoints_i)`` arrays if lengths
        differ within the part. Missing values are NaN.
    y_train, y_test : ndarray of shape (n_series,)
        The class labels.

    Examples
    --------
    >>> from mug_sklearn.datasets import load_dataset
    >>> data = load_dataset("UnitTest")
    >>> data.name, len(data.X_train), len(data.X_test)
    ('UnitTest', 20, 22)
    """

    name: str
    X_train: Series
    y_train: NDArray[Any]
    X_test: Series
    y_test: NDArray[Any]


def bundled_names() -> list[str]:
    """List the classification data sets that come with the installed sktime.

    Returns
    -------
    names : list of str
        Sorted names, each accepted by `load_dataset`.

    Examples
    --------
    >>> from mug_sklearn.datasets import bundled_names
    >>> "BasicMotions" in bundled_names()
    True
    """
    found = []
    for folder in _bundle().iterdir():
        train, test = _ts_pair(folder, folder.name)
        if train.is_file() and test.is_file() and _has_class_labels(train):
            found.append(folder.name)
    return sorted(found)


def find_datasets(folder: str | PathLike[str] | None) -> dict[str, Path]:
    """Find the data sets in a folder and its subfolders.

    Parameters
    ----------
    folder : str, path-like or None
        Folder with ``.npz`` files or pairs of ``.ts`` files; None finds nothing.

    Returns
    -------
    datasets : dict of str to Path
        Name of each data set and the path that `load_dataset` takes, sorted by name. If
        NAME is there, the archives' copies of it without gaps or of equal lengths,
        NAME_nmv and NAME_eq, are left out, as are files whose names begin with a point.

    Raises
    ------
    ValueError
        If there is no such folder, or two data sets in it have the same name.

    Examples
    --------
    >>> from mug_sklearn.datasets import find_datasets
    >>> find_datasets(None)
    {}
    """
    if folder is None:
        return {}
    if not Path(folder).is_dir():
        raise ValueError(f"no folder {str(folder)!r}")
    found: dict[str, Path] = {}
    npz = ((path.stem, path) for path in Path(folder).rglob("*.npz"))
    ts = (
        (path.name.removesuffix("_TRAIN.ts"), path)
        for path in Path(folder).rglob("*_TRAIN.ts")
    )
    for name, path in sorted((*npz, *ts)):
        if name.startswith("."):
            continue  # macOS puts a ._NAME beside each NAME on other systems' drives
        if name in found:
            raise ValueError(f"two data sets {name!r}: {found[name]} and {path}")
        found[name] = path
    copies = [name + suffix for name in found for suffix in ("_eq", "_nmv")]
    return {name: path for name, path in found.items() if name not in copies}


def load_dataset(name_or_path: str | PathLike[str]) -> Dataset:
    """Load a labelled data set with its train/test split, without any download.

    Parameters
    ----------
    name_or_path : str or path-like
        One of

        - a name from `bundled_names` (a bundled name wins over a path of that name),
        - a ``.npz`` file with the arrays ``X_train``, ``y_train``, ``X_test`` and
          ``y_test``, where X is (n_series, n_channels, n_timepoints), or
          (n_series, n_timepoints) for one channel,
        - a ``NAME_TRAIN.ts`` file beside its ``NAME_TEST.ts``,
        - a folder ``NAME`` that holds those two.

    Returns
    -------
    dataset : Dataset
        Name, series and labels. The labels of ``.ts`` files are lower-case strings,
        as sktime reads them.

    Raises
    ------
    ValueError
        If there is no such data set, or its content cannot be read.

    Examples
    --------
    >>> from mug_sklearn.datasets import load_dataset
    >>> data = load_dataset("BasicMotions")
    >>> data.X_train.shape
    (40, 6, 100)
    >>> print(*sorted(set(data.y_train)))
    badminton running standing walking
    """
    if isinstance(name_or_path, str) and name_or_path in bundled_names():
        return _load_ts_pair(_bundle() / name_or_path, name_or_path)
    path = Path(name_or_path)
    if path.is_dir():
        # resolve(): "." and ".." have no name of their own.
        return _load_ts_pair(path, path.resolve().name)
    if path.is_file() and path.suffix == ".npz":
        return _load_npz(path)
    if path.is_file() and path.name.endswith("_TRAIN.ts"):
        return _load_ts_pair(path.parent, path.name.removesuffix("_TRAIN.ts"))
    if path.exists():
        raise ValueError(f"cannot read {path} as a data set; expected {_ACCEPTED}")
    raise ValueError(
        f"no data set {str(name_or_path)!r}: neither an existing path nor one of the "
        f"bundled names ({', '.join(bundled_names())}); expected {_ACCEPTED}"
    )


def read_ts(path: str | PathLike[str]) -> tuple[Series, NDArray[Any] | None]:
    """Read a ``.ts`` file, as published by the UCR and UEA archives.

    Values are taken in their order; where a file gives times, they are not looked at.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    series : ndarray of shape (n_series, n_channels, n_timepoints) or list
        A list of ``(n_channels, n_timepoints_i)`` arrays if lengths differ. Missing
        values are NaN.
    y : ndarray of shape (n_series,) or None
        The class labels as lower-case strings; None where the file has none. Those
        that differ in case alone become one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If its content cannot be read.

    Examples
    --------
    >>> import sktime
    >>> from mug_sklearn.datasets import read_ts
    >>> folder = f"{sktime.__path__[0]}/datasets/data/UnitTest"
    >>> series, y = read_ts(f"{folder}/UnitTest_TRAIN.ts")
    >>> series.shape, y.shape
    ((20, 1, 24), (20,))
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    try:
        has_labels = _has_class_labels(path)
        content = _content_of_ts(path)
        frame, y = content if isinstance(content, tuple) else (content, None)
        series = [
            _channels(row, number)
            for number, row in enumerate(frame.itertuples(index=False, name=None), 1)
        ]
    # The reader reports malformed text by whatever exception it ran into.
    except Exception as error:
        line = line_of_text(error, _lines_of_values(path))
        raise ValueError(f"cannot read {path} as a .ts file: {line}{error}") from error
    labels = np.asarray(y, dtype=str) if has_labels else None
    return stacked(series), labels


def _content_of_ts(path: Path) -> Any:
    """What sktime reads."""
    from sktime.datasets import load_from_tsfile_to_dataframe

    try:
        return load_from_tsfile_to_dataframe(str(path), encoding=_ENCODING)
    except UnicodeDecodeError:
        return load_from_tsfile_to_dataframe(str(path), encoding=_OF_WINDOWS)


def _channels(row: tuple[Any, ...], number: int) -> NDArray[np.float64]:
    """The channels of a series, given by pandas, in one array."""
    lengths = sorted({len(channel) for channel in row})
    if len(lengths) > 1:
        raise ValueError(
            f"the channels of series {number} have {lengths[0]} to {lengths[-1]} "
            "timepoints; expected as many in each"
        )
    return np.stack([channel.to_numpy(dtype=np.float64) for channel in row])


def stacked(series: list[NDArray[Any]]) -> Series:
    """Stack series of equal length into one array; leave others as they are.

    Parameters
    ----------
    series : list of arrays of shape (n_channels, n_timepoints_i)

    Returns
    -------
    ndarray of shape (n_series, n_channels, n_timepoints), or the list
    """
    lengths = {one.shape[-1] for one in series}
    return np.stack(series) if len(lengths) == 1 else series


def _bundle() -> Path:
    """Folder of sktime's data sets, found without importing sktime, which is slow."""
    spec = find_spec("sktime")
    if spec is None or spec.origin is None:
        raise ImportError("sktime, which brings the data sets, is not installed")
    return Path(spec.origin).parent / "datasets" / "data"


def _ts_pair(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}_TRAIN.ts", folder / f"{name}_TEST.ts"


def _has_class_labels(path: Path) -> bool:
    """Whether the header of a .ts file announces class labels, not numeric targets."""
    with path.open(encoding=_ENCODING, errors="replace") as file:
        for line in file:
            words = line.lower().split()
            if words[:1] == ["@data"]:
                return False
            if words[:2] == ["@classlabel", "true"]:
                return True
    return False


def _lines_of_values(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Numbers and cells of a .ts file's series, in lower case, as sktime reads them."""
    labels = _has_class_labels(path)
    with path.open(encoding=_ENCODING, errors="replace") as file:
        lines = ((number, line.strip().lower()) for number, line in enumerate(file, 1))
        for _, line in lines:
            if line == "@data":
                break
        for number, line in lines:
            if line:
                values = line.rpartition(":")[0] if labels else line
                yield number, [cell.strip() for cell in re.split("[:,]", values)]


def _load_ts_pair(folder: Path, name: str) -> Dataset:
    files = _ts_pair(folder, name)
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ValueError(f"{folder} lacks {' and '.join(missing)}")
    (X_train, y_train), (X_test, y_test) = map(_read_labelled_ts, files)
    _require_same_channels(X_train, X_test, folder)
    return Dataset(name, X_train, y_train, X_test, y_test)


def _read_labelled_ts(path: Path) -> tuple[Series, NDArray[Any]]:
    series, y = read_ts(path)
    if y is None:
        raise ValueError(f"{path} has no class labels: its header lacks @classLabel")
    return series, y


def _load_npz(path: Path) -> Dataset:
    try:
        with load_archive(path) as content:
            found = list(content.files)
            arrays = {key: content[key] for key in _ARRAYS if key in found}
    except (OSError, *MALFORMED) as error:
        raise ValueError(f"cannot read {path} as a .npz file: {error}") from error
    if len(arrays) < len(_ARRAYS):
        raise ValueError(
            f"{path} holds the arrays {found}; expected {', '.join(_ARRAYS)}"
        )
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{key} in {path} is no array")
    kinds = {arrays[key].dtype.kind for key in ("y_train", "y_test")}
    if len(kinds) > 1 and not kinds <= set("biuf"):
        raise ValueError(
            f"y_train and y_test in {path} have dtypes {arrays['y_train'].dtype} and "
            f"{arrays['y_test'].dtype}; expected labels of one kind"
        )
    for part in ("train", "test"):
        X, y = arrays[f"X_{part}"], arrays[f"y_{part}"]
        arrays[f"X_{part}"] = _as_series(X, f"X_{part} in {path}")
        if y.shape != X.shape[:1]:
            raise ValueError(
                f"y_{part} in {path} has shape {y.shape}; expected one label for each "
                f"of the {len(X)} series in X_{part}"
            )
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            raise ValueError(
                f"y_{part} in {path} has infinite or missing labels; expected one for "
                "each series"
            )
    _require_same_channels(arrays["X_train"], arrays["X_test"], path)
    return Dataset(path.stem, **arrays)


def _require_same_channels(X_train: Series, X_test: Series, where: Path) -> None:
    train, test = X_train[0].shape[0], X_test[0].shape[0]
    if train != test:
        raise ValueError(
            f"X_train and X_test in {where} have {train} and {test} channels; expected "
            "the same number"
        )


def _as_series(X: NDArray[Any], where: str) -> NDArray[np.floating]:
    if X.ndim not in (2, 3) or X.dtype.kind not in "fiu" or 0 in X.shape:
        raise ValueError(
            f"{where} has shape {X.shape} and dtype {X.dtype}; expected real numbers "
            "of shape (n_series, n_channels, n_timepoints) or (n_series, "
            "n_timepoints), none of them 0"
        )
    if np.isinf(X).any():
        raise ValueError(f"{where} holds infinity; expected real numbers or NaN")
    if X.dtype.kind != "f":
        X = X.astype(np.float64)
    return X[:, np.newaxis, :] if X.ndim == 2 else X
