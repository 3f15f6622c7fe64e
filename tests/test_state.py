"""Persistence, devices, and token-level representations."""

import copy
import pickle
import pickletools
import threading

import joblib
import numpy as np
import pytest
import skops.io
import torch
from numpy.testing import assert_allclose, assert_array_equal

import mug_sklearn.device
from mug_sklearn import MUGTransformer

from .conftest import (
    InterruptedStore,
    forks,
    small_mug,
    succeeds_in_a_fork,
    torch_threads,
)


def through_pickle(mug, tmp_path):
    return pickle.loads(pickle.dumps(mug))


def through_joblib(mug, tmp_path):
    joblib.dump(mug, tmp_path / "mug.joblib")
    return joblib.load(tmp_path / "mug.joblib")


def through_joblib_memory_map(mug, tmp_path):
    joblib.dump(mug, tmp_path / "mug.joblib")
    return joblib.load(tmp_path / "mug.joblib", mmap_mode="r")


def through_deepcopy(mug, tmp_path):
    return copy.deepcopy(mug)


def through_skops(mug, tmp_path):
    stored = skops.io.dumps(mug)
    untrusted = skops.io.get_untrusted_types(data=stored)
    assert all(name.startswith("mug_sklearn.") for name in untrusted)
    return skops.io.loads(stored, trusted=untrusted)


def through_file(mug, tmp_path):
    mug.save(tmp_path / "mug.safetensors")
    return MUGTransformer.load(tmp_path / "mug.safetensors")


