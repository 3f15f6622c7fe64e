"""The precision of training and transform, and the compiled network."""

import shutil

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from mug_sklearn.device import inference_precision, trains_in_half_precision

from .conftest import small_mug


@pytest.mark.parametrize(
    ("device", "precision", "transforms_in"),
    [
        ("cpu", "auto", "float64"),
        ("cpu", "float32", "float32"),
        ("cpu", "bfloat16", "float32"),
        ("cuda", "auto", "float32"),
    ],
)
def test_what_transform_computes_in(device, precision, transforms_in):
    assert inference_precision(torch.device(device), precision) == transforms_in


def test_only_bfloat16_trains_in_half_precision_on_a_cpu():
    cpu = torch.device("cpu")
    trains = [trains_in_half_precision(cpu, p) for p in ("auto", "float32", "bfloat16")]
    assert trains == [False, False, True]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("granularity", ["multi", "fine", "coarse"])
def test_lower_precision_gives_nearly_the_same(panel, precision, granularity):
    settings = {"granularity": granularity, "embedding_dim": None, "max_epochs": 3}
    exact = small_mug(**settings).fit(panel)
    mug = small_mug(precision=precision, **settings).fit(panel)
    assert mug.precision_ == "float32"
    assert {p.dtype for p in mug.network_.parameters()} == {torch.float32}
    tolerance = 1e-4 if precision == "float32" else 2e-2
    assert_allclose(
        mug.loss_curve_, exact.loss_curve_, rtol=tolerance, atol=tolerance / 10
    )
    if precision == "float32":
        embedding = mug.transform(panel)
        assert embedding.dtype == np.float32
        assert_allclose(embedding, exact.transform(panel), atol=1e-3)


def test_the_fitted_precision_stays(panel):
    mug = small_mug().fit(panel)
    expected = mug.transform(panel)
    mug.set_params(precision="float32")
    assert_array_equal(mug.transform(panel), expected)
    assert mug.to("cpu").precision_ == "float32"
    assert_allclose(mug.transform(panel), expected, atol=1e-3)


@pytest.mark.parametrize("granularity", ["multi", "fine", "coarse"])
def test_the_network_is_one_graph(panel, granularity):
    network = small_mug(granularity=granularity, max_epochs=0).fit(panel).network_
    values = torch.from_numpy(panel)
    observed = torch.ones_like(values, dtype=torch.bool)
    traced = torch.compile(network, fullgraph=True, backend="eager")
    expected = network(values, observed)
    found = traced(values, observed)
    for tokens in ("fine", "multi"):
        torch.testing.assert_close(getattr(found, tokens), getattr(expected, tokens))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_a_compiled_fit_is_the_same_fit(panel):
    plain, compiled = (
        small_mug(compile=compile, max_epochs=3).fit(panel) for compile in (False, True)
    )
    assert_allclose(compiled.loss_curve_, plain.loss_curve_, rtol=1e-4)
    assert_allclose(compiled.transform(panel), plain.transform(panel), atol=1e-2)
