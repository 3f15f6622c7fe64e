"""The runner: what is written, what is run again, and what fails."""

import codecs
import multiprocessing
import os
import platform
import re
import sys
import warnings
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numba
import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC
from threadpoolctl import threadpool_info, threadpool_limits

from mug_sklearn.benchmark import METHODS as ALL_METHODS
from mug_sklearn.benchmark import Method, load_results, memory, run_benchmark, runner
from mug_sklearn.benchmark.protocol import CLASSIFIERS
from mug_sklearn.benchmark.report_reading import RESULT_COLUMNS
from mug_sklearn.benchmark.resampling import resample_split
from mug_sklearn.datasets import Dataset, load_dataset

from ..conftest import small_mug, torch_threads


def small(seed):
    return small_mug(random_state=seed)


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
    numba.set_num_threads(1)
    return small(seed)


class ThreadCounter(FunctionTransformer):
    """Makes embeddings as wide as torch and numba have threads."""

    def transform(self, X):
        return np.ones((len(X), torch.get_num_threads() + numba.get_num_threads()))


class OneChannel(FunctionTransformer):
    """Takes no series of several channels."""

    def transform(self, X):
        if X.shape[1] > 1:
            raise ValueError("several channels")
        return X[:, 0]


class Hungry(FunctionTransformer):
    """Needs 400 MB for a moment."""

    def transform(self, X):
        return np.ones(50_000_000)[: len(X), None]


class Witness:
    """Notes what it is given, and predicts one class. Each call takes its time."""

    def __init__(self, name, notes, clock=None):
        self.name, self.notes, self.clock = name, notes, clock or SimpleNamespace(now=0)

    def note(self, call, seconds, X, y=None):
        self.clock.now += seconds
        numbers = X.reshape(len(X), -1)[:, 0].tolist()
        self.notes.append((self.name, call, numbers, None if y is None else list(y)))

    def fit(self, X, y=None):
        self.note("fit", 1, X, y)
        return self

    def transform(self, X):
        self.note("transform", 10, X)
        return X[:, 0]

    def predict(self, X):
        self.note("predict", 100, X)
        return np.full(len(X), "a")


METHODS = {"small": Method(small)}
HEADER = ",".join(RESULT_COLUMNS) + "\n"


@pytest.fixture
def numbered(tmp_path):
    """A data set of which each series is full of its own number."""
    X, y = np.arange(30.0)[:, None, None] * np.ones((1, 5)), np.array([*"aab"] * 10)
    parts = {"X_train": X[:18], "y_train": y[:18], "X_test": X[18:], "y_test": y[18:]}
    np.savez(tmp_path / "numbered.npz", **parts)
    return {"numbered": tmp_path / "numbered.npz"}


def run(datasets, output, methods=METHODS, **settings):
    settings = {"seeds": 2, "classifiers": ["svc"], "verbose": False} | settings
    return run_benchmark(datasets, methods, output, **settings)


def run_together(barrier, *arguments):
    barrier.wait()
    run(*arguments)


def test_every_pair_has_its_rows(datasets, tmp_path, monkeypatch):
    packages = ("mug_sklearn", "torch", "scikit-learn", "aeon", "numpy")
    monkeypatch.setattr(runner, "_PACKAGES", ("not-installed", *runner._PACKAGES))
    output = tmp_path / "new" / "results.csv"
    assert run(datasets, output, classifiers=["svc", "ridge"]) == 0
    results = load_results(output)
    assert len(results) == 2 * 2 * 2
    # The larger data set comes first.
    assert results["dataset"].tolist() == [*"BBBBAAAA"]
    assert results["seed"].tolist() == [*"00110011"]
    assert (results["accuracy"] > 0.9).all()
    assert (results["embedding_width"] == 8).all()
    assert (results["n_train"] == 20).all()
    for column in ("fit_seconds", "transform_seconds", "peak_memory_mb"):
        assert (results[column] > 0).all()
    found = ";".join(f"{package}={version(package)}" for package in packages)
    assert set(results["versions"]) == {found}
    computer = f"; {os.cpu_count()} cores; {platform.system()}"
    assert results["machine"].str.endswith(computer).all()
    assert not results["machine"].str.contains("model name").any()
    times = results["finished"].map(datetime.fromisoformat)
    assert (datetime.now(UTC) - times < timedelta(minutes=5)).all()


