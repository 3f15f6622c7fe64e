"""Batches of a fitted network, on a CPU and on an accelerator."""

import subprocess
import sys
import textwrap
from dataclasses import replace
from itertools import islice
from threading import Barrier, Lock
from time import sleep

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from mug_sklearn import MUGTransformer
from mug_sklearn._inference import (
    ACCELERATOR_BATCH,
    CPU_BATCH,
    Inference,
    _Batches,
    _map_in_order,
)
from mug_sklearn._panel import Panel, StoredSeries

from .conftest import small_mug

LENGTHS = st.lists(st.integers(1, 3000), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def inferences() -> dict[int, Inference]:
    """By the length of the patches."""
    series = np.random.default_rng(0).standard_normal((4, 20))
    return {
        length: small_mug(max_epochs=0, patch_length=length).fit(series)._inference()
        for length in (1, 7)
    }


@pytest.fixture(scope="module")
def inference(inferences) -> Inference:
    return inferences[1]


# Nothing is computed on the device.
@pytest.mark.parametrize(("device", "least_alike"), [("cpu", 1.0), ("cuda", 0.5)])
@pytest.mark.parametrize("patch_length", [1, 7])
@given(lengths=LENGTHS)
def test_batches_hold_each_series_once_beside_others_of_its_length(
    inferences, device, least_alike, patch_length, lengths
):
    panel = Panel([np.ones((1, length)) for length in lengths])
    inference = replace(inferences[patch_length], device=torch.device(device))
    batches = list(_Batches(inference, panel, np.arange(len(lengths)), n_threads=1))
    assert_array_equal(np.sort(np.concatenate(batches)), np.arange(len(lengths)))
    for rows in batches:
        n_patches = -(-panel.lengths[rows] // patch_length)
        assert n_patches.min() >= least_alike * n_patches.max()
        most_values, _ = CPU_BATCH if device == "cpu" else ACCELERATOR_BATCH
        assert len(rows) * n_patches.max() * patch_length <= most_values


def test_eight_channels_count_as_one(inference):
    panel = Panel(np.ones((40, 9, 3000)))
    batches = list(_Batches(inference, panel, np.arange(40), n_threads=1))
    most_values, _ = CPU_BATCH
    assert {len(rows) for rows in batches} == {most_values // (2 * 3000)}


def test_a_series_of_more_values_than_a_batch_holds_is_one_of_its_own(inference):
    most_values, _ = CPU_BATCH
    panel = Panel(np.ones((2, 1, most_values + 1)))
    batches = islice(_Batches(inference, panel, np.arange(2), n_threads=1), 3)
    assert [rows.tolist() for rows in batches] == [[0], [1]]


def test_on_an_accelerator_some_have_twice_as_many_patches_as_others(inference):
    panel = Panel([np.ones((1, length)) for length in (10, 4, 5, 3, 2)])
    elsewhere = replace(inference, device=torch.device("cuda"))
    batches = _Batches(elsewhere, panel, np.arange(5), n_threads=1)
    assert [rows.tolist() for rows in batches] == [[0, 2], [1, 3, 4]]


@pytest.mark.parametrize("n_series", [192, 200])
def test_each_thread_has_one_share(inference, n_series):
    panel = Panel(np.ones((n_series, 1, 20)))
    assert len(list(_Batches(inference, panel, np.arange(n_series), 3))) == 3


def test_batches_do_not_grow_again_once_memory_ran_out(inference):
    panel = Panel(np.ones((40, 1, 20)))
    batches = _Batches(inference, panel, np.arange(40), n_threads=1)
    for too_many in (8, 40):  # of two threads, one tells later
        batches.shrink(too_many)
    assert {len(rows) for rows in batches} == {4}
    assert batches.too_many == 8


def test_batches_wait_until_results_are_taken():
    made = []

    def batches():
        for number in range(20):
            made.append(number)
            yield np.array([number])

    results = _map_in_order(lambda rows: int(rows[0]), batches(), n_threads=3)
    assert next(results) == 0
    assert len(made) <= 4
    assert list(results) == list(range(1, 20))


def test_only_the_chosen_rows_are_computed(inference):
    def compute(values, observed):
        return observed.sum(dim=(1, 2)).tolist()

    panel = Panel([np.ones((1, length)) for length in (5, 9, 7, 9)])
    batches = inference.map_batches(compute, panel, np.array([3, 0, 2]))
    found = [(rows.tolist(), lengths) for rows, lengths in batches]
    assert found == [([3], [9]), ([2], [7]), ([0], [5])]


@pytest.mark.usefixtures("three_threads")
def test_batches_run_side_by_side_in_equal_shares(inference):
    together = Barrier(3, timeout=60)

    def compute(values, observed):
        together.wait()
        return len(values)

    panel = Panel(np.ones((192, 1, 20)))
    assert [n for _, n in inference.map_batches(compute, panel)] == [64, 64, 64]


@pytest.mark.usefixtures("three_threads")
def test_threads_read_a_store_one_at_a_time(inference):
    class Store:
        dtype, shape, reading = np.dtype(float), (192, 1, 20), Lock()

        def __getitem__(self, rows):
            assert self.reading.acquire(blocking=False)
            sleep(0.01)
            self.reading.release()
            return np.ones(self.shape)[rows]

    def compute(values, observed):
        return len(values)

    panel = Panel(StoredSeries(Store()))
    assert sum(n for _, n in inference.map_batches(compute, panel)) == 192


def test_a_thread_that_outlasts_the_main_one_fits_and_embeds(tmp_path):
    script = f"""
        import threading
        import numpy as np
        import torch
        from mug_sklearn import MUGTransformer

        X = np.random.default_rng(0).normal(size=(300, 12))
        mug = MUGTransformer(max_epochs=1, n_random_shapelets=8, random_state=0)
        torch.set_num_threads(3)

        def work():
            threading.main_thread().join()
            mug.fit(X[:8]).save({str(tmp_path / "mug.safetensors")!r})
            np.save({str(tmp_path / "late.npy")!r}, mug.transform(X))

        threading.Thread(target=work).start()
    """
    outcome = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert outcome.stderr == ""
    X = np.random.default_rng(0).normal(size=(300, 12))
    mug = MUGTransformer.load(tmp_path / "mug.safetensors")
    assert_array_equal(np.load(tmp_path / "late.npy"), mug.transform(X))
