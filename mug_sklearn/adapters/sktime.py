"""Scikit-learn estimators of panels as sktime's transformers and classifiers.

They are generic: any scikit-learn classifier will do, and any transformer that needs no
labels, if it accepts an array of shape (n_series, n_channels, n_timepoints) or a list
of arrays of shape (n_channels, n_timepoints_i), such as `MUGTransformer` or a pipeline
that begins with it.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sktime.classification.base import BaseClassifier
from sktime.transformations.base import BaseTransformer

from .. import MUGTransformer
from ..datasets import stacked

__all__ = ["PanelClassifierAdapter", "PanelTransformerAdapter"]

# sktime converts to the first of these that fits the scientific type, and looks at
# nothing else: with the array first, series of unequal length would fail. A list of
# frames has no instance index and may hold each frame's channels in a different order.
PANEL_FORMS = ["pd-multiindex", "numpy3D"]
SHARED_TAGS = {
    "X_inner_mtype": PANEL_FORMS,
    "capability:categorical_in_X": False,
    "capability:multivariate": True,
    "capability:unequal_length": True,
    "capability:missing_values": True,
    # Unless the wrapped estimator has a `random_state`.
    "property:randomness": "stochastic",
    "python_dependencies": ["torch"],
}


class PanelTransformerAdapter(BaseTransformer):
    """A scikit-learn transformer of panels as an sktime transformer.

    In sktime's pipelines it goes before a classifier: ``adapter * SVC()``. Its
    parameters have nested names, such as ``transformer__embedding_dim``, or in such a
    pipeline ``PanelTransformerAdapter__transformer__embedding_dim``.

    Parameters
    ----------
    transformer : scikit-learn transformer
        Turns a panel into one vector per series. It is cloned, and the clone fitted
        with ``y=None``.

    Attributes
    ----------
    transformer_ : scikit-learn transformer
        The fitted clone.
    channels_ : list or None
        Names of the channels, by which those of later frames are matched; None if
        `fit` was given an array.

    See Also
    --------
    PanelClassifierAdapter : The same for classifiers.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> from sktime.datasets import load_unit_test
    >>> from mug_sklearn import MUGTransformer
    >>> from mug_sklearn.adapters.sktime import PanelTransformerAdapter
    >>> X, y = load_unit_test(split="train")
    >>> mug = MUGTransformer(max_epochs=0, embedding_dim=4, random_state=0)
    >>> PanelTransformerAdapter(mug).fit_transform(X).shape
    (20, 4)
    >>> classifier = PanelTransformerAdapter(mug) * SVC()
    >>> classifier.fit(X, y).predict(X).shape
    (20,)
    """

    _tags = {  # noqa: RUF012 -- sktime's own convention
        **SHARED_TAGS,
        "scitype:transform-input": "Series",
        "scitype:transform-output": "Primitives",
        "scitype:instancewise": False,
        "y_inner_mtype": "None",
        "fit_is_empty": False,
        "capability:unequal_length:removes": True,
        "capability:missing_values:removes": True,
    }

    def __init__(self, transformer: Any) -> None:
        self.transformer = transformer
        super().__init__()

    def _fit(self, X: Any, y: Any = None) -> "PanelTransformerAdapter":
        self.channels_ = _channel_names(X)
        self.transformer_ = clone(self.transformer).fit(as_panel(X), None)
        return self

    def _transform(self, X: Any, y: Any = None) -> pd.DataFrame:
        panel = as_panel(X, self.channels_)
        embedding = np.asarray(self.transformer_.transform(panel))
        # Features of several transformers are joined by instance.
        is_array = isinstance(X, np.ndarray)
        instances = None if is_array else X.index.get_level_values(0).unique()
        return pd.DataFrame(embedding, index=instances)

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
        return [
            {"transformer": _quick_mug(embedding_dim=8)},
            {"transformer": _quick_mug(granularity="coarse")},
        ]


class PanelClassifierAdapter(BaseClassifier):
    """A scikit-learn classifier of panels as an sktime classifier.

    Parameters
    ----------
    estimator : scikit-learn classifier
        For example ``make_pipeline(MUGTransformer(), SVC())``, or a GridSearchCV around
        it. It is cloned before it is fitted.

    Attributes
    ----------
    estimator_ : scikit-learn classifier
        The fitted clone.
    channels_ : list or None
        Names of the channels, by which those of later frames are matched; None if
        `fit` was given an array.

    See Also
    --------
    PanelTransformerAdapter : The same for transformers.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import SVC
    >>> from sktime.datasets import load_unit_test
    >>> from mug_sklearn import MUGTransformer
    >>> from mug_sklearn.adapters.sktime import PanelClassifierAdapter
    >>> X, y = load_unit_test(split="train")
    >>> pipeline = make_pipeline(MUGTransformer(max_epochs=0, random_state=0), SVC())
    >>> PanelClassifierAdapter(pipeline).fit(X, y).predict(X).shape
    (20,)
    """

    _tags = {  # noqa: RUF012 -- sktime's own convention
        **SHARED_TAGS,
        "capability:predict_proba": True,
    }

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        super().__init__()

    def _fit(self, X: Any, y: NDArray) -> "PanelClassifierAdapter":
        self.channels_ = _channel_names(X)
        self.estimator_ = clone(self.estimator).fit(as_panel(X), y)
        return self

    def _predict(self, X: Any) -> NDArray:
        return self.estimator_.predict(as_panel(X, self.channels_))

    def _predict_proba(self, X: Any) -> NDArray:
        # Without probabilities, use sktime's default: 1 for the predicted class.
        if not hasattr(self.estimator_, "predict_proba"):
            return super()._predict_proba(X)
        return self.estimator_.predict_proba(as_panel(X, self.channels_))

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
        return [
            {"estimator": make_pipeline(_quick_mug(), SVC())},
            {"estimator": make_pipeline(_quick_mug(granularity="fine"), SVC(C=10))},
        ]


def _channel_names(X: Any) -> list[Any] | None:
    return None if isinstance(X, np.ndarray) else list(X.columns)


def as_panel(X: Any, channels: list[Any] | None = None) -> NDArray | list[NDArray]:
    """Turn an sktime panel into what scikit-learn estimators of panels take.

    Parameters
    ----------
    X : ndarray of shape (n_series, n_channels, n_timepoints), or DataFrame
        A frame must be of the form "pd-multiindex", one row per timepoint of a series.
    channels : list, default=None
        Names of the channels in the order to return them in. If `X` has none of them,
        its channels are left as they are.

    Returns
    -------
    float64 ndarray of shape (n_series, n_channels, n_timepoints), or list
        A list of float64 arrays of shape (n_channels, n_timepoints_i), if lengths
        differ. An array is returned unchanged.

    Raises
    ------
    ValueError
        If `X` has some of the names, but not all, or others beside them.

    Examples
    --------
    >>> import pandas as pd
    >>> index = pd.MultiIndex.from_tuples([("a", 0), ("a", 1), ("b", 0)])
    >>> as_panel(pd.DataFrame({"x": [1, 2, 3], "y": [4, 5, 6]}, index=index))
    [array([[1., 2.],
           [4., 5.]]), array([[3.],
           [6.]])]
    """
    if isinstance(X, np.ndarray):
        return X
    if channels is not None and _has_channels(X, channels):
        X = X[channels]
    groups = X.groupby(level=0, sort=False)
    series = [frame.to_numpy(dtype=np.float64).T for _, frame in groups]
    return stacked(series)


def _has_channels(X: Any, channels: list[Any]) -> bool:
    """Whether the columns of `X` have the names of `channels`; some are an error."""
    found = list(X.columns)
    are_the_same = set(found) == set(channels)
    if not are_the_same and not set(found).isdisjoint(channels):
        raise ValueError(
            f"X has the channels {found}, but the estimator was fitted on {channels}: "
            "all names must be the same, in any order, or all different."
        )
    return are_the_same


def _quick_mug(**parameters: Any) -> MUGTransformer:
    settings = {"max_epochs": 0, "n_random_shapelets": 8, "random_state": 0}
    return MUGTransformer(**{**settings, **parameters})