def test_test_series_count_for_which_data_set_is_larger(tmp_path):
    for name, n_train, n_test in (("A", 8, 4), ("B", 6, 20)):
        parts = {"train": n_train, "test": n_test}
        arrays = {f"X_{part}": np.ones((n, 5)) for part, n in parts.items()}
        arrays |= {f"y_{part}": np.arange(n) % 2 for part, n in parts.items()}
        np.savez(tmp_path / name, **arrays)
    sources = {name: tmp_path / f"{name}.npz" for name in "AB"}
    run(sources, tmp_path / "r.csv", ["raw"])
    assert load_results(tmp_path / "r.csv")["dataset"].tolist() == ["B", "A"]


@pytest.mark.parametrize("kind", [Path, lambda name: next(os.scandir())])
def test_a_path_of_any_kind_is_no_bundled_name(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    Path("UnitTest").mkdir()
    header = "@problemName x\n@timeStamps false\n@univariate true\n"
    series = "@classLabel true a b\n@data\n" + "1,2,3:a\n3,1,2:b\n" * 2
    for part in ("TRAIN", "TEST"):
        path = Path("UnitTest", f"UnitTest_{part}.ts")
        path.write_text(header + series)
    methods = {"raw": ALL_METHODS["raw"]}
    assert run({"UnitTest": kind("UnitTest")}, tmp_path / "r.csv", methods) == 0
    assert load_results(tmp_path / "r.csv")["n_train"].tolist() == [4]


def test_accuracy_is_the_pipelines(tmp_path):
    run({"UnitTest": "UnitTest"}, tmp_path / "r.csv", resamples=1)
    results = load_results(tmp_path / "r.csv").set_index(["resample", "seed"])
    assert results["accuracy"].nunique() > 2
    assert (results["n_test"] == 22).all()
    for resample, seed in results.index:
        data = resample_split(load_dataset("UnitTest"), int(resample))
        model = make_pipeline(small(int(seed)), SVC()).fit(data.X_train, data.y_train)
        expected = model.score(data.X_test, data.y_test)
        found = results.loc[(resample, seed), "accuracy"]
        assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("is_classifier", [False, True])
def test_test_series_are_for_predictions_alone(
    numbered, tmp_path, monkeypatch, is_classifier
):
    notes = []
    monkeypatch.setitem(CLASSIFIERS, "svc", lambda: Witness("svc", notes))
    method = Method(lambda seed: Witness(seed, notes), is_classifier=is_classifier)
    run(numbered, tmp_path / "r.csv", {"witness": method}, resamples=2)
    expected = []
    for resample in (0, 1, 2):
        data = resample_split(load_dataset(numbered["numbered"]), resample)
        train, test = (X[:, 0, 0].tolist() for X in (data.X_train, data.X_test))
        y = data.y_train.tolist()
        for seed in (0, 1):
            if is_classifier:
                expected += [(seed, "fit", train, y), (seed, "predict", test, None)]
                continue
            expected += [(seed, "fit", train, None)]
            expected += [(seed, "transform", X, None) for X in (train, test)]
            expected += [("svc", "fit", train, y), ("svc", "predict", test, None)]
    assert notes == expected


@pytest.mark.parametrize("is_classifier", [False, True])
def test_times_and_scores_are_what_their_names_say(
    numbered, tmp_path, monkeypatch, is_classifier
):
    clock = SimpleNamespace(now=0)
    monkeypatch.setattr(runner, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    for name in ("svc", "ridge"):
        monkeypatch.setitem(CLASSIFIERS, name, lambda: Witness("", [], clock))

    def make(seed):
        clock.now += 1000  # for imports, which are not timed
        return Witness("", [], clock)

    method = Method(make, is_classifier=is_classifier)
    run(numbered, tmp_path / "r.csv", {"w": method}, classifiers=["svc", "ridge"])
    results = load_results(tmp_path / "r.csv")
    assert (results["fit_seconds"] == 1).all()
    if is_classifier:
        assert (results["classifier_seconds"] == 100).all()
    else:
        assert (results["transform_seconds"] == 20).all()
        assert (results["classifier_seconds"] == 101).all()
    assert (results["n_train"] == 18).all()
    assert (results["n_test"] == 12).all()
    # Of the test series, two in three are of the class that is always predicted.
    assert results["accuracy"].to_numpy() == pytest.approx(2 / 3)
    assert (results["balanced_accuracy"] == 0.5).all()


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


def test_a_rerun_does_only_what_is_left(datasets, one_set, tmp_path):
    output = tmp_path / "r.csv"
    run(one_set, output)
    before = output.read_bytes()
    run(one_set, output)
    assert output.read_bytes() == before
    run(datasets, output, seeds=3)
    assert output.read_bytes().startswith(before)
    assert len(load_results(output)) == 6


def test_a_rerun_adds_splits_and_classifiers_asked_for_now(one_set, tmp_path):
    output = tmp_path / "r.csv"
    run(one_set, output)
    for _ in range(2):
        run(one_set, output, resamples=1, classifiers=["svc", "ridge", "ridge"])
    lines = [line.split(",")[:5] for line in output.read_text().splitlines()[1:]]
    assert sorted(lines) == [
        ["A", resample, "small", seed, classifier]
        for resample in "01"
        for seed in "01"
        for classifier in ("ridge", "svc")
    ]


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


def test_a_torn_line_is_run_again(one_set, tmp_path):
    output = tmp_path / "r.csv"
    run(one_set, output)
    whole = output.read_text()
    output.write_text(whole[: whole.rfind(",") - 5])
    run(one_set, output)
    results = load_results(output)
    assert len(results) == 2
    assert output.read_text().startswith(whole[: whole[:-1].rfind("\n") + 1])


def test_a_last_row_that_lacks_only_its_end_is_kept(one_set, tmp_path):
    output = tmp_path / "r.csv"
    run(one_set, output)
    whole = output.read_text()
    output.write_text(whole[:-1])
    run(one_set, output, {"raw": ALL_METHODS["raw"]})
    assert output.read_text().startswith(whole)
    output.write_text(whole[:-1] + ',"AMD')
    run(one_set, output)
    assert len(load_results(output)) == 2
    output.write_text(whole[: whole.rfind(",")] + ',"AMD')
    run(one_set, output)
    assert load_results(output)["machine"].str.count("cores").tolist() == [1, 1]


def test_a_last_row_with_a_field_too_many_is_refused_and_kept(one_set, tmp_path):
    output = tmp_path / "r.csv"
    run(one_set, output)
    longer = output.read_text().rstrip() + ",a note"
    output.write_text(longer)
    n_columns = len(RESULT_COLUMNS)
    with pytest.raises(ValueError, match=f"{n_columns + 1} fields in line 3, but"):
        run(one_set, output)
    assert output.read_text().rstrip() == longer


def test_what_is_no_table_is_refused_as_such(one_set, tmp_path):
    output = tmp_path / "r.csv"
    flat = FunctionTransformer(lambda X: X.mean(axis=(1, 2)))
    assert run(one_set, output, {"flat": Method(lambda seed: flat)}, seeds=1) == 1
    (error,) = set(load_results(output)["error"])
    assert re.search(
        r"flat makes arrays of shapes \(\d+,\) .* n_features\) is exp", error
    )


def test_tables_of_unlike_widths_are_refused_as_such(numbered, tmp_path):
    output = tmp_path / "r.csv"
    square = FunctionTransformer(lambda X: np.ones((len(X), len(X))))
    methods = {"square": Method(lambda seed: square)}
    assert run(numbered, output, methods, seeds=1) == 1
    (error,) = load_results(output)["error"]
    assert "square makes arrays of shapes (18, 18) and (12, 12) of" in error


def test_a_failure_is_recorded_and_tried_again(one_set, tmp_path):
    output = tmp_path / "r.csv"
    methods = METHODS | {"other": Method(partial(broken, message="no\nluck"))}
    assert run(one_set, output, methods, seeds=1) == 1
    results = load_results(output).set_index("method")
    assert results.loc["other", "error"] == "RuntimeError: no luck"
    assert results.loc["small", "error"] == ""
    assert run(one_set, output, {"other": METHODS["small"]}, seeds=1) == 0
    assert (load_results(output)["error"] == "").all()


def test_failures_are_listed_in_the_end(datasets, tmp_path, capsys):
    methods = {"other": Method(partial(broken, message="no luck"))} | METHODS
    # The second run does again what failed.
    for progress in ("4/4", "2/2"):
        assert run(datasets, tmp_path / "r.csv", methods, seeds=1, verbose=True) == 2
        told = capsys.readouterr().err
        assert progress in told
        listed = [line for line in told.splitlines() if "RuntimeError" in line]
        assert sorted(listed) == [
            f"{name}, resample 0, other, seed 0: RuntimeError: no luck" for name in "AB"
        ]


def test_every_classifier_of_a_failed_fit_has_its_row(one_set, tmp_path):
    output = tmp_path / "r.csv"
    methods = {"other": Method(partial(broken, message="no luck"))}
    classifiers = ["svc", "ridge"]
    assert run(one_set, output, methods, seeds=1, classifiers=classifiers) == 1
    results = load_results(output)
    assert list(results["classifier"]) == classifiers
    assert (results["error"] == "RuntimeError: no luck").all()
    assert (results["n_train"] == 20).all()


def test_a_classifier_that_fails_keeps_no_other_one_from_its_row(
    one_set, tmp_path, monkeypatch
):
    monkeypatch.setitem(CLASSIFIERS, "svc", lambda: SVC(C=-1.0))
    output = tmp_path / "r.csv"
    methods = {"raw": ALL_METHODS["raw"]}
    classifiers = ["svc", "ridge"]
    assert run(one_set, output, methods, classifiers=classifiers) == 1
    rows = load_results(output).set_index("classifier")
    assert "'C' parameter" in rows.loc["svc", "error"]
    assert rows.loc["ridge", "error"] == ""
    assert rows.loc["ridge", "accuracy"] > 0.9
    monkeypatch.setitem(CLASSIFIERS, "svc", SVC)
    assert run(one_set, output, methods, classifiers=classifiers) == 0
    assert (load_results(output)["error"] == "").all()


@pytest.mark.parametrize(
    ("method", "message"),
    [(quitting, "SystemExit: 3"), (dying, "TerminatedWorkerError: A worker process")],
)
def test_a_method_that_ends_its_process_stops_nothing_else(
    datasets, tmp_path, method, message
):
    output = tmp_path / "r.csv"
    others = [f"raw {i}" for i in range(6)]  # of which some run at the same time
    methods = {"ending": Method(method, is_random=False)}
    methods |= dict.fromkeys(others, ALL_METHODS["raw"])
    assert run(datasets, output, methods, n_jobs=2) == 2
    results = load_results(output).set_index(["method", "dataset"])
    assert len(results) == 14
    assert results.loc["ending", "error"].str.startswith(message).all()
    assert (results.loc[others, "error"] == "").all()
    assert results.loc[others, "peak_memory_mb"].notna().all()
    assert results.loc["ending", "peak_memory_mb"].isna().all() == (method is dying)


@pytest.mark.parametrize(
    ("message", "found"),
    [("v" * 200_000, "v" * 986 + "…"), ("no file \udcff", r"no file \udcff")],
)
def test_no_message_makes_the_file_unreadable(one_set, tmp_path, message, found):
    output = tmp_path / "r.csv"
    methods = METHODS | {"other": Method(partial(broken, message=message))}
    for _ in range(2):
        assert run(one_set, output, methods, seeds=1) == 1
    error = load_results(output).set_index("method").loc["other", "error"]
    assert error == f"RuntimeError: {found}"


def test_runs_may_share_a_file(datasets, tmp_path):
    output = tmp_path / "r.csv"
    context = multiprocessing.get_context("spawn")
    raw = {"raw": ALL_METHODS["raw"]}
    # This process is one of the two, and begins when the other one is ready.
    barrier = context.Barrier(2, timeout=300)
    arguments = ({"A": datasets["A"]}, output, raw)
    process = context.Process(target=run_together, args=(barrier, *arguments))
    process.start()
    run_together(barrier, {"B": datasets["B"]}, output, raw)
    process.join()
    assert process.exitcode == 0
    assert output.read_text().count("dataset,") == 1
    assert sorted(load_results(output)["dataset"]) == ["A", "B"]


def test_a_header_cut_off_is_completed(one_set, tmp_path):
    output = tmp_path / "r.csv"
    output.write_text(",".join(RESULT_COLUMNS))
    assert run(one_set, output) == 0
    assert len(load_results(output)) == 2


def test_an_interrupt_leaves_a_file_to_go_on_from(one_set, tmp_path):
    output = tmp_path / "r.csv"
    with pytest.raises(KeyboardInterrupt):
        run(one_set, output, METHODS | {"stop": Method(interrupted)}, seeds=1)
    before = output.read_bytes()
    assert len(load_results(output)) == 1
    assert run(one_set, output, seeds=1) == 0
    assert output.read_bytes() == before


def test_a_method_that_sets_threads_sets_them_only_for_itself(one_set, tmp_path):
    n_threads_of_numba = numba.get_num_threads()
    with torch_threads(2):
        methods = {"selfish": Method(selfish, needs_aeon=True)}
        run(one_set, tmp_path / "r.csv", methods, seeds=1)
        assert torch.get_num_threads() == 2
    assert numba.get_num_threads() == n_threads_of_numba


def test_several_jobs_compute_on_one_thread_each(one_set, tmp_path):
    methods = {"counter": Method(lambda seed: ThreadCounter())}
    all_threads = 3 + numba.get_num_threads()
    with torch_threads(3), parallel_config(backend="threading"):
        for n_jobs, expected in ((1, all_threads), (2, 2), (-1, 2)):
            run(one_set, tmp_path / f"{n_jobs}.csv", methods, n_jobs=n_jobs)
            widths = load_results(tmp_path / f"{n_jobs}.csv")["embedding_width"]
            assert (widths == expected).all()


def test_each_of_several_processes_multiplies_matrices_on_one_thread():
    # Not in threads of a process, where OpenBLAS takes no limit.
    with threadpool_limits(3):
        for keep, expected in ((True, 3), (False, 1), (True, 3)):
            with runner._threads(keep):
                pools = threadpool_info()
            found = {p["num_threads"] for p in pools if p["user_api"] == "blas"}
            assert found <= {expected}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux resets the peak")
def test_the_peak_of_memory_is_that_of_the_fit(one_set, tmp_path):
    methods = {"hungry": Method(lambda seed: Hungry(), is_random=False)} | METHODS
    run(one_set, tmp_path / "r.csv", methods, seeds=1)
    peak = load_results(tmp_path / "r.csv").set_index("method")["peak_memory_mb"]
    assert 200 < peak["hungry"] - peak["small"] < 800


def test_a_process_whose_name_ends_within_a_character_has_a_peak(tmp_path, monkeypatch):
    (tmp_path / "status").write_bytes(b"Name:\tpr\xc3\nVmHWM:\t  2048 kB\n")
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "status")
    assert memory.peak_memory_mb() == 2


@pytest.mark.skipif(sys.platform != "linux", reason="compares with Linux's own file")
def test_without_a_status_file_the_peak_is_in_megabytes_too(tmp_path, monkeypatch):
    expected = memory.peak_memory_mb()
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "nothing")
    # It may have been reached before the last reset.
    assert 0.9 * expected < memory.peak_memory_mb() < 1e6


