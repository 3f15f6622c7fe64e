"""Callbacks: epochs as tasks, progress, early stop, checkpoints and resuming."""

import pickle
from copy import deepcopy
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVC
from sklearn.utils.validation import check_is_fitted

from mug_sklearn import MUGTransformer
from mug_sklearn.callbacks import Checkpoint
from mug_sklearn.plotting import plot_shapelets
from mug_sklearn.pretraining.trainer import Trainer

from .conftest import small_mug


class Recorder:
    """Keeps what it was called for, and stops after some epochs."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.calls = []
        self.losses = []
        self.embeddings = []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def on_fit_task_begin(self, estimator, context, *, X):
        assert len(X) == 12
        self.calls.append(f"begin {context.task_name} {context.task_id}")

    def on_fit_task_end(self, estimator, context, *, X, fitted_estimator):
        self.calls.append(f"end {context.task_name} {context.task_id}")
        self.losses += [epoch["loss"] for epoch in estimator.history_[-1:]]
        self.embeddings.append(fitted_estimator.transform(X))
        return self.stop_after == len(estimator.history_)

    def teardown(self, estimator, context):
        self.calls.append("teardown")


class Callback:
    """Does nothing, whatever it is called for."""

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass


class Interruption(Callback):
    """Ends a fit after some epochs, as a crash would."""

    def __init__(self, after):
        self.after = after

    def on_fit_task_end(self, estimator, context):
        if len(estimator.history_) == self.after:
            raise KeyboardInterrupt


@pytest.fixture
def memory_for_four(monkeypatch):
    """Training has memory for batches of four series at most."""
    leave_memory_for_four(monkeypatch)


def leave_memory_for_four(monkeypatch, after_step=-1):
    run = Trainer.run

    def greedy(trainer, n_steps):
        if trainer.step > after_step and trainer.plan.batch_size > 4:
            raise MemoryError
        return run(trainer, n_steps)

    monkeypatch.setattr(Trainer, "run", greedy)


def interrupted(mug, X, folder, after, every=1):
    """The last checkpoint of a fit that was interrupted."""
    mug = clone(mug).set_callbacks(Checkpoint(folder, every), Interruption(after))
    with pytest.raises(KeyboardInterrupt):
        mug.fit(X)
    return max(folder.iterdir())


class ThreadCounter(Callback):
    """Counts the threads that an epoch begins with."""

    def __init__(self):
        self.counts = []

    def on_fit_task_begin(self, estimator, context):
        if context.task_name == "epoch":
            self.counts.append(torch.get_num_threads())


class TestEpochs:
    @pytest.mark.usefixtures("three_threads")
    def test_each_computes_on_one_thread(self, panel):
        counter = ThreadCounter()
        small_mug(max_epochs=2).set_callbacks(counter).fit(panel)
        assert counter.counts == [1, 1]

    def test_each_is_a_task_of_fit(self, panel):
        recorder = Recorder()
        mug = small_mug(max_epochs=2).set_callbacks(recorder).fit(panel)
        epochs = [f"{event} epoch {i}" for i in range(2) for event in ("begin", "end")]
        assert recorder.calls == [
            "setup", "begin fit 0", *epochs, "end fit 0", "teardown"
        ]  # fmt: skip
        assert recorder.losses == [*mug.loss_curve_, mug.loss_curve_[-1]]
        assert set(vars(mug)) == {*vars(small_mug().fit(panel)), "_skl_callbacks"}

    def test_each_is_told_of_the_data(self, panel, tmp_path):
        class Listener(Callback):
            def __init__(self):
                self.labels = []

            def on_fit_task_begin(self, estimator, context, *, X, y):
                self.labels.append(y)

            def on_fit_task_end(self, estimator, context, *, X, y):
                self.labels.append(y)

        y = np.repeat([0, 1], 6)
        listener = Listener()
        mug = small_mug().set_callbacks(Checkpoint(tmp_path), listener).fit(panel, y)
        mug.partial_fit(panel, y)
        (path, _) = sorted(tmp_path.iterdir())
        MUGTransformer.load(path).set_callbacks(listener).resume(panel, y)
        # As a call and its one epoch begin and end; in the resumed one none is left.
        assert len(listener.labels) == 4 + 4 + 2
        assert all(labels is y for labels in listener.labels)

    def test_fitted_estimator_is_what_a_fit_that_stops_there_gives(self, panel):
        recorder = Recorder()
        mug = small_mug(max_epochs=3).set_callbacks(recorder).fit(panel)
        stopping = Recorder(stop_after=2)
        stopped = small_mug(max_epochs=3).set_callbacks(stopping).fit(panel)
        assert_array_equal(recorder.embeddings[1], stopped.transform(panel))
        assert_array_equal(recorder.embeddings[-1], mug.transform(panel))

    def test_watching_changes_nothing(self, panel):
        watched = small_mug(max_epochs=3).set_callbacks(Recorder()).fit(panel)
        expected = small_mug(max_epochs=3).fit(panel).transform(panel)
        assert_array_equal(watched.transform(panel), expected)

    @pytest.mark.parametrize("warm_start", [False, True])
    def test_during_a_fit_the_estimator_is_not_fitted(self, panel, warm_start):
        class Impatience(Callback):
            n_refused = 0

            def look(self):
                draw = partial(plot_shapelets, mug)
                embed = mug.transform, mug.transform_granularities
                for call in (*embed, mug.save, draw):
                    with pytest.raises(NotFittedError, match=r"is being fitted.*copy"):
                        call(panel)
                with pytest.raises(NotFittedError, match="not fitted yet"):
                    check_is_fitted(mug)
                with pytest.raises(NotFittedError, match="not fitted yet"):
                    deepcopy(mug).transform(panel)
                self.n_refused += 1

            def on_fit_task_begin(self, estimator, context):
                self.look()

            def on_fit_task_end(self, estimator, context):
                if context.task_name == "epoch":
                    self.look()

        looking = Impatience()
        mug = small_mug(max_epochs=2, warm_start=warm_start)
        mug.set_callbacks(looking).fit(panel).fit(panel)
        # In each fit: as it begins, and as each epoch begins and ends.
        assert looking.n_refused == 10
        assert np.isfinite(mug.transform(panel)).all()

    @pytest.mark.filterwarnings("error::UserWarning")
    def test_a_copy_taken_during_a_fit_knows_nothing_of_a_fit(self, panel):
        class Copyist(Callback):
            def on_fit_task_begin(self, estimator, context):
                self.copied = deepcopy(deepcopy(estimator))

        copyist = Copyist()
        mug = small_mug().partial_fit(panel).set_callbacks(copyist).partial_fit(panel)
        assert mug.n_series_seen_ == 24
        # Of so few series the embedding is narrower than that of all.
        copied = copyist.copied.set_callbacks().partial_fit(panel[:3])
        expected = small_mug().partial_fit(panel[:3]).transform(panel)
        assert_array_equal(copied.transform(panel), expected)

    def test_true_stops_training(self, panel):
        mug = small_mug(max_epochs=5).set_callbacks(Recorder(stop_after=2)).fit(panel)
        assert mug.n_iter_ == len(mug.loss_curve_) == 2

    def test_without_training_there_are_none(self, panel):
        recorder = Recorder()
        small_mug(max_epochs=0).set_callbacks(recorder).fit(panel)
        assert recorder.calls == ["setup", "begin fit 0", "end fit 0", "teardown"]

    @pytest.mark.usefixtures("memory_for_four")
    def test_repeated_in_smaller_batches(self, panel):
        recorder = Recorder()
        mug = small_mug(max_epochs=3).set_callbacks(recorder)
        with pytest.warns(UserWarning, match="does not suffice for 8 series"):
            mug.fit(panel)
        assert recorder.calls.count("begin epoch 0") == 2
        assert [epoch["n_steps"] for epoch in mug.history_] == [3, 3, 3]

    def test_repeated_where_memory_runs_out_later(self, panel, monkeypatch, capfd):
        leave_memory_for_four(monkeypatch, after_step=1)
        mug = small_mug(max_epochs=3, verbose=1)
        with pytest.warns(UserWarning, match="does not suffice for 8 series"):
            mug.fit(panel)
        assert "9/9" in capfd.readouterr().err
        assert [epoch["epoch"] for epoch in mug.history_] == [1, 2, 3]
        assert [epoch["n_steps"] for epoch in mug.history_] == [3, 3, 3]

    @pytest.mark.filterwarnings("error::UserWarning")
    @pytest.mark.parametrize("event", ["begin", "end"])
    def test_a_callbacks_lack_of_memory_is_not_that_of_training(self, panel, event):
        class Hungry(Callback):
            def on_fit_task_begin(self, estimator, context):
                self.need("begin", context)

            def on_fit_task_end(self, estimator, context):
                self.need("end", context)

            def need(self, now, context):
                if (now, context.task_name) == (event, "epoch"):
                    raise MemoryError("of the callback")

        with pytest.raises(MemoryError, match="of the callback"):
            small_mug().set_callbacks(Hungry()).fit(panel)

    def test_a_failure_says_good_bye_and_leaves_the_estimator_as_it_was(self, panel):
        mug = small_mug(max_epochs=3).fit(panel)
        before = mug.transform(panel)
        recorder = Recorder()
        mug.set_callbacks(recorder, Interruption(after=2))
        with pytest.raises(KeyboardInterrupt):
            mug.fit(panel[::-1])
        assert recorder.calls[-1] == "teardown"
        assert mug.n_iter_ == 3
        assert_array_equal(mug.transform(panel), before)


class Farewell(Recorder):
    """Fails when the fit is over."""

    def teardown(self, estimator, context):
        raise RuntimeError("teardown")


def test_a_callback_that_fails_in_the_end_leaves_the_earlier_fit(panel):
    mug = small_mug().fit(panel)
    before = mug.transform(panel)
    with pytest.raises(RuntimeError, match="teardown"):
        mug.set_params(random_state=9).set_callbacks(Farewell()).fit(panel)
    assert_array_equal(mug.transform(panel), before)


def test_a_callback_interrupted_in_the_end_is_not_torn_down_again(panel):
    class Leaving(Recorder):
        def teardown(self, estimator, context):
            super().teardown(estimator, context)
            raise KeyboardInterrupt

    leaving = Leaving()
    mug = small_mug().set_callbacks(leaving)
    before = set(vars(mug))
    with pytest.raises(KeyboardInterrupt):
        mug.fit(panel)
    assert set(vars(mug)) == before
    with pytest.raises(ValueError, match="infinity"):
        mug.set_callbacks().fit(panel * np.inf)
    assert leaving.calls.count("teardown") == 1


class TestScikitLearnsOwn:
    def test_progress_inside_a_pipeline_inside_a_search(self, panel, capsys):
        pytest.importorskip("rich")
        y = np.repeat([0, 1], 6)
        pipeline = make_pipeline(small_mug(max_epochs=2), SVC())
        grid = {"mugtransformer__granularity": ["fine", "coarse"]}
        search = GridSearchCV(pipeline, grid, cv=2)
        search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(panel, y)
        lines = capsys.readouterr().out.splitlines()
        for name in ("GridSearchCV", "Pipeline", "MUGTransformer"):
            assert any(name in line and "100%" in line for line in lines), name

    def test_a_score_for_each_epoch(self, panel):
        y = np.repeat([0.0, 1.0], 6)

        def spread(mug, X, y):
            return mug.transform(X).std()

        monitor = ScoringMonitor(scoring={"spread": spread})
        small_mug(max_epochs=3).set_callbacks(monitor).fit(panel, y)
        rows = monitor.get_logs().data
        assert [row["task_name"] for row in rows] == ["fit", *["epoch"] * 3]
        assert all(row["spread"] > 0 for row in rows)


class TestCheckpoint:
    def test_files_at_every_nth_epoch(self, panel, tmp_path):
        folder = tmp_path / "new" / "folder"
        checkpoint = Checkpoint(folder, np.int64(2))
        mug = small_mug(max_epochs=5, warm_start=True).set_callbacks(checkpoint)
        mug.fit(panel)
        names = sorted(path.name for path in folder.iterdir())
        assert names == ["epoch-0002.safetensors", "epoch-0004.safetensors"]
        # Those of an earlier fit count.
        mug.set_params(max_epochs=2).fit(panel)
        assert {path.name for path in folder.iterdir()} == {
            *names, "epoch-0006.safetensors"
        }  # fmt: skip

    def test_a_relative_folder_is_that_of_the_time(self, panel, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        checkpoint = Checkpoint("folder")
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        small_mug().set_callbacks(checkpoint).fit(panel)
        assert [path.name for path in (tmp_path / "folder").iterdir()] == [
            "epoch-0001.safetensors"
        ]

    def test_loads_as_if_fit_had_stopped_there(self, panel, tmp_path):
        small_mug(max_epochs=3).set_callbacks(Checkpoint(tmp_path, 2)).fit(panel)
        stopped = small_mug(max_epochs=3).set_callbacks(Recorder(stop_after=2))
        loaded = MUGTransformer.load(tmp_path / "epoch-0002.safetensors")
        assert loaded.n_iter_ == 2
        expected = stopped.fit(panel).transform(panel)
        assert_array_equal(loaded.transform(panel), expected)

    @pytest.mark.parametrize(
        "parameters",
        [
            {},
            {"granularity": "fine"},
            {"granularity": "coarse"},
            {"precision": "float32", "embedding_dim": None},
            {"precision": "bfloat16"},
            {"batch_size": 3},
            {"granularity": "fine", "tol": 10.0, "n_iter_no_change": 1},
        ],
        ids=str,
    )
    def test_resuming_equals_not_stopping(self, panel, tmp_path, parameters):
        stops_early = "tol" in parameters
        mug = small_mug(max_epochs=60 if stops_early else 5, **parameters)
        path = interrupted(mug, panel, tmp_path, after=3, every=2)
        resumed = MUGTransformer.load(path).resume(panel)
        whole = mug.fit(panel)
        assert whole.n_iter_ == (50 if stops_early else 5)
        assert resumed.history_ == whole.history_
        assert_array_equal(resumed.transform(panel), whole.transform(panel))
        assert set(vars(resumed)) == set(vars(whole))

    def test_a_checkpoint_knows_the_seed_that_was_drawn(self, panel, tmp_path):
        mug = small_mug(max_epochs=5, random_state=None)
        path = interrupted(mug, panel, tmp_path, after=3, every=2)
        first, second = (MUGTransformer.load(path).resume(panel) for _ in range(2))
        assert first.n_iter_ == 5
        assert_array_equal(first.transform(panel), second.transform(panel))

    def test_resuming_on_series_of_unequal_length(self, ragged, tmp_path):
        mug = small_mug(max_epochs=4)
        path = interrupted(mug, ragged, tmp_path, after=2)
        resumed = MUGTransformer.load(path).resume(ragged)
        assert_array_equal(resumed.transform(ragged), mug.fit(ragged).transform(ragged))

    def test_resuming_a_warm_start(self, panel, tmp_path):
        mug = small_mug(max_epochs=3, warm_start=True).fit(panel)
        mug.save(tmp_path / "first")
        whole = mug.fit(panel[::-1])
        again = MUGTransformer.load(tmp_path / "first")
        folder = tmp_path / "checkpoints"
        again.set_callbacks(Checkpoint(folder), Interruption(after=4))
        with pytest.raises(KeyboardInterrupt):
            again.fit(panel[::-1])
        path = folder / "epoch-0004.safetensors"
        resumed = MUGTransformer.load(path).resume(panel[::-1])
        assert resumed.history_ == whole.history_
        assert_array_equal(resumed.transform(panel), whole.transform(panel))

    def test_resuming_a_stream(self, panel, tmp_path):
        first, second = panel[:5], panel[5:]
        whole = small_mug(max_epochs="auto", batch_size=2)
        whole.set_params(max_epochs=1).partial_fit(first)
        whole.set_params(max_epochs="auto").save(tmp_path / "first")
        whole.partial_fit(second)
        again = MUGTransformer.load(tmp_path / "first")
        again.set_callbacks(Checkpoint(tmp_path / "folder")).partial_fit(second)
        (path,) = (tmp_path / "folder").iterdir()
        resumed = MUGTransformer.load(path).resume(second)
        assert resumed.n_series_seen_ == 12
        assert_array_equal(resumed.transform(panel), whole.transform(panel))

    def test_a_stream_goes_on_from_a_checkpoint(self, panel, tmp_path):
        first, second = panel[:6], panel[6:]
        mug = small_mug().set_callbacks(Checkpoint(tmp_path)).partial_fit(first)
        (path,) = tmp_path.iterdir()
        loaded = MUGTransformer.load(path).partial_fit(second)
        expected = mug.partial_fit(second).transform(panel)
        assert_array_equal(loaded.transform(panel), expected)

    @pytest.mark.usefixtures("memory_for_four")
    def test_resuming_where_batches_were_made_smaller(self, panel, tmp_path):
        mug = small_mug(max_epochs=4)
        with pytest.warns(UserWarning, match="does not suffice"):
            path = interrupted(mug, panel, tmp_path, after=2)
        with pytest.warns(UserWarning, match="does not suffice"):
            whole = mug.fit(panel)
        resumed = MUGTransformer.load(path).resume(panel)
        assert resumed.history_ == whole.history_
        assert_array_equal(resumed.transform(panel), whole.transform(panel))

    def test_resuming_changes_no_size_of_batches(self, panel, tmp_path, monkeypatch):
        path = interrupted(small_mug(max_epochs=4), panel, tmp_path, after=2)
        leave_memory_for_four(monkeypatch)
        with pytest.raises(MemoryError):
            MUGTransformer.load(path).resume(panel)

    def test_interrupted_again_and_again(self, panel, tmp_path):
        mug = small_mug(max_epochs=4)
        path = interrupted(mug, panel, tmp_path, after=1)
        for after in (2, 3):
            again = MUGTransformer.load(path)
            again.set_callbacks(Checkpoint(tmp_path), Interruption(after))
            with pytest.raises(KeyboardInterrupt):
                again.resume(panel)
            # As it was loaded: a call that is interrupted changes nothing.
            assert len(again.history_) == after - 1
            path = tmp_path / f"epoch-000{after}.safetensors"
        resumed = MUGTransformer.load(path).resume(panel)
        assert_array_equal(resumed.transform(panel), mug.fit(panel).transform(panel))

    @pytest.mark.parametrize(
        ("parameters", "n_left", "steps"),
        [
            ({"max_epochs": 5}, 3, "5/5"),
            # Ten steps, six in an epoch: the second was cut short.
            ({"max_epochs": "auto", "batch_size": 2}, 0, "10/10"),
        ],
    )
    def test_a_resumed_fit_tells_how_many_epochs_are_left(
        self, panel, tmp_path, capfd, monkeypatch, parameters, n_left, steps
    ):
        class Counter(Callback):
            n_left = None

            def on_fit_task_begin(self, estimator, context):
                if context.task_name == "fit":
                    self.n_left = context.max_subtasks

        monkeypatch.setattr("mug_sklearn._settings.AUTO_STEPS", 10)
        counter = Counter()
        path = interrupted(small_mug(**parameters), panel, tmp_path, after=2)
        mug = MUGTransformer.load(path).set_params(verbose=1)
        mug.set_callbacks(counter).resume(panel)
        assert counter.n_left == n_left
        assert steps in capfd.readouterr().err

    def test_each_fit_of_a_search_has_its_folder(self, panel, tmp_path):
        y = np.tile([0, 1], 6)
        mug = small_mug(max_epochs=1).set_callbacks(Checkpoint(tmp_path))
        grid = {"svc__C": [1, 10]}
        search = GridSearchCV(make_pipeline(mug, SVC()), grid, cv=2, n_jobs=2)
        search.fit(panel, y)
        paths = list(tmp_path.rglob("*.safetensors"))
        assert len({path.parent for path in paths}) == len(paths) == 5
        # The outermost task comes first, and the step of the pipeline last.
        names = {path.parent.name for path in paths}
        assert names == {"fit-transform-mugtransformer-0"}
        refitted = search.best_estimator_[0].transform(panel)
        assert any(
            np.array_equal(MUGTransformer.load(path).transform(panel), refitted)
            for path in paths
        )

    def test_its_folders_have_names_that_every_system_takes(self, panel, tmp_path):
        mug = small_mug(max_epochs=1).set_callbacks(Checkpoint(tmp_path))
        Pipeline([("MUG: 1/2", mug), ("svc", SVC())]).fit(panel, np.arange(12) % 2)
        (path,) = tmp_path.rglob("*.safetensors")
        assert path.parent == tmp_path / "fit-transform-MUG_ 1_2-0"

    def test_an_estimator_with_one_can_be_saved_and_pickled(self, panel, tmp_path):
        mug = small_mug().set_callbacks(Checkpoint(tmp_path / "folder")).fit(panel)
        mug.save(tmp_path / "mug")
        for copy in (
            MUGTransformer.load(tmp_path / "mug"),
            pickle.loads(pickle.dumps(mug)),
        ):
            assert_array_equal(copy.transform(panel), mug.transform(panel))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"max_epochs": 7}, "max_epochs=7, before 4. Set"),
            ({"precision": "bfloat16"}, "precision='bfloat16', before 'auto'. Set"),
            ({"batch_size": 16}, "batch_size=16, before 'auto'. Set"),
            ({"random_state": 7, "tol": 1}, "random_state=7, before 0; tol=1, before"),
            ({"granularity": "fine"}, "granularity='fine', before 'multi'"),
            ({"learning_rate": 0.1}, "learning_rate=0.1, before 0.002"),
            ({"n_layers": 2}, "n_layers=2, before 1"),
        ],
    )
    def test_changed_parameters_are_refused(self, panel, tmp_path, change, message):
        path = interrupted(small_mug(max_epochs=4), panel, tmp_path, after=2)
        mug = MUGTransformer.load(path).set_params(**change)
        with pytest.raises(ValueError, match=message):
            mug.resume(panel)
        assert mug.n_iter_ == 2

    def test_a_readout_without_its_granularity_is_refused(self, panel, tmp_path):
        mug = small_mug(max_epochs=4, granularity="fine")
        path = interrupted(mug, panel, tmp_path, after=2)
        mug = MUGTransformer.load(path).set_params(readout="cross")
        with pytest.raises(ValueError, match="readout='cross' needs"):
            mug.resume(panel)

    def test_another_panel_is_refused(self, panel, tmp_path):
        path = interrupted(small_mug(max_epochs=4), panel, tmp_path, after=2)
        for other, message in (
            (panel[:-1], "n_series is 11, not 12"),
            (panel + 1, "it has other values"),
            (panel[:, :1], "has 1 channels"),
            (panel[::-1], "the same in another order"),
            (panel[..., ::-1], "the same in another order"),
        ):
            with pytest.raises(ValueError, match=message):
                MUGTransformer.load(path).resume(other)

    def test_one_large_value_hides_no_other_order(self, panel, tmp_path):
        panel[0, 0, 0] = 1e12
        path = interrupted(small_mug(max_epochs=4), panel, tmp_path, after=2)
        order = [0, *range(11, 0, -1)]
        with pytest.raises(ValueError, match="the same in another order"):
            MUGTransformer.load(path).resume(panel[order])

    def test_what_training_does_not_need_may_change(self, panel, tmp_path, monkeypatch):
        compiled = []
        monkeypatch.setattr(
            torch, "compile", lambda network: compiled.append(network) or network
        )
        path = interrupted(small_mug(max_epochs=4), panel, tmp_path, after=2)
        change = {"embedding_dim": 3, "readout": "cross", "verbose": 1}
        change |= {"warm_start": True, "device": "cpu:0", "compile": True}
        mug = MUGTransformer.load(path).set_params(**change).resume(panel)
        assert compiled == [mug.network_]
        expected = small_mug(max_epochs=4, **change).fit_transform(panel)
        assert_array_equal(mug.transform(panel), expected)

    def test_a_device_chooses_its_precision(self, panel, tmp_path):
        path = interrupted(small_mug(max_epochs=4), panel, tmp_path, after=2)
        elsewhere = MUGTransformer.load(path)
        elsewhere._interrupted["plan"]["half_precision"] = True  # as on a GPU
        expected = small_mug(max_epochs=4).fit_transform(panel)
        assert_array_equal(elsewhere.resume(panel).transform(panel), expected)

    def test_the_form_of_the_panel_may_change(self, table, tmp_path):
        table[3, 20:] = np.nan
        path = interrupted(small_mug(max_epochs=4), table, tmp_path, after=2)
        np.save(tmp_path / "X.npy", table)
        stored = np.load(tmp_path / "X.npy", mmap_mode="r")
        for same in (table[:, None], list(table), stored):
            assert MUGTransformer.load(path).resume(same).n_iter_ == 4

    def test_a_panel_in_small_units_is_told_from_another(self, panel, tmp_path):
        path = interrupted(small_mug(max_epochs=4), panel * 1e-9, tmp_path, after=2)
        assert MUGTransformer.load(path).resume(panel * 1e-9).n_iter_ == 4
        for other in (panel * 3e-9, panel * 1e-9 + 1e-10):
            with pytest.raises(ValueError, match="X is not the panel of the interrupt"):
                MUGTransformer.load(path).resume(other)

    def test_nothing_to_resume(self, panel):
        with pytest.raises(ValueError, match="no training to resume"):
            small_mug().fit(panel).resume(panel)

    def test_a_new_fit_forgets_the_interrupted_one(self, panel, tmp_path):
        path = interrupted(small_mug(max_epochs=4), panel, tmp_path, after=2)
        mug = MUGTransformer.load(path).fit(panel)
        with pytest.raises(ValueError, match="no training to resume"):
            mug.resume(panel)

    @pytest.mark.parametrize("every", [0, -1, 1.5, True, "2"])
    def test_every_n_epochs_is_checked(self, tmp_path, every):
        with pytest.raises(ValueError, match=r"every_n_epochs=.*integers >= 1"):
            Checkpoint(tmp_path, every)

    @pytest.mark.parametrize("name", ["a", "a/b"])
    def test_a_file_is_no_folder(self, panel, tmp_path, name):
        (tmp_path / "a").touch()
        mug = small_mug().set_callbacks(Checkpoint(tmp_path / name))
        with pytest.raises(ValueError, match=rf"dirpath='.*{name}'; a folder is"):
            mug.fit(panel)

    def test_refused_before_training(self, panel, tmp_path):
        state = np.random.RandomState(0)
        mug = small_mug(random_state=state).set_callbacks(Checkpoint(tmp_path / "a"))
        with pytest.raises(ValueError, match=r"random_state=.* cannot be saved"):
            mug.fit(panel)
        mug.set_params(random_state=0, segment_lengths=(Fraction(1, 2),))
        with pytest.raises(ValueError, match=r"segment_lengths.* cannot be saved"):
            mug.fit(panel)
        pipeline = make_pipeline(small_mug(), SVC())
        pipeline.set_callbacks(Checkpoint(tmp_path / "a"))
        with pytest.raises(TypeError, match="set on Pipeline"):
            pipeline.fit(panel, np.repeat([0, 1], 6))
        assert not (tmp_path / "a").exists()
