"""Masked attention and masked normalisation against slow, obvious definitions."""

import math
import runpy

import pytest
import torch

from mug_sklearn.nn import layers
from mug_sklearn.nn.layers import (
    HAS_ONEDNN,
    Attention,
    FeedForward,
    MaskedBatchNorm,
    TokenLinear,
    convolve,
    distinct,
    masked_max,
    masked_mean,
    require_one_token,
)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(3, 5, 8, generator=generator).double()
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 0, 1, 0]]).bool()
    return tokens, mask


def slow_attention(layer, queries, keys, mask):
    """One query, one head and one key at a time."""
    width = queries.shape[-1] // layer.n_heads
    query = layer.query(queries)
    key, value = layer.key_value(keys).chunk(2, dim=-1)
    merged = torch.zeros_like(query)
    for n in range(queries.shape[0]):
        for head in range(layer.n_heads):
            part = slice(head * width, (head + 1) * width)
            for f in range(queries.shape[1]):
                score = {
                    s: math.exp(query[n, f, part] @ key[n, s, part] / math.sqrt(width))
                    for s in range(keys.shape[1])
                    if mask[n, s]
                }
                total = sum(score.values())
                for s, weight in score.items():
                    merged[n, f, part] += weight / total * value[n, s, part]
    return layer.output(merged)


def test_attention_is_its_equation(batch):
    tokens, mask = batch
    layer = Attention(8, 2).double()
    queries = tokens.flip(0)[:, :4]
    with torch.no_grad():
        expected = slow_attention(layer, queries, tokens, mask)
        torch.testing.assert_close(layer(queries, tokens, mask), expected)


def test_attention_weights_are_shares_of_what_counts(batch):
    tokens, mask = batch
    weights = Attention(8, 2).double().weights(tokens, tokens, mask)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 5).double())
    assert (weights.masked_select(~mask[:, None, :]) == 0).all()


def test_attention_gradient(batch):
    tokens, mask = batch
    layer = Attention(8, 2).double()
    inputs = tokens[:2].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: layer(x, x, mask[:2]), inputs)


def test_masked_keys_have_no_influence(batch):
    tokens, mask = batch
    layer = Attention(8, 2).double()
    changed = torch.where(mask.unsqueeze(-1), tokens, 1e3)
    torch.testing.assert_close(
        layer(tokens, changed, mask), layer(tokens, tokens, mask)
    )


def test_batch_norm_standardises_what_counts(batch):
    tokens, mask = batch
    layer = MaskedBatchNorm(8).double()
    flat = layer(tokens, mask)[mask]
    expected = torch.nn.functional.batch_norm(tokens[mask], None, None, training=True)
    torch.testing.assert_close(flat, expected)
    changed = torch.where(mask.unsqueeze(-1), tokens, 1e3)
    torch.testing.assert_close(layer(changed, mask)[mask], flat)


def test_batch_norm_uses_running_statistics_in_evaluation(batch):
    tokens, mask = batch
    layer = MaskedBatchNorm(8).double()
    layer(tokens, mask)
    layer(2 * tokens, mask)
    mean = tokens[mask].mean(dim=0)
    torch.testing.assert_close(layer.running_mean, 1.5 * mean)
    variance = tokens[mask].var(dim=0, correction=0)
    torch.testing.assert_close(layer.running_variance, 2.5 * variance)
    layer.eval()
    alone, together = layer(tokens[:1], mask[:1]), layer(tokens, mask)[:1]
    torch.testing.assert_close(alone, together)


def test_running_statistics_follow_the_latest_batches(batch):
    tokens, mask = batch
    layer = MaskedBatchNorm(8).double()
    mean, expected = tokens[mask].mean(dim=0), torch.zeros(8).double()
    for number in range(1, 31):
        layer(number * tokens, mask)
        expected += max(1 / number, 0.1) * (number * mean - expected)
    torch.testing.assert_close(layer.running_mean, expected)


def test_batch_norm_of_half_precision_keeps_precise_statistics():
    tokens = 1 + torch.randn(4, 300, 8, generator=torch.Generator().manual_seed(0))
    tokens, mask = tokens.bfloat16(), torch.ones(4, 300, dtype=torch.bool)
    layer = MaskedBatchNorm(8)
    layer(tokens, mask)
    variance, mean = torch.var_mean(tokens.float(), dim=(0, 1), correction=0)
    torch.testing.assert_close(layer.running_mean, mean)
    torch.testing.assert_close(layer.running_variance, variance)


