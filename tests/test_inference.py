"""Batches of a fitted network, on a CPU and on an accelerator."""

from dataclasses import replace
from threading import Barrier, Lock
from time import sleep

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from mug_sklearn._inference import ACCELERATOR_BATCH, CPU_BATCH, Inference, _Batches
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
