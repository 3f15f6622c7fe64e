"""Pretraining by several processes: real ones, over gloo."""

import json
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from mug_sklearn import MUGTransformer
from mug_sklearn._settings import training_plan
from mug_sklearn.distributed.torchrun import main
from mug_sklearn.pretraining.processes import Processes
from mug_sklearn.pretraining.trainer import Trainer

from ..conftest import SMALL

COMMAND = ("-m", "mug_sklearn.distributed", "fit")
SETTINGS = SMALL | {"max_epochs": 4, "early_stopping": False}


@pytest.fixture
def series(padded):
    """Series of unequal length with gaps."""
    padded[0, 1, 5:9] = np.nan
    return padded


@pytest.fixture
def path(series, tmp_path):
    np.save(tmp_path / "series.npy", series)
    return tmp_path / "series.npy"


def torchrun(*arguments):
    launcher = ("-m", "torch.distributed.run", "--standalone")
    return subprocess.run(
        [sys.executable, *launcher, "--nproc-per-node=2", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )


def as_arguments(settings):
    return [f"{name}={value!r}" for name, value in settings.items()]


def test_the_command_gives_the_losses_of_one_process(panel, tmp_path):
    path, saved = tmp_path / "series.npy", tmp_path / "model"
    np.save(path, panel)
    # "auto" must come back. On GPUs it would need one for each process.
    device = "cpu" if torch.cuda.is_available() else "auto"
    # Seven series are four for one process and three for the other.
    settings = SETTINGS | {"batch_size": 7, "device": device}
    outcome = torchrun(
        *(*COMMAND, str(path), "--save", str(saved)),
        *("--parameters", *as_arguments(settings)),
    )
    assert outcome.returncode == 0, outcome.stderr
    loaded = MUGTransformer.load(saved)
    alone = MUGTransformer(**settings).fit(panel)
    assert type(loaded) is MUGTransformer
    assert loaded.get_params() == alone.get_params()
    assert_allclose(loaded.loss_curve_, alone.loss_curve_, rtol=0, atol=1e-5)
    assert np.isfinite(loaded.transform(panel)).all()


def test_every_loss_and_granularity(path):
    """In double precision, where nothing blows rounding up to a visible size."""
    cases = [
        {},
        {"loss": "infonce"},
        {"loss": "triplet", "fine_fusion": "max", "fusion": "concat"},
        {"granularity": "fine"},
        {"granularity": "coarse"},
    ]
    script = path.with_name("script.py")
    script.write_text(
        textwrap.dedent("""
        import json, sys
        import numpy as np
        import torch
        import torch.distributed
        # Before there is a group, which it would keep: see torchrun.py.
        import torch.distributed.nn.functional
        from mug_sklearn import MUGTransformer
        from mug_sklearn._settings import training_plan
        from mug_sklearn.pretraining.processes import GroupProcesses, Processes
        from mug_sklearn.pretraining.trainer import Trainer

        torch.distributed.init_process_group("gloo")
        rank = torch.distributed.get_rank()
        panel = torch.from_numpy(np.load(sys.argv[1]))
        observed = ~panel.isnan()
        values = panel.nan_to_num(nan=0.0)

        def read_batch(rows, device):
            return values[rows], observed[rows]

        outcome = []
        for parameters in json.loads(sys.argv[2]):
            runs = []
            for processes in (Processes(), GroupProcesses()):
                mug = MUGTransformer(**parameters | {"max_epochs": 0})
                mug.fit(panel.numpy()).set_params(max_epochs=4, batch_size=7)
                cpu = torch.device("cpu")
                plan = training_plan(mug, len(panel), 0, cpu)
                network = mug.network_.double()
                trainer = Trainer(network, read_batch, plan, cpu, processes)
                losses = [terms["loss"] for terms in trainer.run()]
                runs.append((losses, [p.sum().item() for p in network.parameters()]))
            outcome.append(runs)
        with open(f"{sys.argv[1]}.{rank}", "w") as file:
            json.dump(outcome, file)
        torch.distributed.destroy_process_group()
        """)
    )
    settings = [SETTINGS | case for case in cases]
    outcome = torchrun(str(script), str(path), json.dumps(settings))
    assert outcome.returncode == 0, outcome.stderr
    of_ranks = [
        json.loads((path.parent / f"{path.name}.{rank}").read_text())
        for rank in range(2)
    ]
    for (alone, first), (_, second) in zip(*of_ranks, strict=True):
        assert len(alone[0]) == 4
        assert first == second
        assert_allclose(first[0], alone[0], rtol=0, atol=1e-9)


@pytest.fixture(scope="module")
def of_processes(tmp_path_factory):
    """The folders of two processes: what each showed, saved, and had of threads."""
    parent = tmp_path_factory.mktemp("processes")
    path, script = parent / "series.npy", parent / "script.py"
    np.save(path, np.random.default_rng(0).normal(size=(8, 2, 60)))
    script.write_text(
        textwrap.dedent("""
        import contextlib, os, sys, time
        from pathlib import Path
        import torch.distributed
        from mug_sklearn.distributed.torchrun import main

        def threads_of_gloo():
            count = 0
            for name in Path("/proc/self/task").glob("*/comm"):
                # A thread may end in between.
                with contextlib.suppress(OSError):
                    count += "gloo" in name.read_text()
            return count

        def count_and_destroy():
            (own / "threads-during").write_text(str(threads_of_gloo()))
            destroy()

        own = Path(sys.argv[1]).with_name("of-" + os.environ["RANK"])
        own.mkdir()
        destroy = torch.distributed.destroy_process_group
        torch.distributed.destroy_process_group = count_and_destroy
        sys.stderr = open(own / "shown", "w")
        assert main(["fit", *sys.argv[1:], "--save", str(own / "model")]) == 0
        # The system may list a thread a little longer than it lives.
        patience = time.monotonic() + 5
        while threads_of_gloo() and time.monotonic() < patience:
            time.sleep(0.01)
        (own / "threads-after").write_text(str(threads_of_gloo()))
        """)
    )
    outcome = torchrun(
        *(str(script), str(path), "--verbose"),
        *("--parameters", *as_arguments(SETTINGS)),
    )
    assert outcome.returncode == 0, outcome.stderr
    return [parent / f"of-{rank}" for rank in range(2)]


def test_the_first_process_alone_shows_progress_and_saves(of_processes):
    first, second = of_processes
    assert (first / "model").exists()
    assert "4/4" in (first / "shown").read_text()
    assert not (second / "model").exists()
    assert "4/4" not in (second / "shown").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.skipif(
    torch.__version__ < (2, 12), reason="older torch gives these threads no name"
)
def test_the_process_group_leaves_no_thread(of_processes):
    """One that outlives the interpreter may abort the process."""
    for own in of_processes:
        assert int((own / "threads-during").read_text()) > 0
        assert int((own / "threads-after").read_text()) == 0


def test_the_environment_alone_starts_nothing(series, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    mug = MUGTransformer(**SETTINGS).fit(series)
    assert np.isfinite(mug.loss_curve_).all()


def test_one_process_needs_no_launcher(series, path, monkeypatch):
    # What another launcher of processes may have left.
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    saved = path.with_name("model")
    arguments = as_arguments(SETTINGS)
    code = main(["fit", str(path), *("--save", str(saved), "--parameters"), *arguments])
    assert code == 0
    alone = MUGTransformer(**SETTINGS).fit(series)
    assert MUGTransformer.load(saved).loss_curve_ == alone.loss_curve_


def test_progress_is_shown_if_asked_for(path, capfd):
    command = ["fit", str(path), "--save", str(path.with_name("model"))]
    parameters = ["--parameters", *as_arguments(SETTINGS)]
    assert main([*command, *parameters]) == 0
    assert capfd.readouterr().err == ""
    assert main([*command, "--verbose", *parameters]) == 0
    assert re.search(r"MUGTransformer.*4/4", capfd.readouterr().err)


def test_without_a_seed_it_is_zero(series, path):
    saved = path.with_name("model")
    arguments = ["--save", str(saved), "--parameters", "max_epochs=0"]
    assert main(["fit", str(path), *arguments]) == 0
    expected = MUGTransformer(max_epochs=0, random_state=0).fit_transform(series)
    np.testing.assert_array_equal(
        MUGTransformer.load(saved).transform(series), expected
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (["d_model"], "takes name=value, not 'd_model'"),
        (["depth=3"], "Invalid parameter 'depth'"),
        (["granularity__x=1"], "Invalid parameter 'granularity__x'"),
        (["d_model=-8"], "'d_model' parameter of MUGTransformer must be an int"),
        (["random_state=None"], "give an int"),
        (["loss=mse"], "'loss' parameter"),
        (["device=cuda:999"], "device='cuda:999' is not available"),
        (["segment_lengths={[5]: 10}"], "'segment_lengths' parameter"),
    ],
)
def test_bad_parameters_end_it_with_a_message(path, capsys, parameters, message):
    saved = path.with_name("model")
    code = main(["fit", str(path), "--save", str(saved), "--parameters", *parameters])
    assert code == 2
    assert message in capsys.readouterr().err
    assert not saved.exists()


def test_bad_files_end_it_with_a_message(path, capsys):
    missing, other = path.with_name("missing.npy"), path.with_name("other.npz")
    np.savez(other, y=np.zeros(3), z=np.zeros(3))
    empty, cut = path.with_name("empty.npy"), path.with_name("cut.npz")
    empty.touch()
    cut.write_bytes(other.read_bytes()[:-30])
    damaged = path.with_name("damaged.npz")
    np.savez_compressed(damaged, X=np.ones((12, 30)))
    content = bytearray(damaged.read_bytes())
    content[70] ^= 0xFF
    damaged.write_bytes(content)
    nowhere = path.parent / "nowhere" / "model"
    before = path.read_bytes()
    for series, saved, message in (
        (missing, path.with_name("model"), "missing.npy"),
        (other, path.with_name("model"), "holds y, z, and no X; name one by --array"),
        (empty, path.with_name("model"), f"cannot read {str(empty)!r}"),
        (cut, path.with_name("model"), f"cannot read {str(cut)!r}"),
        (damaged, path.with_name("model"), f"cannot read {str(damaged)!r}"),
        (path, nowhere, "there is no folder"),
        (path, path.parent, "--save is a folder"),
        (path, path, "--save is series"),
    ):
        assert main(["fit", str(series), "--save", str(saved)]) == 2
        assert message in capsys.readouterr().err
    assert path.read_bytes() == before


def test_an_error_in_one_process_ends_all_with_its_message(path):
    saved, script = path.with_name("model"), path.with_name("script.py")
    script.write_text(
        textwrap.dedent("""
        import os, sys
        from mug_sklearn.distributed.torchrun import main

        mine, other, *rest = sys.argv[1:]
        sys.exit(main(["fit", other if os.environ["RANK"] == "1" else mine, *rest]))
        """)
    )
    missing = str(path.with_name("missing.npy"))
    outcome = torchrun(
        *(str(script), str(path), missing, "--save", str(saved)),
        *("--parameters", *as_arguments(SETTINGS)),
    )
    assert outcome.returncode != 0
    assert re.search("error in process 1: .*missing.npy", outcome.stderr)
    assert not saved.exists()


def test_processes_that_read_different_series_all_say_so(path, series):
    fewer, other = path.with_name("fewer.npy"), path.with_name("other.npy")
    np.save(fewer, series[:5])
    np.save(other, series[::-1])
    saved, script = path.with_name("model"), path.with_name("script.py")
    script.write_text(
        textwrap.dedent("""
        import os, sys
        from pathlib import Path
        import torch.distributed
        from mug_sklearn.distributed.torchrun import main

        # Both runs have one group: a second one of the same processes may hang.
        torch.distributed.init_process_group("gloo")
        leave = torch.distributed.destroy_process_group
        torch.distributed.init_process_group = lambda backend: None
        torch.distributed.destroy_process_group = lambda: None

        mine, fewer, other, *rest = sys.argv[1:]
        for second in (fewer, other):
            rank = os.environ["RANK"]
            sys.stderr = Path(second).with_suffix("." + rank).open("w")
            assert main(["fit", second if rank == "1" else mine, *rest]) == 2
        leave()
        """)
    )
    outcome = torchrun(
        *(str(script), str(path), str(fewer), str(other), "--save", str(saved)),
        *("--parameters", *as_arguments(SETTINGS)),
    )
    assert outcome.returncode == 0, outcome.stderr
    for rank in range(2):
        message = f"error in process {rank}: the processes read different series"
        for second in (fewer, other):
            assert message in second.with_suffix(f".{rank}").read_text()
    assert not saved.exists()


def test_the_first_process_says_its_number_in_an_error_too(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a run")
    monkeypatch.setenv("RANK", "0")
    missing, model = str(tmp_path / "missing.npy"), str(tmp_path / "model")
    assert main(["fit", missing, "--save", model]) == 2
    assert capsys.readouterr().err.startswith("error in process 0: ")


def test_more_processes_than_series_in_a_batch_is_an_error():
    processes = Processes()
    processes.size = 3
    mug = MUGTransformer(**SETTINGS | {"batch_size": 2})
    plan = training_plan(mug, 10, 0, torch.device("cpu"))
    with pytest.raises(ValueError, match="cannot be shared by 3 processes"):
        Trainer(torch.nn.Identity(), None, plan, torch.device("cpu"), processes)


def test_series_of_another_format_are_refused(tmp_path, capsys):
    path = tmp_path / "X.txt"
    path.write_text("1,2\n3,4\n")
    assert main(["fit", str(path), "--save", str(tmp_path / "model")]) == 2
    assert "X.txt': accepted are .npz, .npy, .csv" in capsys.readouterr().err


def test_parquet_without_pyarrow(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["fit", "X.parquet", "--save", str(tmp_path / "model")]) == 2
    assert 'pip install "mug_sklearn[parquet]"' in capsys.readouterr().err


def test_reads_what_the_command_line_reads(tmp_path, series):
    np.savez(tmp_path / "X.npz", X_train=series, y_train=np.zeros(len(series)))
    model = tmp_path / "model"
    arguments = [str(tmp_path / "X.npz"), "--array", "X_train", "--save", str(model)]
    assert main(["fit", *arguments, "--parameters", *as_arguments(SETTINGS)]) == 0
    expected = MUGTransformer(**SETTINGS).fit(series).transform(series)
    np.testing.assert_array_equal(
        MUGTransformer.load(model).transform(series), expected
    )


def test_help_shows_examples(capsys, monkeypatch):
    module = "mug_sklearn.distributed.torchrun"
    monkeypatch.setattr(f"{module}.__doc__", None)  # as python -OO leaves it
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    example = "torchrun --nproc-per-node 2 -m mug_sklearn.distributed fit"
    assert example in capsys.readouterr().out
