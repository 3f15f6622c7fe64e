"""The benchmark's pipelines and splits in sktime's `ClassificationBenchmark`."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sktime.classification.base import BaseClassifier

from ..datasets import Dataset
from .resampling import FixedSplits, archive_split


class PanelPipelineClassifier(BaseClassifier):
    """Let sktime fit and score a scikit-learn classifier of panels.

    Parameters
    ----------
    pipeline : scikit-learn classifier
        Takes an array of shape (n_series, n_channels, n_timepoints) or a list of
        arrays of shape (n_channels, n_timepoints_i), such as
        ``make_pipeline(MUGTransformer(), SVC())``. It is cloned before it is fitted.

    Attributes
    ----------
    pipeline_ : scikit-learn classifier
        The fitted clone.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import SVC
    >>> from sktime.datasets import load_unit_test
    >>> from mug_sklearn import MUGTransformer
    >>> from mug_sklearn.benchmark.sktime_harness import PanelPipelineClassifier
    >>> X, y = load_unit_test(split="train")
    >>> pipeline = make_pipeline(MUGTransformer(max_epochs=0, random_state=0), SVC())
    >>> PanelPipelineClassifier(pipeline).fit(X, y).predict(X).shape
    (20,)
    """

    _tags = {  # noqa: RUF012 -- sktime's own convention
        "X_inner_mtype": ["df-list", "numpy3D"],
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:missing_values": True,
        "python_dependencies": ["torch"],
    }

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        super().__init__()

    def _fit(self, X: Any, y: NDArray) -> "PanelPipelineClassifier":
        self.pipeline_ = clone(self.pipeline).fit(_as_panel(X), y)
        return self

    def _predict(self, X: Any) -> NDArray:
        return self.pipeline_.predict(_as_panel(X))

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give settings for sktime's own checks.

        Parameters
        ----------
        parameter_set : str, default="default"
            Has no effect.

        Returns
        -------
        list of dict
        """
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import SVC

        from .. import MUGTransformer

        mug = MUGTransformer(max_epochs=0, n_random_shapelets=8, random_state=0)
        return [
            {"pipeline": make_pipeline(mug, SVC())},
            {"pipeline": make_pipeline(mug, SVC(C=10))},
        ]


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


def _as_panel(X: Any) -> NDArray | list[NDArray]:
    """Sktime's frames of shape (n_timepoints, n_channels) as arrays the other way."""
    if isinstance(X, np.ndarray):
        return X
    return [frame.to_numpy(dtype=np.float64).T for frame in X]
