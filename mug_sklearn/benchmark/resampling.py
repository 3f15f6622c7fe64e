"""Splits: the archive's own, and stratified redraws of it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedShuffleSplit

from ..datasets import Dataset, Series


def resample_split(data: Dataset, resample: int) -> Dataset:
    """Draw another split of a data set, stratified and of the same sizes.

    Parameters
    ----------
    data : Dataset
    resample : int
        Number of the split, which seeds the draw; 0 is the given split itself.

    Returns
    -------
    Dataset

    Examples
    --------
    >>> from mug_sklearn.benchmark.resampling import resample_split
    >>> from mug_sklearn.datasets import load_dataset
    >>> data = load_dataset("UnitTest")
    >>> len(resample_split(data, 1).X_train) == len(data.X_train)
    True
    """
    if resample == 0:
        return data
    series = [*data.X_train, *data.X_test]
    y = np.concatenate((data.y_train, data.y_test))
    splitter = StratifiedShuffleSplit(
        1, test_size=len(data.y_test), random_state=resample
    )
    train, test = next(splitter.split(y, y))
    return replace(
        data,
        X_train=_gather(series, train),
        y_train=y[train],
        X_test=_gather(series, test),
        y_test=y[test],
    )


def _gather(series: list[NDArray], rows: NDArray) -> Series:
    chosen = [series[row] for row in rows]
    lengths = {one.shape[1] for one in chosen}
    return np.stack(chosen) if len(lengths) == 1 else chosen


class FixedSplits:
    """Given splits as a cross-validation splitter, for scikit-learn and sktime.

    The rows of each part are sorted: sktime's `evaluate` reads series in the order of
    the panel, so that rows out of order would get each other's labels.

    Parameters
    ----------
    splits : sequence of (train, test)
        Row numbers of each part.

    Examples
    --------
    >>> from mug_sklearn.benchmark import FixedSplits
    >>> next(FixedSplits([([2, 0], [3, 1])]).split(range(4)))
    (array([0, 2]), array([1, 3]))
    """

    def __init__(self, splits: Sequence[tuple[ArrayLike, ArrayLike]]) -> None:
        self.splits = splits

    def split(
        self, X: Any = None, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[NDArray, NDArray]]:
        """Give the row numbers of each split.

        Parameters
        ----------
        X, y, groups : object
            Ignored; present by convention.

        Yields
        ------
        train, test : int array
            Row numbers, sorted.
        """
        for train, test in self.splits:
            yield np.sort(np.asarray(train)), np.sort(np.asarray(test))

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Count the splits.

        Parameters
        ----------
        X, y, groups : object
            Ignored; present by convention.

        Returns
        -------
        int
            The number of splits.
        """
        return len(self.splits)


def archive_split(data: Dataset) -> tuple[Series, NDArray, FixedSplits]:
    """Join the two parts of a data set, with the splitter that parts them again.

    Parameters
    ----------
    data : Dataset
        With its own training and test series.

    Returns
    -------
    X : ndarray of shape (n_series, n_channels, n_timepoints), or list
        The training series, then the test series.
    y : ndarray of shape (n_series,)
        Their class labels.
    splits : FixedSplits
        One split, into the two parts.

    Examples
    --------
    >>> from mug_sklearn.benchmark import archive_split
    >>> from mug_sklearn.datasets import load_dataset
    >>> X, y, splits = archive_split(load_dataset("UnitTest"))
    >>> X.shape, [len(part) for part in next(splits.split(X))]
    ((42, 1, 24), [20, 22])
    """
    n_train, n_test = len(data.y_train), len(data.y_test)
    X = _gather([*data.X_train, *data.X_test], np.arange(n_train + n_test))
    y = np.concatenate((data.y_train, data.y_test))
    rows = np.arange(n_train + n_test)
    return X, y, FixedSplits([(rows[:n_train], rows[n_train:])])
