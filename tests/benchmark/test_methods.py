"""Every method on a panel with gaps, unequal lengths and several channels."""

import re

import numpy as np
import pytest

from mug_sklearn import MUGTransformer
from mug_sklearn._raw_values import FilledPanel, raw_values
from mug_sklearn.benchmark.methods import METHODS, select_methods


def gappy_panel(n_series=12, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_series, 2, 40)).cumsum(axis=2)
    X[:, :, 10:12] = np.nan
    X[1, :, 25:] = np.nan
    return X, np.array(["a", "b"] * (n_series // 2))


def slowly_filled(train, test):
    """Interpolation and filling up, value by value."""
    lengths = [np.flatnonzero(~np.isnan(one).all(axis=0))[-1] + 1 for one in train]
    width = max(lengths)
    location, scale = np.nanmean(train, axis=(0, 2)), np.nanstd(train, axis=(0, 2))
    filled = np.empty((len(test), test.shape[1], width))
    for i, one in enumerate(test):
        length = np.flatnonzero(~np.isnan(one).all(axis=0))[-1] + 1
        for c in range(test.shape[1]):
            values = (one[c, :length] - location[c]) / scale[c]
            known = [t for t in range(length) if not np.isnan(values[t])]
            for t in range(length):
                before = max([k for k in known if k <= t], default=known[0])
                after = min([k for k in known if k >= t], default=known[-1])
                share = (t - before) / (after - before) if after > before else 0.0
                values[t] = values[before] + share * (values[after] - values[before])
            padding = np.full(width - length, values.mean())
            filled[i, c] = np.concatenate((values, padding))
    return filled


def test_filling_is_its_definition():
    train, test = gappy_panel()[0], gappy_panel(seed=1)[0]
    test[2, 0, :3] = np.nan
    test[3, 1, 38:] = np.nan
    test[4, 0, :5], test[4, 0, 5], test[4, 0, 6:] = np.nan, 1.5, np.nan
    before = test.copy()
    actual = FilledPanel().fit(train).transform(test)
    np.testing.assert_allclose(actual, slowly_filled(train, test), atol=1e-12)
    np.testing.assert_array_equal(test, before)


def test_series_are_filled_up_to_a_least_length():
    X = [np.array([[1.0, 3.0]]), np.array([[5.0, 3.0, 3.0]])]
    filled = FilledPanel(min_timepoints=5).fit_transform(X)
    assert filled.shape == (2, 1, 5)
    np.testing.assert_array_equal(filled[:, :, :3], FilledPanel().fit_transform(X))
    means = [filled[0, 0, :2].mean(), filled[1, 0, :3].mean()]
    np.testing.assert_allclose(filled[:, 0, 3:], np.repeat([means], 2, axis=0).T)


# aeon compiles for the better part of a minute at the first use of those marked slow.
@pytest.mark.parametrize(
    "name",
    ["minirocket", pytest.param("multirocket", marks=pytest.mark.slow), "hydra"],
)
def test_convolutions_take_series_shorter_than_their_kernels(name):
    X = np.random.default_rng(0).normal(size=(12, 2, 8))
    embedding = np.asarray(METHODS[name].make(0).fit(X).transform(X))
    assert np.isfinite(embedding).all()
    assert len(np.unique(embedding, axis=0)) == len(X)


@pytest.mark.slow  # as above
def test_statistics_of_a_constant_series_are_numbers():
    X = np.stack((np.zeros((1, 40)), np.sin(np.arange(40.0))[None]))
    embedding = np.asarray(METHODS["catch22"].make(0).fit(X).transform(X))
    assert embedding.shape == (2, 22)
    assert np.isfinite(embedding).all()


def test_longer_series_are_cut_and_unobserved_channels_are_zero():
    filled = FilledPanel().fit([np.ones((2, 5)), np.zeros((2, 4))])
    longer = np.full((1, 2, 9), np.nan)
    longer[0, 0] = 1.0
    actual = filled.transform(longer)
    assert actual.shape == (1, 2, 5)
    assert (actual[0, 1] == 0).all()


def test_a_constant_channel_is_not_blown_up():
    panel = np.full((7, 1, 30), 0.3)  # whose mean is rounded
    filled = FilledPanel().fit(panel)
    np.testing.assert_allclose(filled.transform(panel + 1.0), 1.0)


def test_raw_values_are_those_of_all_channels_one_after_another():
    X, _ = gappy_panel()
    expected = FilledPanel().fit_transform(X)
    actual = raw_values().fit_transform(X)
    np.testing.assert_array_equal(actual, np.hstack((expected[:, 0], expected[:, 1])))


@pytest.mark.parametrize(
    "name", [name for name in METHODS if name.startswith(("mug", "shapenet", "raw"))]
)
def test_methods_embed_panels_with_gaps(name):
    X, _ = gappy_panel()
    estimator = METHODS[name].make(0)
    if isinstance(estimator, MUGTransformer):
        estimator.set_params(max_epochs=min(1, estimator.max_epochs != 0))
    embedding = np.asarray(estimator.fit(X).transform(X))
    assert len(embedding) == len(X)
    assert np.isfinite(embedding).all()


# aeon's compiled code is given lists, which numba will no longer take.
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if m.needs_aeon])
def test_peers_take_panels_with_gaps(name):
    X, y = gappy_panel()
    estimator = METHODS[name].make(0).fit(X, y)
    if METHODS[name].is_classifier:
        np.testing.assert_array_equal(estimator.predict(X), y)
    else:
        embedding = np.asarray(estimator.transform(X))
        assert len(embedding) == len(X)
        assert np.isfinite(embedding).all()


