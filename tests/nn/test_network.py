"""The encoders, the fusion and the critical path that wires them."""

import math
import sys
from contextlib import _GeneratorContextManager, suppress
from dataclasses import replace

import pytest
import torch

from mug_sklearn.nn.bank import DilatedShapelets
from mug_sklearn.nn.coarse import SegmentScale
from mug_sklearn.nn.fine import FineEncoder, TransformerLayer
from mug_sklearn.nn.fusion import (
    AttentionFusion,
    ConcatenationFusion,
    CrossGranularityTransformer,
    MaxFusion,
)
from mug_sklearn.nn.layers import MaskedBatchNorm, patches
from mug_sklearn.nn.network import INITIAL_SLOPE, MUGConfig, build_network, initialise

CONFIG = MUGConfig(
    granularity="multi",
    n_channels=2,
    n_timepoints=23,
    patch_length=3,
    segment_scales=(SegmentScale(5, 1, 5, 4), SegmentScale(10, 2, 5, 3)),
    n_shapelets=3,
    n_random_shapelets=8,
    d_model=8,
    n_heads=2,
    n_layers=2,
    fine_fusion="attention",
    fusion="cross_attention",
)


def make_network(**changes):
    network = build_network(replace(CONFIG, **changes))
    initialise(network, torch.Generator().manual_seed(0))
    return network.double().eval()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(4, 2, 23, generator=generator).double()
    observed = torch.rand(4, 2, 23, generator=generator) < 0.8
    observed[1, :, 14:] = False
    return values * observed, observed


def test_building_draws_nothing_and_leaves_nothing_undefined():
    before = torch.get_rng_state()
    network = make_network()
    assert torch.equal(torch.get_rng_state(), before)
    for name, tensor in network.state_dict().items():
        assert torch.isfinite(tensor).all(), name
    again = make_network()
    for name, tensor in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_an_interrupt_of_building_leaves_torchs_device():
    def interrupt(frame, event, argument):
        # Where torch leaves one of the contexts by which it switches devices.
        if frame.f_code is _GeneratorContextManager.__exit__.__code__:
            raise KeyboardInterrupt

    tracing = sys.gettrace()
    sys.settrace(interrupt)
    try:
        with suppress(KeyboardInterrupt):
            build_network(CONFIG)
    finally:
        sys.settrace(tracing)
    assert torch.zeros(()).device.type == "cpu"


@pytest.mark.parametrize("part", ["weight", "bias"])
def test_linear_maps_begin_uniform_up_to_the_root_of_their_inputs(part):
    drawn = torch.cat(
        [
            (getattr(layer, part) * math.sqrt(layer.in_features)).flatten()
            for layer in make_network().modules()
            if isinstance(layer, torch.nn.Linear)
        ]
    )
    assert drawn.abs().max() <= 1 + 1e-6
    assert drawn.std().item() == pytest.approx(1 / math.sqrt(3), rel=0.1)


def test_no_two_parts_begin_with_the_same_draw():
    drawn = []
    for module in make_network().modules():
        if isinstance(module, torch.nn.Linear):
            drawn += [module.weight, module.bias]
        elif isinstance(module, DilatedShapelets):
            drawn.append(module.patterns)
    assert len({tensor.flatten()[0].item() for tensor in drawn}) == len(drawn)


def test_normalisation_by_statistics_begins_without_effect():
    tokens = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0)).double()
    mask = torch.ones(2, 5, dtype=torch.bool)
    layers = [x for x in make_network().modules() if isinstance(x, MaskedBatchNorm)]
    assert len(layers) == 4
    for layer in layers:
        torch.testing.assert_close(layer(tokens, mask), tokens, rtol=1e-4, atol=0)


def test_the_line_of_the_scores_begins_at_its_initial_values():
    network = make_network()
    assert network.log_slope.exp().item() == pytest.approx(INITIAL_SLOPE)
    assert network.offset.item() == 0


def test_tokens_are_patches(batch):
    tokens, mask = make_network().fine(*batch)
    assert tokens.shape == (4, 8, 8)
    assert mask[0].all()
    assert mask[1].tolist() == [True] * 5 + [False] * 3


