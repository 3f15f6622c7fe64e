"""The runner: what is written, what is run again, and what fails."""

import codecs
import multiprocessing
import os
import re
import sys
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from mug_sklearn import MUGTransformer
from mug_sklearn.benchmark import METHODS as ALL_METHODS
from mug_sklearn.benchmark import Method, load_results, run_benchmark
from mug_sklearn.benchmark.protocol import CLASSIFIERS
from mug_sklearn.benchmark.report_reading import RESULT_COLUMNS
from mug_sklearn.benchmark.resampling import resample_split
from mug_sklearn.datasets import Dataset, load_dataset

from ..conftest import torch_threads

SMALL = {
    "max_epochs": 1,
    "n_random_shapelets": 8,
    "n_shapelets": 3,
    "embedding_dim": 8,
    "d_model": 8,
}


def small(seed):
    return MUGTransformer(random_state=seed, **SMALL)


def broken(seed, message):
    raise RuntimeError(message)


def interrupted(seed):
    raise KeyboardInterrupt


def quitting(seed):
    sys.exit(3)


def dying(seed):
    os._exit(1)


def selfish(seed):
    torch.set_num_threads(1)
    return small(seed)


METHODS = {"small": Method(small)}
HEADER = ",".join(RESULT_COLUMNS) + "\n"


def run(datasets, output, methods=METHODS, **settings):
    settings = {"seeds": 2, "classifiers": ["svc"], "verbose": False} | settings
    return run_benchmark(datasets, methods, output, **settings)


def test_every_pair_has_its_rows(datasets, tmp_path):
    output = tmp_path / "new" / "results.csv"
    assert run(datasets, output, classifiers=["svc", "ridge"]) == 0
    results = load_results(output)
    assert len(results) == 2 * 2 * 2
    assert set(results["dataset"]) == {"A", "B"}
    assert set(results["seed"]) == {"0", "1"}
    assert (results["accuracy"] > 0.9).all()
    assert (results["embedding_width"] == 8).all()
    assert (results["n_train"] == 20).all()
    for column in ("fit_seconds", "transform_seconds", "peak_memory_mb"):
        assert (results[column] > 0).all()
    assert results["versions"].str.contains("mug_sklearn=").all()


def test_accuracy_is_the_pipelines(datasets, tmp_path):
    run({"A": datasets["A"]}, tmp_path / "r.csv", resamples=1)
    results = load_results(tmp_path / "r.csv").set_index(["resample", "seed"])
    for resample in (0, 1):
        data = resample_split(load_dataset(datasets["A"]), resample)
        model = make_pipeline(small(1), SVC()).fit(data.X_train, data.y_train)
        expected = model.score(data.X_test, data.y_test)
        accuracy = results.loc[(str(resample), "1"), "accuracy"]
        assert accuracy == expected


def test_accuracies_are_whole_counts_of_series(tmp_path):
    # Rounded ones would add up to other means where the counts are equal.
    rng = np.random.default_rng(0)
    parts = {"train": 20, "test": 7}
    arrays = {f"X_{part}": rng.normal(size=(n, 30)) for part, n in parts.items()}
    arrays |= {f"y_{part}": np.arange(n) % 2 for part, n in parts.items()}
    np.savez(tmp_path / "x.npz", **arrays)
    run({"x": tmp_path / "x.npz"}, tmp_path / "r.csv", ["raw"])
    right = 7 * load_results(tmp_path / "r.csv")["accuracy"].item()
    assert 0 < right < 7
    assert right == pytest.approx(round(right), abs=1e-12)


def test_a_rerun_does_only_what_is_left(datasets, tmp_path):
    output = tmp_path / "r.csv"
    run({"A": datasets["A"]}, output)
    before = output.read_bytes()
    run({"A": datasets["A"]}, output)
    assert output.read_bytes() == before
    run(datasets, output, seeds=3)
    assert output.read_bytes().startswith(before)
    assert len(load_results(output)) == 6


def test_results_of_other_versions_are_told(datasets, tmp_path):
    output = tmp_path / "r.csv"
    run(datasets, output)
    content = re.sub(r"numpy=[^,;]+", "numpy=0.1", output.read_text(), count=1)
    output.write_text(content)
    with pytest.warns(UserWarning, match=r"other versions.*: [^:]*numpy=0\.1\. The"):
        run(datasets, output)
    assert output.read_text() == content
    # Those of other methods do not concern it.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(datasets, output, {"raw": ALL_METHODS["raw"]})


def test_a_torn_line_is_run_again(datasets, tmp_path):
    output = tmp_path / "r.csv"
    run({"A": datasets["A"]}, output)
    whole = output.read_text()
    output.write_text(whole[:-30])
    run({"A": datasets["A"]}, output)
    results = load_results(output)
    assert len(results) == 2
    assert output.read_text().startswith(whole[: whole[:-1].rfind("\n") + 1])