def test_batch_norm_gradient(batch):
    tokens, mask = batch
    layer = MaskedBatchNorm(8).double()
    inputs = tokens.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: layer(x, mask), inputs)


def test_feed_forward_is_its_equation(batch):
    tokens, _ = batch
    layer = FeedForward(8).double()
    inner, _, outer = layer
    hidden = torch.nn.functional.gelu(tokens @ inner.weight.T + inner.bias)
    expected = hidden @ outer.weight.T + outer.bias
    torch.testing.assert_close(layer(tokens), expected)


def test_masked_pooling(batch):
    tokens, mask = batch
    for series in range(3):
        kept = tokens[series][mask[series]]
        torch.testing.assert_close(masked_mean(tokens, mask)[series], kept.mean(dim=0))
        torch.testing.assert_close(masked_max(tokens, mask)[series], kept.amax(dim=0))


def test_an_empty_series_keeps_its_first_token():
    mask = torch.tensor([[False, False], [False, True]])
    expected = torch.tensor([[True, False], [False, True]])
    assert torch.equal(require_one_token(mask), expected)


def test_masks_that_are_alike_are_one():
    masks = torch.tensor([[True, False, True]]).repeat(3, 1)
    assert distinct(masks) is masks  # in training nothing is asked
    with torch.no_grad():
        assert torch.equal(distinct(masks), masks[:1])
        assert torch.equal(distinct(masks[:1]), masks[:1])
        masks[2, 1] = True
        assert distinct(masks) is masks


@pytest.mark.parametrize("n_tokens", [1, 3, 16, 50])
@pytest.mark.parametrize("n_inputs", [5, 6, 7, 64, 320])
@pytest.mark.parametrize("n_outputs", [8, 24, 64])
@pytest.mark.parametrize("has_onednn", [HAS_ONEDNN, False])
def test_a_linear_map_rounds_alike_in_every_batch(
    n_tokens, n_inputs, n_outputs, has_onednn, monkeypatch
):
    monkeypatch.setattr(layers, "HAS_ONEDNN", has_onednn)
    generator = torch.Generator().manual_seed(0)
    layer = TokenLinear(n_inputs, n_outputs).eval()
    one = torch.randn(1, n_tokens, n_inputs, generator=generator)
    with torch.inference_mode():
        alone = layer(one)
        for series in layer(one.repeat(33, 1, 1)):
            assert torch.equal(series, alone[0])
        torch.testing.assert_close(alone, layer.train()(one))


@pytest.mark.parametrize(
    ("machine", "capability", "expected"),
    [
        ("x86_64", "AVX2", torch.backends.mkldnn.is_available()),
        ("AMD64", "AVX512", torch.backends.mkldnn.is_available()),
        ("x86_64", "DEFAULT", False),
        ("arm64", "DEFAULT", False),
        ("aarch64", "SVE256", False),
    ],
)
def test_onednn_is_for_x86_processors(machine, capability, expected, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)
    # Run anew under another name: the package keeps what it has.
    assert runpy.run_path(layers.__file__)["HAS_ONEDNN"] == expected


@pytest.mark.skipif(not HAS_ONEDNN, reason="no oneDNN, or no x86 processor")
@pytest.mark.parametrize(("n", "n_tokens"), [(1, 7), (3, 7), (40, 20)])
@pytest.mark.parametrize("n_inputs", [1, 2, 16, 320])
@pytest.mark.parametrize(("n_taps", "dilation"), [(1, 1), (3, 1), (3, 3)])
def test_a_convolution_is_torchs(n, n_tokens, n_inputs, n_taps, dilation):
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(n, n_tokens, n_inputs, generator=generator)
    weight = torch.randn(5, n_taps, n_inputs, generator=generator)
    bias = torch.randn(5, generator=generator)
    expected = torch.nn.functional.conv1d(
        tokens.transpose(1, 2).double(),
        weight.transpose(1, 2).double(),
        bias.double(),
        dilation=dilation,
    ).transpose(1, 2)
    found = convolve(tokens, weight, bias, dilation)
    assert found.is_contiguous()
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)
