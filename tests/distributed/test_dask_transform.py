"""Dask arrays, grid search and benchmark on a cluster of two processes."""

import os
import signal
import sys
from pathlib import Path

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import torch
from dask.distributed import Client, LocalCluster, get_task_stream
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from mug_sklearn.benchmark import Method, load_results, run_benchmark
from mug_sklearn.distributed import transform

from ..conftest import small_mug, torch_threads


@pytest.fixture(scope="module")
def client():
    with pytest.MonkeyPatch.context() as patch:
        # New processes take over the path, and so can import this module.
        patch.syspath_prepend(Path(__file__).parents[2])
        with (
            LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client


@pytest.fixture(scope="module")
def many():
    """Forty series of two channels and 30 timepoints."""
    return np.random.default_rng(0).normal(size=(40, 2, 30)).cumsum(axis=2)


@pytest.fixture(scope="module")
def mug(many):
    return small_mug().fit(many)


@pytest.fixture(scope="module")
def table_mug(many):
    return small_mug().fit(many[:, 0])


def sequential(array):
    return array.compute(scheduler="synchronous")


def kill_once(X, where, marker):
    """Kill the process in which the marked series comes by for the first time."""
    if (X[:, 0] == where).any() and not marker.exists():
        marker.touch()
        # Windows has no SIGKILL, and ends a process at once by the other.
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return X


def count_threads(X):
    return np.full((len(X), 1), torch.get_num_threads())


class Centring(TransformerMixin, BaseEstimator):
    """Looks at nothing in transform, not even whether it is fitted."""

    def fit(self, X, y=None):
        self.mean_ = X.mean(axis=0)
        return self

    def transform(self, X):
        return X - self.mean_


def parity(X):
    return X & 1  # which floats do not have


def with_seed(seed):
    return small_mug(random_state=seed)


@pytest.mark.parametrize("chunks", [(10, 2, 30), ((1, 30, 9), 1, 7)])
def test_channels_on_a_cluster(client, mug, many, chunks):
    embedding = transform(mug, da.from_array(many, chunks=chunks))
    assert embedding.dtype == np.float32
    computed = embedding.compute()
    assert computed.dtype == np.float32
    assert computed.shape == embedding.shape
    assert_allclose(computed, mug.transform(many), atol=1e-6)


def test_a_table_on_a_cluster(client, table_mug, many):
    table = many[::-1, 0]
    embedding = transform(table_mug, da.from_array(table, chunks=(7, 10)))
    assert embedding.numblocks == (6, 1)
    assert_allclose(embedding.compute(), table_mug.transform(table), atol=1e-6)


@pytest.mark.filterwarnings("error")
def test_columns_with_names(many):
    frame = pd.DataFrame(many[:, 0]).add_prefix("t")
    mug = small_mug().fit(frame)
    for estimator in (mug, make_pipeline(mug)):
        embedding = sequential(transform(estimator, da.from_array(frame.to_numpy())))
        assert_allclose(embedding, mug.transform(frame), atol=1e-6)


@pytest.mark.filterwarnings("error")
def test_a_constant_channel(many):
    constant = many.copy()
    constant[:, 1] = 3.0
    mug = small_mug().fit(constant)
    embedding = sequential(transform(mug, da.from_array(constant)))
    assert_allclose(embedding, mug.transform(constant), atol=1e-6)


def test_unknown_numbers_of_series(table_mug, many):
    table = many[:, 0]
    X = da.from_array(table, chunks=(10, 10))
    # The first block keeps nothing.
    kept = np.arange(len(table)) % 3 == 0
    kept[:10] = False
    embedding = transform(table_mug, X[da.from_array(kept, chunks=10)])
    assert np.isnan(embedding.shape[0])
    assert embedding.shape[1] == 8
    expected = table_mug.transform(table[kept])
    assert_allclose(sequential(embedding), expected, atol=1e-6)


def test_nothing_is_read_before_compute(mug, many):
    read = []

    def record(block):
        read.append(len(block))
        return block

    X = da.from_array(many, chunks=(10, 2, 30))
    embedding = transform(mug, X.map_blocks(record, meta=X._meta))
    assert read == []
    sequential(embedding[:15])
    assert read == [10, 10]


def test_a_later_fit_changes_nothing(many):
    mug = small_mug().fit(many)
    expected = mug.transform(many)
    embedding = transform(mug, da.from_array(many, chunks=(20, 2, 30)))
    mug.set_params(random_state=1).fit(many)
    assert_allclose(sequential(embedding), expected, atol=1e-6)


def test_the_model_is_in_one_task(mug, many):
    embedding = transform(mug, da.from_array(many, chunks=(2, 2, 30)))
    size = len(cloudpickle.dumps(mug))
    for array in (embedding, *dask.optimize(embedding)):
        tasks = dict(array.__dask_graph__())
        sizes = {key: len(cloudpickle.dumps(task)) for key, task in tasks.items()}
        holding = [key for key in tasks if sizes[key] > size / 2]
        assert len(holding) == 1
        assert holding[0].startswith("model-")
        assert sum(sizes.values()) - sizes[holding[0]] < size


def test_the_model_travels_once(client, many):
    mug = small_mug(random_state=1).fit(many)
    embedding = transform(mug, da.from_array(many, chunks=(2, 2, 30)))
    (model,) = (key for key in embedding.__dask_graph__() if "model-" in key)
    with get_task_stream(client) as stream:
        embedding.compute()
    assert [task["key"] for task in stream.data].count(model) == 1
    fetched = client.run(
        lambda dask_worker: [
            key for log in dask_worker.transfer_incoming_log for key in log["keys"]
        ]
    )
    n_fetched = sum(keys.count(model) for keys in fetched.values())
    # The worker that made it has it already.
    n_workers = len({task["worker"] for task in stream.data})
    assert n_workers - 1 <= n_fetched <= 1


def test_one_model_has_one_name(mug, many):
    X = da.from_array(many, chunks=(10, 2, 30))
    assert transform(mug, X).name == transform(mug, X).name
    other = small_mug(random_state=1).fit(many)
    assert transform(mug, X).name != transform(other, X).name


def test_embeddings_of_several_arrays_can_be_joined(mug, many):
    X = da.from_array(many, chunks=(10, 2, 30))
    joined = da.concatenate([transform(mug, X), transform(mug, X[::-1])])
    expected = mug.transform(np.concatenate([many, many[::-1]]))
    assert_allclose(sequential(joined), expected, atol=1e-6)


def test_any_transformer(many):
    table = many[:, 0]
    pipeline = make_pipeline(StandardScaler(), PCA(3)).fit(table)
    expected = pipeline.transform(table)
    pipeline[-1].set_output(transform="pandas")
    embedding = sequential(transform(pipeline, da.from_array(table, chunks=(10, 30))))
    assert embedding.dtype == np.float32
    assert_allclose(embedding, expected, atol=1e-6)


def test_logarithms_and_ratios_are_no_obstacle(many):
    table = np.exp(many[:, 0] / 10)

    def standardised(X):
        log = np.log(X)
        centred = log - log.mean(axis=1, keepdims=True)
        return centred / log.std(axis=1, keepdims=True)

    pipeline = make_pipeline(FunctionTransformer(standardised), PCA(3)).fit(table)
    embedding = transform(pipeline, da.from_array(table, chunks=(10, 30)))
    assert_allclose(sequential(embedding), pipeline.transform(table), atol=1e-5)


def test_whole_numbers(table_mug):
    table = np.arange(120).reshape(4, 30) % 7
    embedding = transform(table_mug, da.from_array(table, chunks=(2, 30)))
    assert_allclose(sequential(embedding), table_mug.transform(table), atol=1e-6)


def test_whole_numbers_stay_whole():
    table = np.arange(120).reshape(4, 30) % 7
    embedding = transform(
        FunctionTransformer(parity), da.from_array(table, chunks=(2, 30))
    )
    assert_array_equal(sequential(embedding), table % 2)


def test_a_block_takes_one_thread():
    with torch_threads(2):
        embedding = transform(
            FunctionTransformer(count_threads), da.zeros((4, 30), chunks=(2, 30))
        )
        assert (sequential(embedding) == 1).all()
        assert torch.get_num_threads() == 2


def test_unfitted(many):
    X = da.from_array(many, chunks=(10, 2, 30))
    with pytest.raises(NotFittedError):
        transform(small_mug(), X)
    with pytest.raises(NotFittedError):
        transform(make_pipeline(StandardScaler(), small_mug()), X)
    with pytest.raises(NotFittedError):
        transform(Centring(), X)


def test_no_transformer(many):
    X = da.from_array(many[:, 0], chunks=(10, 30))
    with pytest.raises(TypeError, match="SVC has no method transform"):
        transform(SVC().fit(many[:, 0], np.arange(40) % 2), X)


def test_no_dask_array(mug, many):
    with pytest.raises(TypeError, match=r"X is a ndarray; .*from_array"):
        transform(mug, many)


@pytest.mark.parametrize("shape", [(40,), (4, 2, 3, 5)])
def test_wrong_number_of_axes(mug, shape):
    with pytest.raises(ValueError, match=r"expected \(n_series, n_timepoints\) or"):
        transform(mug, da.zeros(shape))


def test_unknown_length(table_mug, many):
    X = da.from_array(many[:, 0].T, chunks=(30, 10))
    with pytest.raises(ValueError, match="only n_series may be unknown"):
        transform(table_mug, X[X[:, 0] > 0].T)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_wrong_width_is_found_at_once(mug, table_mug, many):
    named_mug = small_mug(max_epochs=0).fit(pd.DataFrame(many[:, 0]).add_prefix("t"))
    for fitted in (table_mug, named_mug):
        with pytest.raises(ValueError, match="30 features"):
            transform(fitted, da.zeros((40, 29), chunks=(10, 29)))
    with pytest.raises(ValueError, match="X has 3 channels"):
        transform(mug, da.zeros((40, 3, 30), chunks=(10, 3, 30)))


def test_output_that_is_no_embedding(many):
    X = da.from_array(many, chunks=(10, 2, 30))
    with pytest.raises(ValueError, match=r"shape \(1, 2, 30\); expected"):
        transform(FunctionTransformer(), X)
    with pytest.raises(ValueError, match=r"shape \(2, 30\); expected \(1, n_feat"):
        transform(FunctionTransformer(np.concatenate), X)


def test_without_dask(mug, many, monkeypatch):
    X = da.from_array(many, chunks=(10, 2, 30))
    monkeypatch.setitem(sys.modules, "dask", None)  # as if it were not installed
    with pytest.raises(ImportError, match=r'pip install "mug_sklearn\[distributed\]"'):
        transform(mug, X)


def test_grid_search_on_a_cluster(client, panel):
    y = np.repeat(["slow", "fast"], 6)
    search = GridSearchCV(
        Pipeline([("mug", small_mug()), ("svc", SVC())]),
        {"mug__granularity": ["multi", "fine"], "svc__C": [0.01, 10]},
        cv=2,
    )
    here = search.fit(panel, y).cv_results_
    with parallel_config(backend="dask"), get_task_stream(client) as stream:
        there = search.fit(panel, y).cv_results_
    assert stream.data
    for score in ("split0_test_score", "split1_test_score"):
        assert_array_equal(there[score], here[score])
    assert len(set(here["mean_test_score"])) > 1


def test_benchmark_on_a_cluster(client, tmp_path):
    rng = np.random.default_rng(0)
    y = np.array(["u", "v"] * 10)
    X = rng.normal(size=(40, 1, 20)) + 0.5 * (np.tile(y, 2) == "u")[:, None, None]
    arrays = {"X_train": X[:20], "y_train": y, "X_test": X[20:], "y_test": y}
    np.savez(tmp_path / "A.npz", **arrays)
    datasets, methods = {"A": tmp_path / "A.npz"}, {"small": Method(with_seed)}
    key = ["dataset", "resample", "seed", "classifier"]

    def accuracies(name, n_jobs):
        output = tmp_path / name
        failed = run_benchmark(
            datasets,
            methods,
            output,
            seeds=2,
            classifiers=["svc", "ridge"],
            resamples=1,
            n_jobs=n_jobs,
            verbose=False,
        )
        assert failed == 0
        return load_results(output).set_index(key)["accuracy"].sort_index()

    here = accuracies("here.csv", 1)
    with parallel_config(backend="dask"), get_task_stream(client) as stream:
        there = accuracies("there.csv", -1)
    assert stream.data
    assert len(here) == 8
    assert there.equals(here)


def test_a_killed_worker_loses_nothing(client, table_mug, many, tmp_path):
    table = many[:, 0]
    step = FunctionTransformer(
        kill_once, kw_args={"where": table[21, 0], "marker": tmp_path / "killed"}
    )
    killing = make_pipeline(step, table_mug)
    before = set(client.run(os.getpid).values())
    embedding = transform(killing, da.from_array(table, chunks=(2, 30))).compute()
    assert (tmp_path / "killed").exists()
    client.wait_for_workers(2)
    assert len(before & set(client.run(os.getpid).values())) == 1
    assert_allclose(embedding, table_mug.transform(table), atol=1e-6)
