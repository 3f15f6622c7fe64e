"""Clusters of segments, and the choice of shapelets among them."""

import numpy as np
import pytest
import torch

from mug_sklearn.nn.coarse import SegmentScale, cut_segments
from mug_sklearn.nn.network import MUGConfig, build_network, initialise
from mug_sklearn.pretraining.clustering import cluster
from mug_sklearn.pretraining.discovery import (
    discover_shapelets,
    select_shapelets,
    shapelet_utility,
)

from ..conftest import small_mug


def slow_utility(candidates, sizes):
    diversity = np.array(
        [sum(np.linalg.norm(one - other) for other in candidates) for one in candidates]
    )
    return 0.5 * sizes / sizes.sum() + 0.5 * diversity / diversity.sum()


def test_utility_is_its_equation():
    rng = np.random.default_rng(0)
    candidates, sizes = rng.normal(size=(5, 3)), np.array([9, 1, 4, 4, 2])
    expected = slow_utility(candidates, sizes)
    np.testing.assert_allclose(shapelet_utility(candidates, sizes), expected)


def test_selected_shapelets_differ():
    points = np.random.default_rng(0).normal(size=(120, 2))
    chosen = select_shapelets(points, 4, np.random.default_rng(0))
    assert len(set(chosen)) == len(chosen) == 4


@pytest.mark.filterwarnings("error")
def test_fewer_segments_than_shapelets():
    chosen = select_shapelets(np.zeros((1, 3)), 10, np.random.default_rng(0))
    np.testing.assert_array_equal(chosen, [0])


def test_clusters_do_not_hang_on_rounding():
    # Copies of three points, a little off: two clusters of two and one of three.
    places = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])[[0, 0, 1, 1, 2, 2, 2]]
    outcomes = []
    for seed in range(5):
        noise = 1e-12 * np.random.default_rng(seed).standard_normal(places.shape)
        rng = np.random.default_rng(0)
        label, distance = cluster(places + noise, 5, n_iter=3, rng=rng)
        assert len(set(label)) == 3
        outcomes.append((label.tolist(), np.argsort(distance, kind="stable").tolist()))
    assert outcomes == outcomes[:1] * 5


def test_first_centroids_are_any_of_the_points():
    points = np.random.default_rng(0).normal(size=(60, 3))
    first = set()
    for seed in range(100):
        _, distance = cluster(points, 3, n_iter=0, rng=np.random.default_rng(seed))
        centroids = np.flatnonzero(distance == 0)
        assert len(centroids) == 3
        first.update(centroids)
    assert len(first) > 50


