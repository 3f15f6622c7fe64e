"""The classifiers that judge an embedding, the same ones for every method."""

import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils import gen_batches, resample
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

GRID = (*(10.0**exponent for exponent in range(-4, 5)), np.inf)
N_FOLDS = 5
SMALLEST_TRAINING_SET = 50
SMALLEST_CLASS_MEAN = 5
MOST_SERIES = 10_000
PREDICTED_AT_ONCE = 1_000  # so that memory does not grow with the test series
# With an infinite C, the fit may never converge if classes overlap.
MAX_ITER = 100_000


class GridSearchedSVC(ClassifierMixin, BaseEstimator):
    """RBF-SVC by the protocol of TS2Vec: C is chosen by five-fold cross-validation.

    C is one of 1e-4, 1e-3, ..., 1e4 and infinity. It is infinity without a search if
    there are fewer than 50 training series, or fewer than five per class on average.
    The kernel's width is ``gamma="scale"``. If there are more than 10,000 training
    series, only a stratified sample of 10,000 is used.

    The result is that of ``GridSearchCV(SVC(max_iter=100_000), {"C": [...]})``, where
    the first of equally good values of C wins, but the distances between the series are
    computed once, not for each C and fold. A fold with only one class to train on, on
    which GridSearchCV fails, is left out; a C with which a fold cannot be fitted, as
    may happen to an infinite one, is not chosen.

    Attributes
    ----------
    C_ : float
        The chosen C.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Width of the embedding.

    References
    ----------
    Yue et al., "TS2Vec: Towards Universal Representation of Time Series", AAAI 2022,
    appendix; its protocol is that of Franceschi et al., NeurIPS 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from mug_sklearn.benchmark import GridSearchedSVC
    >>> X, y = load_iris(return_X_y=True)
    >>> model = GridSearchedSVC().fit(X, y)
    >>> model.C_, round(model.score(X, y), 2)
    (10.0, 0.99)
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Choose C and fit.

        Parameters
        ----------
        X : array-like of shape (n_series, n_features)
            The embedding.
        y : array-like of shape (n_series,)
            Class labels.

        Returns
        -------
        self : GridSearchedSVC

        Raises
        ------
        ValueError
            If `X` is no table of finite numbers, or `y` holds no classes or only one.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(y) > MOST_SERIES:
            X, y = resample(
                X,
                y,
                replace=False,
                n_samples=MOST_SERIES,
                stratify=y,
                random_state=0,
            )
        distances = euclidean_distances(X, squared=True)
        few = len(y) < SMALLEST_TRAINING_SET
        if few or len(y) < SMALLEST_CLASS_MEAN * len(self.classes_):
            self.C_ = np.inf
        else:
            self.C_ = _choose_C(X, y, distances)
        self._gamma = _scale(X)
        self._training = X
        self._svc = _fit_svc(np.exp(-self._gamma * distances), y, self.C_)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict class labels.

        Parameters
        ----------
        X : array-like of shape (n_series, n_features)
            The embedding.

        Returns
        -------
        ndarray of shape (n_series,)
            Predicted labels, of the classes seen in `fit`.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` is no table of finite numbers, or as wide as in `fit`.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return np.concatenate(
            [self._predict(X[rows]) for rows in gen_batches(len(X), PREDICTED_AT_ONCE)]
        )

    def _predict(self, X: NDArray[Any]) -> NDArray[Any]:
        distances = euclidean_distances(X, self._training, squared=True)
        return self._svc.predict(np.exp(-self._gamma * distances))


def _choose_C(X: NDArray[Any], y: NDArray[Any], distances: NDArray[Any]) -> float:
    """The first C with the best mean accuracy over the folds."""
    accuracy = np.zeros(len(GRID))
    with warnings.catch_warnings():
        # Some class may have fewer members than there are folds.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        folds = list(StratifiedKFold(N_FOLDS).split(X, y))
    for train, test in folds:
        if len(np.unique(y[train])) == 1:
            continue  # the other class has one series, and this fold tests on it
        kernel = np.exp(-_scale(X[train]) * distances[:, train])
        for index, C in enumerate(GRID):
            try:
                svc = _fit_svc(kernel[train], y[train], C)
            except ValueError:  # the solution is not finite
                accuracy[index] = -np.inf
            else:
                accuracy[index] += svc.score(kernel[test], y[test])
    # The order in which the same fractions were summed must not decide.
    return GRID[int(np.argmax(accuracy.round(9)))]


def _scale(X: NDArray[Any]) -> float:
    """``gamma="scale"`` of SVC."""
    variance = X.var()
    return 1.0 / (X.shape[1] * variance) if variance > 0 else 1.0


def _fit_svc(kernel: NDArray[Any], y: NDArray[Any], C: float) -> SVC:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Solver terminated early")
        return SVC(C=C, kernel="precomputed", max_iter=MAX_ITER).fit(kernel, y)


def _logistic() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def _ridge() -> Any:
    alphas = np.logspace(-3, 3, 10)
    return make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=alphas))


CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "svm": GridSearchedSVC,
    "svc": SVC,
    "logistic": _logistic,
    "ridge": _ridge,
}
"""Classifiers by name; each entry makes a new one."""
