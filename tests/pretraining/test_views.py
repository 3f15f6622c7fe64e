"""Augmented views and the geometric masks of the pretext task."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mug_sklearn.pretraining.views import (
    JITTER,
    MASKED_SHARE,
    SCALING,
    SMALLEST_CROP,
    augmented_view,
    crop_mask,
    geometric_mask,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def slow_geometric_mask(draws: np.ndarray, share: float, mean_length: float):
    """TST's two-state chain for one channel, step by step."""
    leave = 1 / mean_length
    enter = leave * share / (1 - share)
    masked, states = draws[0] < share, []
    for step, draw in enumerate(draws):
        if step:
            masked = draw < 1 - leave if masked else draw < enter
        states.append(masked)
    return np.array(states)


@pytest.mark.parametrize(("share", "mean_length"), [(0.15, 3.0), (0.4, 6.0)])
def test_geometric_mask_is_the_chain(share, mean_length):
    draws = torch.rand((50, 3, 2), generator=generator()).numpy()
    mask = geometric_mask((3, 2, 50), generator(), share, mean_length).numpy()
    for series in range(3):
        for channel in range(2):
            expected = slow_geometric_mask(
                draws[:, series, channel], share, mean_length
            )
            np.testing.assert_array_equal(mask[series, channel], expected)


def test_geometric_mask_has_the_share_and_the_run_length_it_promises():
    mask = geometric_mask((50, 1, 4000), generator()).numpy()[:, 0]
    assert mask.mean() == pytest.approx(0.15, abs=0.01)
    begins = (mask[:, 1:] & ~mask[:, :-1]).sum()
    assert mask.sum() / begins == pytest.approx(3.0, rel=0.05)


def test_channels_are_masked_on_their_own():
    mask = geometric_mask((1, 2, 500), generator())
    assert not torch.equal(mask[0, 0], mask[0, 1])


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 99),
)
@settings(deadline=None, max_examples=50)
def test_crop_is_one_window_inside_the_series(ranges, seed):
    starts, lengths = torch.tensor(ranges).T
    inside = crop_mask(starts, lengths, 40, generator(seed))[:, 0].numpy()
    for (start, length), window in zip(ranges, inside, strict=True):
        kept = np.flatnonzero(window)
        assert len(kept) >= SMALLEST_CROP * (length - start)
        if len(kept):
            assert start <= kept[0]
            assert kept[-1] < length
            assert kept[-1] - kept[0] + 1 == len(kept)


def test_crop_begins_at_each_place_equally_often():
    n_series = 40_000
    starts, lengths = torch.full((n_series,), 3), torch.full((n_series,), 13)
    inside = crop_mask(starts, lengths, 15, generator())[:, 0].numpy()
    width, start = inside.sum(axis=1), inside.argmax(axis=1) - 3
    for kept in (7, 8, 9, 10):
        counts = np.bincount(start[width == kept], minlength=11 - kept)
        assert len(counts) == 11 - kept
        expected = counts.sum() / len(counts)
        assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_view_keeps_to_what_is_observed():
    values = torch.randn(4, 2, 30, generator=generator())
    observed = torch.rand(4, 2, 30, generator=generator()) < 0.7
    before = values.clone()
    view = augmented_view(values, observed, generator())
    assert not (view.observed & ~observed).any()
    assert not (view.hidden & ~view.observed).any()
    assert (view.values[~view.observed] == 0).all()
    assert torch.equal(values, before)


def test_a_gap_at_the_start_is_no_part_of_the_crop():
    observed = torch.ones(200, 1, 50, dtype=torch.bool)
    observed[:, :, :40] = False
    view = augmented_view(torch.ones(200, 1, 50), observed, generator())
    assert (view.observed.sum(dim=(1, 2)) >= 6).all()


def test_the_crop_is_of_what_any_channel_observes():
    observed = torch.ones(200, 2, 50, dtype=torch.bool)
    observed[:, 0, :40] = False
    view = augmented_view(torch.ones(200, 2, 50), observed, generator())
    assert view.observed[:, 1].sum(dim=1).min() >= SMALLEST_CROP * 50


