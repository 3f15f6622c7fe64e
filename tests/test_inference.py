"""Batches of a fitted network, on a CPU and on an accelerator."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from mug_sklearn._inference import ACCELERATOR_BATCH, CPU_BATCH, Inference, _Batches
from mug_sklearn._panel import Panel

from .conftest import small_mug

LENGTHS = st.lists(st.integers(1, 3000), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def inference() -> Inference:
    series = np.random.default_rng(0).standard_normal((4, 20))
    return small_mug(max_epochs=0, patch_length=1).fit(series)._inference()


# Nothing is computed on the device.
@pytest.mark.parametrize(("device", "least_alike"), [("cpu", 1.0), ("cuda", 0.5)])
@given(lengths=LENGTHS)
def test_batches_hold_each_series_once_beside_others_of_its_length(
    inference, device, least_alike, lengths
):
    panel = Panel([np.ones((1, length)) for length in lengths])
    inference = replace(inference, device=torch.device(device))
    batches = list(_Batches(inference, panel, np.arange(len(lengths)), n_threads=1))
    assert_array_equal(np.sort(np.concatenate(batches)), np.arange(len(lengths)))
    for rows in batches:
        in_batch = panel.lengths[rows]
        assert in_batch.min() >= least_alike * in_batch.max()
        most_values, _ = CPU_BATCH if device == "cpu" else ACCELERATOR_BATCH
        assert len(rows) * in_batch.max() <= most_values
