"""Segments, shapelets and their transform against slow, obvious definitions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mug_sklearn.device import repeatable_arithmetic
from mug_sklearn.nn import coarse, layers
from mug_sklearn.nn.coarse import (
    CoarseEncoder,
    SegmentScale,
    ShapeletTransform,
    cut_segments,
    masked_average_pool,
    segment_mask,
    segment_scale,
)
from mug_sklearn.nn.convolution import (
    WIDE,
    CausalConv,
    SeriesEncoder,
    receptive_field,
)
from mug_sklearn.nn.layers import HAS_ONEDNN


def gappy(n=3, channels=2, length=23, share=0.7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(n, channels, length, generator=generator).double()
    observed = torch.rand(n, channels, length, generator=generator) < share
    return values * observed, observed


@given(
    length=st.integers(1, 300),
    extra=st.integers(0, 300),
    max_points=st.integers(1, 40),
    n_segments=st.integers(1, 12),
)
@settings(deadline=None)
def test_segment_scale_keeps_its_promises(length, extra, max_points, n_segments):
    scale = segment_scale(length, length + extra, max_points, n_segments)
    assert scale.width <= max_points
    # No more is averaged than needed, and no point lies past the segment.
    assert scale.pooling == 1 or max_points * (scale.pooling - 1) < length
    assert scale.width == math.ceil(length / scale.pooling)
    assert 1 <= scale.stride <= scale.width
    # Unless neighbours touch, so many segments reach the end, and a shorter stride
    # would take more.
    n_steps = max(n_segments - 1, 1)
    slack = math.ceil((length + extra) / scale.pooling) - scale.width
    assert n_steps * scale.stride >= slack or scale.stride == scale.width
    assert n_steps * (scale.stride - 1) < slack or scale.stride == 1


@pytest.mark.parametrize("pooling", [1, 3, 4, 30])
def test_pooling_averages_what_is_observed(pooling):
    values, observed = gappy()
    values = torch.where(observed, values, 100.0)
    pooled, present = masked_average_pool(values, observed, pooling)
    for series in range(3):
        for channel in range(2):
            for point in range(pooled.shape[-1]):
                run = slice(point * pooling, (point + 1) * pooling)
                seen = values[series, channel, run][observed[series, channel, run]]
                assert bool(present[series, channel, point]) == (len(seen) > 0)
                expected = seen.mean().item() if len(seen) else 0.0
                assert pooled[series, channel, point].item() == pytest.approx(expected)


@pytest.mark.parametrize("share", [0.7, 0.4])
@pytest.mark.parametrize("width", [5, 6])
def test_segments_are_the_windows_with_half_their_points_observed(width, share):
    values, observed = gappy(share=share)
    scale = SegmentScale(length=width, pooling=1, width=width, stride=4)
    cut_values, cut_observed = cut_segments(values, observed, scale)
    mask = segment_mask(observed, scale)
    assert cut_values.shape[1] == cut_observed.shape[1] == mask.shape[1]
    padded = torch.nn.functional.pad(values, (0, 6))
    padded_observed = torch.nn.functional.pad(observed, (0, 6))
    for segment in range(mask.shape[1]):
        window = slice(4 * segment, 4 * segment + width)
        torch.testing.assert_close(cut_values[:, segment], padded[..., window])
        assert torch.equal(cut_observed[:, segment], padded_observed[..., window])
        enough = padded_observed[..., window].any(dim=1).sum(dim=1) >= 3
        assert torch.equal(mask[:, segment], enough)
    # No window that would count has been left out.
    start = 4 * mask.shape[1]
    assert 23 - start < 3


def test_in_a_sparse_series_the_fullest_segments_count():
    observed = torch.zeros(3, 1, 20, dtype=torch.bool)
    observed[0, 0, [3, 12, 13]] = True
    observed[1, 0, [3, 12]] = True
    observed[2, 0, 19] = True
    scale = SegmentScale(length=8, pooling=1, width=8, stride=4)  # at 0, 4, 8, ...
    mask = segment_mask(observed, scale)
    counting = [row.nonzero()[:, 0].tolist() for row in mask]
    assert counting == [[2], [0, 2], [3, 4]]


@pytest.mark.parametrize("padding", [1, 7, 40])
@pytest.mark.parametrize("share", [0.7, 0.1])
# Of four timepoints there are two points, less than half of a segment.
@pytest.mark.parametrize(("length", "stride"), [(23, 2), (23, 5), (4, 1)])
def test_padding_adds_no_segment_that_counts(padding, share, length, stride):
    values, observed = gappy(length=length, share=share)
    scale = SegmentScale(length=9, pooling=2, width=5, stride=stride)
    longer = [torch.nn.functional.pad(x, (0, padding)) for x in (values, observed)]
    short, _ = cut_segments(values, observed, scale)
    long, _ = cut_segments(*longer, scale)
    n_segments = short.shape[1]
    torch.testing.assert_close(long[:, :n_segments], short)
    counts, counts_longer = (segment_mask(x, scale) for x in (observed, longer[1]))
    assert torch.equal(counts_longer[:, :n_segments], counts)
    assert not counts_longer[:, n_segments:].any()


def test_a_series_without_values_has_one_segment():
    nothing = torch.zeros(1, 1, 20, dtype=torch.bool)
    scale = SegmentScale(length=5, pooling=1, width=5, stride=3)
    assert segment_mask(nothing, scale).sum() == 1


@pytest.mark.parametrize("patch_length", [1, 2, 3, 5])
@torch.no_grad()
def test_a_segment_is_the_maximum_of_its_own_features(patch_length):
    values, observed = gappy(length=31, share=0.3)
    observed[1, :, 12:21] = False
    scales = (SegmentScale(6, 1, 6, 4), SegmentScale(11, 3, 4, 2))
    encoder = CoarseEncoder(2, patch_length, scales, 4, 2, 5, 8).double()
    segments = encoder(values, observed)
    points = encoder.project(segments.features)
    missing = -31 % patch_length
    cut = torch.nn.functional.pad(observed, (0, missing))
    cut = cut.unflatten(-1, (-1, patch_length))  # (3, 2, patches, patch_length)
    column = 0
    for n_segments, scale in zip(segments.n_segments, scales, strict=True):
        counts = segment_mask(observed, scale)
        assert counts.shape[1] == n_segments
        for segment in range(n_segments):
            start = segment * scale.stride * scale.pooling
            stop = start + scale.length
            assert segments.spans[column].tolist() == [start, stop]
            assert torch.equal(segments.mask[:, column], counts[:, segment])
            for series in range(3):
                inside = [
                    points[series, patch]
                    for patch in range(points.shape[1])
                    if patch * patch_length < stop
                    and (patch + 1) * patch_length > start
                    and cut[series, :, patch].any()
                ]
                strongest = torch.zeros(8).double()
                if inside:
                    strongest = torch.stack(inside).amax(dim=0)
                expected = torch.nn.functional.layer_norm(strongest, (8,))
                torch.testing.assert_close(segments.tokens[series, column], expected)
            column += 1
    assert column == segments.tokens.shape[1]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("n_inputs", "n_outputs"), [(3, 4), (16, 4), (3, 16), (16, 32), (WIDE, 4)]
)
@pytest.mark.parametrize("dilation", [1, 2, 5, 12])
def test_causal_convolution_is_torchs(dilation, n_inputs, n_outputs, training):
    layer = CausalConv(n_inputs, n_outputs, dilation).double().train(training)
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(2, 11, n_inputs, generator=generator).double()
    weight = layer.taps.weight.unflatten(1, (3, -1)).transpose(1, 2)  # (out, in, taps)
    expected = torch.nn.functional.conv1d(
        torch.nn.functional.pad(signal.transpose(1, 2), (2 * dilation, 0)),
        weight,
        layer.taps.bias,
        dilation=dilation,
    ).transpose(1, 2)
    torch.testing.assert_close(layer(signal), expected)


@pytest.mark.parametrize("n_points", [1, 3, 50])
@pytest.mark.parametrize(
    ("n_inputs", "n_outputs"), [(5, 5), (16, 16), (64, 64), (WIDE, 64), (WIDE + 1, 5)]
)
@pytest.mark.parametrize("dilation", [1, 8])
@pytest.mark.parametrize("has_onednn", [HAS_ONEDNN, False])
def test_a_convolution_rounds_alike_in_every_batch(
    n_points, n_inputs, n_outputs, dilation, has_onednn, monkeypatch
):
    monkeypatch.setattr(layers, "HAS_ONEDNN", has_onednn)
    generator = torch.Generator().manual_seed(0)
    layer = CausalConv(n_inputs, n_outputs, dilation).eval()
    one = torch.randn(1, n_points, n_inputs, generator=generator)
    with torch.inference_mode(), repeatable_arithmetic():
        alone = layer(one)
        for series in layer(one.repeat(33, 1, 1)):
            assert torch.equal(series, alone[0])
        torch.testing.assert_close(alone, layer.train()(one), rtol=1e-4, atol=1e-5)


def test_the_segment_encoder_is_its_equation():
    encoder = SeriesEncoder(3, 4, 2, 5).double()
    series = torch.randn(2, 11, 3, generator=torch.Generator().manual_seed(0)).double()
    gelu = torch.nn.functional.gelu
    signal = encoder.stem(series)
    for block in encoder.blocks:
        signal = signal + block.second(gelu(block.first(gelu(signal))))
    torch.testing.assert_close(encoder(series), encoder.features(gelu(signal)))


@pytest.mark.parametrize("depth", [2, 3])
def test_a_feature_sees_its_receptive_field(depth):
    encoder = SeriesEncoder(1, 4, depth, 2)
    series = torch.randn(1, 50, 1, generator=torch.Generator().manual_seed(0))
    series.requires_grad_()
    encoder(series)[0, -1].sum().backward()
    seen = series.grad[0, :, 0] != 0
    assert seen.sum() == receptive_field(depth)
    assert seen[-receptive_field(depth) :].all()


def slow_best_match(series, series_observed, shapelet, known):
    """Least mean squared difference over all positions, with loops."""
    width, length = shapelet.shape[1], series.shape[1]
    distances = {}
    for start in range(length):
        window = slice(start, min(start + width, length))
        part = slice(0, window.stop - start)
        common = series_observed[:, window] & known[:, part]
        difference = np.where(common, series[:, window] - shapelet[:, part], 0.0)
        mean = np.square(difference).sum() / max(common.sum(), 1)
        distances.setdefault(int(common.sum()), []).append(mean)
    enough = [
        d for n, group in distances.items() if 2 * n >= known.sum() for d in group
    ]
    return min(enough or distances[max(distances)])


@pytest.mark.parametrize("pooling", [1, 3])
@pytest.mark.parametrize("share", [1.0, 0.7, 0.2])
@torch.no_grad()
def test_shapelet_transform_is_the_best_match(share, pooling):
    values, observed = gappy(share=share)
    scale = SegmentScale(5 * pooling, pooling, 5, 1)
    transform = ShapeletTransform(scale, 4, 2).double()
    shapelets, known = gappy(n=4, length=5, share=0.9, seed=3)
    transform.values.copy_(shapelets)
    transform.observed.copy_(known)
    actual = transform(values, observed)
    pooled, present = masked_average_pool(values, observed, pooling)
    for series in range(3):
        for shapelet in range(4):
            expected = slow_best_match(
                pooled[series].numpy(),
                present[series].numpy(),
                shapelets[shapelet].numpy(),
                known[shapelet].numpy(),
            )
            assert actual[series, shapelet].item() == pytest.approx(expected)


@pytest.mark.parametrize("n_at_once", [1, 2, 5, 6])
@torch.no_grad()
def test_as_many_series_as_their_windows_allow_are_matched_at_once(
    n_at_once, monkeypatch
):
    transform = ShapeletTransform(SegmentScale(6, 2, 3, 1), 4, 2)
    transform.values.copy_(gappy(n=4, length=3, share=1.0, seed=3)[0])
    values, observed = gappy(n=5)
    values = values.float()
    expected = transform(values, observed)
    series = torch.zeros(5, 3 * 2, 12)
    one = transform._windows(series[:1]).numel()
    monkeypatch.setattr(coarse, "WINDOW_NUMBERS", (n_at_once + 1) * one - 1)
    assert transform._n_at_once(series) == n_at_once
    torch.testing.assert_close(transform(values, observed), expected, rtol=0, atol=0)


@torch.no_grad()
def test_windows_of_a_single_series_may_be_larger(monkeypatch):
    monkeypatch.setattr(coarse, "WINDOW_NUMBERS", 1)
    transform = ShapeletTransform(SegmentScale(5, 1, 5, 1), 1, 2).double()
    assert transform(*gappy()).shape == (3, 1)


@torch.no_grad()
def test_shapelets_with_as_many_gaps_elsewhere_are_matched_on_their_own():
    transform = ShapeletTransform(SegmentScale(5, 1, 5, 1), 2, 2).double()
    shapelets, known = gappy(n=2, length=5, share=1.0, seed=3)
    known[0, 0, 0] = known[1, 1, 2] = False
    transform.values.copy_(shapelets)
    transform.observed.copy_(known)
    values, observed = gappy()
    together = transform.distances(values, observed)
    for number in range(2):
        alone = ShapeletTransform(transform.scale, 1, 2).double()
        alone.values.copy_(shapelets[number])
        alone.observed.copy_(known[number])
        expected = alone.distances(values, observed)
        torch.testing.assert_close(together[:, number : number + 1], expected)


@pytest.mark.parametrize("length", [1, 15, 16, 17, 32])
@torch.no_grad()
def test_a_shapelet_of_one_value_is_compared_with_each_of_a_series(length):
    transform = ShapeletTransform(SegmentScale(5, 1, 5, 1), 1, 1).double()
    transform.values[..., 0] = 0.5
    transform.observed[..., 1:] = False
    values, observed = gappy(channels=1, length=length, share=1.0)
    distances = transform.distances(values, observed)
    torch.testing.assert_close(distances, (values - 0.5).square())


@torch.no_grad()
def test_a_series_without_a_shapelets_channel_is_as_far_as_the_means():
    transform = ShapeletTransform(SegmentScale(5, 1, 5, 1), 2, 2).double()
    shapelets, known = gappy(n=2, length=5, share=0.8, seed=3)
    known[:, 1] = False
    transform.values.copy_(shapelets)
    transform.observed.copy_(known)
    values, observed = gappy(share=1.0)
    observed[0, 0] = False  # only the other channel is left
    observed[1] = False
    expected = [
        shapelet[seen].square().mean()
        for shapelet, seen in zip(shapelets, known, strict=True)
    ]
    actual = transform(values * observed, observed)
    for unlike in actual[:2]:
        torch.testing.assert_close(unlike, torch.stack(expected))
    assert not torch.isclose(actual[2], torch.stack(expected)).any()


@torch.no_grad()
def test_a_shapelet_without_values_tells_no_series_apart():
    # Discovery finds no other where no segment reaches a value of the training series.
    transform = ShapeletTransform(SegmentScale(5, 1, 5, 1), 2, 2).double()
    transform.observed[1] = False
    distances = transform(*gappy())
    assert (distances[:, 0] > 0).all()
    assert (distances[:, 1] == 0).all()


@torch.no_grad()
def test_a_shapelet_is_at_no_distance_from_its_own_series():
    values, observed = gappy(share=1.0)
    transform = ShapeletTransform(SegmentScale(6, 1, 6, 1), 1, 2).double()
    transform.values.copy_(values[1:2, :, 8:14])
    assert transform(values, observed)[1, 0].item() == pytest.approx(0, abs=1e-12)


@torch.no_grad()
def test_rounding_makes_no_distance_negative():
    values, observed = gappy(n=30, length=40, share=1.0)
    values = 100 * values.float()
    transform = ShapeletTransform(SegmentScale(8, 1, 8, 1), 30, 2)
    transform.values.copy_(values[..., 10:18])
    assert (transform.distances(values, observed) >= 0).all()
