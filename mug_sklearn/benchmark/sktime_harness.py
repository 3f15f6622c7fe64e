"""The benchmark's data sets and splits in sktime's `ClassificationBenchmark`."""

from typing import Any

import pandas as pd
from numpy.typing import NDArray

from ..datasets import Dataset
from .resampling import FixedSplits, archive_split


def archive_task(data: Dataset) -> tuple[Any, NDArray, FixedSplits]:
    """Give a data set and its split in the forms that sktime's harness takes.

    Parameters
    ----------
    data : Dataset

    Returns
    -------
    X : ndarray of shape (n_series, n_channels, n_timepoints), or list
        The training series, then the test series; frames of shape (n_timepoints_i,
        n_channels) where lengths differ.
    y : ndarray of shape (n_series,)
    splits : FixedSplits
        The splitter that parts them again.

    Examples
    --------
    >>> from mug_sklearn.benchmark.sktime_harness import archive_task
    >>> from mug_sklearn.datasets import load_dataset
    >>> X, y, splits = archive_task(load_dataset("UnitTest"))
    >>> X.shape, y.shape, splits.get_n_splits()
    ((42, 1, 24), (42,), 1)
    """
    X, y, splits = archive_split(data)
    if isinstance(X, list):
        return [pd.DataFrame(one.T) for one in X], y, splits
    return X, y, splits