def test_a_patch_holds_its_own_timepoints():
    series = torch.arange(14.0).reshape(1, 2, 7)
    observed = torch.ones(1, 2, 7, dtype=torch.bool)
    observed[..., 1] = False
    expected = [[0, 0, 2, 7, 0, 9], [3, 4, 5, 10, 11, 12], [6, 0, 0, 13, 0, 0]]
    values, seen = patches(series, observed, 3)[0].chunk(2, dim=1)
    assert values.tolist() == expected
    assert seen.tolist() == [[1, 0, 1] * 2, [1] * 6, [1, 0, 0] * 2]


def test_reconstruction_puts_patches_back_in_place():
    encoder = FineEncoder(2, 3, n_positions=3, d_model=8, n_heads=2, n_layers=1)
    encoder.head = torch.nn.Identity()
    series = torch.arange(14.0).reshape(1, 2, 7)
    cut = patches(series, torch.ones(1, 2, 7, dtype=torch.bool), 3)[..., :6]
    assert torch.equal(encoder.reconstruct(cut, 7), series)


def test_predictions_are_linear_in_the_activated_tokens():
    fine = make_network().fine
    tokens = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    linear = fine.head[1]
    flat = torch.nn.functional.gelu(tokens) @ linear.weight.T + linear.bias
    for time, predicted in enumerate(fine.reconstruct(tokens, 23).unbind(2)):
        token, place = divmod(time, 3)
        torch.testing.assert_close(predicted, flat[:, token, place::3])


def test_a_patch_whose_values_are_all_hidden_is_still_a_token(batch):
    values, observed = batch
    hidden = torch.zeros_like(observed)
    hidden[..., 3:6] = observed[..., 3:6]
    fine = make_network().fine
    assert torch.equal(fine(values, observed, hidden).mask, fine(values, observed).mask)


def test_hidden_values_are_not_seen(batch):
    values, observed = batch
    hidden = observed & (torch.arange(23) % 5 == 0)
    fine = make_network().fine
    changed = torch.where(hidden, 100.0, values)
    torch.testing.assert_close(
        fine(changed, observed, hidden)[0], fine(values, observed, hidden)[0]
    )
    assert not torch.allclose(
        fine(values, observed)[0], fine(values, observed, hidden)[0]
    )


def test_unobserved_values_are_not_seen(batch):
    values, observed = batch
    network = make_network()
    changed = torch.where(observed, values, 100.0)
    torch.testing.assert_close(
        network.pooled_blocks(changed, observed),
        network.pooled_blocks(values, observed),
    )


@torch.no_grad()
def test_fine_tokens_are_their_equation(batch):
    values, observed = batch
    hidden = observed & (torch.arange(23) % 5 == 0)
    fine = make_network().fine
    tokens = torch.zeros(4, 8, 8).double()
    for series in range(4):
        for token in range(8):
            patch = torch.zeros(2, 2, 3).double()  # values, then what is observed
            for channel in range(2):
                for place, time in enumerate(range(3 * token, min(3 * token + 3, 23))):
                    seen = observed[series, channel, time]
                    if seen and not hidden[series, channel, time]:
                        patch[0, channel, place] = values[series, channel, time]
                        patch[1, channel, place] = 1.0
            embedded = fine.embed.weight @ patch.flatten() + fine.embed.bias
            tokens[series, token] = math.sqrt(8) * embedded + fine.position[token]
    mask = fine(values, observed, hidden)[1]
    for layer in fine.layers:
        tokens = layer(tokens, mask)
    torch.testing.assert_close(fine(values, observed, hidden)[0], tokens)


def standardised(tokens):
    """Batch normalisation of tokens that all count: (n, d)."""
    centred = tokens - tokens.mean(dim=0)
    return centred / (centred.square().mean(dim=0) + 1e-5).sqrt()


def test_a_transformer_layer_is_its_equation():
    generator = torch.Generator().manual_seed(1)
    layer = TransformerLayer(8, 2).double()
    tokens = torch.randn(2, 5, 8, generator=generator).double()
    mask = torch.tensor([[True] * 5, [True, False, True, True, False]])
    # Attention, Add & Norm, feed-forward, Add & Norm, on the tokens that count alone
    attended = []
    for series in range(2):
        kept = tokens[series : series + 1, mask[series]]
        all_count = torch.ones(kept.shape[:2], dtype=torch.bool)
        attended.append((kept + layer.attention(kept, kept, all_count))[0])
    normed = standardised(torch.cat(attended))
    forwarded = layer.feedforward(normed[None])[0]
    expected = standardised(normed + forwarded)
    torch.testing.assert_close(layer(tokens, mask)[mask], expected)


