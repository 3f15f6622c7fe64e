"""The readout against scikit-learn's PCA."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from mug_sklearn.nn.readout import (
    BLOCK_WEIGHTS,
    SCALE_SHRINKAGE,
    WHITENING,
    fit_readout,
)


def make_blocks(n=40):
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(n, 30, generator=generator) * torch.arange(1, 31)
    return {"bank": wide + 5, "multi": torch.randn(n, 6, generator=generator)}


def standardised(blocks):
    parts = []
    for name, block in blocks.items():
        values = block.double().numpy()
        deviation = values.std(axis=0)
        scale = deviation + SCALE_SHRINKAGE * np.sqrt(np.square(deviation).mean())
        weight = BLOCK_WEIGHTS[name] / np.sqrt(values.shape[1])
        parts.append((values - values.mean(axis=0)) / scale * weight)
    return np.concatenate(parts, axis=1)


def test_without_rotation_blocks_are_standardised_and_weighted():
    blocks = make_blocks()
    embedding = fit_readout(blocks, None)(blocks).numpy()
    np.testing.assert_allclose(embedding, standardised(blocks), atol=1e-6)


@pytest.mark.parametrize("n", [12, 40, 200])
def test_rotation_is_pca_with_mild_whitening(n):
    blocks = make_blocks(n)
    embedding = fit_readout(blocks, 5)(blocks).numpy()
    expected = PCA(5).fit_transform(standardised(blocks))
    expected = expected * expected.var(axis=0) ** -WHITENING
    expected /= np.sqrt(expected.var(axis=0).mean())
    expected *= np.sign((expected * embedding).sum(axis=0))
    np.testing.assert_allclose(embedding, expected, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_or_equal_series(n):
    blocks = {name: block[:1].expand(n, -1) for name, block in make_blocks().items()}
    embedding = fit_readout(blocks, 10)(blocks)
    assert embedding.shape == (n, max(1, n - 1))
    assert (embedding == 0).all()


def test_a_series_is_embedded_alone_as_in_a_batch():
    blocks = make_blocks()
    readout = fit_readout(blocks, 8)
    alone = readout({name: block[3:4] for name, block in blocks.items()})
    torch.testing.assert_close(alone, readout(blocks)[3:4])
