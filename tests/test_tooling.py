"""The transformer in scikit-learn's tools: caches, frozen encoders, containers."""

from pathlib import Path

import joblib
import mypy.api
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVC
from sklearn.utils.metadata_routing import get_routing_for_object

import mug_sklearn
from mug_sklearn import MUGTransformer

from .conftest import small_mug

Y = np.tile(["a", "b"], 6)


class CountedMUG(MUGTransformer):
    """Counts the fits of all its instances."""

    n_fits = 0

    def fit(self, X, y=None):
        type(self).n_fits += 1
        return super().fit(X, y)


@pytest.fixture
def mug():
    CountedMUG.n_fits = 0
    return CountedMUG(**small_mug().get_params())


def search_over_the_classifier(encoder, memory=None):
    pipeline = Pipeline([("mug", encoder), ("svc", SVC())], memory=memory)
    return GridSearchCV(pipeline, {"svc__C": [0.1, 10]}, cv=3)


def test_without_a_cache_the_encoder_is_fitted_for_each_candidate(panel, mug):
    search_over_the_classifier(mug).fit(panel, Y)
    assert CountedMUG.n_fits == 2 * 3 + 1


@pytest.mark.parametrize("form", ["array", "list"])
def test_with_a_cache_once_for_each_fold(panel, ragged, mug, tmp_path, form):
    X = panel if form == "array" else ragged
    cached = search_over_the_classifier(mug, joblib.Memory(tmp_path, verbose=0))
    cached.fit(X, Y)
    assert CountedMUG.n_fits == 3 + 1
    plain = search_over_the_classifier(small_mug()).fit(X, Y)
    assert_array_equal(cached.predict(X), plain.predict(X))
    assert_array_equal(
        cached.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )


def test_a_frozen_encoder_is_never_fitted_again(panel, mug):
    mug.fit(panel)
    before = mug.transform(panel)
    search = search_over_the_classifier(FrozenEstimator(mug)).fit(panel[:9], Y[:9])
    assert CountedMUG.n_fits == 1
    assert_array_equal(search.best_estimator_[:-1].transform(panel), before)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_set_output(panel, container):
    mug = small_mug().set_output(transform=container)
    table = mug.fit_transform(panel)
    assert isinstance(
        table, {"pandas": pd.DataFrame, "polars": pl.DataFrame}[container]
    )
    assert list(table.columns) == list(mug.get_feature_names_out())
    assert_array_equal(table.to_numpy(), small_mug().fit_transform(panel))


def test_a_table_keeps_its_index(table):
    frame = pd.DataFrame(table, index=[f"series {i}" for i in range(12)])
    embedding = small_mug().set_output(transform="pandas").fit_transform(frame)
    assert list(embedding.index) == list(frame.index)


def test_html_shows_the_parameters_and_leads_to_the_documentation():
    html = make_pipeline(small_mug(), SVC())._repr_html_()
    assert "MUGTransformer" in html
    assert "n_random_shapelets" in html
    link = small_mug()._get_doc_link()
    assert link.endswith("mug_sklearn.MUGTransformer.html")
    assert link in html


def test_html_describes_every_fitted_attribute(table):
    mug = small_mug().fit(pd.DataFrame(table).rename(columns=str))
    html = mug._repr_html_()
    names = [name for name in vars(mug) if name.endswith("_") and name[0] != "_"]
    assert len(names) > 12
    assert [name for name in names if f"{name}: " not in html] == []


PROGRAM = """
from typing import assert_type
import numpy as np
from numpy.typing import NDArray
from mug_sklearn import MUGTransformer
from mug_sklearn.benchmark import GridSearchedSVC
from mug_sklearn.callbacks import Checkpoint
from mug_sklearn.datasets import Dataset
from mug_sklearn.plotting import plot_cross_attention, plot_neighbors, plot_shapelets

class Subclass(MUGTransformer):
    pass

X = np.zeros((8, 20))
mug = Subclass(max_epochs=1)
for fitted in (mug.fit(X), mug.partial_fit(X), mug.resume(X), mug.to("cpu")):
    assert_type(fitted, Subclass)
assert_type(mug.n_features_in_ + mug.n_channels_in_, int)

class Store:
    shape = X.shape
    dtype = X.dtype

    def __getitem__(self, rows: slice) -> object:
        return X[rows]

mug.fit(Store()).transform(Store())
seed, row = np.random.default_rng(0).integers(9), X[:, 0].argmin()
rate = np.float32(1e-3)
MUGTransformer(random_state=seed, segment_lengths=[seed, 0.5], learning_rate=rate)
plot_cross_attention(mug, X, series=row)
plot_neighbors(mug, X, X[0], n_neighbors=row)
plot_shapelets(mug, X, n_shapelets=row)
Checkpoint("folder", every_n_epochs=row)

assert_type(mug.transform(X), NDArray[np.float32])
assert_type(mug.transform_granularities(X)["fine"].mask, NDArray[np.bool_])
series: list[NDArray[np.float64]] = [X[:1], X[:1, :9]]
Dataset("mine", series, np.arange(2), series, np.arange(2))
GridSearchedSVC().fit(X.tolist(), ["a", "b"] * 4).predict(X.tolist())

mug.fit(X, weights=1)
mug.to()
"""


@pytest.mark.slow
def test_a_type_checker_knows_what_users_pass_and_get(tmp_path, monkeypatch):
    # Where installed packages are: an editable installation is not found otherwise.
    monkeypatch.syspath_prepend(Path(mug_sklearn.__file__).parents[1])
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    report, _, _ = mypy.api.run(["--strict", str(path)])
    first, second = (line for line in report.splitlines() if ": error: " in line)
    assert 'Unexpected keyword argument "weights" for "fit"' in first
    assert 'Missing positional argument "device" in call to "to"' in second


def test_no_metadata_is_asked_for():
    requests = get_routing_for_object(small_mug())
    assert not any(
        getattr(requests, method).requests for method in ("fit", "transform")
    )