def test_a_program_without_a_console_shows_no_progress(one_set, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert run(one_set, tmp_path / "r.csv", seeds=1, verbose=True) == 0


def test_sources_are_those_of_the_folder_at_the_call(datasets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()

    def moving(seed):  # a worker of joblib may be in another folder from the first
        os.chdir(tmp_path / "elsewhere")
        return small(seed)

    sources = {"A": os.path.relpath(datasets["A"])}
    assert run(sources, tmp_path / "r.csv", {"moving": Method(moving)}) == 0


def test_lines_are_written_under_the_lock(one_set, tmp_path, monkeypatch):
    output, lock, written = tmp_path / "r.csv", runner._lock, []

    @contextmanager
    def watched(path):
        with lock(path):
            before = path.read_bytes() if path.exists() else b""
            yield
            written.append(path.read_bytes().removeprefix(before))

    monkeypatch.setattr(runner, "_lock", watched)
    run(one_set, output)
    assert b"".join(written) == output.read_bytes()
    assert lock(output).lock_file == str(tmp_path / ".r.csv.lock")


@pytest.mark.usefixtures("without_aeon")
def test_methods_of_ones_own_may_need_aeon(datasets, tmp_path):
    methods = {"mine": Method(small, needs_aeon=True)}
    with pytest.raises(ImportError, match=r'mine: pip install "mug_sklearn\[bench'):
        run(datasets, tmp_path / "r.csv", methods)
    assert not (tmp_path / "r.csv").exists()


def test_what_needs_aeon_is_compiled_once_before_it_is_timed(numbered, tmp_path):
    notes = []
    method = Method(lambda seed: Witness(seed, notes), needs_aeon=True)
    run(numbered, tmp_path / "r.csv", {"witness": method})
    assert [(call, len(numbers)) for _, call, numbers, _ in notes] == [
        *[("fit", 4), ("transform", 4)] * 2,
        *[("fit", 18), ("transform", 18), ("transform", 12)] * 2,
    ]


def test_methods_that_need_aeon_may_take_one_channel_alone(one_set, tmp_path):
    methods = {"mine": Method(lambda seed: OneChannel(), needs_aeon=True)}
    assert run(one_set, tmp_path / "r.csv", methods, seeds=1) == 0


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
        ({"datasets": {}}, "1 methods and 0 data sets"),
        ({"datasets": {"C": "nowhere"}}, "nowhere"),
    ],
)
def test_wrong_arguments_stop_before_any_work(datasets, tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        run(**{"datasets": datasets, "output": tmp_path / "r.csv", **changed})
    assert not (tmp_path / "r.csv").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("something else\n", "does not hold results"),
        ("x" * 90 + "\udcff", f"it begins with '{'x' * 80}'"),
        (HEADER + "x" * 200_000 + "\n", "line 2: field larger than"),
        (HEADER + "A,0,raw\n" * 2, "has 3 fields in line 2, but 18 columns"),
    ],
    ids=["header", "no text", "long field", "short rows"],
)
def test_another_file_is_left_alone(datasets, tmp_path, content, message):
    output = tmp_path / "r.csv"
    before = content.encode(errors="surrogateescape")
    output.write_bytes(before)
    with pytest.raises(ValueError, match=message):
        run(datasets, output)
    assert output.read_bytes() == before


