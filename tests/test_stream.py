"""partial_fit: training on a stream of series."""

import tracemalloc
import warnings
from copy import deepcopy
from unittest import mock

import joblib
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mug_sklearn._input_forms import warn_of_many_patches
from mug_sklearn._panel import Panel
from mug_sklearn._reservoir import Reservoir
from mug_sklearn._settings import training_plan

from .conftest import small_mug


def stream(n_chunks, n_series=10, n_timepoints=30):
    rng = np.random.default_rng(0)
    shape = (n_chunks, n_series, 1, n_timepoints)
    return list(rng.standard_normal(shape).cumsum(axis=3))


@pytest.fixture
def short_auto(monkeypatch):
    """`max_epochs="auto"` means ten steps for a fit."""
    monkeypatch.setattr("mug_sklearn._settings.AUTO_STEPS", 10)


def test_the_first_call_is_a_fit():
    (chunk,) = stream(1)
    streamed, fitted = small_mug().partial_fit(chunk), small_mug().fit(chunk)
    assert_allclose(streamed.transform(chunk), fitted.transform(chunk), atol=1e-6)
    assert streamed.history_ == fitted.history_


@pytest.mark.usefixtures("short_auto")
def test_further_calls_go_on():
    first, second, third = stream(3)
    mug = small_mug(max_epochs="auto").partial_fit(first)
    n_first = sum(epoch["n_steps"] for epoch in mug.history_)
    weights = mug.network_.fine.embed.weight.clone()
    location = mug.location_.copy()
    mug.partial_fit(second).partial_fit(third)
    assert mug.n_series_seen_ == 30
    # One pass over each: two batches of five series.
    assert sum(epoch["n_steps"] for epoch in mug.history_) == n_first + 4
    assert mug.n_iter_ == len(mug.history_) == mug.history_[-1]["epoch"]
    assert not (mug.network_.fine.embed.weight == weights).all()
    assert_array_equal(mug.location_, location)


def with_a_late_channel(silent, offset=0.0, unit=1.0):
    """Three chunks of two channels; the second one begins with the second chunk."""
    X = np.random.default_rng(0).standard_normal((30, 2, 40)).cumsum(axis=2)
    X[:, 1] = offset + unit * X[:, 1]
    X[:10, 1] = silent
    return X[:10], X[10:20], X[20:]


def thresholds(mug):
    scales = mug.network_.bank.scales
    return torch.cat([scale.thresholds.flatten() for scale in scales])


@pytest.mark.filterwarnings("ignore:1 of 2 channels of X hold no observed")
@pytest.mark.parametrize("silent", [np.nan, 3.0])
def test_a_channel_is_standardised_as_soon_as_it_varies(silent):
    first, second, third = with_a_late_channel(silent, 5e6, 1e3)
    mug = small_mug(n_random_shapelets=16).partial_fit(first)
    before = mug.location_, mug.scale_, thresholds(mug)
    assert before[1][1] == 1
    mug.partial_fit(second)
    then = mug.location_, mug.scale_, thresholds(mug)
    assert_allclose(mug.location_, [before[0][0], second[:, 1].mean()])
    assert_allclose(mug.scale_, [before[1][0], second[:, 1].std()])
    assert not torch.equal(then[2], before[2])
    mug.partial_fit(third)
    assert_array_equal(mug.location_, then[0])
    assert_array_equal(mug.scale_, then[1])
    assert torch.equal(thresholds(mug), then[2])
    warm = small_mug(warm_start=True).fit(first).fit(second)
    assert_array_equal(warm.location_, then[0])
    assert_array_equal(warm.scale_, then[1])


