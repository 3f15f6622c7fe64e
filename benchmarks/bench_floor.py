"""A training step and transform, with the operations and bytes that they need."""

import math

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

from mug_sklearn._settings import training_plan
from mug_sklearn.pretraining.trainer import Trainer

from .conftest import SIZES, fitted, random_walks


@register_flop_formula(torch.ops.aten.mkldnn_convolution)
def convolution_flop(image, kernel, *options, out_shape):
    """Operations of oneDNN's convolution, which torch's counter leaves out."""
    n_images, _, height, width = out_shape
    return 2 * n_images * height * width * math.prod(kernel)


def count_flop(function):
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def bank_flop(network, X):
    """Operations of the bank's products, which torch does not see."""
    per_timepoint = sum(2 * scale.patterns.numel() for scale in network.bank.scales)
    return per_timepoint * len(X) * X.shape[-1]


def parameter_bytes(network):
    return sum(p.nbytes for p in network.state_dict().values())


@pytest.mark.parametrize("size", SIZES)
def test_training_step(measure, size):
    n_channels, n_timepoints = SIZES[size]
    X = random_walks(8, n_channels, n_timepoints)
    mug = fitted(X, n_random_shapelets=0, max_epochs=0)
    network = mug.network_
    values = torch.from_numpy(((X - X.mean()) / X.std()).astype(np.float32))
    observed = torch.ones_like(values, dtype=torch.bool)
    mug.set_params(max_epochs=1000, early_stopping=False)
    cpu = torch.device("cpu")
    plan = training_plan(mug, len(X), 0, cpu)
    trainer = Trainer(network, lambda rows, device: (values, observed), plan, cpu)
    steps = trainer.run()
    flop = count_flop(lambda: next(steps))
    # Weights, their gradients and two moments of Adam are read and written.
    measure(
        lambda: next(steps),
        rounds=30,
        flop=flop,
        bytes=8 * parameter_bytes(network) + 2 * values.nbytes,
    )


@pytest.mark.parametrize("size", SIZES)
def test_transform(measure, size):
    n_series = 64
    X = random_walks(n_series, *SIZES[size])
    mug = fitted(X)
    flop = count_flop(lambda: mug.transform(X)) + bank_flop(mug.network_, X)
    measure(
        lambda: mug.transform(X),
        rounds=7,
        flop=flop,
        bytes=parameter_bytes(mug.network_) + X.nbytes,
        n_series=n_series,
    )
