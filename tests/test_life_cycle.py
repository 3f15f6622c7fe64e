"""An estimator's life: calls in any order, with failures and copies between them."""

import pickle
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

import joblib
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError

from mug_sklearn import MUGTransformer
from mug_sklearn.callbacks import Checkpoint

from .conftest import InterruptedStore, small_mug


def panels():
    """Series of two channels in several forms, and two panels that are refused."""
    X = np.random.default_rng(0).normal(size=(9, 2, 12)).cumsum(axis=2)
    gaps, late = X[:5].copy(), X + 1
    gaps[:, :, 3:5] = gaps[0, 0] = np.nan
    late[:, 1] = 7
    return {
        "array": X,
        "gaps": gaps,
        "constant channel": late,
        "unequal": [one[:, : 3 + i] for i, one in enumerate(X[::-1])],
        "one channel": X[:, :1],
        "infinite": X * np.where(np.arange(12) == 6, np.inf, 1),
    }


METHODS = st.sampled_from(["fit", "partial_fit"])
PANELS = st.sampled_from(list(panels()))
ERRORS = st.sampled_from([KeyboardInterrupt, MemoryError, OSError])
CHANGES = [
    {"warm_start": True},
    {"warm_start": False},
    {"max_epochs": 0},
    {"max_epochs": 2},
    {"embedding_dim": None},
    {"embedding_dim": 3},
    {"readout": "robust"},
    {"random_state": 5},
    {"granularity": "fine"},
    {"granularity": "multi"},
]
REFUSED = [{"max_epochs": -1}, {"n_heads": 3}, {"device": "none"}, {"n_shapelets": 1}]


class Watcher:
    """Fails at one of its calls, and keeps the last copy of what is being fitted."""

    def __init__(self, moment=0, error=None):
        self.moment, self.error = moment, error
        self.copied = None

    def on_fit_task_begin(self, estimator, context):
        self.moment -= 1
        if self.moment == 0:
            raise self.error("calling back")

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch":
            self.copied = deepcopy(deepcopy(estimator))
        self.on_fit_task_begin(estimator, context)

    setup = teardown = on_fit_task_begin


def state(mug):
    """The parameters, and a digest of each fitted attribute."""
    parameters = mug.get_params()
    return parameters | {
        name: joblib.hash(part)
        for name, part in mug.__getstate__().items()
        if name not in parameters
    }


def error_of(call, X):
    """What a call raised, as text; None if it succeeded."""
    try:
        call(X)
    except (Exception, KeyboardInterrupt) as error:
        return repr(error)
    return None


class Life(RuleBasedStateMachine):
    """Beside the estimator lives its twin: never copied, it forgets each failure."""

    def __init__(self):
        super().__init__()
        self.mug, self.twin = small_mug(), small_mug()
        self.folder = TemporaryDirectory()

    def teardown(self):
        self.folder.cleanup()

    def is_fitted(self):
        return hasattr(self.twin, "network_")

    def try_on_both(self, method, make_input, make_callbacks=tuple):
        """Call a method of both, and tell whether it succeeded."""
        before, twin_before = state(self.mug), deepcopy(self.twin)
        if method == "fit" and not self.mug.warm_start:
            self.twin = small_mug()  # nothing of an earlier fit may matter
        self.twin.set_params(**self.mug.get_params())
        errors = []
        for mug in (self.mug, self.twin):
            mug.set_callbacks(*make_callbacks())
            errors.append(error_of(getattr(mug, method), make_input()))
            mug.set_callbacks()
        assert errors[0] == errors[1]
        if errors[0] is not None:
            assert state(self.mug) == before
            self.twin = twin_before.set_params(**self.mug.get_params())
        return errors[0] is None

    @rule(method=METHODS, name=PANELS)
    def call(self, method, name):
        n_before = getattr(self.mug, "n_series_seen_", 0)
        if self.try_on_both(method, lambda: panels()[name]):
            n_new = len(panels()[name])
            adds = method == "partial_fit"
            assert self.mug.n_series_seen_ == n_new + (n_before if adds else 0)

    @rule(change=st.sampled_from(CHANGES))
    def change(self, change):
        for mug in (self.mug, self.twin):
            mug.set_params(**change)

    @rule(method=METHODS, change=st.sampled_from(REFUSED))
    def refuse(self, method, change):
        usual = {name: self.mug.get_params()[name] for name in change}
        self.mug.set_params(**change)
        if "n_shapelets" not in change or self.mug.granularity != "fine":
            assert not self.try_on_both(method, lambda: panels()["array"])
        for mug in (self.mug, self.twin):
            mug.set_params(**usual)

    @rule(method=METHODS, moment=st.integers(1, 6), error=ERRORS)
    def fail_in_a_callback(self, method, moment, error):
        self.try_on_both(
            method, lambda: panels()["array"], lambda: [Watcher(moment, error)]
        )

    @rule(method=METHODS, moment=st.integers(1, 8), error=ERRORS)
    def fail_to_read(self, method, moment, error):
        def fail():
            raise error("reading")

        X = panels()["array"]
        self.try_on_both(method, lambda: InterruptedStore(X, moment, fail))

    @rule(way=st.sampled_from([deepcopy, lambda mug: pickle.loads(pickle.dumps(mug))]))
    def go_on_with_a_copy(self, way):
        self.mug = way(self.mug)

    @precondition(is_fitted)
    @rule()
    def go_on_from_a_file(self):
        path = Path(self.folder.name) / "mug"
        self.mug.save(path)
        self.mug = MUGTransformer.load(path)

    @rule(method=METHODS, name=PANELS)
    def resume(self, method, name):
        X = panels()[name]
        interrupted, folder = deepcopy(self.mug), Path(self.folder.name) / "files"
        for path in folder.glob("*"):
            path.unlink()
        # As the first epoch ends, after the fit and the epoch have begun.
        interrupted.set_callbacks(Checkpoint(folder), Watcher(4, KeyboardInterrupt))
        error_of(getattr(interrupted, method), X)
        if self.try_on_both(method, lambda: X) and self.mug.max_epochs:
            (path,) = folder.iterdir()
            self.mug = MUGTransformer.load(path).resume(X)

    @rule(method=METHODS, name=PANELS)
    def copy_midway(self, method, name):
        watchers = [Watcher(), Watcher()]
        unused = iter(watchers)
        X = panels()[name]
        self.try_on_both(method, lambda: X, lambda: [next(unused)])
        copied = watchers[0].copied
        if copied is not None:
            fresh = small_mug().set_params(**copied.get_params())
            for mug in (copied.set_callbacks(), fresh):
                mug.partial_fit(X)
            assert state(copied) == state(fresh)

    @invariant()
    def is_as_its_twin(self):
        assert state(self.mug) == state(self.twin)

    @invariant()
    def embeds_as_its_twin(self):
        if not self.is_fitted():
            with pytest.raises(NotFittedError):
                self.mug.transform(panels()["array"])
            return
        channels = slice(self.mug.n_channels_in_)
        X = [one[channels] for one in panels()["unequal"][-3:]]
        embedding = self.mug.transform(X)
        assert np.isfinite(embedding).all()
        assert len(self.mug.get_feature_names_out()) == embedding.shape[1]
        assert_array_equal(embedding, self.twin.transform(X))
        assert_array_equal(embedding[:1], self.mug.transform(X[:1]))


TestLife = pytest.mark.filterwarnings("ignore::UserWarning")(Life.TestCase)
TestLife.settings = settings(
    max_examples=5,
    stateful_step_count=10,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # shrinking a failure would take minutes
    suppress_health_check=list(HealthCheck),
)
