"""The panel: lengths, statistics, batches."""

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mug_sklearn._panel import Panel, StoredSeries

CPU = torch.device("cpu")

cubes = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7),
    elements=st.one_of(st.floats(-1e3, 1e3), st.just(np.nan)),
)


@given(cubes)
@settings(deadline=None, max_examples=80)
def test_lengths_end_with_the_last_observed_timepoint(cube):
    expected = []
    for series in cube:
        seen = [t + 1 for t in range(cube.shape[2]) if not np.isnan(series[:, t]).all()]
        expected.append(max(seen, default=0))
    panel = Panel(cube)
    np.testing.assert_array_equal(panel.lengths, expected)
    assert panel.n_timepoints == max(1, *expected)


@example(np.array([[[5e-324, 0.0]]]), 1)
@given(cubes, st.integers(1, 30))
@settings(deadline=None, max_examples=80)
def test_statistics_are_numpys_whatever_the_chunks(cube, chunk):
    with mock.patch("mug_sklearn._panel.CHUNK_VALUES", chunk):
        location, scale = Panel(cube).channel_statistics
        ragged_location, ragged_scale = Panel(list(cube)).channel_statistics
    for channel in range(cube.shape[1]):
        values = cube[:, channel][~np.isnan(cube[:, channel])]
        mean = values.mean() if len(values) else 0.0
        deviation = values.std() if len(values) else 0.0
        assert location[channel] == pytest.approx(mean, abs=1e-9)
        if deviation > 1e-6 * np.abs(values).max(initial=0.0):
            assert scale[channel] == pytest.approx(deviation, rel=1e-6)
        assert scale[channel] > 0
    np.testing.assert_allclose(ragged_location, location, atol=1e-9)
    np.testing.assert_allclose(ragged_scale, scale, rtol=1e-6)


def test_a_channel_that_only_rounding_changes_keeps_its_scale():
    cube = np.full((50, 1, 40), 0.1)
    cube[..., ::7] = np.nextafter(0.1, 1)
    _, scale = Panel(cube).channel_statistics
    assert scale == 1


@pytest.mark.filterwarnings("error")
def test_a_channel_differs_from_a_constant_by_more_than_rounding():
    big = 1.7e308
    channels = {
        (0.1, 0.1, np.nan): (0.1, False),
        (0.1, np.nextafter(0.1, 1), 0.1): (0.1, False),
        (np.nan, np.nan, np.nan): (5.0, False),
        (0.0, 0.0, 0.0): (0.0, False),
        (-big, -big, big): (-big, True),
        (big, big, big): (-big, True),
        (7.0, 7.0, 7.001): (7.0, True),
        (7.0, 7.0, 6.999): (7.0, True),
        (0.0, 0.0, 5e-324): (0.0, True),
        (np.nan, 3.0, np.nan): (0.0, True),
    }
    constants, differs = map(np.array, zip(*channels.values(), strict=True))
    panel = Panel(np.array([list(channels)]))
    np.testing.assert_array_equal(panel.differs_from(constants), differs)
    # What would have a deviation of zero varies no more than a constant.
    varies = [False] * 4 + [True, False, True, True, False, False]
    np.testing.assert_array_equal(panel.varies, varies)


def test_statistics_of_the_largest_numbers_there_are():
    cube = np.array([[[1.5e308, 1.7e308, np.nan], [-1.5e308, 1.5e308, 0.0]]])
    location, scale = Panel(cube).channel_statistics
    np.testing.assert_allclose(location, [1.6e308, 0.0])
    np.testing.assert_allclose(scale, [1e307, 1.5e308 * np.sqrt(2 / 3)])


def test_a_channel_is_observed_if_any_series_has_a_value_of_it():
    first, last = np.ones((3, 4)), np.ones((3, 4))
    first[2], last[1:] = np.nan, np.nan
    _, channels = Panel([first, last]).unobserved()
    assert channels.tolist() == [False, False, True]


