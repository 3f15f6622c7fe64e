"""The precision of training and transform, and the compiled network."""

import shutil

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from mug_sklearn.device import trains_in_half_precision

from .conftest import small_mug


def test_only_bfloat16_trains_in_half_precision_on_a_cpu():
    cpu = torch.device("cpu")
    trains = [trains_in_half_precision(cpu, p) for p in ("auto", "float32", "bfloat16")]
    assert trains == [False, False, True]


@pytest.mark.parametrize("granularity", ["multi", "fine", "coarse"])
def test_half_precision_gives_nearly_the_same(panel, granularity):
    settings = {"granularity": granularity, "embedding_dim": None, "max_epochs": 3}
    # Adam follows a gradient's sign at first, and rounding may turn that of a small
    # one: short steps, so that it matters little.
    settings["learning_rate"] = 1e-4
    exact = small_mug(**settings).fit(panel)
    mug = small_mug(precision="bfloat16", **settings).fit(panel)
    assert {p.dtype for p in mug.network_.parameters()} == {torch.float32}
    assert_allclose(mug.loss_curve_, exact.loss_curve_, rtol=2e-2, atol=2e-3)
    assert mug.loss_curve_ != exact.loss_curve_
    assert mug.transform(panel).dtype == np.float32


@pytest.mark.parametrize("granularity", ["multi", "fine", "coarse"])
def test_the_network_is_one_graph(panel, granularity):
    network = small_mug(granularity=granularity, max_epochs=0).fit(panel).network_
    values = torch.from_numpy(panel).float()
    observed = torch.ones_like(values, dtype=torch.bool)
    traced = torch.compile(network, fullgraph=True, backend="eager")
    expected = network(values, observed)
    found = traced(values, observed)
    for name in ("fine", "multi"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name))
    if granularity != "fine":
        for name in ("tokens", "features"):
            torch.testing.assert_close(
                getattr(found.coarse, name), getattr(expected.coarse, name)
            )


def test_compile_compiles(panel, monkeypatch):
    compiled = []

    def compile_nothing(network):
        compiled.append(network)
        return network

    monkeypatch.setattr(torch, "compile", compile_nothing)
    small_mug().fit(panel)
    assert compiled == []
    mug = small_mug(compile=True).fit(panel)
    assert compiled == [mug.network_]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("granularity", ["multi", "fine", "coarse"])
@pytest.mark.parametrize("lengths", ["equal", "unequal"])
def test_a_compiled_fit_is_the_same_fit(panel, granularity, lengths):
    if lengths == "unequal":
        panel = [series[:, : 15 + i] for i, series in enumerate(panel)]
    plain, compiled = (
        small_mug(compile=compile, granularity=granularity, max_epochs=3).fit(panel)
        for compile in (False, True)
    )
    assert plain.loss_curve_[-1] != plain.loss_curve_[0]
    assert_allclose(compiled.loss_curve_, plain.loss_curve_, rtol=1e-4, atol=1e-6)
    assert_allclose(compiled.transform(panel), plain.transform(panel), atol=1e-2)
