"""The benchmark on the command line."""

import inspect
import os
import re
import shutil
import socket
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from mug_sklearn.__main__ import main
from mug_sklearn._raw_values import raw_values
from mug_sklearn.benchmark import METHODS, load_results, run_benchmark
from mug_sklearn.benchmark.cli import _run_parser


@pytest.fixture
def output(tmp_path):
    return tmp_path / "results.csv"


@pytest.fixture
def connections(monkeypatch):
    """Addresses to which a connection was attempted; none is made."""
    attempted = []

    def refuse(*address, **settings):
        attempted.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return attempted


def elsewhere(seed, process):
    assert os.getpid() != process
    return raw_values()


def run(folder, output, *arguments):
    arguments = ["--data", folder, *arguments, "--output", output]
    return main(["benchmark", *map(str, arguments)])


def test_it_runs_and_reports(folder, output, capsys):
    arguments = ["--methods", "raw,mug-untrained", "--seeds", "1"]
    assert run(folder, output, *arguments, "--classifiers", "svc", "ridge") == 0
    results = load_results(output)
    assert len(results) == 8
    assert set(results["dataset"]) == {"A", "B"}
    assert set(results["classifier"]) == {"svc", "ridge"}
    capsys.readouterr()
    assert main(["benchmark", "report", str(output)]) == 0
    report = capsys.readouterr().out
    assert "mug-untrained" in report
    assert "| A " in report


def test_resamples_jobs_published_figures_and_pictures_arrive(
    folder, output, tmp_path, monkeypatch
):
    # Of two jobs, none is done in this process.
    raw = replace(METHODS["raw"], make=partial(elsewhere, process=os.getpid()))
    monkeypatch.setitem(METHODS, "raw", raw)
    arguments = ["--methods", "raw", "mug-untrained", "--seeds", "1"]
    arguments += ["--classifiers", "svc", "--resamples", "1", "--jobs", "2"]
    assert run(folder, output, *arguments) == 0
    assert set(load_results(output)["resample"]) == {"0", "1"}
    published, pictures = [tmp_path / "ucr.csv", tmp_path / "uea.csv"], tmp_path / "out"
    for path, method in zip(published, ("TNC", "TST"), strict=True):
        path.write_text(f"dataset,method,accuracy,source\nA,{method},0.5,paper\n")
    options = ["--published", *map(str, published), "--output", str(pictures)]
    assert main(["benchmark", "report", str(output), *options]) == 0
    report = (pictures / "report.md").read_text()
    assert "TNC (published)" in report
    assert "TST (published)" in report


def test_a_set_in_the_folder_goes_before_a_bundled_one(folder, output):
    (folder / "A.npz").rename(folder / "UnitTest.npz")
    assert run(folder, output, "--datasets", "UnitTest", "--methods", "raw") == 0
    assert set(load_results(output)["n_test"]) == {20}


def test_defaults_are_those_that_the_function_and_the_help_tell():
    parameters = inspect.signature(run_benchmark).parameters
    args = _run_parser().parse_args(["--output", "results.csv"])
    assert args.methods == ["mug"]
    for option, name, default in (
        (tuple(args.classifiers), "classifiers", ("svm", "svc")),
        (args.seeds, "seeds", 3),
        (args.resamples, "resamples", 0),
        (args.jobs, "n_jobs", 1),
    ):
        assert option == parameters[name].default == default


def test_bundled_sets_need_no_folder(output):
    arguments = ["--datasets", "UnitTest", "--methods", "raw"]
    assert main(["benchmark", *arguments, "--output", str(output)]) == 0
    assert set(load_results(output)["dataset"]) == {"UnitTest"}


@pytest.mark.usefixtures("one_class")
def test_failures_are_listed_and_give_another_exit_code(folder, output, capsys):
    arguments = ["--methods", "raw,mug-untrained", "--seeds", "1"]
    assert run(folder, output, *arguments, "--classifiers", "svc") == 1
    lines = capsys.readouterr().err.splitlines()
    for method, line in zip(("raw", "mug-untrained"), lines[-3:-1], strict=True):
        assert re.match(f"A, resample 0, {method}, seed 0: ValueError: .*class", line)
    assert lines[-1] == "2 fits failed; the same command tries them again"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--datasets", "A,X", "Y"], "no data set X, Y; there are A, .*UnitTest"),
        (["--methods", "mug, nope"], "unknown methods nope; there are mug, "),
        (["--classifiers", "nope"], ".*there are svm, svc"),
        (["--methods", ","], "there are 0 methods and 2 data sets"),
        (["--datasets", ","], "there are 1 methods and 0 data sets"),
        (["--seeds", "0"], "seeds=0"),
        (["--data", "nowhere"], "no folder 'nowhere'"),
        (["--download"], "--download needs --data and the names"),
    ],
)
def test_errors_take_one_line_before_any_work(
    folder, output, capsys, arguments, message
):
    assert run(folder, output, *arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.match(f"mug_sklearn: error: {message}", error)
    assert not output.exists()


def test_a_file_for_the_results_must_be_named(capsys):
    with pytest.raises(SystemExit):
        main(["benchmark", "--datasets", "UnitTest"])
    assert "required: --output" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "'all' is every data set in the folder that --data names"),
        (["--download", "--datasets", "Coffee"], "--download needs --data and"),
    ],
)
def test_what_needs_a_folder(output, capsys, arguments, message):
    assert main(["benchmark", *arguments, "--output", str(output)]) == 2
    assert message in capsys.readouterr().err