def test_a_line_that_another_run_left_torn_spoils_none(one_set, tmp_path):
    output = tmp_path / "r.csv"

    def tearing(seed):
        with output.open("a") as file:
            file.write("A,0,other,0,svc,0.")
        return small(seed)

    run(one_set, output, {"small": Method(tearing)}, seeds=1)
    assert load_results(output)["method"].tolist() == ["small"]


@pytest.mark.parametrize("outcome", [{}, {"accuracy": "0.5", "error": "OSError: "}])
def test_a_row_without_a_success_is_run_again(one_set, tmp_path, outcome):
    output = tmp_path / "r.csv"
    row = {"dataset": "A", "resample": "0", "method": "small", "seed": "0"}
    row |= {"classifier": "svc"} | outcome
    fields = [row.get(column, "") for column in RESULT_COLUMNS]
    output.write_text(HEADER + ",".join(fields) + "\n")
    run(one_set, output, seeds=1)
    assert load_results(output)["accuracy"].item() > 0.9


def test_results_that_a_spreadsheet_saved_are_gone_on_with(datasets, tmp_path):
    output = tmp_path / "r.csv"
    run(datasets, output)
    saved = codecs.BOM_UTF8 + output.read_bytes().replace(b"\n", b"\r\n")
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


def test_resamples_take_series_of_unequal_length():
    X, y = [np.full((1, 3 + i % 4), i) for i in range(12)], np.array([*"ab"] * 6)
    again = resample_split(Dataset("x", X[:6], y[:6], X[6:], y[6:]), 1)
    numbers = []
    for part in (again.X_train, again.X_test):
        for one in part:
            numbers.append(one[0, 0])
            np.testing.assert_array_equal(one, X[one[0, 0]])
    assert sorted(numbers) == list(range(12))


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