def test_positions_begin_as_sinusoids():
    position = make_network().fine.position
    for place in range(8):
        for pair in range(4):
            angle = place / 10_000 ** (2 * pair / 8)
            expected = torch.tensor([math.sin(angle), math.cos(angle)]).double()
            found = position[place, 2 * pair : 2 * pair + 2]
            torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_tokens_past_the_training_length_share_the_last_position():
    fine = make_network().fine
    assert len(fine.position) == 8
    longer = torch.zeros(1, 2, 60).double()
    tokens, _ = fine(longer, torch.ones_like(longer, dtype=torch.bool))
    torch.testing.assert_close(tokens[:, 8], tokens[:, 19])


def test_fine_grained_fusion_is_its_equation():
    generator = torch.Generator().manual_seed(1)
    layer = AttentionFusion(8, 2).double()
    fine = torch.randn(2, 5, 8, generator=generator).double()
    mask = torch.tensor([[True] * 5, [True, False, True, True, False]])
    fused, fused_mask = layer(fine, mask)
    assert torch.equal(fused_mask, mask)
    for series in range(2):
        kept = fine[series : series + 1, mask[series]]
        all_count = torch.ones(kept.shape[:2], dtype=torch.bool)
        added = (kept + layer.attention(kept, kept, all_count))[0]
        for token, actual in zip(added, fused[series, mask[series]], strict=True):
            centred = token - token.mean()
            expected = centred / (centred.square().mean() + 1e-5).sqrt()
            torch.testing.assert_close(actual, expected)


def test_cross_granularity_is_its_equation():
    generator = torch.Generator().manual_seed(1)
    layer = CrossGranularityTransformer(8, 2).double()
    fused = torch.randn(2, 5, 8, generator=generator).double()
    coarse = torch.randn(2, 3, 8, generator=generator).double()
    mask = torch.tensor([[True, True, True], [True, False, True]])
    # Attention, Add & Norm, feed-forward, Add & Norm, one series at a time
    for series in range(2):
        kept = coarse[series : series + 1, mask[series]]
        query = fused[series : series + 1]
        attended = layer.attention(query, kept, torch.ones(1, kept.shape[1]).bool())
        normed = layer.attention_norm(query + attended)
        expected = layer.feedforward_norm(normed + layer.feedforward(normed))
        actual = layer(fused, coarse, mask)[series : series + 1]
        torch.testing.assert_close(actual, expected)


def test_ablations_of_the_fusions():
    tokens = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[False] + [True] * 4, [True] * 3 + [False] * 2])
    fused, fused_mask = MaxFusion(8)(tokens, mask)
    expected = torch.nn.functional.layer_norm(tokens[1, :3].amax(dim=0), (8,))
    torch.testing.assert_close(fused[1, 0], expected)
    assert fused_mask.tolist() == [[True], [True]]  # even if a series begins with a gap
    concatenation = ConcatenationFusion(8)
    segment = tokens[1, :3].mean(dim=0)
    expected = concatenation.project(torch.cat((tokens[1, 4], segment)))
    torch.testing.assert_close(concatenation(tokens, tokens, mask)[1, 4], expected)


@pytest.mark.parametrize("padding", [1, 9])
@pytest.mark.parametrize("fine_fusion", ["attention", "max"])
@pytest.mark.parametrize("fusion", ["cross_attention", "concat"])
def test_padding_changes_no_block(batch, padding, fine_fusion, fusion):
    network = make_network(fine_fusion=fine_fusion, fusion=fusion)
    longer = [torch.nn.functional.pad(x, (0, padding)) for x in batch]
    expected, actual = network.pooled_blocks(*batch), network.pooled_blocks(*longer)
    assert list(expected) == ["fine", "coarse", "shapelets", "bank", "multi"]
    for name, block in expected.items():
        torch.testing.assert_close(actual[name], block)


