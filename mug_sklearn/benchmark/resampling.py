"""Stratified redraws of the archive's own splits."""

from dataclasses import replace

import numpy as np
from sklearn.model_selection import StratifiedShuffleSplit

from ..datasets import Dataset, stacked


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
        X_train=stacked([series[row] for row in train]),
        y_train=y[train],
        X_test=stacked([series[row] for row in test]),
        y_test=y[test],
    )