WAYS = [
    through_pickle,
    through_joblib,
    through_joblib_memory_map,
    through_deepcopy,
    through_skops,
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("embedding_dim", [8, None])
def test_a_copy_embeds_bit_equally(panel, tmp_path, way, embedding_dim):
    mug = small_mug(embedding_dim=embedding_dim).fit(panel)
    copied = way(mug, tmp_path)
    assert_array_equal(copied.transform(panel), mug.transform(panel))
    assert copied.get_params() == mug.get_params()
    copied.fit(panel)
    assert_array_equal(copied.transform(panel), mug.transform(panel))


def test_a_copy_survives_changed_parameters(panel):
    mug = small_mug().fit(panel)
    expected = mug.transform(panel)
    mug.set_params(d_model=32, granularity="fine")
    assert_array_equal(pickle.loads(pickle.dumps(mug)).transform(panel), expected)


def test_the_pickle_holds_no_torch_object(panel):
    stored = pickle.dumps(small_mug().fit(panel))
    names = [argument for _, argument, _ in pickletools.genops(stored)]
    assert not [name for name in names if isinstance(name, str) and "torch" in name]


def test_equal_fits_have_equal_states(panel):
    first, second = (small_mug().fit(panel) for _ in range(2))
    assert joblib.hash(first) == joblib.hash(second)


def test_a_state_stays_when_the_network_changes(panel):
    mug = small_mug(max_epochs=0).fit(panel)
    state = mug.__getstate__()["network_"]["fine.embed.weight"]
    before = state.copy()
    with torch.no_grad():
        mug.network_.fine.embed.weight.zero_()
    assert_array_equal(state, before)


def test_an_unfitted_estimator_can_be_copied(tmp_path):
    for way in WAYS:
        assert way(small_mug(), tmp_path).get_params() == small_mug().get_params()


@pytest.mark.parametrize("way", [through_pickle, through_file])
def test_loading_where_the_device_is_absent(panel, tmp_path, monkeypatch, way):
    mug = small_mug().fit(panel)
    expected = mug.transform(panel)
    mug.device_ = "cuda"
    monkeypatch.setattr(mug_sklearn.device, "_is_available", lambda name: False)
    with pytest.warns(UserWarning, match="fitted on device 'cuda'"):
        loaded = way(mug, tmp_path)
    assert loaded.device_ == "cpu"
    assert_array_equal(loaded.transform(panel), expected)


def test_no_tensor_stays_behind(panel):
    mug = small_mug().fit(panel)
    # A module moves its parameters and buffers, and no tensor that it merely holds.
    held = [vars(module).values() for module in mug.network_.modules()]
    assert not any(isinstance(x, torch.Tensor) for values in held for x in values)


def in_another_thread(work, seconds=60):
    """Wait for another thread to do the work, and tell whether it has."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


@pytest.mark.parametrize("moment", [1, 3, 5])
@pytest.mark.parametrize("method", ["transform", "transform_granularities"])
def test_a_fit_in_another_thread_does_not_reach_into_a_transform(panel, method, moment):
    def embedded(X):
        found = getattr(mug, method)(X)
        return found if method == "transform" else found["multi"].tokens

    mug = small_mug().fit(panel)
    X = np.tile(panel, (50, 1, 1))
    expected = embedded(X)

    store = InterruptedStore(
        X, moment, lambda: in_another_thread(lambda: mug.fit(3 * panel[::-1] + 1))
    )
    assert_array_equal(embedded(store), expected)
    assert store.n_reads >= moment
    assert np.abs(embedded(X) - expected).max() > 0.1


@pytest.mark.parametrize("moment", [1, 3, 5])
@pytest.mark.parametrize("method", ["fit", "partial_fit", "to"])
def test_no_other_thread_changes_an_estimator_that_is_being_fitted(
    panel, method, moment
):
    mug = small_mug()
    expected = small_mug().fit(panel).transform(panel)
    refusals = []

    def interfere():
        try:
            getattr(mug, method)("cpu" if method == "to" else 3 * panel[::-1] + 1)
        except RuntimeError as error:
            refusals.append(str(error))

    store = InterruptedStore(panel, moment, lambda: in_another_thread(interfere))
    assert_array_equal(mug.fit(store).transform(panel), expected)
    (refusal,) = refusals
    assert "is being fitted" in refusal
    assert_array_equal(mug.fit(panel).transform(panel), expected)


@forks
@pytest.mark.parametrize("moment", [1, 3, 5])
def test_a_process_forked_during_a_fit_fits_anew(panel, moment):
    mug = small_mug()
    expected = small_mug().fit(panel).transform(panel)
    succeeded = []

    def fork():
        def fits_anew():
            return (mug.fit(panel).transform(panel) == expected).all()

        succeeded.append(succeeds_in_a_fork(fits_anew))

    mug.fit(InterruptedStore(panel, moment, lambda: in_another_thread(fork)))
    assert succeeded == [True]


@pytest.mark.parametrize("moment", [1, 3, 5])
def test_a_fit_waits_for_no_other_threads_reading(panel, moment):
    expected = small_mug().fit(panel).transform(panel)
    ended = []

    def fit_another():
        other = small_mug()
        ended.append(in_another_thread(lambda: other.fit(panel), seconds=20))

    store = InterruptedStore(panel, moment, fit_another)
    assert_array_equal(small_mug().fit(store).transform(panel), expected)
    assert ended == [True]


@forks
def test_a_forked_process_copies_and_embeds(panel):
    # Wide, as torch computes on several threads where a tensor is large.
    mug = small_mug(max_epochs=0, d_model=128, granularity="coarse").fit(panel)
    expected, stored = mug.transform(panel), pickle.dumps(mug)

    def embeds_alike():
        copied = pickle.loads(stored).to("cpu")
        return (copied.transform(panel) == expected).all()

    with torch_threads(2):
        torch.ones(2**20).exp()  # on threads that the forked process will not have
        assert embeds_alike()
        assert succeeds_in_a_fork(embeds_alike)


def test_to_is_repeatable(panel):
    mug = small_mug().fit(panel)
    expected = mug.transform(panel)
    assert mug.to("cpu") is mug
    assert_array_equal(mug.transform(panel), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu(panel):
    mug = small_mug().fit(panel)
    expected = mug.transform(panel)
    assert_allclose(mug.to("cuda").transform(panel), expected, atol=1e-5)
    loaded = pickle.loads(pickle.dumps(mug))
    assert_allclose(loaded.to("cpu").transform(panel), expected, atol=1e-5)
    assert np.isfinite(small_mug(device="cuda").fit_transform(panel)).all()


class TestGranularities:
    def test_shapes_and_spans(self, panel):
        mug = small_mug(patch_length=4).fit(panel)
        tokens = mug.transform_granularities(panel)
        assert list(tokens) == ["fine", "coarse", "fused", "multi"]
        for name in ("fine", "fused", "multi"):
            assert tokens[name].tokens.shape == (12, 8, 8)
            assert tokens[name].mask.all()
            spans = [[start, min(start + 4, 30)] for start in range(0, 30, 4)]
            assert tokens[name].spans.tolist() == spans
        spans = tokens["coarse"].spans
        assert tokens["coarse"].tokens.shape == (12, len(spans), 8)
        assert set(np.diff(spans[spans[:, 1] < 30]).ravel()) <= {6, 12, 18}
        assert spans.min() == 0
        assert spans.max() == 30

    @pytest.mark.parametrize("n_timepoints", [29, 30])
    def test_every_span_holds_a_timepoint(self, panel, n_timepoints):
        X = panel[:, :, :n_timepoints]
        mug = small_mug(patch_length=4, segment_lengths=(2, 3)).fit(X)
        for one in mug.transform_granularities(X).values():
            assert one.tokens.shape[1] == one.mask.shape[1] == len(one.spans)
            assert (one.spans[:, 0] < one.spans[:, 1]).all()
            assert one.spans.max() == n_timepoints

    @pytest.mark.parametrize("granularity", ["fine", "coarse"])
    def test_only_what_is_there(self, panel, granularity):
        mug = small_mug(granularity=granularity).fit(panel)
        assert list(mug.transform_granularities(panel)) == [granularity]

    def test_tokens_that_do_not_count_are_zero(self, panel):
        panel[0, :, 10:15] = np.nan
        tokens = small_mug().fit(panel).transform_granularities(panel)
        assert not tokens["fine"].mask.all()
        for one in tokens.values():
            assert (one.tokens[~one.mask] == 0).all()

    def test_max_fusion_has_one_token_for_the_series(self, panel):
        mug = small_mug(fine_fusion="max").fit(panel)
        fused = mug.transform_granularities(panel)["fused"]
        assert fused.tokens.shape == (12, 1, 8)
        assert fused.spans.tolist() == [[0, 30]]

    def test_alone_as_in_a_batch(self, ragged):
        mug = small_mug().fit(ragged)
        together = mug.transform_granularities(ragged)
        for row, series in enumerate(ragged):
            alone = mug.transform_granularities([series])
            for name, (tokens, mask, spans) in alone.items():
                n_tokens = tokens.shape[1]
                whole = together[name]
                shared = whole.mask[row]
                if name == "coarse":
                    # Segments are ordered by length, so compare those that count.
                    assert_array_equal(whole.tokens[row][shared], tokens[0][mask[0]])
                    own_spans = np.minimum(whole.spans[shared], series.shape[1])
                    assert_array_equal(own_spans, spans[mask[0]])
                    continue
                assert_array_equal(shared[:n_tokens], mask[0])
                assert not shared[n_tokens:].any()
                assert_array_equal(whole.tokens[row, :n_tokens], tokens[0])
                assert len(spans) == n_tokens

    def test_what_the_cross_readout_pools(self, panel):
        mug = small_mug(readout="cross", embedding_dim=None).fit(panel)
        tokens, mask, _ = mug.transform_granularities(panel)["multi"]
        pooled = np.concatenate((tokens.mean(axis=1), tokens.max(axis=1)), axis=1)
        assert mask.all()
        expected = mug.readout_({"multi": torch.from_numpy(pooled)})
        assert_allclose(mug.transform(panel), expected, atol=1e-4)