@pytest.mark.parametrize("share", [1.0, 0.6])
@pytest.mark.parametrize("last", [23, 17, 0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_series_with_the_same_gaps_are_as_without_one_another(share, last, dtype):
    network = make_network().to(dtype)
    generator = torch.Generator().manual_seed(0)
    pattern = torch.rand(1, 2, 23, generator=generator) < share
    pattern[..., last:] = False
    observed = pattern.repeat(4, 1, 1)
    values = torch.randn(4, 2, 23, generator=generator).to(dtype) * observed
    other = torch.ones(1, 2, 23, dtype=torch.bool)
    other[..., -20:-18] = False
    with torch.no_grad():
        alike = network(values, observed), network.pooled_blocks(values, observed)
        # Beside a series with another gap, all masks are computed.
        mixed = torch.cat((values, other.to(dtype))), torch.cat((observed, other))
        unlike = network(*mixed), network.pooled_blocks(*mixed)
    for name in ("fine", "fused", "multi", "coarse"):
        found, expected = (getattr(tokens, name) for tokens, _ in (alike, unlike))
        assert torch.equal(found.mask, expected.mask[:4])
        assert torch.equal(found.tokens, expected.tokens[:4])
    assert torch.equal(alike[0].coarse.feature_mask, unlike[0].coarse.feature_mask[:4])
    for name, block in alike[1].items():
        assert torch.equal(block, unlike[1][name][:4]), name


def test_blocks_pool_the_tokens_that_count(batch):
    network = make_network()
    blocks, tokens = network.pooled_blocks(*batch), network(*batch)
    features, feature_mask = tokens.coarse.features, tokens.coarse.feature_mask
    for series in range(4):
        for name in ("fine", "multi"):
            rows, mask = getattr(tokens, name)
            kept = rows[series, mask[series]]
            expected = torch.cat((kept.mean(dim=0), kept.amax(dim=0)))
            torch.testing.assert_close(blocks[name][series], expected)
        expected = features[series, feature_mask[series]].amax(dim=0)
        torch.testing.assert_close(blocks["coarse"][series], expected)


def test_only_the_blocks_asked_for_are_computed(batch):
    network = make_network()
    whole = network.pooled_blocks(*batch)
    ran = []
    for part in (network.bank, *network.shapelets):
        part.register_forward_hook(lambda *_: ran.append(True))
    some = network.pooled_blocks(*batch, ["multi", "coarse"])
    assert list(some) == ["multi", "coarse"]
    assert not ran
    for name, block in some.items():
        assert torch.equal(block, whole[name])


def test_noise_is_what_halves_of_a_series_differ_in(batch):
    values, observed = batch
    observed[2] = False
    observed[2, :, 3] = True  # one half sees nothing
    network = make_network()
    noise = network.split_half_noise(values, observed)
    assert list(noise) == ["coarse", "bank"]
    bank = network.bank.split_half_noise(values, observed)
    torch.testing.assert_close(noise["bank"], bank)
    segments = network.coarse(values, observed)
    for series in (0, 1, 3):
        points, counts = segments.features[series], segments.feature_mask[series]
        even, odd = (
            points[half][counts[half]].amax(dim=0)
            for half in (slice(0, None, 2), slice(1, None, 2))
        )
        expected = ((even - odd) / 2) ** 2
        torch.testing.assert_close(noise["coarse"][series], expected)
    assert (noise["coarse"][2] == 0).all()
    assert noise["bank"].isfinite().all()


def test_one_patch_has_no_halves():
    network = make_network()
    series = torch.ones(3, 2, 1).double(), torch.ones(3, 2, 1, dtype=torch.bool)
    noise = network.split_half_noise(*series)
    assert all((part == 0).all() for part in noise.values())


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"granularity": "coarse"}, ["coarse", "bank"]),
        ({"n_random_shapelets": 0}, ["coarse"]),
        ({"granularity": "fine"}, []),
    ],
)
def test_noise_is_estimated_for_the_blocks_there_are(batch, change, names):
    assert list(make_network(**change).split_half_noise(*batch)) == names


@pytest.mark.parametrize("granularity", ["multi", "fine", "coarse"])
def test_each_granularity_has_its_own_modules_only(granularity):
    children = {
        name for name, _ in make_network(granularity=granularity).named_children()
    }
    expected = {
        "fine": {"fine"},
        "coarse": {"coarse", "shapelets", "bank"},
        "multi": {"fine", "coarse", "shapelets", "bank", "fine_fusion", "fusion"},
    }
    assert children == expected[granularity]


def test_shapelets_are_shared_out():
    assert replace(CONFIG, n_shapelets=7).shapelets_of_scale() == [4, 3]