def test_ablations_differ_from_mug_in_what_their_name_says():
    for name in [n for n in METHODS if n.startswith("mug-")]:
        readout = re.match("mug-(cross|robust)(?=-)", name)
        whole = readout.group() if readout else "mug"
        before = METHODS[whole].make(0).get_params()
        after = METHODS[name].make(0).get_params()
        assert sum(before[key] != after[key] for key in before) == 1, name


def test_what_the_name_of_the_untrained_robust_network_says():
    method = METHODS["mug-robust-untrained"].make(0)
    assert (method.readout, method.max_epochs) == ("robust", 0)


@pytest.mark.parametrize("prefix", ["mug-", "mug-cross-"])
@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("untrained", "max_epochs", 0),
        ("infonce", "loss", "infonce"),
        ("triplet", "loss", "triplet"),
        ("concat", "fusion", "concat"),
        ("maxpool", "fine_fusion", "max"),
        ("no-token-retrieval", "token_retrieval_weight", 0.0),
    ],
)
def test_what_the_names_of_ablations_say(prefix, name, parameter, value):
    assert METHODS[prefix + name].make(0).get_params()[parameter] == value


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("mug", {}),
        ("mug-fine", {"granularity": "fine"}),
        ("mug-coarse", {"granularity": "coarse"}),
        ("shapenet", {"granularity": "coarse", "n_random_shapelets": 0}),
        ("mug-no-bank", {"n_random_shapelets": 0}),
        ("mug-robust", {"readout": "robust"}),
        ("mug-cross", {"readout": "cross"}),
    ],
)
def test_what_the_names_of_parts_say(name, parameters):
    expected = MUGTransformer(random_state=0, **parameters).get_params()
    assert METHODS[name].make(0).get_params() == expected


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("catch22", "Catch22"),
        ("minirocket", "MiniRocket"),
        ("multirocket", "MultiRocket"),
        ("hydra", "HydraTransformer"),
        ("rdst", "RandomDilatedShapeletTransform"),
    ],
)
def test_a_peer_is_what_its_name_says(name, peer):
    assert type(METHODS[name].make(0)[-1]).__name__ == peer


@pytest.mark.parametrize("distance", ["euclidean", "dtw"])
def test_neighbours_are_nearest_by_what_the_name_says(distance):
    method = METHODS[f"1nn-{distance}"]
    classifier = method.make(0)[-1]
    assert method.is_classifier
    assert (classifier.distance, classifier.n_neighbors) == (distance, 1)


@pytest.mark.parametrize("name", METHODS)
def test_the_seed_arrives(name):
    parameters = METHODS[name].make(3).get_params()
    seeds = [parameters[key] for key in parameters if key.endswith("random_state")]
    assert (3 in seeds) == METHODS[name].is_random


def test_unknown_methods_are_named():
    with pytest.raises(ValueError, match="unknown methods nope; there are mug"):
        select_methods(["mug", "nope"])
