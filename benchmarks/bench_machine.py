"""What the machine can do in single precision: products, convolutions and copies."""

import pytest
import torch

N = 1024


@pytest.fixture(params=["one", "all"])
def threads(request, one_thread):
    if request.param == "all":
        torch.set_num_threads(torch.multiprocessing.cpu_count())


@pytest.mark.usefixtures("threads")
def test_matrix_product(measure):
    left, right = torch.randn(2, N, N)
    measure(
        lambda: left @ right,
        rounds=15,
        n_threads=torch.get_num_threads(),
        flop=2 * N**3,
    )


@pytest.mark.usefixtures("threads")
def test_convolution(measure):
    images = torch.randn(64, 256, 1, 64).to(memory_format=torch.channels_last)
    kernel = torch.randn(256, 256, 1, 1)
    measure(
        lambda: torch.nn.functional.conv2d(images, kernel),
        rounds=15,
        n_threads=torch.get_num_threads(),
        flop=2 * 64 * 64 * 256**2,
    )


@pytest.mark.usefixtures("threads")
def test_copy(measure):
    source, target = torch.zeros(2, 2**26)
    measure(
        lambda: target.copy_(source),
        rounds=15,
        n_threads=torch.get_num_threads(),
        bytes=2 * source.nbytes,
    )
