"""aeon's checks, loaders and pipelines, with the plain class and with the adapter."""

import numpy as np
import pytest
from aeon.classification.compose import ClassifierPipeline
from aeon.datasets import load_classification
from aeon.testing.estimator_checking import check_estimator
from numpy.testing import assert_array_equal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC

from mug_sklearn.adapters.aeon import CollectionTransformerAdapter

from ..conftest import small_mug

Y = np.repeat(["a", "b"], 6)


def test_aeon_checks():
    outcome = check_estimator(CollectionTransformerAdapter, raise_exceptions=False)
    assert {name: x for name, x in outcome.items() if x != "PASSED"} == {}
    assert len(outcome) > 20


def test_a_pipeline_predicts_as_scikit_learn_does(panel, ragged):
    gappy = panel.copy()
    gappy[0, 0, 5:9] = np.nan
    for X in (panel, ragged, gappy):
        expected = make_pipeline(small_mug(), SVC()).fit(X, Y).predict(X)
        adapter = CollectionTransformerAdapter(small_mug())
        pipeline = ClassifierPipeline(adapter, SVC()).fit(X, Y)
        assert_array_equal(pipeline.predict(X), expected)


def test_warnings_name_the_callers_line(panel):
    same = np.repeat(panel[:1], 6, axis=0)
    with pytest.warns(UserWarning, match="needs several series that") as caught:
        CollectionTransformerAdapter(small_mug()).fit(same)
    assert [warning.filename for warning in caught] == [__file__]


def test_the_plain_class_in_a_pipeline_of_one_channel(panel):
    X = panel[:, :1]
    expected = make_pipeline(small_mug(), SVC()).fit(X, Y).predict(X)
    pipeline = ClassifierPipeline(small_mug(), SVC()).fit(X, Y)
    assert_array_equal(pipeline.predict(X), expected)


@pytest.mark.parametrize("name", ["UnitTest", "PickupGestureWiimoteZ"])
def test_what_the_loaders_give(name):
    X, _ = load_classification(name, split="train", load_equal_length=False)
    assert isinstance(X, list) == (name != "UnitTest")
    adapter = CollectionTransformerAdapter(small_mug(embedding_dim=4))
    embedding = adapter.fit_transform(X)
    assert embedding.shape == (len(X), 4)
    assert_array_equal(embedding, small_mug(embedding_dim=4).fit_transform(X))


def test_a_transformer_that_needs_labels_gets_them(panel):
    supervised = make_pipeline(small_mug(), LinearDiscriminantAnalysis())
    adapter = CollectionTransformerAdapter(supervised)
    expected = supervised.fit_transform(panel, Y)
    assert_array_equal(adapter.fit_transform(panel, Y), expected)


def test_a_transformer_that_takes_arrays_alone_gets_one(panel):
    flat = FunctionTransformer(lambda X: X.reshape(len(X), -1))
    embedding = CollectionTransformerAdapter(flat).fit_transform(panel)
    assert_array_equal(embedding, panel.reshape(12, -1))


def test_an_embedding_is_an_array_whatever_the_transformer_gives(panel):
    framed = small_mug().set_output(transform="pandas")
    embedding = CollectionTransformerAdapter(framed).fit_transform(panel)
    assert isinstance(embedding, np.ndarray)


def test_the_estimator_given_is_left_alone(panel):
    mug = small_mug()
    CollectionTransformerAdapter(mug).fit(panel)
    assert not hasattr(mug, "network_")