def test_a_failure_is_recorded_and_tried_again(datasets, tmp_path):
    output = tmp_path / "r.csv"
    methods = METHODS | {"other": Method(partial(broken, message="no\nluck"))}
    assert run({"A": datasets["A"]}, output, methods, seeds=1) == 1
    results = load_results(output).set_index("method")
    assert results.loc["other", "error"] == "RuntimeError: no luck"
    assert results.loc["small", "error"] == ""
    assert run({"A": datasets["A"]}, output, {"other": METHODS["small"]}, seeds=1) == 0
    assert (load_results(output)["error"] == "").all()


def test_failures_are_listed_in_the_end(datasets, tmp_path, capsys):
    methods = {"other": Method(partial(broken, message="no luck"))} | METHODS
    assert run(datasets, tmp_path / "r.csv", methods, seeds=1, verbose=True) == 2
    listed = [x for x in capsys.readouterr().err.splitlines() if "RuntimeError" in x]
    assert sorted(listed) == [
        f"{name}, resample 0, other, seed 0: RuntimeError: no luck" for name in "AB"
    ]


def test_every_classifier_of_a_failed_fit_has_its_row(datasets, tmp_path):
    output = tmp_path / "r.csv"
    methods = {"other": Method(partial(broken, message="no luck"))}
    sources, classifiers = {"A": datasets["A"]}, ["svc", "ridge"]
    assert run(sources, output, methods, seeds=1, classifiers=classifiers) == 1
    results = load_results(output)
    assert list(results["classifier"]) == classifiers
    assert (results["error"] == "RuntimeError: no luck").all()


def test_a_classifier_that_fails_keeps_no_other_one_from_its_row(
    datasets, tmp_path, monkeypatch
):
    monkeypatch.setitem(CLASSIFIERS, "svc", lambda: SVC(C=-1.0))
    output = tmp_path / "r.csv"
    methods = {"raw": ALL_METHODS["raw"]}
    classifiers = ["svc", "ridge"]
    sources = {"A": datasets["A"]}
    assert run(sources, output, methods, classifiers=classifiers) == 1
    rows = load_results(output).set_index("classifier")
    assert "'C' parameter" in rows.loc["svc", "error"]
    assert rows.loc["ridge", "error"] == ""
    assert rows.loc["ridge", "accuracy"] > 0.9
    monkeypatch.setitem(CLASSIFIERS, "svc", SVC)
    assert run(sources, output, methods, classifiers=classifiers) == 0
    assert (load_results(output)["error"] == "").all()


@pytest.mark.parametrize(
    ("method", "message"),
    [(quitting, "SystemExit: 3"), (dying, "TerminatedWorkerError: A worker process")],
)
def test_a_method_that_ends_its_process_stops_nothing_else(
    datasets, tmp_path, method, message
):
    output = tmp_path / "r.csv"
    methods = {"ending": Method(method, is_random=False), "raw": ALL_METHODS["raw"]}
    assert run(datasets, output, methods, n_jobs=2) == 2
    results = load_results(output).set_index(["method", "dataset"])
    assert len(results) == 4
    assert results.loc["ending", "error"].str.startswith(message).all()
    assert (results.loc["raw", "error"] == "").all()
    assert results.loc["raw", "peak_memory_mb"].notna().all()
    assert results.loc["ending", "peak_memory_mb"].isna().all() == (method is dying)


@pytest.mark.parametrize("message", ["v" * 200_000, "no file \udcff"])
def test_no_message_makes_the_file_unreadable(datasets, tmp_path, message):
    output = tmp_path / "r.csv"
    methods = METHODS | {"other": Method(partial(broken, message=message))}
    for _ in range(2):
        assert run({"A": datasets["A"]}, output, methods, seeds=1) == 1
    error = load_results(output).set_index("method").loc["other", "error"]
    assert error.startswith(f"RuntimeError: {message[:8]}")
    assert len(error) < 1100


