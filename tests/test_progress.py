"""The progress bar of fits, commands and benchmarks."""

import sys
import threading
import time

import pytest
from tqdm.auto import tqdm

from mug_sklearn._progress import ProgressBar


@pytest.mark.parametrize("shown", [True, False])
def test_no_thread_is_left(monkeypatch, shown):
    # As in a new process: tqdm starts its thread once.
    monkeypatch.setattr(tqdm, "monitor", None)
    before = set(threading.enumerate())
    with ProgressBar(total=1, shown=shown) as progress:
        progress.update()
    assert set(threading.enumerate()) <= before


def test_a_slow_step_after_many_fast_ones_is_shown(capfd):
    with ProgressBar(total=2000, shown=True) as progress:
        for _ in range(1000):
            progress.update()
        time.sleep(2 * progress.mininterval)
        progress.update()
        assert "1001/2000" in capfd.readouterr().err


def test_none_where_there_is_no_stderr(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with ProgressBar(total=1, shown=True) as progress:
        progress.update()
