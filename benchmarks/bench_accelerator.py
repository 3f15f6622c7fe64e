"""fit and transform on an accelerator beside the CPU of its machine."""

import numpy as np
import pytest
import torch

from mug_sklearn.device import resolve_device

from .conftest import fitted, random_walks

DEVICE = resolve_device("auto")
N_SERIES, N_TIMEPOINTS = 512, 1000
N_STEPS = 10
N_CORES = torch.multiprocessing.cpu_count()
PLACES = {
    "CPU, one thread": ("cpu", 1),
    "CPU, all threads": ("cpu", N_CORES),
    "accelerator": (str(DEVICE), 1),
}

pytestmark = pytest.mark.skipif(DEVICE.type == "cpu", reason="needs an accelerator")


def finished(function):
    """A function that returns when the accelerator has done its work."""

    def run():
        function()
        torch.accelerator.synchronize()

    return run


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_matrix_product(measure, dtype):
    size = 8192
    left, right = torch.randn((2, size, size), device=DEVICE).to(getattr(torch, dtype))
    measure(
        finished(lambda: left @ right),
        rounds=15,
        flop=2 * size**3,
        name=torch.cuda.get_device_name() if DEVICE.type == "cuda" else DEVICE.type,
    )


def test_copy(measure):
    source, target = torch.zeros((2, 2**28), device=DEVICE)
    measure(finished(lambda: target.copy_(source)), rounds=15, bytes=2 * source.nbytes)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("n_channels", [1, 8])
def test_transform(measure, benchmark, n_channels, place):
    device, n_threads = PLACES[place]
    torch.set_num_threads(n_threads)
    X = random_walks(N_SERIES, n_channels, N_TIMEPOINTS)
    mug = fitted(X[:64])
    expected = mug.transform(X)
    mug.to(device)
    difference = np.abs(mug.transform(X) - expected).max()
    benchmark.extra_info["difference"] = float(difference)
    measure(lambda: mug.transform(X), n_threads=n_threads)


@pytest.mark.parametrize("place", ["CPU, one thread", "accelerator"])
def test_fit(benchmark, request, place):
    device, _ = PLACES[place]
    X = random_walks(N_SERIES, 1, N_TIMEPOINTS)
    n_steps = 1 if request.config.getoption("quick") else N_STEPS
    settings = {"batch_size": N_SERIES, "max_epochs": n_steps, "device": device}
    # A CPU takes a minute, and an accelerator loads libraries at its first.
    rounds, warm_up = (1, 0) if device == "cpu" else (3, 1)
    benchmark.pedantic(
        lambda: fitted(X, **settings), rounds=rounds, warmup_rounds=warm_up
    )
