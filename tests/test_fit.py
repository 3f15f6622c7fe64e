"""What fit does and leaves alone: state, randomness, threads, parameters, files."""

import random
import re
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import pdist
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC
from tqdm.auto import tqdm

from mug_sklearn import MUGTransformer
from mug_sklearn._fitting import Course
from mug_sklearn._settings import network_config, training_plan
from mug_sklearn.nn.convolution import receptive_field
from mug_sklearn.nn.readout import fit_readout
from mug_sklearn.pretraining.trainer import Trainer

from .conftest import small_mug, torch_threads

Y = np.repeat([0, 1], 6)


class TestDeterminism:
    def test_same_seed_same_embedding(self, panel):
        first = small_mug().fit_transform(panel)
        assert_array_equal(small_mug().fit_transform(panel), first)
        other = small_mug(random_state=1).fit_transform(panel)
        assert np.abs(other - first).max() > 1e-3

    def test_the_seed_decides_the_initial_weights(self, panel):
        first, again, other = (
            small_mug(max_epochs=0, random_state=seed).fit(panel).network_.fine.embed
            for seed in (0, 0, 1)
        )
        assert torch.equal(first.weight, again.weight)
        assert not torch.isclose(first.weight, other.weight).all()

    # A change of what is computed changes these figures, and must be announced.
    @pytest.mark.parametrize(
        ("loss", "retrieval", "distances"),
        [
            ("spearman_bce", 0.905344, [4.56319, 5.63617, 5.16194]),
            ("infonce", 3.20025, [4.60555, 5.64603, 5.16027]),
            ("triplet", 0.448378, [4.59791, 5.67006, 5.15261]),
        ],
    )
    def test_a_seed_gives_what_it_has_given(self, panel, loss, retrieval, distances):
        mug = MUGTransformer(loss=loss, max_epochs=10, random_state=0, device="cpu")
        embedding = mug.fit_transform(panel)
        first = mug.history_[0]
        assert first["retrieval"] == pytest.approx(retrieval, rel=1e-4)
        assert first["token_retrieval"] == pytest.approx(2.20488, rel=1e-4)
        assert first["reconstruction"] == pytest.approx(1.55542, rel=1e-4)
        assert first["cluster_triplet"] == pytest.approx(-0.0222448, rel=1e-3)
        assert pdist(embedding[::5]) == pytest.approx(distances, rel=1e-3)

    def test_random_state_instance(self, panel):
        state = np.random.RandomState(7)
        first = small_mug(random_state=state).fit_transform(panel)
        again = small_mug(random_state=np.random.RandomState(7)).fit_transform(panel)
        assert_array_equal(first, again)

    def test_a_fit_that_fails_draws_nothing_from_an_instance(self, panel):
        state = np.random.RandomState(7)
        wild = {"learning_rate": 1e30, "max_epochs": 9, "early_stopping": False}
        for parameters, X in (
            ({"n_heads": 3}, panel),
            ({}, panel * np.inf),
            (wild, panel),
        ):
            with pytest.raises(ValueError, match=r"n_heads|infinity|diverged"):
                small_mug(random_state=state, **parameters).fit(X)
        assert state.randint(2**31) == np.random.RandomState(7).randint(2**31)

    def test_none_draws_afresh(self, panel):
        first, second = (
            small_mug(random_state=None).fit_transform(panel) for _ in range(2)
        )
        assert not np.array_equal(first, second)

    def test_refit_equals_fresh_fit(self, panel, table):
        mug = small_mug().fit(table).fit(panel)
        assert_array_equal(mug.transform(panel), small_mug().fit_transform(panel))

    def test_order_of_the_series_transformed(self, panel):
        mug = small_mug().fit(panel)
        order = np.random.default_rng(0).permutation(12)
        assert_array_equal(mug.transform(panel[order]), mug.transform(panel)[order])

    @pytest.mark.parametrize("n_threads", [1, 2])
    def test_number_of_threads_has_no_effect(self, panel, n_threads):
        expected = small_mug(max_epochs=5).fit_transform(panel)
        with torch_threads(n_threads):
            actual = small_mug(max_epochs=5).fit_transform(panel)
        assert_array_equal(actual, expected)

    @pytest.mark.parametrize("random_state", [0, None])
    def test_global_state_is_untouched(self, panel, random_state):
        states = {
            "numpy": lambda: np.random.get_state()[1].tolist(),  # noqa: NPY002
            "torch": lambda: torch.get_rng_state().tolist(),
            "python": random.getstate,
            "threads": torch.get_num_threads,
            "default dtype": torch.get_default_dtype,
            "gradients": torch.is_grad_enabled,
        }
        before = {name: read() for name, read in states.items()}
        mug = small_mug(random_state=random_state).fit(panel)
        mug.transform(panel)
        mug.transform_granularities(panel)
        assert {name: read() for name, read in states.items()} == before

    def test_two_threads_at_once(self, panel):
        expected = small_mug(max_epochs=3).fit_transform(panel)
        at_once = threading.Barrier(2, timeout=60)

        def work(_):
            at_once.wait()
            return small_mug(max_epochs=3).fit_transform(panel)

        with ThreadPoolExecutor(2) as threads:
            for result in threads.map(work, range(2)):
                assert_allclose(result, expected, rtol=0, atol=1e-6)

    def test_no_file_is_written(self, panel, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        small_mug().fit(panel).transform(panel)
        assert list(tmp_path.iterdir()) == []


class TestFailure:
    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
    def test_a_failed_fit_leaves_the_earlier_state(
        self, panel, table, monkeypatch, error
    ):
        mug = small_mug().fit(panel)
        before = mug.transform(panel)
        keys = set(vars(mug))

        steps = []
        update = Trainer._update

        def interrupted(self, loss):
            update(self, loss)
            steps.append(loss)
            if len(steps) == 3:
                raise error

        monkeypatch.setattr(Trainer, "_update", interrupted)
        with pytest.raises(error):
            mug.set_params(max_epochs=50).fit(table)
        assert set(vars(mug)) == keys
        assert mug.n_features_in_ == 2
        assert_array_equal(mug.transform(panel), before)

    def test_an_interrupted_warm_start_leaves_the_weights(self, panel, monkeypatch):
        mug = small_mug(warm_start=True).fit(panel)
        before = mug.transform(panel)

        def interrupted(self, loss):
            loss.backward()
            self.optimizer.step(0.01)
            raise KeyboardInterrupt

        monkeypatch.setattr(Trainer, "_update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            mug.fit(panel)
        assert_array_equal(mug.transform(panel), before)

    def test_an_unfitted_estimator_stays_unfitted(self, panel):
        mug = small_mug(d_model=9)
        with pytest.raises(ValueError, match="d_model=9"):
            mug.fit(panel)
        assert not [name for name in vars(mug) if name.endswith("_")]


REFUSED = [
    ({"d_model": 10, "n_heads": 4}, "d_model=10 is no multiple of n_heads=4"),
    ({"readout": "cross", "granularity": "fine"}, "readout='cross' needs"),
    ({"readout": "cross", "granularity": "coarse"}, "readout='cross' needs"),
    ({"segment_lengths": (0.5, 31)}, "holds 31.*30 timepoints"),
    ({"segment_lengths": (0,)}, "holds 0; accepted"),
    ({"segment_lengths": (0.0,)}, r"holds 0.0; accepted"),
    ({"segment_lengths": (1.5,)}, r"holds 1.5; accepted"),
    ({"segment_lengths": (True,)}, "holds True; accepted"),
    ({"segment_lengths": ()}, "has 0 lengths"),
    ({"segment_lengths": (5, 10), "n_shapelets": 1}, "has 2 lengths"),
    ({"segment_lengths": (1, 1.0), "n_shapelets": 1}, "has 2 lengths"),
    ({"n_shapelets": 2}, "segment_lengths='auto' has 3 lengths"),
    ({"segment_lengths": "long"}, "segment_lengths"),
    ({"patch_length": 31}, "patch_length=31.*30 timepoints"),
    ({"patch_length": 0}, "patch_length"),
    ({"max_epochs": -1}, "max_epochs"),
    ({"batch_size": 0}, "batch_size"),
    ({"learning_rate": 0.0}, "learning_rate"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"n_shapelets": 0}, "n_shapelets"),
    ({"n_random_shapelets": -1}, "n_random_shapelets"),
    ({"token_retrieval_weight": -0.1}, "token_retrieval_weight"),
    ({"reconstruction_weight": -0.1}, "reconstruction_weight"),
    ({"cluster_triplet_weight": -0.1}, "cluster_triplet_weight"),
    ({"d_model": 1, "n_heads": 1}, "d_model"),
    ({"n_heads": 0}, "n_heads"),
    ({"n_layers": 0}, "n_layers"),
    ({"n_iter_no_change": 0}, "n_iter_no_change"),
    ({"tol": -1e-3}, "tol"),
    ({"granularity": "medium"}, "granularity"),
    ({"loss": "mse"}, "loss"),
    ({"embedding_dim": 0}, "embedding_dim"),
    ({"device": "quantum"}, "device='quantum' is no torch device"),
    ({"random_state": "seed"}, "random_state"),
]


class TestParameters:
    def test_without_segments_their_number_is_free(self, panel):
        settings = {"n_shapelets": 1, "granularity": "fine"}
        for segment_lengths in ("auto", ()):
            mug = small_mug(segment_lengths=segment_lengths, **settings)
            assert mug.fit_transform(panel).shape == (12, 8)

    @pytest.mark.parametrize(("parameters", "message"), REFUSED)
    def test_refused_before_work_starts(self, panel, monkeypatch, parameters, message):
        def started(self, *arguments):
            raise AssertionError("work had started")

        monkeypatch.setattr(Course, "pretrain", started)
        with pytest.raises(ValueError, match=message):
            small_mug(**parameters).fit(panel)

    def test_the_least_of_every_parameter_is_accepted(self, panel):
        least = {"patch_length": 1, "max_tokens": 1, "segment_lengths": (1,)}
        least |= {"n_shapelets": 1, "n_random_shapelets": 0, "embedding_dim": 1}
        least |= {"d_model": 2, "n_heads": 1, "n_layers": 1, "batch_size": 1}
        least |= {"n_iter_no_change": 1, "tol": 0, "cluster_triplet_weight": 0}
        least |= {"token_retrieval_weight": 0, "reconstruction_weight": 0}
        for settings in ({}, {"max_epochs": 0}):
            embedding = small_mug(**least, **settings).fit_transform(panel)
            assert embedding.shape == (12, 1)
            assert np.isfinite(embedding).all()

    def test_an_absent_device(self, panel):
        absent = f"cuda:{torch.cuda.device_count()}"
        with pytest.raises(ValueError, match=r"is not available; accepted.*'cpu'"):
            small_mug(device=absent).fit(panel)

    @pytest.mark.parametrize("granularity", ["multi", "fine", "coarse"])
    def test_granularity_decides_what_is_trained(self, panel, granularity):
        terms = set(small_mug(granularity=granularity).fit(panel).history_[0])
        expected = {
            "multi": {
                "retrieval",
                "token_retrieval",
                "reconstruction",
                "cluster_triplet",
            },
            "fine": {"reconstruction"},
            "coarse": {"cluster_triplet"},
        }
        assert terms == {"epoch", "n_steps", "loss"} | expected[granularity]

    @pytest.mark.parametrize(
        "parameters",
        [
            {"fine_fusion": "max"},
            {"fusion": "concat"},
            {"loss": "infonce"},
            {"loss": "triplet"},
            {"readout": "cross"},
            {"readout": "robust"},
            {"reconstruction_weight": 0.0},
            {"token_retrieval_weight": 0.0},
            {"cluster_triplet_weight": 5.0},
            {"patch_length": 7},
            {"segment_lengths": (3, 0.5)},
            {"n_shapelets": 30},
            {"n_random_shapelets": 0},
            {"max_tokens": 5},
            {"d_model": 16},
            {"n_heads": 4},
            {"n_layers": 2},
            {"learning_rate": 0.1},
            {"batch_size": 4},
            {"max_epochs": 4},
        ],
    )
    def test_every_parameter_has_an_effect(self, panel, parameters):
        settings = {"embedding_dim": 4, "max_epochs": 2}
        plain = small_mug(**settings).fit_transform(panel)
        changed = small_mug(**{**settings, **parameters}).fit_transform(panel)
        assert np.isfinite(changed).all()
        assert np.abs(changed - plain).max() > 1e-4

    def test_auto_patches_keep_to_the_token_budget(self, panel):
        assert small_mug(max_tokens=30).fit(panel).config_.patch_length == 1
        assert small_mug(max_tokens=29).fit(panel).config_.patch_length == 2

    def test_auto_segment_lengths(self, panel):
        scales = small_mug().fit(panel).config_.segment_scales
        assert [scale.length for scale in scales] == [6, 12, 18]

    def test_shares_of_the_longest_series_are_rounded(self):
        config = network_config(small_mug(segment_lengths=(0.01, 0.29, 0.5)), 1, 10)
        assert [scale.length for scale in config.segment_scales] == [1, 3, 5]

    def test_a_length_given_twice_counts_once(self, panel):
        mug = small_mug(segment_lengths=(12, 6, 12), n_shapelets=2).fit(panel)
        assert [scale.length for scale in mug.config_.segment_scales] == [6, 12]

    def test_a_patch_and_a_segment_may_be_the_whole_series(self, panel):
        mug = small_mug(patch_length=30, segment_lengths=(30,)).fit(panel)
        tokens = mug.transform_granularities(panel)
        assert tokens["fine"].tokens.shape[1] == 1
        assert tokens["coarse"].spans[0].tolist() == [0, 30]

    @pytest.mark.parametrize("n_timepoints", [1, 31, 32, 63, 64, 600])
    def test_no_more_blocks_than_see_half_the_patches(self, n_timepoints):
        config = network_config(small_mug(patch_length=1), 1, n_timepoints)
        depth, half = config.segment_depth, (n_timepoints - 1) / 2
        assert receptive_field(depth) >= half
        assert depth == 2 or receptive_field(depth - 1) < half

    @pytest.mark.parametrize(("n_series", "batch_size"), [(5, 5), (8, 8), (50, 8)])
    def test_automatic_batches_are_of_eight_series_or_all(self, n_series, batch_size):
        plan = training_plan(small_mug(), n_series, 0, torch.device("cpu"))
        assert plan.batch_size == batch_size

    @pytest.mark.parametrize(("embedding_dim", "width"), [(3, 3), (50, 11), (1, 1)])
    def test_embedding_dim(self, panel, embedding_dim, width):
        mug = small_mug(embedding_dim=embedding_dim).fit(panel)
        assert mug.transform(panel).shape == (12, width)
        assert len(mug.get_feature_names_out()) == width

    def test_all_features(self, panel):
        mug = small_mug(embedding_dim=None, granularity="coarse").fit(panel)
        # 320 features of segments, 6 shapelets, and for two dilations of two
        # representations three statistics of one group of eight patterns
        embedding = mug.transform(panel)
        assert embedding.shape == (12, 320 + 6 + 2 * 2 * 3 * 8)
        assert_allclose(embedding.var(axis=0).mean(), 1, rtol=1e-5)

    def test_clone_copies_parameters_only(self, panel):
        mug = small_mug(segment_lengths=(4, 0.5)).fit(panel)
        copy = clone(mug)
        assert copy.get_params() == mug.get_params()
        assert not hasattr(copy, "network_")


class TestTraining:
    def test_epochs(self, panel):
        mug = small_mug(max_epochs=3, batch_size=5).fit(panel)
        assert mug.n_iter_ == 3
        assert [epoch["epoch"] for epoch in mug.history_] == [1, 2, 3]
        assert [epoch["n_steps"] for epoch in mug.history_] == [2, 2, 2]
        assert mug.loss_curve_ == [epoch["loss"] for epoch in mug.history_]

    @pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint32, np.uint64])
    def test_narrow_integers_count_as_pythons(self, panel, kind):
        settings = {
            "patch_length": 5,
            "segment_lengths": (20,),
            "n_shapelets": 9,
            "n_random_shapelets": 200,
            "embedding_dim": 200,
            "d_model": 200,
            "n_heads": 4,
            "n_layers": 1,
            "batch_size": 6,
            "max_epochs": 2,
            "n_iter_no_change": 255,
        }
        narrow = {
            name: (kind(20),) if name == "segment_lengths" else kind(value)
            for name, value in settings.items()
        }
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            embedding = MUGTransformer(random_state=0, **narrow).fit_transform(panel)
        expected = MUGTransformer(random_state=0, **settings).fit_transform(panel)
        assert_array_equal(embedding, expected)

    def test_narrow_floats_do_not_overflow(self, panel):
        settings = MUGTransformer(segment_lengths=(np.float16(0.5),))
        (scale,) = network_config(settings, 1, 200_000).segment_scales
        assert scale.length == 100_000
        narrow = {
            "learning_rate": np.float16(2e-3),
            "tol": np.float16(0.5),
            "cluster_triplet_weight": np.float16(0.01),
        }
        wide = {name: float(value) for name, value in narrow.items()}
        narrow["segment_lengths"], wide["segment_lengths"] = (np.float16(0.5),), (0.5,)
        embedding = small_mug(**narrow).fit_transform(panel)
        assert_array_equal(embedding, small_mug(**wide).fit_transform(panel))

    def test_the_budget_of_tokens_may_be_a_narrow_integer(self, panel):
        mug = small_mug(max_tokens=np.uint64(7)).fit(panel)
        assert mug.config_.patch_length == 5

    def test_the_loss_is_the_weighted_sum_of_its_terms(self, panel):
        mug = small_mug(
            token_retrieval_weight=0.7,
            reconstruction_weight=0.3,
            cluster_triplet_weight=2.0,
        )
        for epoch in mug.fit(panel).history_:
            expected = (
                epoch["retrieval"]
                + 0.7 * epoch["token_retrieval"]
                + 0.3 * epoch["reconstruction"]
                + 2.0 * epoch["cluster_triplet"]
            )
            assert epoch["loss"] == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("granularity", ["multi", "fine", "coarse"])
    def test_the_loss_falls(self, panel, granularity):
        mug = small_mug(granularity=granularity, max_epochs=60, early_stopping=False)
        curve = mug.fit(panel).loss_curve_
        assert np.mean(curve[-10:]) < np.mean(curve[:10])

    @pytest.mark.parametrize("granularity", ["multi", "fine", "coarse"])
    def test_a_diverging_fit_says_so_and_leaves_the_last_one(self, panel, granularity):
        mug = small_mug(granularity=granularity).fit(panel)
        before = mug.transform(panel)
        mug.set_params(learning_rate=1e30, max_epochs=9, early_stopping=False)
        with pytest.raises(ValueError, match=r"diverged.*learning_rate below 1e\+30"):
            mug.fit(panel)
        assert_array_equal(mug.transform(panel), before)

    def test_features_that_overflow_are_refused(self, panel):
        mug = small_mug(warm_start=True).fit(panel)
        with torch.no_grad():
            mug.network_.fine.embed.weight.fill_(1e38)
        with pytest.raises(ValueError, match="series 0 of X would not be finite"):
            mug.transform(panel)
        # Batches begin with the longest series; the message counts those of X.
        with pytest.raises(ValueError, match="series 1 of X would not be finite"):
            mug.transform([panel[0, :, :20], panel[1]])
        with pytest.raises(ValueError, match="training series are not finite"):
            mug.set_params(max_epochs=0).fit(panel)

    def test_the_readout_is_fitted_on_so_many_series_at_most(self, panel, monkeypatch):
        monkeypatch.setattr("mug_sklearn._fitting.READOUT_SERIES", 5)
        embedding = small_mug().fit_transform(panel)
        assert embedding.shape == (12, 4)
        # Drawn at random: the first ones are often all of one class.
        assert np.abs(embedding[:5].mean(axis=0)).max() > 0.01

    @pytest.mark.parametrize("name", ["DISCOVERY_SERIES", "CALIBRATION_SERIES"])
    def test_shapelets_and_thresholds_have_samples_of_their_own(
        self, panel, monkeypatch, name
    ):
        def shapelets_and_thresholds():
            network = small_mug(max_epochs=0).fit(panel).network_
            return network.shapelets[0].values, network.bank.scales[0].thresholds

        whole = shapelets_and_thresholds()
        monkeypatch.setattr(f"mug_sklearn._fitting.{name}", 3)
        part = shapelets_and_thresholds()
        same = [torch.equal(*pair) for pair in zip(whole, part, strict=True)]
        assert same == [name != "DISCOVERY_SERIES", name != "CALIBRATION_SERIES"]

    @pytest.mark.parametrize("granularity", ["multi", "coarse"])
    def test_the_robust_readout_weighs_by_what_halves_differ_in(
        self, panel, granularity
    ):
        settings = {"granularity": granularity, "embedding_dim": None}
        mug = small_mug(readout="robust", **settings).fit(panel)
        plain = small_mug(**settings).fit(panel)
        network = mug.network_
        standardised = (panel - mug.location_[:, None]) / mug.scale_[:, None]
        values = torch.from_numpy(standardised.astype("float32"))
        series = values, torch.ones_like(values, dtype=torch.bool)
        with torch.no_grad():
            blocks = network.pooled_blocks(*series)
            noise = network.split_half_noise(*series)
        noise = {name: squares.mean(dim=0) for name, squares in noise.items()}
        embedding = mug.transform(panel)
        expected = fit_readout(blocks, None, noise)(blocks)
        assert_allclose(embedding, expected, rtol=0, atol=1e-3)
        assert np.abs(embedding - plain.transform(panel)).max() > 0.1

    def test_the_robust_readout_looks_at_so_many_series_at_most(
        self, panel, monkeypatch
    ):
        def coarse_weight():
            return mug.fit(panel).readout_.scalings["coarse"].weight

        mug = small_mug(readout="robust", n_random_shapelets=0, max_epochs=0)
        whole = coarse_weight()
        with monkeypatch.context() as fewer:
            fewer.setattr("mug_sklearn._fitting.CALIBRATION_SERIES", 3)
            assert coarse_weight() != whole
        panel[5] = np.nan  # is not among them
        with pytest.warns(UserWarning, match="no observed value"):
            assert 0 < coarse_weight() != whole

    def test_a_fine_network_has_nothing_that_the_robust_readout_would_weigh(
        self, panel
    ):
        embeddings = [
            small_mug(granularity="fine", readout=readout).fit_transform(panel)
            for readout in ("combined", "robust")
        ]
        assert_array_equal(*embeddings)

    def test_the_robust_readout_hears_less_of_the_noise(self):
        # Two classes of slow waves in noise as large: distances within a class shrink.
        rng = np.random.default_rng(0)
        y = np.arange(60) % 2
        phases = rng.uniform(0, 6.28, (60, 1))
        waves = np.sin((0.1 + 0.05 * y[:, None]) * np.arange(150) + phases)
        X = waves + rng.normal(size=waves.shape)
        ratios = []
        for readout in ("combined", "robust"):
            mug = small_mug(n_random_shapelets=64, embedding_dim=None, readout=readout)
            embedding = mug.fit_transform(X)
            within = np.mean(
                [embedding[y == label].var(axis=0).sum() for label in (0, 1)]
            )
            ratios.append(within / embedding.var(axis=0).sum())
        assert ratios[1] < 0.98 * ratios[0]

    @pytest.mark.parametrize(
        "parameters",
        [
            {},
            {"granularity": "fine"},
            {"granularity": "coarse"},
            {"readout": "cross"},
            {"readout": "robust"},
            {"embedding_dim": None},
        ],
        ids=str,
    )
    def test_series_that_differ_by_rounding_alone_are_told_of(self, panel, parameters):
        X = np.repeat(panel[:1], 12, axis=0)
        X *= 1 + 1e-8 * np.random.default_rng(0).normal(size=(12, 1, 1))
        with pytest.warns(UserWarning, match="The embedding is constant"):
            mug = small_mug(**parameters).fit(X)
        assert (mug.transform(panel) == 0).all()

    @pytest.mark.parametrize("shape", [(1, 2, 30), (6, 1, 1), (6, 1, 2)])
    def test_the_robust_readout_of_next_to_nothing(self, shape):
        X = np.random.default_rng(0).normal(size=shape)
        mug = small_mug(readout="robust")
        if shape[0] == 1:
            with pytest.warns(UserWarning, match="constant"):
                mug.fit(X)
        else:
            mug.fit(X)
        assert np.isfinite(mug.transform(X)).all()

    # A series of more values than that is a sample by itself.
    @pytest.mark.parametrize(("n_values", "n_series"), [(4 * 60, 4), (59, 1)])
    def test_a_sample_has_so_many_values_of_all_channels_at_most(
        self, panel, monkeypatch, n_values, n_series
    ):
        with monkeypatch.context() as values:
            values.setattr("mug_sklearn._fitting.SAMPLE_VALUES", n_values)
            mug = small_mug(max_epochs=0).fit(panel)
        for name in ("DISCOVERY_SERIES", "CALIBRATION_SERIES"):
            monkeypatch.setattr(f"mug_sklearn._fitting.{name}", n_series)
        expected = small_mug(max_epochs=0).fit(panel)
        assert_array_equal(mug.transform(panel), expected.transform(panel))

    def test_the_series_for_shapelets_are_drawn_each_once(self, panel, monkeypatch):
        monkeypatch.setattr("mug_sklearn._fitting.DISCOVERY_SERIES", 8)
        panel[:, 1] = np.arange(12)[:, None]  # tells where a shapelet is from
        sources = []
        for seed in range(2):
            mug = small_mug(n_shapelets=99, max_epochs=0, random_state=seed).fit(panel)
            (shapelets, *_) = mug.network_.shapelets
            sources.append(set(shapelets.values[:, 1, 0].tolist()))
        assert [len(levels) for levels in sources] == [8, 8]
        assert sources[0] != sources[1]

    @pytest.mark.parametrize("granularity", ["multi", "fine", "coarse"])
    def test_the_network_is_ready_to_embed(self, panel, granularity):
        network = small_mug(granularity=granularity).fit(panel).network_
        assert not any(module.training for module in network.modules())
        assert all(weight.grad is None for weight in network.parameters())

    def test_untrained(self, panel):
        mug = small_mug(max_epochs=0).fit(panel)
        assert (mug.n_iter_, mug.history_, mug.loss_curve_) == (0, [], [])
        assert np.isfinite(mug.transform(panel)).all()

    def test_early_stop(self, panel):
        settings = {"max_epochs": 60, "n_iter_no_change": 5, "tol": 0.9}
        mug = small_mug(granularity="fine", **settings)
        assert mug.fit(panel).n_iter_ == 50
        assert mug.set_params(early_stopping=False).fit(panel).n_iter_ == 60
        patient = {"early_stopping": True, "max_epochs": 80, "n_iter_no_change": 30}
        assert mug.set_params(**patient).fit(panel).n_iter_ == 60

    @pytest.mark.parametrize(
        ("n_series", "n_steps"), [(20, 100), (1000, 100), (5000, 224), (10**6, 1000)]
    )
    def test_automatic_budget(self, n_series, n_steps):
        plan = training_plan(MUGTransformer(), n_series, 0, torch.device("cpu"))
        assert plan.n_steps == n_steps

    def test_warm_start_goes_on(self, panel):
        mug = small_mug(warm_start=True, max_epochs=2).fit(panel)
        first = mug.network_.fine.embed.weight.clone()
        mug.fit(panel)
        assert [epoch["epoch"] for epoch in mug.history_] == [1, 2, 3, 4]
        assert not torch.equal(mug.network_.fine.embed.weight, first)
        mug.set_params(max_epochs=0)
        before = mug.transform(panel)
        assert_allclose(mug.fit(panel).transform(panel), before, atol=1e-5)

    def test_warm_start_keeps_standardisation_and_length(self, panel):
        mug = small_mug(warm_start=True).fit(panel)
        location, scale = mug.location_, mug.scale_
        mug.fit(3 * panel[:5, :, :20] + 1)
        assert_array_equal(mug.location_, location)
        assert_array_equal(mug.scale_, scale)
        assert (mug.n_timepoints_in_, mug.n_series_seen_) == (30, 5)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"d_model": 16}, "d_model was 8 and is 16. Set"),
            (
                {"segment_lengths": (4,)},
                r"segment_lengths was \(6, 12, 18\) and is \(4,",
            ),
            ({"max_tokens": 10}, r"max_tokens, if automatic\) was 1 and is 3"),
            (
                {"n_layers": 2, "fusion": "concat"},
                "n_layers was 1 and is 2; fusion was 'cross_attention' and is 'concat'",
            ),
        ],
    )
    def test_warm_start_refuses_another_shape(self, panel, change, message):
        mug = small_mug(warm_start=True).fit(panel).set_params(**change)
        with pytest.raises(ValueError, match=message):
            mug.fit(panel)

    @pytest.mark.parametrize(
        ("granularity", "change"),
        [
            ("fine", {"segment_lengths": (40,), "n_shapelets": 9}),
            ("fine", {"n_random_shapelets": 0, "fusion": "concat"}),
            ("coarse", {"n_heads": 3, "n_layers": 7, "fusion": "concat"}),
        ],
    )
    def test_what_a_granularity_does_not_have_changes_nothing(
        self, panel, granularity, change
    ):
        mug = small_mug(granularity=granularity, warm_start=True).fit(panel)
        again = clone(mug).set_params(**change).fit(panel)
        assert_array_equal(again.transform(panel), mug.transform(panel))
        assert mug.set_params(**change).fit(panel).n_iter_ > again.n_iter_

    def test_warm_start_refuses_another_depth(self, panel):
        mug = small_mug(warm_start=True).fit(np.tile(panel, (1, 1, 10)))
        mug.set_params(patch_length=50)
        with pytest.raises(
            ValueError, match=r"50; thereby segment_depth was \d and is 2"
        ):
            mug.fit(panel)

    def test_progress_bar(self, panel, capfd):
        small_mug(verbose=1, max_epochs=3).fit(panel)
        assert re.search(r"MUGTransformer.*3/3", capfd.readouterr().err)
        small_mug(max_epochs=3).fit(panel)
        assert capfd.readouterr().err == ""

    @pytest.mark.parametrize("verbose", [0, 1])
    def test_progress_leaves_no_thread(self, panel, monkeypatch, verbose):
        # As in a new process: tqdm starts its thread once.
        monkeypatch.setattr(tqdm, "monitor", None)
        before = set(threading.enumerate())
        small_mug(verbose=verbose).fit(panel)
        assert set(threading.enumerate()) <= before