def test_a_channel_outside_the_crop_shows_nothing():
    observed = torch.ones(200, 2, 50, dtype=torch.bool)
    observed[:, 1, 1:] = False
    view = augmented_view(torch.ones(200, 2, 50), observed, generator())
    first, second = view.observed[..., 0].unbind(1)
    assert 0 < first.sum() < 200
    assert torch.equal(second, first)


def test_no_view_lies_inside_a_gap():
    observed = torch.zeros(300, 1, 50, dtype=torch.bool)
    observed[:, :, [0, 49]] = True
    observed[0] = False
    view = augmented_view(torch.ones(300, 1, 50), observed, generator())
    n_kept = view.observed.sum(dim=(1, 2))
    assert n_kept[0] == 0
    assert set(n_kept[1:].tolist()) == {1, 2}


def test_views_differ_and_repeat():
    values = torch.randn(2, 1, 30, generator=generator())
    observed = torch.ones(2, 1, 30, dtype=torch.bool)
    source = generator()
    first = augmented_view(values, observed, source)
    second = augmented_view(values, observed, source)
    again = augmented_view(values, observed, generator())
    assert not torch.equal(first.values, second.values)
    assert torch.equal(first.values, again.values)


def view_of(values):
    observed = torch.ones_like(values, dtype=torch.bool)
    return augmented_view(values, observed, generator())


def test_each_channel_is_scaled_by_one_factor_near_one():
    size = 1e6
    view = view_of(torch.full((300, 2, 20), size, dtype=torch.float64))
    factor = np.zeros((300, 2))
    for place in np.ndindex(factor.shape):
        factors = view.values[place][view.observed[place]].numpy() / size
        assert np.ptp(factors) < 1e-6
        factor[place] = factors[0]
    assert factor.mean() == pytest.approx(1.0, abs=0.02)
    assert factor.std() == pytest.approx(SCALING, rel=0.1)
    assert abs(np.corrcoef(factor.T)[0, 1]) < 0.2


def test_each_value_has_a_little_noise_of_its_own():
    view = view_of(torch.zeros(50, 2, 40))
    noise = view.values[view.observed].numpy()
    assert noise.mean() == pytest.approx(0.0, abs=0.1 * JITTER)
    assert noise.std() == pytest.approx(JITTER, rel=0.1)
    assert len(set(noise.tolist())) > 0.9 * len(noise)


def test_the_noise_is_as_large_in_every_channel_whatever_its_factor():
    view = view_of(torch.zeros(20, 2, 4000))
    for place in np.ndindex(20, 2):
        noise = view.values[place][view.observed[place]]
        assert noise.std().item() == pytest.approx(JITTER, rel=0.08)


def test_a_view_is_a_window_of_the_series():
    lengths = torch.arange(300) % 30 + 11
    inside = torch.arange(40) < lengths[:, None]
    observed = inside[:, None].expand(-1, 2, -1)
    values = torch.ones(300, 2, 40) * observed
    view = augmented_view(values, observed, generator())
    shares, starts = [], []
    for first, second, length in zip(*view.observed.unbind(1), lengths, strict=True):
        assert torch.equal(first, second)
        kept = first.nonzero()[:, 0].tolist()
        assert kept == list(range(kept[0], kept[-1] + 1))
        assert kept[-1] < length
        shares.append(len(kept) / length.item())
        starts.append(kept[0])
    assert min(shares) >= SMALLEST_CROP
    assert np.mean(shares) == pytest.approx((1 + SMALLEST_CROP) / 2, abs=0.04)
    assert len(set(starts)) > 5


def test_a_view_hides_its_share_in_each_series_and_channel_on_its_own():
    view = view_of(torch.ones(300, 2, 40))
    hidden, observed = view.hidden, view.observed
    share = hidden.sum() / observed.sum()
    assert share.item() == pytest.approx(MASKED_SHARE, abs=0.02)
    for axis in (0, 1):  # the series in pairs, the two channels
        (one, other), (seen, seen_too) = (x.chunk(2, axis) for x in (hidden, observed))
        in_both = (one & other).sum() / (seen & seen_too).sum()
        assert in_both.item() == pytest.approx(share.item() ** 2, abs=0.01)
