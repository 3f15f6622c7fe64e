"""The readout against scikit-learn's PCA."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA

from mug_sklearn.nn import layers
from mug_sklearn.nn.layers import HAS_ONEDNN
from mug_sklearn.nn.readout import (
    BLOCK_WEIGHTS,
    SCALE_SHRINKAGE,
    UNRELIABLE_SHARE,
    WHITENING,
    fit_readout,
    variance_evening_rotation,
)


def make_blocks(n=40):
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(n, 30, generator=generator) * torch.arange(1, 31)
    return {"bank": wide + 5, "multi": torch.randn(n, 6, generator=generator)}


def scaled(blocks):
    parts = []
    for name, block in blocks.items():
        values = block.double().numpy()
        deviation = values.std(axis=0)
        scale = deviation + SCALE_SHRINKAGE * np.sqrt(np.square(deviation).mean())
        rows = (values - values.mean(axis=0)) / scale
        typical = np.mean([row @ row for row in rows])
        rows = np.stack([row / np.sqrt(row @ row + typical) for row in rows])
        parts.append(BLOCK_WEIGHTS[name] * rows)
    joined = np.concatenate(parts, axis=1)
    return joined - joined.mean(axis=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", [0.0, 1e4])
def test_without_rotation_blocks_are_scaled_and_weighted(level, dtype):
    blocks = {name: block.to(dtype) + level for name, block in make_blocks().items()}
    embedding = fit_readout(blocks, None)(blocks).numpy()
    expected = scaled(blocks)
    expected /= np.sqrt(expected.var(axis=0).mean())
    np.testing.assert_allclose(embedding, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("n", "width"), [(12, 5), (12, 11), (40, 5), (40, 36), (200, 5)]
)
def test_distances_are_those_of_pca_with_mild_whitening(n, width):
    blocks = make_blocks(n)
    embedding = fit_readout(blocks, width)(blocks).numpy()
    expected = PCA(width).fit_transform(scaled(blocks))
    expected = expected * expected.var(axis=0) ** -WHITENING
    expected /= np.sqrt(expected.var(axis=0).mean())
    np.testing.assert_allclose(pdist(embedding), pdist(expected), atol=1e-5)


def test_what_does_not_vary_in_training_counts_for_nothing_later():
    blocks, later = make_blocks(12), make_blocks(40)
    twice = {name: block.repeat(2, 1) for name, block in blocks.items()}
    once, again = (fit_readout(fitted, 20) for fitted in (blocks, twice))
    assert (once.width, again.width) == (11, 20)
    # The mean variance of a dimension is one.
    expected = (20 / 11) ** 0.5 * pdist(once(later).numpy())
    np.testing.assert_allclose(pdist(again(later).numpy()), expected, rtol=1e-4)


def test_opposite_series_beside_their_mean():
    series = make_blocks()["bank"][:1]
    blocks = {"bank": torch.cat((series, -series, 0 * series))}
    embedding = fit_readout(blocks, 10)(blocks)
    assert embedding.shape == (3, 2)
    torch.testing.assert_close(embedding[0], -embedding[1])
    torch.testing.assert_close(embedding[2], torch.zeros(2))


def test_an_axis_points_towards_its_largest_entry():
    for part in make_blocks(200)["bank"].split(10):
        (axis,) = fit_readout({"bank": part}, 1).axes
        assert axis[axis.abs().argmax()] > 0


@pytest.mark.parametrize("embedding_dim", [1, 2, 7, 36, 63, 150, 320])
@pytest.mark.parametrize("block_width", [37, 973, 1400])
@pytest.mark.parametrize("has_onednn", sorted({HAS_ONEDNN, False}))
def test_a_series_is_embedded_alike_among_any_number(
    embedding_dim, block_width, has_onednn, monkeypatch
):
    monkeypatch.setattr(layers, "HAS_ONEDNN", has_onednn)
    generator = torch.Generator().manual_seed(0)
    block = torch.randn(400, block_width, generator=generator)
    readout = fit_readout({"bank": block}, embedding_dim)
    whole = readout({"bank": block})
    for n in (1, 2, 3, 5, 8, 15, 16, 17, 31, 64, 100, 256):
        assert torch.equal(readout({"bank": block[-n:]}), whole[-n:])
    centred = readout.scalings["bank"](block) - readout.location
    expected = centred @ readout.axes.double().T
    torch.testing.assert_close(whole.double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("has_onednn", sorted({HAS_ONEDNN, False}))
def test_axes_are_in_the_precision_of_their_products(has_onednn, monkeypatch):
    monkeypatch.setattr(layers, "HAS_ONEDNN", not has_onednn)
    blocks = make_blocks()
    fitted_elsewhere = fit_readout(blocks, 8)
    monkeypatch.setattr(layers, "HAS_ONEDNN", has_onednn)
    fitted, moved = fit_readout(blocks, 8), fitted_elsewhere.to(torch.device("cpu"))
    expected = torch.float32 if has_onednn else torch.float64
    assert fitted.axes.dtype == moved.axes.dtype == expected
    assert torch.equal(fitted.axes, moved.axes)


@pytest.mark.parametrize("n", [12, 40, 200])
def test_every_dimension_has_mean_zero_and_variance_one(n):
    blocks = make_blocks(n)
    embedding = fit_readout(blocks, 8)(blocks).numpy()
    np.testing.assert_allclose(embedding.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(embedding.var(axis=0), 1, atol=1e-4)


@pytest.mark.parametrize("level", [2.0**-10, 1.0])
@pytest.mark.parametrize("embedding_dim", [None, 8])
def test_a_block_that_only_rounding_changes_counts_as_constant(embedding_dim, level):
    blocks = make_blocks()
    noise = torch.finfo(torch.float32).eps * (torch.arange(40) % 2)[:, None]
    constant, rounded, varying = (
        blocks | {"multi": level * (1 + size * noise.expand(-1, 6))}
        for size in (0, 1, 30)
    )
    expected = fit_readout(constant, embedding_dim)(constant)
    actual = fit_readout(rounded, embedding_dim)(rounded)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)
    later = fit_readout(constant, embedding_dim)(rounded)
    torch.testing.assert_close(later, expected, atol=1e-5, rtol=0)
    # Thirty times as much is more than rounding.
    changed = fit_readout(varying, embedding_dim)(varying)
    assert (changed - expected).abs().max() > 0.05


@pytest.mark.parametrize("embedding_dim", [None, 8])
def test_rounding_alone_is_no_direction(embedding_dim):
    generator = torch.Generator().manual_seed(0)
    noise = torch.finfo(torch.float32).eps * torch.randn(40, 6, generator=generator)
    blocks = {"multi": 3 * (1 + noise), "shapelets": noise**2}
    readout = fit_readout(blocks, embedding_dim)
    assert readout.is_constant
    later = {"multi": torch.ones(5, 6), "shapelets": torch.ones(5, 6)}
    assert (readout(later) == 0).all()
    assert not fit_readout(make_blocks(), embedding_dim).is_constant


@pytest.mark.parametrize("embedding_dim", [None, 8])
def test_features_of_the_bank_count_as_much_as_they_are_reliable(embedding_dim):
    blocks = make_blocks()
    reliability = torch.linspace(0, 1, 30, dtype=torch.float64)
    variance = blocks["bank"].double().var(dim=0, correction=0)
    noise = {"bank": variance * (1 - reliability)}
    noise["bank"][0] *= 3  # no feature is worse than chance
    plain = fit_readout(blocks, embedding_dim)
    robust = fit_readout(blocks, embedding_dim, noise)
    share = plain.scalings["bank"].scale / robust.scalings["bank"].scale
    expected = UNRELIABLE_SHARE + (1 - UNRELIABLE_SHARE) * reliability
    torch.testing.assert_close(share.square(), expected)
    # The block as a whole counts as before.
    scaling = robust.scalings["bank"]
    standardised = (blocks["bank"].double() - scaling.location) / scaling.scale
    mean_square = standardised.square().sum(dim=1).mean()
    assert scaling.typical_square == pytest.approx(float(mean_square))
    if embedding_dim is not None:
        assert scaling.weight == BLOCK_WEIGHTS["bank"]
    other, before = robust.scalings["multi"], plain.scalings["multi"]
    torch.testing.assert_close(other.scale, before.scale)
    without = fit_readout(blocks, embedding_dim, {"bank": torch.zeros(30)})
    torch.testing.assert_close(without(blocks), plain(blocks))


def test_the_coarse_block_counts_as_much_as_it_is_reliable():
    blocks = {"bank": make_blocks()["bank"], "coarse": make_blocks()["multi"]}
    blocks["coarse"][:, 0] = 3.0  # constant, and without noise
    variance = blocks["coarse"].double().var(dim=0, correction=0)
    share = torch.tensor([0, 0.2, 0.4, 0.6, 0.8, 2.0], dtype=torch.float64)
    plain = fit_readout(blocks, 8)
    robust = fit_readout(blocks, 8, {"coarse": variance * share})
    expected = BLOCK_WEIGHTS["coarse"] * (1 + 0.8 + 0.6 + 0.4 + 0.2 + 0) / 6
    assert robust.scalings["coarse"].weight == pytest.approx(expected)
    torch.testing.assert_close(
        robust.scalings["coarse"].scale, plain.scalings["coarse"].scale
    )
    # What is all chance is left out, and constant features stay what they are.
    drowned = fit_readout(blocks, 8, {"coarse": variance + 1})
    assert drowned(blocks).isfinite().all()
    assert drowned.scalings["coarse"].weight == 0
    constant = blocks | {"coarse": torch.ones(40, 6)}
    kept = fit_readout(constant, 8, {"coarse": torch.ones(6)})
    torch.testing.assert_close(kept(constant), fit_readout(constant, 8)(constant))


@settings(deadline=None)
# Rounding of their mean would rotate one of them too far.
@example([0.10000000000000005, 0.10000000000000003, 0.1, 0.09999999999999998])
@given(
    st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=30).map(
        lambda values: sorted(values, reverse=True)
    )
)
def test_rotation_evens_out_any_variances(values):
    variance = torch.tensor(values, dtype=torch.float64)
    rotation = variance_evening_rotation(variance)
    identity = torch.eye(len(values), dtype=torch.float64)
    torch.testing.assert_close(rotation.T @ rotation, identity)
    turned = rotation.T @ torch.diag(variance) @ rotation
    tolerance = 1e-9 * max(values[0], 1e-300)
    assert (turned.diagonal() - variance.mean()).abs().max() <= tolerance


def test_a_series_far_from_the_others_does_not_dominate():
    blocks = make_blocks()
    readout = fit_readout(blocks, None)
    outlier = {name: 1e6 * block[:1] for name, block in blocks.items()}
    assert readout(outlier).norm() < 2 * readout(blocks).norm(dim=1).max()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_or_equal_series(n):
    blocks = {name: block[:1].expand(n, -1) for name, block in make_blocks().items()}
    embedding = fit_readout(blocks, 10)(blocks)
    assert embedding.shape == (n, max(1, n - 1))
    assert (embedding == 0).all()


@pytest.mark.parametrize("embedding_dim", [None, 8])
def test_a_block_of_zeros_counts_as_constant(embedding_dim):
    blocks = make_blocks()
    zeros, ones = (blocks | {"multi": torch.full((40, 6), x)} for x in (0.0, 1.0))
    expected = fit_readout(ones, embedding_dim)(ones)
    actual = fit_readout(zeros, embedding_dim)(zeros)
    torch.testing.assert_close(actual, expected)
    nothing = {"multi": torch.zeros(4, 6)}
    assert (fit_readout(nothing, embedding_dim)(nothing) == 0).all()


def test_a_readout_moves_as_a_whole():
    readout = fit_readout(make_blocks(), 8).to(torch.device("meta"))
    tensors = [readout.location, readout.axes]
    for scaling in readout.scalings.values():
        tensors += [scaling.location, scaling.scale]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_equal_series_have_no_more_dimensions_than_their_blocks():
    blocks = {"multi": torch.ones(9, 3)}
    embedding = fit_readout(blocks, 8)(blocks)
    assert embedding.shape == (9, 3)
    assert (embedding == 0).all()


def test_a_series_is_embedded_alone_as_in_a_batch():
    blocks = make_blocks()
    readout = fit_readout(blocks, 8)
    alone = readout({name: block[3:4] for name, block in blocks.items()})
    torch.testing.assert_close(alone, readout(blocks)[3:4])