class TestModelSelection:
    @pytest.mark.parametrize("form", ["panel", "ragged"])
    def test_a_column_of_series_beside_others(self, request, form):
        series = list(request.getfixturevalue(form))
        table = pd.DataFrame({"age": np.arange(12.0), "recording": series})
        features = make_column_transformer(
            (small_mug(), "recording"), ("passthrough", ["age"])
        )
        embedded = features.set_output(transform="pandas").fit_transform(table)
        expected = small_mug().fit_transform(series)
        assert_array_equal(embedded.iloc[:, :-1], expected)
        names = [f"mugtransformer__mugtransformer{i}" for i in range(8)]
        assert list(embedded) == [*names, "passthrough__age"]

    @pytest.mark.parametrize("n_jobs", [1, 2])
    @pytest.mark.parametrize("form", ["cube", "ragged"])
    def test_grid_search(self, panel, ragged, form, n_jobs):
        X = panel if form == "cube" else ragged
        grid = {
            "mug__granularity": ["multi", "fine"],
            "mug__patch_length": ["auto", 3],
            "mug__segment_lengths": ["auto", (2, 0.5)],
        }
        pipeline = Pipeline([("mug", small_mug()), ("svc", SVC())])
        search = GridSearchCV(pipeline, grid, cv=2, n_jobs=n_jobs, error_score="raise")
        search.fit(X, Y)
        assert len(search.cv_results_["params"]) == 8
        assert search.best_estimator_.predict(X).shape == (12,)

    def test_parallel_search_gives_the_same_scores(self, panel):
        pipeline = Pipeline([("mug", small_mug(max_epochs=5)), ("svc", SVC())])
        grid = {"mug__patch_length": [1, 2, 3]}
        scores = [
            GridSearchCV(pipeline, grid, cv=3, n_jobs=n_jobs)
            .fit(panel, Y)
            .cv_results_["mean_test_score"]
            for n_jobs in (1, 2)
        ]
        assert_array_equal(*scores)
