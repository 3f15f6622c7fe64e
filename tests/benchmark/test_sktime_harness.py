"""The harness of sktime gives what the benchmark gives."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sktime.benchmarking.classification import ClassificationBenchmark

from mug_sklearn.adapters.sktime import PanelClassifierAdapter
from mug_sklearn.benchmark import Method, load_results, run_benchmark
from mug_sklearn.benchmark.sktime_harness import archive_task
from mug_sklearn.datasets import load_dataset

from ..conftest import small_mug


def small(seed):
    return small_mug(random_state=seed)


def unequal_dataset():
    """Classes in no order, unequal lengths, gaps and two channels."""
    data = load_dataset("UnitTest")
    rng = np.random.default_rng(0)

    def part(X):
        series = []
        for one in X:
            both = np.concatenate((one, rng.normal(size=one.shape)))
            both[0, rng.integers(1, 5)] = np.nan
            series.append(both[:, : rng.integers(10, 25)])
        return series

    rows = rng.permutation(len(data.y_train))
    return replace(
        data,
        X_train=part([data.X_train[row] for row in rows]),
        y_train=data.y_train[rows],
        X_test=part(data.X_test),
    )


def harness_accuracy(data, folder):
    X, y, splits = archive_task(data)
    benchmark = ClassificationBenchmark()
    model = PanelClassifierAdapter(make_pipeline(small(0), SVC()))
    benchmark.add_estimator(model, estimator_id="small")
    benchmark.add_task((X, y), splits, [accuracy_score], task_id="task")
    table = benchmark.run(output_file=str(folder / "harness.csv"))
    return table["accuracy_score_fold_0_test"].item()


@pytest.mark.filterwarnings("ignore")
def test_the_harness_gives_the_benchmarks_accuracy(tmp_path):
    run_benchmark(
        {"UnitTest": "UnitTest"},
        {"small": Method(small)},
        tmp_path / "r.csv",
        seeds=1,
        classifiers=["svc"],
        verbose=False,
    )
    expected = load_results(tmp_path / "r.csv")["accuracy"].item()
    actual = harness_accuracy(load_dataset("UnitTest"), tmp_path)
    assert actual == pytest.approx(expected, abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_series_of_unequal_length(tmp_path):
    data = unequal_dataset()
    model = make_pipeline(small(0), SVC()).fit(data.X_train, data.y_train)
    expected = model.score(data.X_test, data.y_test)
    assert harness_accuracy(data, tmp_path) == pytest.approx(expected)
