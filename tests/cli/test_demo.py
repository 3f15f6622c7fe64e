"""The demo, end to end."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from mug_sklearn import MUGTransformer
from mug_sklearn.__main__ import main
from mug_sklearn.cli import demo
from mug_sklearn.datasets import load_dataset
from mug_sklearn.plotting import plot_embedding

METHODS = [
    "MUG + SVC",
    "fine only (TST) + SVC",
    "coarse only, with random shapelets + SVC",
    "raw values + SVC",
]


def table_of(text):
    number = r" +([\d.]+)"
    methods = "|".join(map(re.escape, METHODS))
    rows = re.findall(rf"^({methods}){number * 4}$", text, flags=re.MULTILINE)
    return {
        method: (float(accuracy), int(width)) for method, accuracy, *_, width in rows
    }


def test_demo_prints_a_table_and_saves_plots(tmp_path, capsys):
    # With this seed the fine encoder alone scores less than the coarse one.
    settings = ["--max-epochs", "1", "--random-state", "2"]
    assert main(["demo", "--dataset", "UnitTest", *settings]) == 0
    text = capsys.readouterr().out
    assert text.startswith("UnitTest: 20 training and 22 test series\n")
    table = table_of(text)
    assert list(table) == METHODS
    assert all(0 <= accuracy <= 1 for accuracy, _ in table.values())
    assert table["raw values + SVC"] == (pytest.approx(18 / 22, abs=1e-3), 24)
    data = load_dataset("UnitTest")
    for method, granularity in zip(METHODS[1:3], ("fine", "coarse"), strict=True):
        mug = MUGTransformer(granularity, max_epochs=1, random_state=2)
        model = make_pipeline(mug, SVC()).fit(data.X_train, data.y_train)
        expected = model.score(data.X_test, data.y_test)
        assert table[method][0] == pytest.approx(expected, abs=5e-4)
    for name in ("embedding.png", "training_loss.png"):
        assert f"saved {Path('mug-demo', name)}" in text
        assert (tmp_path / "mug-demo" / name).read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def kept(monkeypatch):
    """Figures that were to be saved."""
    kept = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: kept.append(figure))
    return kept


def test_the_pictures_are_of_the_test_series_and_of_the_training_of_mug(kept):
    data = load_dataset("UnitTest")
    names = {"1": "a class of a long name", "2": "another one of such a name"}
    train, test = (
        [names[label] for label in labels] for labels in (data.y_train, data.y_test)
    )
    np.savez(
        "ProximalPhalanxOutlineAgeGroup",
        X_train=data.X_train,
        y_train=train,
        X_test=data.X_test,
        y_test=test,
    )
    source = "ProximalPhalanxOutlineAgeGroup.npz"
    assert main(["demo", "--dataset", source, "--max-epochs", "1"]) == 0
    mug = MUGTransformer(max_epochs=1, random_state=0).fit(data.X_train)
    embedding, training = (figure.axes[0] for figure in kept)
    vectors = mug.transform(data.X_test)
    expected = plot_embedding(vectors, test, ax=Figure().subplots())
    for found, marks in zip(embedding.collections, expected.collections, strict=True):
        assert_allclose(found.get_offsets(), marks.get_offsets(), atol=1e-5)
    losses = [line.get_ydata() for line in training.get_lines()]
    assert_allclose(losses[0], mug.loss_curve_, rtol=1e-5)
    assert len(losses) == 5
    titles = "test series, embedded by MUG", "training of MUG"
    for ax, title in zip((embedding, training), titles, strict=True):
        assert ax.get_title() == f"ProximalPhalanxOutlineAgeGroup: {title}"
        ax.figure.draw_without_rendering()
        assert ax.title.get_window_extent().x0 >= 0
        assert ax.title.get_window_extent().x1 <= ax.figure.bbox.x1
        legend = ax.get_legend().get_window_extent()
        assert ax.get_window_extent().x1 <= legend.x0


@pytest.mark.parametrize(("n_classes", "n_marks"), [(48, 48), (49, 1)])
def test_as_many_classes_as_marks_and_more(kept, n_classes, n_marks):
    X = np.random.default_rng(0).normal(size=(98, 8))
    y = [f"class {i % n_classes}" for i in range(98)]
    np.savez("many.npz", X_train=X, y_train=y, X_test=X, y_test=y)
    assert main(["demo", "--dataset", "many.npz", "--max-epochs", "1"]) == 0
    marks = kept[0].axes[0].collections
    assert len(marks) == n_marks
    assert sum(len(one.get_offsets()) for one in marks) == 98


def test_the_table_tells_times_apart(capsys, monkeypatch):
    ticks = iter([0, 1, 3] * len(METHODS))  # begun, fitted, transformed
    clock = SimpleNamespace(perf_counter=lambda: next(ticks))
    monkeypatch.setattr(demo, "time", clock)
    assert main(["demo", "--dataset", "UnitTest", "--max-epochs", "1"]) == 0
    text = capsys.readouterr().out
    assert len(re.findall(r"SVC +[\d.]+ +1\.00 +2\.00 +\d+$", text, re.M)) == 4


def test_printed_code_runs(capsys):
    seed = str(2**32 - 1)  # the greatest there is
    main(["demo", "--dataset", "UnitTest", "--max-epochs", "1", "--random-state", seed])
    text = capsys.readouterr().out
    assert f"MUGTransformer(random_state={seed}, max_epochs=1)" in text
    accuracy, _ = table_of(text)["MUG + SVC"]
    exec(text.split("The same in code:\n")[1], {})
    assert float(capsys.readouterr().out) == pytest.approx(accuracy, abs=5e-4)


def test_demo_on_a_path_with_unequal_lengths_and_gaps(tmp_path, capsys):
    for part in ("TRAIN", "TEST"):
        lines = ["@problemName Few", "@timeStamps false", "@univariate true"]
        lines += [
            "@classLabel true a b",
            "@data",
            "1,2,?,4:a",
            "4,3,2:b",
            "1,2,3,4,5:a",
            "5,4:b",
        ]
        (tmp_path / f"Few_{part}.ts").write_text("\n".join(lines))
    output = tmp_path / "deep" / "down"
    arguments = ["--dataset", "Few_TRAIN.ts", "--output", str(output)]
    assert main(["demo", *arguments, "--max-epochs", "1"]) == 0
    text = capsys.readouterr().out
    assert list(table_of(text)) == METHODS
    assert len(list(output.iterdir())) == 2
    assert "load_dataset('Few_TRAIN.ts')" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "Nope"], "no data set 'Nope'.*GunPoint"),
        (["--dataset", "empty.npz"], r"cannot read empty\.npz"),
        (
            ["--dataset", "UnitTest", "--output", "empty.npz"],
            r"no folder, 'empty\.npz'",
        ),
        (
            ["--dataset", "UnitTest", "--output", "taken"],
            r"training_loss\.png in --output is a folder",
        ),
        (["--dataset", "one.npz"], "all training series of one are of one class"),
        (["--dataset", "real.npz"], "label type: continuous"),
    ],
)
def test_errors_take_one_line(tmp_path, capsys, arguments, message):
    (tmp_path / "empty.npz").touch()
    for name, labels in (("one", [1, 1, 1]), ("real", [0.5, 1.2, 0.3])):
        X, y = np.zeros((3, 8)), np.array(labels)
        np.savez(tmp_path / name, X_train=X, y_train=y, X_test=X, y_test=y)
    (tmp_path / "taken" / "training_loss.png").mkdir(parents=True)
    assert main(["demo", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("mug_sklearn: error: ")
    assert re.search(message, captured.err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["dance"], "invalid choice: 'dance'"),
        (["demo", "--max-epochs", "few"], "invalid integer value: 'few'"),
        (["demo", "--max-epochs", "0"], "0 is less than 1"),
        (["demo", "--random-state", "-1"], "-1 is less than 0"),
        (["demo", "--random-state", "4294967296"], "is more than 4294967295"),
    ],
)
def test_usage_errors(capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
