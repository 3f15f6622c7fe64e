"""The classifiers: the fast grid search against scikit-learn's."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.svm import SVC

from mug_sklearn.benchmark import protocol
from mug_sklearn.benchmark.protocol import CLASSIFIERS, GRID, GridSearchedSVC


def assert_same_as_scikit_learn(X, y, n_train=60):
    grid = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4, np.inf]
    search = GridSearchCV(SVC(max_iter=100_000), {"C": grid}, cv=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X[:n_train], y[:n_train])
    model = CLASSIFIERS["svm"]().fit(X[:n_train], y[:n_train])
    assert search.best_params_["C"] == model.C_
    np.testing.assert_array_equal(
        model.predict(X[n_train:]), search.predict(X[n_train:])
    )
    return search


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_classes", [2, 4])
def test_it_is_scikit_learns_grid_search(seed, n_classes):
    X, y = make_classification(
        90,
        12,
        n_informative=6,
        n_classes=n_classes,
        flip_y=0.2,
        random_state=seed,
    )
    assert_same_as_scikit_learn(X, y)


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_each_fold_has_a_gamma_of_its_own(seed):
    X, y = make_classification(90, 12, n_informative=6, flip_y=0.2, random_state=seed)
    X[0] *= 30  # whether this series is in the fold decides its gamma
    assert_same_as_scikit_learn(X, y)


def test_the_largest_finite_C_may_be_the_best():
    X = np.random.default_rng(1).normal(size=(90, 2))
    search = assert_same_as_scikit_learn(X, np.sin(6 * X[:, 0]) > 0)
    assert search.best_params_["C"] == 1e4


def test_large_values_of_single_precision_do_not_overflow():
    X, y = make_classification(90, 12, n_informative=6, flip_y=0.2, random_state=0)
    assert_same_as_scikit_learn((1e25 * X).astype(np.float32), y)


@pytest.mark.parametrize(
    ("n_series", "n_classes", "are_few"),
    [(49, 2, True), (60, 13, True), (50, 2, False), (60, 12, False)],
)
def test_few_series_take_an_infinite_C(n_series, n_classes, are_few):
    X = np.random.default_rng(0).normal(size=(n_series, 3))
    y = np.arange(n_series) % n_classes
    assert np.isinf(GridSearchedSVC().fit(X, y).C_) == are_few


@pytest.mark.filterwarnings("ignore:Solver terminated early")
def test_of_equally_good_values_of_C_the_first_wins_whatever_the_rounding():
    X, y = make_classification(60, 5, n_informative=3, flip_y=0.3, random_state=4)
    folds = StratifiedKFold(5)  # of twelve series each
    right = [
        round(60 * cross_val_score(SVC(C=C, max_iter=100_000), X, y, cv=folds).mean())
        for C in GRID
    ]
    assert GRID[np.argmax(right)] == GridSearchedSVC().fit(X, y).C_


@pytest.mark.filterwarnings("ignore:Solver terminated early")
def test_classes_that_overlap_get_all_the_steps_there_are():
    X, y = make_classification(
        80, 3, n_informative=3, n_redundant=0, flip_y=0.4, random_state=0
    )
    expected = SVC(C=np.inf, max_iter=100_000).fit(X[:48], y[:48]).predict(X[48:])
    actual = GridSearchedSVC().fit(X[:48], y[:48]).predict(X[48:])
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.filterwarnings("error")
def test_a_class_smaller_than_the_folds_is_no_obstacle():
    X = np.random.default_rng(0).normal(size=(60, 3))
    y = np.array(["a"] * 29 + ["b"] * 29 + ["c"] * 2)
    assert GridSearchedSVC().fit(X, y).predict(X).shape == (60,)


def test_a_fold_with_one_class_to_train_on_is_no_obstacle():
    X = np.random.default_rng(0).normal(size=(90, 3))
    assert_same_as_scikit_learn(X, np.arange(90) == 7)


def test_a_value_of_C_that_cannot_be_fitted_is_not_chosen():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 4, 80)
    X = rng.normal(size=(80, 1))
    search = assert_same_as_scikit_learn(np.tile(X, (2, 1)), np.tile(y, 2), 80)
    assert np.isnan(search.cv_results_["mean_test_score"][-1])


def test_many_series_are_predicted_a_few_at_a_time(monkeypatch):
    X, y = make_classification(90, 12, n_informative=6, random_state=0)
    model = GridSearchedSVC().fit(X, y)
    expected = model.predict(X)
    monkeypatch.setattr(protocol, "PREDICTED_AT_ONCE", 7)
    most = []
    kernel = protocol.euclidean_distances
    monkeypatch.setattr(
        protocol,
        "euclidean_distances",
        lambda X, *others, **options: (
            most.append(len(X)) or kernel(X, *others, **options)
        ),
    )
    np.testing.assert_array_equal(model.predict(X), expected)
    assert max(most) == 7


def test_a_constant_embedding_is_no_obstacle():
    y = np.arange(60) % 2
    assert GridSearchedSVC().fit(np.zeros((60, 2)), y).score(np.zeros((60, 2)), y) > 0


def test_of_too_many_series_it_sees_a_stratified_draw(monkeypatch):
    monkeypatch.setattr(protocol, "MOST_SERIES", 100)
    X, y = make_classification(201, 12, n_informative=6, weights=[0.8], random_state=0)
    y[0] = 2  # a class of one series
    model = GridSearchedSVC().fit(X, y)
    drawn = [np.abs(X - row).sum(axis=1).argmin() for row in model._training]
    assert len(set(drawn)) == 100
    share = np.bincount(y, minlength=3) / len(y) * 100
    assert (np.abs(np.bincount(y[drawn], minlength=3) - share) <= 1).all()
    again = GridSearchedSVC().fit(X, y).predict(X)
    np.testing.assert_array_equal(model.predict(X), again)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_learns(name):
    X, y = make_classification(80, 6, class_sep=3.0, random_state=0)
    model = CLASSIFIERS[name]().fit(X[:60], y[:60])
    assert model.score(X[60:], y[60:]) > 0.8
    with pytest.raises(ValueError, match=r"X has 5 features, but .* is expecting 6"):
        model.predict(X[60:, :5])


@pytest.mark.parametrize("name", ["logistic", "ridge"])
def test_units_change_nothing_in_linear_classifiers(name):
    X, y = make_classification(80, 6, flip_y=0.2, random_state=0)
    predicted, in_small_units = (
        CLASSIFIERS[name]().fit(X[:60] * unit, y[:60]).predict(X[60:] * unit)
        for unit in (1.0, 1e-6)
    )
    np.testing.assert_array_equal(in_small_units, predicted)


def test_ridge_may_shrink_little_or_much():
    X = np.random.default_rng(0).normal(size=(60, 20))
    told, y = np.column_stack((X[:, 0] > 0, X)), np.arange(60) % 2
    for embedding, labels, alpha in ((told, told[:, 0], 1e-3), (X, y, 1e3)):
        model = CLASSIFIERS["ridge"]().fit(embedding, labels)
        assert model[-1].alpha_ == pytest.approx(alpha)


@pytest.mark.filterwarnings("error")
def test_logistic_regression_on_many_correlated_features_converges():
    X = np.random.default_rng(0).normal(size=(300, 300)).cumsum(axis=1)
    CLASSIFIERS["logistic"]().fit(X, np.arange(300) % 2)


def test_what_is_no_label_is_refused_as_by_SVC():
    X = np.random.default_rng(0).normal(size=(60, 3))
    for y in (np.array([1, "a"] * 30, dtype=object), X[:, 0]):
        for classifier in (GridSearchedSVC(), SVC()):
            with pytest.raises(ValueError, match="Unknown label type"):
                classifier.fit(X, y)
