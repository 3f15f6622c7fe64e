"""Options and helpers of the performance suite; see README.md in this folder."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mug_sklearn import MUGTransformer

SIZES = {
    "small": (1, 150),
    "middle": (1, 500),
    "large": (8, 1000),
}
"""Channels and timepoints of the three sizes that floors are given for."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--data", help="folder of data sets, for the comparison of fits")
    parser.addoption("--ts2vec", help="folder of TS2Vec's reference code")
    parser.addoption(
        "--quick", action="store_true", help="one round of the smallest sizes"
    )


@pytest.fixture(autouse=True)
def one_thread():
    """Everything on one thread, unless a benchmark asks for more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def measure(benchmark: Any, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Time a function after one warm-up, and keep facts about it beside the times."""

    def run(function: Callable[[], Any], rounds: int = 5, **facts: Any) -> Any:
        benchmark.extra_info.update(facts)
        if request.config.getoption("quick"):
            rounds = 1
        return benchmark.pedantic(function, rounds=rounds, warmup_rounds=1)

    return run


def random_walks(
    n_series: int, n_channels: int, n_timepoints: int, seed: int = 0
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n_series, n_channels, n_timepoints)).cumsum(axis=2)


def fitted(X: np.ndarray | list[np.ndarray], **parameters: Any) -> MUGTransformer:
    """An estimator of full size with a handful of training steps."""
    settings: dict[str, Any] = {"max_epochs": 1, "random_state": 0, "device": "cpu"}
    return MUGTransformer(**(settings | parameters)).fit(X)