def test_runs_may_share_a_file(datasets, tmp_path):
    output = tmp_path / "r.csv"
    context = multiprocessing.get_context("spawn")
    raw = {"raw": ALL_METHODS["raw"]}
    processes = [
        context.Process(target=run, args=({name: source}, output, raw))
        for name, source in datasets.items()
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert output.read_text().count("dataset,") == 1
    assert sorted(load_results(output)["dataset"]) == ["A", "B"]


def test_a_header_cut_off_is_completed(datasets, tmp_path):
    output = tmp_path / "r.csv"
    output.write_text(",".join(RESULT_COLUMNS))
    assert run({"A": datasets["A"]}, output) == 0
    assert len(load_results(output)) == 2


def test_an_interrupt_leaves_a_file_to_go_on_from(datasets, tmp_path):
    output = tmp_path / "r.csv"
    sources = {"A": datasets["A"]}
    with pytest.raises(KeyboardInterrupt):
        run(sources, output, METHODS | {"stop": Method(interrupted)}, seeds=1)
    before = output.read_bytes()
    assert len(load_results(output)) == 1
    assert run(sources, output, seeds=1) == 0
    assert output.read_bytes() == before


def test_a_method_that_sets_threads_sets_them_only_for_itself(datasets, tmp_path):
    with torch_threads(2):
        methods = {"selfish": Method(selfish)}
        run({"A": datasets["A"]}, tmp_path / "r.csv", methods, seeds=1)
        assert torch.get_num_threads() == 2


def test_methods_of_ones_own_may_need_aeon(datasets, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "aeon", None)  # as if it were not installed
    methods = {"mine": Method(small, needs_aeon=True)}
    with pytest.raises(ImportError, match=r'mine: pip install "mug_sklearn\[bench'):
        run(datasets, tmp_path / "r.csv", methods)
    assert not (tmp_path / "r.csv").exists()


def test_processes_change_no_result(datasets, tmp_path):
    run(datasets, tmp_path / "one.csv")
    run(datasets, tmp_path / "two.csv", n_jobs=2)
    key = ["dataset", "seed"]
    one, two = (
        load_results(tmp_path / name).set_index(key)["accuracy"].sort_index()
        for name in ("one.csv", "two.csv")
    )
    assert one.equals(two)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"methods": ["nope"]}, "unknown methods nope"),
        ({"classifiers": ["nope"]}, "there are svm"),
        ({"classifiers": []}, "there are svm"),
        ({"seeds": 0}, "seeds=0"),
        ({"resamples": -1}, "resamples=-1"),
        ({"n_jobs": 0}, "n_jobs=0"),
        ({"methods": {}}, "0 methods and 2 data sets"),
    ],
)
def test_wrong_arguments_stop_before_any_work(datasets, tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        run(datasets, tmp_path / "r.csv", **changed)
    assert not (tmp_path / "r.csv").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("something else\n", "does not hold results"),
        (HEADER + "x" * 200_000 + "\n", "line 2: field larger than"),
        (HEADER + "A,0,raw\n" * 2, "has 3 fields in line 2, but 18 columns"),
    ],
    ids=["header", "long field", "short rows"],
)
def test_another_file_is_left_alone(datasets, tmp_path, content, message):
    output = tmp_path / "r.csv"
    output.write_text(content)
    with pytest.raises(ValueError, match=message):
        run(datasets, output)
    assert output.read_text() == content


def test_a_line_that_another_run_left_torn_spoils_none(datasets, tmp_path):
    output = tmp_path / "r.csv"

    def tearing(seed):
        with output.open("a") as file:
            file.write("A,0,other,0,svc,0.")
        return small(seed)

    run({"A": datasets["A"]}, output, {"small": Method(tearing)}, seeds=1)
    assert load_results(output)["method"].tolist() == ["small"]


def test_a_row_without_an_outcome_is_run_again(datasets, tmp_path):
    output = tmp_path / "r.csv"
    row = ["A", "0", "small", "0", "svc", *[""] * (len(RESULT_COLUMNS) - 5)]
    output.write_text(HEADER + ",".join(row) + "\n")
    run({"A": datasets["A"]}, output, seeds=1)
    assert load_results(output)["accuracy"].item() > 0.9


def test_results_that_a_spreadsheet_saved_are_gone_on_with(datasets, tmp_path):
    output = tmp_path / "r.csv"
    run(datasets, output)
    saved = codecs.BOM_UTF8 + output.read_bytes()
    output.write_bytes(saved)
    run(datasets, output)
    assert output.read_bytes() == saved


def test_resamples_keep_each_series_with_its_label():
    # Each series is full of its own number.
    X, y = np.arange(30.0)[:, None, None] * np.ones((1, 5)), np.array([*"abc"] * 10)
    again = resample_split(Dataset("x", X[:18], y[:18], X[18:], y[18:]), 1)
    train, test = (part[:, 0, 0].astype(int) for part in (again.X_train, again.X_test))
    assert sorted([*train, *test]) == list(range(30))
    np.testing.assert_array_equal(again.y_train, y[train])
    np.testing.assert_array_equal(again.y_test, y[test])
    assert np.unique(again.y_train, return_counts=True)[1].tolist() == [6, 6, 6]


def test_resamples_keep_sizes_and_classes():
    data = load_dataset("UnitTest")
    again = resample_split(data, 1)
    assert sorted(again.y_train) != list(again.y_train)
    for part in ("y_train", "y_test"):
        old, new = getattr(data, part), getattr(again, part)
        assert len(old) == len(new)
        assert abs(np.sum(old == old[0]) - np.sum(new == old[0])) <= 1
    other = resample_split(data, 2)
    assert not np.array_equal(again.X_train, other.X_train)
