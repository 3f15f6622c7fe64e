"""Two small data sets in a folder."""

import sys

import numpy as np
import pytest


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, length in (("A", 20), ("sub/B", 30)):
        y = np.array(["u", "v"] * 10)
        X = rng.normal(size=(20, 1, length)) + 2 * (y == "u")[:, None, None]
        np.savez(folder / name, X_train=X, y_train=y, X_test=X[::-1], y_test=y[::-1])
    return folder


@pytest.fixture
def one_set(folder):
    return {"A": folder / "A.npz"}


@pytest.fixture
def datasets(one_set, folder):
    return one_set | {"B": folder / "sub" / "B.npz"}


@pytest.fixture
def one_class(one_set):
    """The data set A with training series of one class, which no SVC takes."""
    with np.load(one_set["A"]) as content:
        arrays = dict(content) | {"y_train": np.array(["u"] * 20)}
    np.savez(one_set["A"], **arrays)
    return one_set


@pytest.fixture
def without_aeon(monkeypatch):
    monkeypatch.setitem(sys.modules, "aeon", None)  # as if it were not installed
