"""What happens where memory runs out."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mug_sklearn._panel import Panel
from mug_sklearn.pretraining.trainer import Trainer

from .conftest import small_mug


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_training_goes_on_in_smaller_batches():
    script = """
        import resource
        import warnings

        import numpy as np
        import torch

        from mug_sklearn import MUGTransformer

        torch.set_num_threads(1)
        X = np.random.default_rng(0).standard_normal((256, 400)).cumsum(axis=1)
        mug = MUGTransformer(max_epochs=1, n_random_shapelets=0, random_state=0)
        mug.fit(X[:16])
        with open("/proc/self/statm") as status:
            used = int(status.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20,) * 2)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            mug.set_params(batch_size=256).fit(X)
        print(mug.history_[0]["n_steps"], *[str(w.message) for w in caught], sep="|")
    """
    outcome = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        # Freed memory goes back, so that the limit counts what is in use.
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**17)},
        capture_output=True,
        text=True,
        check=True,
    )
    n_steps, *messages = outcome.stdout.strip().split("|")
    assert int(n_steps) in (2, 4, 8, 16, 32)
    assert messages == [
        "Memory on device 'cpu' does not suffice for 256 series at once; smaller "
        "batches are used."
    ]


def test_training_gives_up_before_a_batch_is_a_single_series(panel, monkeypatch):
    tried = []

    def hopeless(trainer, n_steps):
        tried.append(trainer.plan.batch_size)
        raise MemoryError

    monkeypatch.setattr(Trainer, "run", hopeless)
    with (
        pytest.warns(UserWarning, match="does not suffice for 8 series"),
        pytest.raises(MemoryError),
    ):
        small_mug().fit(panel)
    assert tried == [8, 4, 2]


def greedy(limit):
    """A computation for which more than `limit` series are too many."""

    def compute(values, observed):
        if len(values) > limit:
            np.empty(2**62, dtype=np.uint8)  # raises MemoryError
        return values.clone()

    return compute


def test_transform_goes_on_in_smaller_batches(panel):
    mug = small_mug().fit(panel)
    with pytest.warns(UserWarning, match="does not suffice for 12 series") as caught:
        parts = list(mug._inference().map_batches(greedy(3), Panel(panel)))
    assert len(caught) == 1
    assert [len(rows) for rows, _ in parts] == [3, 3, 3, 3]
    ((rows, whole),) = mug._inference().map_batches(greedy(12), Panel(panel))
    assert_array_equal(np.concatenate([part for _, part in parts]), whole)
    assert_array_equal(np.concatenate([part for part, _ in parts]), rows)


@pytest.mark.usefixtures("three_threads")
def test_the_warning_names_the_users_line_where_threads_compute(panel, monkeypatch):
    mug = small_mug(max_epochs=0).fit(panel)
    computed = mug.network_.pooled_blocks

    def greedily(values, observed, names):
        return computed(greedy(3)(values, observed), observed, names)

    monkeypatch.setattr("mug_sklearn._inference.LEAST_SHARE", 4)
    monkeypatch.setattr(mug.network_, "pooled_blocks", greedily)
    with pytest.warns(UserWarning, match="does not suffice for 4 series") as caught:
        mug.transform(panel)
    assert [warning.filename for warning in caught] == [__file__]


def test_one_series_too_many_is_an_error(panel):
    mug = small_mug().fit(panel)
    with (
        pytest.warns(UserWarning, match="does not suffice"),
        pytest.raises(MemoryError),
    ):
        list(mug._inference().map_batches(greedy(0), Panel(panel)))


def test_other_errors_are_not_taken_for_lack_of_memory(panel):
    mug = small_mug().fit(panel)

    tried = []

    def broken(values, observed):
        tried.append(len(values))
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        list(mug._inference().map_batches(broken, Panel(panel)))
    assert tried == [12]
