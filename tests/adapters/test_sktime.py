"""sktime's checks, panel forms, pipelines and searches with the adapters."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC
from sktime.classification.model_selection import TSCGridSearchCV
from sktime.datasets import load_unit_test
from sktime.datatypes import convert_to
from sktime.pipeline import make_pipeline as make_sktime_pipeline
from sktime.transformations.series.summarize import SummaryTransformer
from sktime.utils.estimator_checks import check_estimator

from mug_sklearn.adapters.sktime import (
    PanelClassifierAdapter,
    PanelTransformerAdapter,
    as_panel,
)

from ..conftest import small_mug

ADAPTERS = [PanelTransformerAdapter, PanelClassifierAdapter]
Y = np.repeat(["a", "b"], 6)


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_sktime_checks(adapter):
    outcome = check_estimator(adapter, raise_exceptions=False, verbose=False)
    failed = {name: result for name, result in outcome.items() if result != "PASSED"}
    assert failed == {}
    assert len(outcome) > 100


@pytest.mark.parametrize("form", ["df-list", "pd-multiindex", "nested_univ"])
def test_every_form_of_a_panel_gives_the_same(panel, form):
    adapter = PanelTransformerAdapter(small_mug(embedding_dim=None)).fit(panel)
    expected = small_mug(embedding_dim=None).fit_transform(panel)
    assert_allclose(adapter.transform(panel), expected, atol=1e-6)
    other = convert_to(panel, form)
    assert_allclose(adapter.transform(other), expected, atol=1e-5)
    fitted = PanelTransformerAdapter(small_mug(embedding_dim=None)).fit(other)
    assert_allclose(fitted.transform(panel), expected, atol=1e-5)


@pytest.mark.parametrize("form", ["df-list", "pd-multiindex", "nested_univ"])
def test_unequal_lengths_and_gaps(ragged, form):
    ragged = [series.copy() for series in ragged]
    ragged[0][1, 5:9] = np.nan
    frames = [pd.DataFrame(series.T) for series in ragged]
    X = convert_to(frames, form)
    adapter = PanelTransformerAdapter(small_mug(embedding_dim=None)).fit(X)
    expected = small_mug(embedding_dim=None).fit_transform(ragged)
    assert_allclose(adapter.transform(X), expected, atol=1e-5)


def test_warnings_name_the_callers_line(panel):
    panel[4] = np.nan
    adapter = PanelTransformerAdapter(small_mug())
    for call in (adapter.fit, adapter.transform):
        with pytest.warns(UserWarning, match="hold no observed") as caught:
            call(panel)
        assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize("output", ["default", "pandas"])
def test_features_are_joined_by_instance(panel, output):
    shuffled = convert_to(panel, "nested_univ").iloc[[3, 0, 11, *range(4, 11), 1, 2]]
    mug = PanelTransformerAdapter(small_mug().set_output(transform=output))
    means = SummaryTransformer(summary_function="mean", quantiles=None)
    joined = (mug + means).fit_transform(shuffled)
    assert list(joined.index) == list(shuffled.index)
    embedding = small_mug().fit_transform(panel[shuffled.index.to_numpy()])
    assert_allclose(joined.iloc[:, :8], embedding, atol=1e-5)
    expected = panel[shuffled.index.to_numpy()].mean(axis=2)
    assert_allclose(joined.iloc[:, 8:], expected, atol=1e-6)


def test_channels_are_found_by_name(panel):
    frames = [pd.DataFrame(series.T, columns=["p", "q"]) for series in panel]
    mixed = [frame[["q", "p"]] if i % 2 else frame for i, frame in enumerate(frames)]
    adapter = PanelTransformerAdapter(small_mug()).fit(frames)
    assert_allclose(adapter.transform(mixed), adapter.transform(panel), atol=1e-5)
    swapped = [frame[["q", "p"]] for frame in frames]
    assert_allclose(adapter.transform(swapped), adapter.transform(panel), atol=1e-5)
    renamed = [frame.set_axis(["a", "b"], axis=1) for frame in frames]
    assert_allclose(adapter.transform(renamed), adapter.transform(panel), atol=1e-5)
    twice = as_panel(
        pd.concat(frames, keys=range(12)).set_axis(["a", "a"], axis=1), ["p"]
    )
    assert_array_equal(twice, panel)
    for names in (["q", "a"], ["p"], ["p", "q", "r"]):
        other = [pd.DataFrame(0.0, frame.index, names) for frame in frames]
        with pytest.raises(ValueError, match="but the estimator was fitted on"):
            adapter.transform(other)
    nearest = make_pipeline(small_mug(), KNeighborsClassifier(1))
    classifier = PanelClassifierAdapter(nearest).fit(frames, np.arange(12))
    assert_array_equal(classifier.predict(swapped), np.arange(12))
    assert_array_equal(classifier.predict_proba(swapped), np.eye(12))


@pytest.mark.parametrize("form", ["numpy3D", "df-list", "nested_univ"])
def test_estimators_that_take_arrays_alone(panel, form):
    flat = make_pipeline(FunctionTransformer(lambda X: X.reshape(len(X), -1)), SVC())
    X = convert_to(panel, form)
    predicted = PanelClassifierAdapter(flat).fit(X, Y).predict(X)
    assert_array_equal(
        predicted,
        SVC().fit(flat[:1].transform(panel), Y).predict(flat[:1].transform(panel)),
    )


@pytest.mark.parametrize(
    "pipeline",
    [
        lambda mug: PanelTransformerAdapter(mug) * SVC(),
        lambda mug: make_sktime_pipeline(PanelTransformerAdapter(mug), SVC()),
        lambda mug: PanelClassifierAdapter(make_pipeline(mug, SVC())),
    ],
)
def test_pipelines_predict_as_scikit_learn_does(panel, ragged, pipeline):
    gappy = panel.copy()
    gappy[0, 0, 5:9] = np.nan
    frames_of_ragged = [pd.DataFrame(x.T) for x in ragged]
    for X, frames in ((panel, panel), (ragged, frames_of_ragged), (gappy, gappy)):
        expected = make_pipeline(small_mug(), SVC()).fit(X, Y).predict(X)
        model = pipeline(small_mug()).fit(frames, Y)
        assert_array_equal(model.predict(frames), expected)
        assert model.get_tag("capability:unequal_length")
        assert model.get_tag("capability:missing_values")


def test_sktime_is_told_of_chance_of_probabilities_and_of_missing_values():
    for adapter in ADAPTERS:
        assert adapter.get_class_tag("property:randomness") == "stochastic"
    assert PanelClassifierAdapter.get_class_tag("capability:predict_proba")
    removes = "capability:missing_values:removes"
    assert PanelTransformerAdapter.get_class_tag(removes)


def test_channels_of_words_are_refused_as_such(panel):
    frames = [pd.DataFrame(series.T, columns=["p", "q"]) for series in panel]
    for frame in frames:
        frame["q"] = np.where(frame["q"] > 0, "up", "down")
    X = pd.concat(frames, keys=range(12))
    for fit in (
        PanelTransformerAdapter(small_mug()).fit,
        PanelClassifierAdapter(make_pipeline(small_mug(), SVC())).fit,
    ):
        with pytest.raises(TypeError, match="categorical"):
            fit(X, Y)


def test_a_frozen_estimator(panel):
    mug = small_mug().fit(panel)
    adapter = PanelTransformerAdapter(FrozenEstimator(mug)).fit(panel[:4])
    assert_allclose(adapter.transform(panel), mug.transform(panel), atol=1e-6)


def test_probabilities_are_those_of_the_estimator(panel):
    estimator = make_pipeline(small_mug(), LogisticRegression())
    adapter = PanelClassifierAdapter(estimator).fit(panel, Y)
    expected = estimator.fit(panel, Y).predict_proba(panel)
    assert_allclose(adapter.predict_proba(panel), expected)


def test_probabilities_of_one_that_has_none(panel):
    adapter = PanelClassifierAdapter(make_pipeline(small_mug(), SVC())).fit(panel, Y)
    assert set(adapter.predict_proba(panel).ravel()) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("classifier", "name"),
    [
        (
            PanelTransformerAdapter(small_mug()) * SVC(),
            "PanelTransformerAdapter__transformer__granularity",
        ),
        (
            PanelClassifierAdapter(make_pipeline(small_mug(), SVC())),
            "estimator__mugtransformer__granularity",
        ),
    ],
)
def test_grid_search_by_nested_names(panel, classifier, name):
    search = TSCGridSearchCV(
        classifier, {name: ["fine", "coarse"]}, cv=KFold(2, shuffle=True)
    )
    search.fit(panel, Y)
    assert [one[name] for one in search.cv_results_["params"]] == ["fine", "coarse"]
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(panel).shape == (12,)


def test_the_estimator_given_is_left_alone(panel):
    mug = small_mug()
    adapter = PanelTransformerAdapter(mug).fit(panel)
    assert not hasattr(mug, "network_")
    assert hasattr(adapter.transformer_, "network_")
    classifier = PanelClassifierAdapter(make_pipeline(mug, SVC())).fit(panel, Y)
    assert not hasattr(mug, "network_")
    assert hasattr(classifier.estimator_[0], "network_")


def test_bundled_data():
    X, y = load_unit_test(split="train", return_type="nested_univ")
    adapter = PanelTransformerAdapter(small_mug(embedding_dim=4))
    assert adapter.fit_transform(X, y).shape == (20, 4)