def test_an_empty_folder_is_told(tmp_path, output, capsys):
    (tmp_path / "empty").mkdir()
    data = ["--data", str(tmp_path / "empty")]
    assert main(["benchmark", *data, "--output", str(output)]) == 2
    assert "holds no data set, neither NAME.npz nor" in capsys.readouterr().err


@pytest.mark.usefixtures("without_aeon")
@pytest.mark.parametrize(
    ("methods", "peers"),
    [
        ("raw,hydra,rdst", "hydra, rdst"),
        (
            "all",
            "catch22, minirocket, multirocket, hydra, rdst, 1nn-euclidean, 1nn-dtw",
        ),
    ],
)
def test_peers_without_aeon_name_the_extra(folder, output, capsys, methods, peers):
    assert run(folder, output, "--methods", methods) == 2
    message = capsys.readouterr().err
    assert f'for {peers}: pip install "mug_sklearn[benchmark]"' in message
    assert not output.exists()
    assert run(folder, output, "--methods", "raw") == 0


class TestDownload:
    def test_nothing_is_downloaded_unasked(self, folder, output, capsys, connections):
        assert run(folder, output, "--datasets", "A", "Coffee") == 2
        assert "no data set Coffee; there are A" in capsys.readouterr().err
        assert connections == []

    def test_names_that_no_archive_has(self, folder, output, capsys, connections):
        assert run(folder, output, "--download", "--datasets", "Coffee", "Tee") == 2
        assert "no data set Tee: neither" in capsys.readouterr().err
        assert connections == []

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("methods", "-1"),
            ("classifiers", "-1"),
            ("seeds", "-1"),
            ("resamples", "-1"),
            ("jobs", "0"),
        ],
    )
    def test_what_is_wrong_is_told_first(
        self, folder, output, capsys, connections, option, value
    ):
        names = ["--datasets", "Coffee", f"--{option}", value]
        assert run(folder, output, "--download", *names) == 2
        assert option in capsys.readouterr().err
        assert connections == []

    def test_a_failed_download(self, tmp_path, output, capsys, connections):
        # The folder is made for it.
        folder = tmp_path / "new" / "data"
        assert run(folder, output, "--download", "--datasets", "Coffee") == 2
        assert "mug_sklearn: error: Could not download" in capsys.readouterr().err
        assert connections
        assert not output.exists()

    def test_sets_at_hand_are_taken(self, folder, output, connections):
        names = ["--datasets", "A", "UnitTest", "--methods", "raw"]
        assert run(folder, output, "--download", *names) == 0
        assert connections == []

    def test_what_was_fetched_is_run(self, folder, tmp_path, output, monkeypatch):
        def fetch(name, extract_path):
            fetched = Path(extract_path, name)
            fetched.mkdir()
            shutil.copy(folder / "A.npz", fetched / f"{name}.npz")

        monkeypatch.setattr("aeon.datasets.load_classification", fetch)
        names = ["--datasets", "Coffee", "Beef", "UnitTest", "--methods", "raw"]
        assert run(tmp_path / "new", output, "--download", *names) == 0
        assert {*load_results(output)["dataset"]} == {"Coffee", "Beef", "UnitTest"}
        assert {path.name for path in (tmp_path / "new").iterdir()} == {
            "Coffee",
            "Beef",
        }

    @pytest.mark.usefixtures("without_aeon")
    def test_it_needs_aeon(self, folder, output, capsys):
        assert run(folder, output, "--download", "--datasets", "Coffee") == 2
        assert "needed for the download of Coffee: pip" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["benchmark", "--help"],
            [
                "benchmark report",
                "--download",
                "classifiers: svm, svc, ",
                *(f"\n  {name} " for name in METHODS),
            ],
        ),
        (["benchmark", "report", "--help"], ["--published", "RESULTS.csv"]),
    ],
)
def test_help(capsys, arguments, words):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert [word for word in words if word not in text] == []