@pytest.mark.filterwarnings("ignore:1 of 2 channels of X hold no observed")
def test_the_unit_of_a_late_channel_does_not_matter():
    embeddings = []
    for offset, unit in ((0.0, 1.0), (2.0**22, 2.0**10)):
        mug = small_mug()
        for chunk in with_a_late_channel(np.nan, offset, unit):
            mug.partial_fit(chunk)
        embeddings.append(mug.transform(chunk))
    assert_allclose(*embeddings, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.* held no two different values in fit")
def test_a_channel_that_is_another_constant_in_each_call_varies_in_their_sample():
    chunks = with_a_late_channel(2.0)
    mug = small_mug()
    for chunk, constant in zip(chunks, (2.0, 4e6, 6e6), strict=True):
        chunk[:, 1] = constant
        mug.partial_fit(chunk)
    assert_allclose(mug.location_[1], (2 + 4e6) / 2)
    assert_allclose(mug.scale_[1], (4e6 - 2) / 2)
    warm = small_mug(warm_start=True).fit(chunks[0])
    with pytest.warns(UserWarning, match="1 of 2 channels of X held no two different"):
        warm.fit(chunks[1])
    assert warm.scale_[1] == 1


def test_channels_that_stay_as_they_were_cost_no_pass_over_the_data():
    first, second, _ = with_a_late_channel(2.0)
    second[:, 1] = 2.0
    n_passes, read = [], Panel._chunks
    for start in (first, first[:, [0, 0]]):  # the second channel constant or not
        mug = small_mug(max_epochs=0, n_random_shapelets=0).partial_fit(start)
        with mock.patch.object(Panel, "_chunks", autospec=True) as chunks:
            chunks.side_effect = read
            mug.partial_fit(second)
        n_passes.append(chunks.call_count)
    assert n_passes[0] == n_passes[1]


def test_a_number_of_epochs_is_that_of_each_call():
    first, second = stream(2)
    mug = small_mug(max_epochs=3).partial_fit(first)
    assert mug.partial_fit(second).n_iter_ == 6


@pytest.mark.filterwarnings("error::UserWarning")
def test_a_stream_may_begin_with_a_single_series():
    (chunk,) = stream(1)
    mug = small_mug().partial_fit(chunk[:1]).partial_fit(chunk[1:])
    assert len(np.unique(mug.transform(chunk), axis=0)) == len(chunk)


@example(3, 2)
@given(st.integers(1, 300), st.integers(1, 70))
def test_a_pass_leaves_out_fewer_series_than_it_has_batches(n_series, batch_size):
    mug = small_mug(max_epochs="auto", batch_size=batch_size)
    plan = training_plan(mug, n_series, 0, torch.device("cpu"), one_pass=True)
    assert plan.n_steps == plan.steps_per_epoch
    # A single series would have nothing to be told from.
    assert min(2, n_series, batch_size) <= plan.batch_size <= batch_size
    assert 0 <= n_series - plan.n_steps * plan.batch_size < max(plan.n_steps, 2)


def test_the_readout_is_fitted_on_the_whole_stream():
    first, second = stream(2)
    mug = small_mug(embedding_dim=None).partial_fit(first).partial_fit(second)
    whole = mug.transform(np.concatenate((first, second)))
    assert_allclose(whole.mean(axis=0), 0, atol=1e-4)
    assert np.abs(mug.transform(second).mean(axis=0)).max() > 0.01


def test_a_stream_is_repeatable():
    chunks = stream(3)
    embeddings = []
    for _ in range(2):
        mug = small_mug()
        for chunk in chunks:
            mug.partial_fit(chunk)
        embeddings.append(mug.transform(chunks[0]))
    assert_array_equal(*embeddings)


@pytest.mark.usefixtures("short_auto")
def test_the_optimiser_goes_on():
    first, second = stream(2)
    mug = small_mug(max_epochs="auto").partial_fit(first)
    forgetful = deepcopy(mug)
    del forgetful._moments
    mug.partial_fit(second)
    assert {int(of_one["step"]) for of_one in mug._moments.values()} == {
        sum(epoch["n_steps"] for epoch in mug.history_)
    }
    embedding = forgetful.partial_fit(second).transform(first)
    assert np.abs(embedding - mug.transform(first)).max() > 1e-3


def test_a_saved_stream_goes_on_alike(tmp_path):
    first, second = stream(2)
    mug = small_mug().partial_fit(first)
    mug.save(tmp_path / "model")
    loaded = type(mug).load(tmp_path / "model").partial_fit(second)
    assert_array_equal(
        loaded.transform(first), mug.partial_fit(second).transform(first)
    )


def test_every_call_draws_views_of_its_own():
    (chunk,) = stream(1)
    mug = small_mug(learning_rate=1e-12).partial_fit(chunk)
    losses = [mug.partial_fit(chunk).loss_curve_[-1] for _ in range(3)]
    assert len(set(losses)) == 3


def test_fit_starts_over():
    first, second = stream(2)
    mug = small_mug().partial_fit(first).partial_fit(second).fit(first)
    assert mug.n_series_seen_ == 10
    assert mug.n_iter_ == len(small_mug().fit(first).history_)
    assert_array_equal(mug.transform(second), small_mug().fit(first).transform(second))


def test_a_fit_forgets_the_stream_before_it():
    first, second, third = stream(3)
    mug = small_mug().partial_fit(first).fit(second).partial_fit(third)
    expected = small_mug().fit(second).partial_fit(third)
    assert_array_equal(mug.transform(first), expected.transform(first))


def test_the_sample_is_bounded(monkeypatch):
    monkeypatch.setattr("mug_sklearn._reservoir.MOST_SERIES", 12)
    mug = small_mug()
    for chunk in stream(3):
        mug.partial_fit(chunk)
    assert len(mug._reservoir.series) == 12


def test_shapelets_are_chosen_anew_and_thresholds_kept():
    first, second = stream(2)
    mug = small_mug().partial_fit(first)
    shapelets = mug.network_.shapelets[0].values.clone()
    thresholds = mug.network_.bank.scales[0].thresholds.clone()
    mug.partial_fit(second)
    assert not torch.equal(mug.network_.shapelets[0].values, shapelets)
    assert torch.equal(mug.network_.bank.scales[0].thresholds, thresholds)


def test_shapelets_are_from_the_whole_stream(panel):
    panel[:, 1] = np.arange(12)[:, None]  # tells where a shapelet is from
    mug = small_mug(n_shapelets=300, max_epochs=0)
    mug.partial_fit(panel[:6]).partial_fit(panel[6:])
    assert len(mug.network_.shapelets[0].values[:, 1, 0].unique()) == 12


def test_a_call_that_fails_in_training_changes_nothing():
    first, second = stream(2)
    mug = small_mug().partial_fit(first)
    before = joblib.hash(mug)
    wild = {"learning_rate": 1e30, "max_epochs": 9, "early_stopping": False}
    with pytest.raises(ValueError, match="diverged"):
        mug.set_params(**wild).partial_fit(second)
    usual = small_mug().get_params()
    assert joblib.hash(mug.set_params(**usual)) == before


def test_a_narrower_embedding_is_warned_of():
    first, second = stream(2)
    mug = small_mug().fit(first)
    with pytest.warns(UserWarning, match="has 1 features now, before 8: .* seen, 2"):
        mug.partial_fit(second[:2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mug.partial_fit(second).set_params(embedding_dim=3).partial_fit(first)
    assert mug.transform(first).shape == (10, 3)


def test_the_sample_stays_small_when_series_get_longer(monkeypatch):
    monkeypatch.setattr("mug_sklearn._reservoir.MOST_VALUES", 600)
    mug = small_mug()
    for chunk in [*stream(2), *stream(1, n_timepoints=60), *stream(2)]:
        mug.partial_fit(chunk)
        series = mug._reservoir.series
        assert sum(one.size for one in series) <= 600
    assert len(series) >= 10


def test_series_much_longer_than_those_of_fit_are_warned_of():
    (chunk,), (longer,) = stream(1), stream(1, n_series=2, n_timepoints=1100)
    fine, coarse = (
        small_mug(granularity=g, max_epochs=0).fit(chunk) for g in ("fine", "coarse")
    )
    message = "has 1100 timepoints, that of fit had 30. It is cut into 1100 patches"
    for call in (fine.transform, fine.transform_granularities, fine.partial_fit):
        with pytest.warns(UserWarning, match=message):
            call(longer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coarse.transform(longer)
        small_mug(max_epochs=0).fit(longer).transform(longer)
        settings = {"granularity": "fine", "max_epochs": 0, "patch_length": 1}
        small_mug(**settings).fit(longer[..., :550]).transform(longer)


def test_a_patch_that_is_cut_short_counts_as_one():
    config = small_mug(max_epochs=0, patch_length=2).fit(stream(1)[0]).config_
    with pytest.warns(UserWarning, match="cut into 1026 patches"):
        warn_of_many_patches(Panel(np.ones((1, 1, 2051))), config)


def test_a_fit_can_be_followed_by_a_stream():
    first, second = stream(2)
    mug = small_mug().fit(first).partial_fit(second)
    assert mug.n_series_seen_ == 20
    assert np.isfinite(mug.transform(second)).all()


def test_longer_series_and_gaps_may_come_later():
    first, second = stream(2)
    longer = [series.copy() for series in second]
    longer[0] = np.concatenate((longer[0], longer[0]), axis=1)
    longer[1][:, 5:9] = np.nan
    mug = small_mug().partial_fit(first).partial_fit(longer)
    assert mug.n_timepoints_in_ == 30
    mug.partial_fit(second)
    assert np.isfinite(mug.transform(longer)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_model": 16}, "these differ: d_model was 8 and is 16"),
        ({"max_epochs": -1}, "max_epochs"),
    ],
)
def test_a_refused_call_changes_nothing(change, message):
    first, second = stream(2)
    mug = small_mug().partial_fit(first)
    expected = mug.transform(second)
    unchanged = {name: mug.get_params()[name] for name in change}
    with pytest.raises(ValueError, match=message):
        mug.set_params(**change).partial_fit(second)
    mug.set_params(**unchanged)
    with pytest.raises(ValueError, match="2 channels"):
        mug.partial_fit(np.concatenate((second, second), axis=1))
    assert mug.n_series_seen_ == 10
    assert_array_equal(mug.transform(second), expected)


def room_for(most_series, most_values):
    return mock.patch.multiple(
        "mug_sklearn._reservoir", MOST_SERIES=most_series, MOST_VALUES=most_values
    )


class TestReservoir:
    @settings(max_examples=50, deadline=None)
    @given(
        chunks=st.lists(
            st.lists(st.integers(1, 40), min_size=1, max_size=9), min_size=1, max_size=6
        ),
        most_series=st.integers(2, 12),
        most_values=st.integers(1, 200),
    )
    def test_it_holds_as_many_series_of_the_stream_as_it_may(
        self, chunks, most_series, most_values
    ):
        rng = np.random.default_rng(0)
        reservoir, lengths, refused = Reservoir.empty(), [], False
        for chunk in chunks:
            numbers = range(len(lengths), len(lengths) + len(chunk))
            panel = Panel(
                [np.full((1, size), n) for n, size in zip(numbers, chunk, strict=True)]
            )
            before = [one.copy() for one in reservoir.series]
            with room_for(most_series, most_values):
                grown = reservoir.extended(panel, rng)
            assert all(map(np.array_equal, reservoir.series, before))
            reservoir, lengths = grown, lengths + chunk
            held = [int(one[0, 0]) for one in reservoir.series]
            assert reservoir.n_seen == len(lengths)
            assert held == sorted(set(held))
            assert [one.shape[1] for one in reservoir.series] == [
                lengths[number] for number in held
            ]
            assert len(held) <= most_series
            assert sum(one.size for one in reservoir.series) <= most_values or (
                len(held) <= 2
            )
            # All of them, as long as there is space.
            fits = len(lengths) <= most_series and sum(lengths) <= most_values
            refused = refused or not fits
            assert refused or held == list(range(len(lengths)))

    @settings(max_examples=50, deadline=None)
    @given(
        chunks=st.lists(
            st.lists(st.integers(1, 60), min_size=1, max_size=6), min_size=2, max_size=6
        ),
        seed=st.integers(0, 99),
    )
    def test_it_is_the_same_however_the_stream_is_cut(self, chunks, seed):
        rng, reservoir = np.random.default_rng(seed), Reservoir.empty()
        values = iter(np.arange(200.0))
        series = [[np.full((1, size), next(values)) for size in one] for one in chunks]
        with room_for(5, 50):
            for chunk in series:
                reservoir = reservoir.extended(Panel(chunk), rng)
            whole = Panel([one for chunk in series for one in chunk])
            together = Reservoir.empty().extended(whole, np.random.default_rng(seed))
        assert joblib.hash(reservoir) == joblib.hash(together)

    @pytest.mark.parametrize(("most_values", "n_held"), [(1, 2), (59, 2), (60, 3)])
    def test_room_is_for_the_values_of_all_channels(self, most_values, n_held):
        panel = Panel(np.ones((9, 4, 5)))
        with room_for(9, most_values):
            grown = Reservoir.empty().extended(panel, np.random.default_rng(0))
        assert len(grown.series) == n_held

    def test_a_series_without_values_takes_the_room_of_one_timepoint(self):
        panel = Panel(np.full((9, 4, 5), np.nan))
        with room_for(9, 12):
            grown = Reservoir.empty().extended(panel, np.random.default_rng(0))
        assert [one.shape for one in grown.series] == [(4, 1)] * 3

    @pytest.mark.parametrize("most", [(5, 1000), (9, 10)])
    def test_it_knows_the_lowest_priority_that_was_refused(self, most):
        with room_for(*most):
            grown = Reservoir.empty().extended(
                Panel(np.ones((9, 1, 2))), np.random.default_rng(0)
            )
        drawn = np.sort(np.random.default_rng(0).random(9))
        assert_array_equal(np.sort(grown.priorities), drawn[:5])
        assert grown.lowest_refused == drawn[5]

    def test_it_holds_copies(self):
        series = np.ones((3, 1, 5))
        rng = np.random.default_rng(0)
        reservoir = Reservoir.empty().extended(Panel(list(series)), rng)
        series[:] = 0
        assert (np.stack(reservoir.series) == 1).all()

    @pytest.mark.parametrize("most", [(3, 1000), (9, 7)])
    def test_all_are_equally_likely(self, most):
        rng = np.random.default_rng(0)
        counts = np.zeros(12)
        chunks = np.split(np.arange(12.0)[:, None, None].repeat(2, axis=2), 4)
        panels = [Panel(chunk) for chunk in chunks]
        with room_for(*most):
            for _ in range(4000):
                reservoir = Reservoir.empty()
                for panel in panels:
                    reservoir = reservoir.extended(panel, rng)
                counts[[int(one[0, 0]) for one in reservoir.series]] += 1
        # Five standard deviations around 4000 * 3 / 12
        assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000 * 0.75)

    def test_it_holds_no_padding(self, ragged, padded):
        grown = Reservoir.empty().extended(Panel(padded), np.random.default_rng(0))
        for held, expected in zip(grown.series, ragged, strict=True):
            assert_array_equal(held, expected)

    def test_one_long_series_does_not_empty_it(self):
        rng = np.random.default_rng(0)
        short, long = Panel(np.ones((50, 1, 2))), Panel([np.ones((1, 150))])
        with room_for(50, 300):
            reservoir = Reservoir.empty().extended(short, rng).extended(long, rng)
        assert len(reservoir.series) >= 49

    def test_series_are_taken_without_their_padding(self):
        panel = Panel([np.ones((1, 200_000)), *(np.ones((1, 10)) for _ in range(99))])
        rng = np.random.default_rng(0)
        tracemalloc.start()
        try:
            Reservoir.empty().extended(panel, rng)
            assert tracemalloc.get_traced_memory()[1] < 5e6
        finally:
            tracemalloc.stop()