def test_series_of_a_store_are_taken_in_any_order_and_again():
    table = np.arange(20.0).reshape(5, 4)
    for rows in ([3, 3, 4, 0, 3], [4, 2, 1], []):
        taken = StoredSeries(table).take(np.array(rows, dtype=int))
        np.testing.assert_array_equal(taken, table[np.array(rows, dtype=int), None])


def test_a_batch_of_no_series():
    panel = Panel(np.ones((2, 3, 4)))
    for part in panel.batch(np.arange(0), np.zeros(3), np.ones(3), CPU):
        assert part.shape == (0, 3, 1)


@pytest.mark.parametrize("offset", [0.0, 8e6, 1.7e9, -1e12])
def test_a_large_offset_leaves_forms_alike(offset):
    X = offset + 300 * np.random.default_rng(0).standard_normal((20, 2, 60)).cumsum(-1)
    padded = np.pad(X, ((0, 0), (0, 0), (0, 7)), constant_values=np.nan)
    rows, (location, scale) = np.arange(20), Panel(X).channel_statistics
    expected, _ = Panel(X).batch(rows, location, scale, CPU)
    np.testing.assert_allclose(expected.mean(dim=(0, 2)), 0, atol=1e-6)
    for form in (list(X), padded):
        panel = Panel(form)
        values, _ = panel.batch(rows, *panel.channel_statistics, CPU)
        assert torch.equal(values, expected)


def test_the_digest_tells_where_a_series_ends():
    one, other = (
        Panel([np.array([values]) for values in series]).summary()["digest"]
        for series in ([[1.0, 2.0], [3.0]], [[1.0], [2.0, 3.0]])
    )
    assert one != other


def test_the_digest_is_of_values_whatever_their_bits():
    usual, odd = np.array([[[0.0, np.nan, 1.0]]]), np.array([[[-0.0, np.nan, 1.0]]])
    odd.view(np.uint64)[0, 0, 1] ^= 1
    assert np.isnan(odd[0, 0, 1])
    assert Panel(odd).summary() == Panel(usual).summary()


def test_the_digest_is_of_series_whatever_their_form(ragged, padded):
    narrow = [one.astype(np.float32) for one in ragged]
    for form in (padded, padded.astype(np.float32), narrow):
        assert Panel(form).summary() == Panel(ragged).summary()


@given(cubes)
@settings(deadline=None, max_examples=50)
def test_batches_are_standardised_masked_and_trimmed(cube):
    panel = Panel(cube)
    location, scale = np.full(cube.shape[1], 2.0), np.full(cube.shape[1], 4.0)
    rows = np.arange(len(cube))[::-1]
    for source in (panel, Panel(list(cube))):
        values, observed = source.batch(rows, location, scale, CPU)
        width = values.shape[2]
        assert width == panel.n_timepoints
        expected = cube[rows][..., :width]
        np.testing.assert_array_equal(observed, ~np.isnan(expected))
        filled = np.nan_to_num((expected - 2) / 4, nan=0.0)
        np.testing.assert_allclose(values, filled, rtol=1e-6)
        assert values.dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_standardises_to_the_bit_as_a_cpu():
    rng = np.random.default_rng(0)
    cube = rng.normal(size=(20, 3, 50)) * 10.0 ** rng.integers(-8, 9, (20, 3, 50))
    cube[rng.random(cube.shape) < 0.1] = np.nan
    panel, rows = Panel(cube), np.arange(20)
    statistics = panel.channel_statistics
    here = panel.batch(rows, *statistics, CPU, multiple_of=4)
    there = panel.batch(rows, *statistics, torch.device("cuda"), multiple_of=4)
    for one, other in zip(here, there, strict=True):
        assert torch.equal(one, other.cpu())


def test_far_values_are_clipped():
    panel = Panel(np.array([[[1e300, -1e300]]]))
    values, _ = panel.batch(np.array([0]), np.zeros(1), np.ones(1), CPU)
    assert values.tolist() == [[[1e6, -1e6]]]