@pytest.mark.parametrize("n_iter", [1, 4])
def test_clusters_are_those_of_lloyds_iterations(n_iter):
    points = np.random.default_rng(0).normal(size=(60, 3))
    label, distance = cluster(points, 7, n_iter=0, rng=np.random.default_rng(0))
    assert (np.bincount(label[distance == 0]) == 1).all()
    for _ in range(n_iter):
        means = [points[label == index].mean(axis=0) for index in range(7)]
        to_means = np.array([np.linalg.norm(points - mean, axis=1) for mean in means])
        label, distance = to_means.argmin(axis=0), to_means.min(axis=0)
    found = cluster(points, 7, n_iter=n_iter, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(found[0], label)
    np.testing.assert_allclose(found[1], distance, atol=1e-6)


@pytest.mark.filterwarnings("error")
def test_an_empty_cluster_keeps_its_centroid():
    points = np.random.default_rng(77).normal(size=(8, 2))
    label, distance = cluster(points, 3, n_iter=0, rng=np.random.default_rng(0))
    centroids = [points[(label == i) & (distance == 0)][0] for i in range(3)]
    fewest = []
    for _ in range(4):
        for index in set(label):
            centroids[index] = points[label == index].mean(axis=0)
        to_each = np.array([np.linalg.norm(points - one, axis=1) for one in centroids])
        label, distance = to_each.argmin(axis=0), to_each.min(axis=0)
        fewest.append(np.bincount(label, minlength=3).min())
    assert 0 in fewest[:-1]
    found = cluster(points, 3, n_iter=4, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(found[0], label)
    np.testing.assert_allclose(found[1], distance, atol=1e-6)


def test_shapelets_are_the_candidates_of_highest_utility_best_first():
    rng = np.random.default_rng(0)
    places, sizes = 3.0 * rng.normal(size=(6, 2)), np.array([9, 1, 4, 7, 2, 30])
    utility = slow_utility(places, sizes)
    # Six different segments are six clusters, of which half are chosen.
    embeddings = rng.permutation(np.repeat(places, sizes, axis=0))
    chosen = select_shapelets(embeddings, 3, np.random.default_rng(0))
    best = sorted(range(6), key=lambda place: -utility[place])[:3]
    np.testing.assert_array_equal(embeddings[chosen], places[best])


@pytest.mark.parametrize("seed", range(5))
def test_a_shapelet_is_the_segment_nearest_its_centroid(seed):
    points = np.random.default_rng(seed).normal(size=(31, 3))
    points[-1] = 1e3
    group = points[:-1]
    distance = [np.linalg.norm(point - group.mean(axis=0)) for point in group]
    # The other cluster is a lone segment, less popular and as diverse.
    chosen = select_shapelets(points, 1, np.random.default_rng(seed))
    np.testing.assert_array_equal(chosen, [np.argmin(distance)])


@torch.no_grad()
def test_shapelets_are_the_selected_segments_with_their_gaps(panel):
    network = small_mug(max_epochs=0).fit(panel).network_.double()
    values = torch.from_numpy(panel)
    generator = torch.Generator().manual_seed(0)
    observed = torch.rand(values.shape, generator=generator) < 0.4
    values = values * observed
    discover_shapelets(network, values, observed, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    segments = network.coarse(values, observed)
    for transform, (embeddings, mask) in zip(
        network.shapelets, segments.by_scale(), strict=True
    ):
        cut_values, cut_observed = cut_segments(values, observed, transform.scale)
        places = [
            place
            for place in np.ndindex(*mask.shape)
            if cut_observed[place].any(dim=0).sum() >= transform.scale.half
        ]
        assert 0 < len(places) < mask.numel()
        candidates = torch.stack([embeddings[place] for place in places]).numpy()
        chosen = select_shapelets(candidates, len(transform.values), rng)
        for number, row in enumerate(chosen):
            place = places[row]
            assert torch.equal(transform.values[number], cut_values[place])
            assert torch.equal(transform.observed[number], cut_observed[place])


def test_of_many_segments_some_of_any_series_are_candidates(panel, monkeypatch):
    monkeypatch.setattr("mug_sklearn.pretraining.discovery.MAX_CANDIDATES", 12)
    network = small_mug(max_epochs=0).fit(panel).network_
    levels = 100.0 * torch.arange(12)
    values = torch.from_numpy(panel).float() + levels[:, None, None]
    observed = torch.ones_like(values, dtype=torch.bool)
    origins = set()
    for seed in range(10):
        discover_shapelets(network, values, observed, np.random.default_rng(seed))
        for transform in network.shapelets:
            means = transform.values.mean(dim=(1, 2))
            origins.update((means / 100).round().int().tolist())
    assert origins == set(range(12))


def shapelets_of_whole_series(panel, n_shapelets):
    settings = {"segment_lengths": (30,), "n_shapelets": n_shapelets, "max_epochs": 0}
    (transform,) = small_mug(**settings).fit(panel).network_.shapelets
    return transform.values.flatten(1)


def test_of_many_segments_none_is_a_candidate_twice(panel, monkeypatch):
    monkeypatch.setattr("mug_sklearn.pretraining.discovery.MAX_CANDIDATES", 11)
    assert len(shapelets_of_whole_series(panel, 11).unique(dim=0)) == 11


def test_of_few_segments_the_best_are_repeated_first(panel):
    shapelets = shapelets_of_whole_series(panel[:3], 50)
    n_segments = len(shapelets.unique(dim=0))
    assert 3 <= n_segments < 25
    assert torch.equal(shapelets[n_segments:], shapelets[:-n_segments])


@pytest.mark.parametrize("padding", [0, 9])
def test_padding_gives_no_shapelet(padding):
    scale = SegmentScale(length=6, pooling=1, width=6, stride=6)
    config = MUGConfig("coarse", 1, 31, 1, 8, segment_scales=(scale,), n_shapelets=2)
    network = build_network(config)
    initialise(network, torch.Generator().manual_seed(0))
    # The only value is the first of a segment that lies in the padding otherwise.
    observed = torch.zeros(3, 1, 31 + padding, dtype=torch.bool)
    observed[..., 30] = True
    rng = np.random.default_rng(0)
    discover_shapelets(network.eval(), 1.0 * observed, observed, rng)
    (transform,) = network.shapelets
    assert not transform.observed.any()


def test_a_sparse_series_gives_no_shapelet(panel):
    sparse = panel.copy()
    sparse[:9, :, 1:] = np.nan
    for transform in small_mug(max_epochs=0).fit(sparse).network_.shapelets:
        n_present = transform.observed.any(dim=1).sum(dim=1)
        assert (2 * n_present >= transform.scale.width).all()


def test_of_sparse_series_alone_the_fullest_segments_are_shapelets(panel):
    sparse = np.full_like(panel, np.nan)
    sparse[:, :, [0, 29]] = panel[:, :, [0, 29]]
    sparse[:6, :, 3] = panel[:6, :, 3]
    for transform in small_mug(max_epochs=0).fit(sparse).network_.shapelets:
        assert (transform.observed.any(dim=1).sum(dim=1) == 2).all()
