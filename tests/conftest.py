"""Small panels and a small estimator shared by the tests."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# OpenMP reads it when it is loaded. Threads that spin while they wait take the cores
# from the processes that test beside this one: some tests took a hundred times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pytest
import torch

from mug_sklearn import MUGTransformer

if not torch.cuda.is_available():
    # Triton reads it when it is imported, which nothing does before.
    os.environ["TRITON_INTERPRET"] = "1"

SMALL: dict[str, Any] = {
    "n_shapelets": 6,
    "n_random_shapelets": 8,
    "embedding_dim": 8,
    "d_model": 8,
    "n_heads": 2,
    "n_layers": 1,
    "max_epochs": 1,
    "device": "cpu",
    "random_state": 0,
}


def small_mug(**parameters: Any) -> MUGTransformer:
    """An instance with every component, that fits in a fraction of a second."""
    return MUGTransformer(**{**SMALL, **parameters})


class InterruptedStore:
    """Series in a store, at one of whose reads, counted from 1, `event` is called."""

    def __init__(
        self, array: np.ndarray, moment: int, event: Callable[[], object]
    ) -> None:
        self.array, self.moment, self.event = array, moment, event
        self.shape, self.dtype = array.shape, array.dtype
        self.n_reads = 0

    def __getitem__(self, rows: slice) -> np.ndarray:
        self.n_reads += 1
        if self.n_reads == self.moment:
            self.event()
        return self.array[rows]


@contextmanager
def torch_threads(n_threads: int) -> Iterator[None]:
    """Let torch use so many threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def forks(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that forks a process, as threads of others are running."""
    torchs = pytest.mark.skipif(
        sys.platform != "linux", reason="torch survives a fork on Linux only"
    )
    # Python warns of a fork beside threads, which is what is tried.
    beside_threads = pytest.mark.filterwarnings("ignore:.*multi-threaded")
    return torchs(beside_threads(test))


def succeeds_in_a_fork(works: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether a forked process finds within the time that something works."""
    process = os.fork()
    if not process:
        try:
            os._exit(0 if works() else 1)
        finally:
            os._exit(2)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.01)
    os.kill(process, 9)
    os.waitpid(process, 0)
    return False


@pytest.fixture
def three_threads() -> Iterator[None]:
    with torch_threads(3):
        yield


@pytest.fixture
def panel() -> np.ndarray:
    """Twelve series of two channels and 30 timepoints."""
    rng = np.random.default_rng(0)
    time = np.arange(30)
    phase = rng.uniform(0, 6, (12, 2, 1))
    speed = np.repeat([0.3, 0.6], 6)[:, None, None]
    values = np.sin(speed * time + phase) + 0.1 * rng.normal(size=(12, 2, 30))
    # Representable in float32 too, so that tests can compare the two exactly.
    return values.astype(np.float32).astype(np.float64)


@pytest.fixture
def table(panel) -> np.ndarray:
    """The first channel of `panel`, as (n_series, n_timepoints)."""
    return panel[:, 0].copy()


@pytest.fixture
def ragged(panel) -> list[np.ndarray]:
    """The series of `panel` cut to unequal lengths."""
    lengths = [30, 7, 12, 25, 1, 18, 22, 9, 30, 14, 3, 27]
    return [one[:, :length] for one, length in zip(panel, lengths, strict=True)]


@pytest.fixture
def padded(ragged) -> np.ndarray:
    """The series of `ragged` in one array, padded with NaN."""
    array = np.full((12, 2, 30), np.nan)
    for row, one in zip(array, ragged, strict=True):
        row[:, : one.shape[1]] = one
    return array
