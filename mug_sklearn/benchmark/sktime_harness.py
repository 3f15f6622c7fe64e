"""The benchmark's data sets and splits in sktime's `ClassificationBenchmark`."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import PredefinedSplit

from ..datasets import Dataset, stacked


def archive_task(data: Dataset) -> tuple[Any, NDArray[Any], PredefinedSplit]:
    """Give a data set and its split in the forms that sktime's harness takes.

    Parameters
    ----------
    data : Dataset

    Returns
    -------
    X : ndarray of shape (n_series, n_channels, n_timepoints), or list
        The training series, then the test series; frames of shape (n_timepoints_i,
        n_channels) if lengths differ.
    y : ndarray of shape (n_series,)
    splits : PredefinedSplit
        The splitter that separates the two again.

    Examples
    --------
    >>> from mug_sklearn.benchmark.sktime_harness import archive_task
    >>> from mug_sklearn.datasets import load_dataset
    >>> X, y, splits = archive_task(load_dataset("UnitTest"))
    >>> X.shape, y.shape, splits.get_n_splits()
    ((42, 1, 24), (42,), 1)
    """
    n_train, n_test = len(data.y_train), len(data.y_test)
    X: Any = stacked([*data.X_train, *data.X_test])
    if isinstance(X, list):
        X = [pd.DataFrame(one.T) for one in X]
    y = np.concatenate((data.y_train, data.y_test))
    return X, y, PredefinedSplit(np.repeat([-1, 0], [n_train, n_test]))
