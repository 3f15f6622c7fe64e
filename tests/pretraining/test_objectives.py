"""Each objective against its equation, written out with loops."""

import math

import numpy as np
import pytest
import torch

from mug_sklearn.pretraining.objectives import (
    INFONCE_TEMPERATURE,
    RANK_SMOOTHING,
    TRIPLET_MARGIN,
    ClusterTriplet,
    cluster_triplet_loss,
    infonce_loss,
    reconstruction_loss,
    segment_cluster_loss,
    spearman_bce_loss,
    token_retrieval_loss,
    triplet_loss,
)
from mug_sklearn.pretraining.ranking import spearman_correlation

SLOPE, OFFSET = torch.tensor(3.0).double(), torch.tensor(-0.4).double()


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(5, 8, generator=generator).double() for _ in range(2))


def cosine(a, b):
    return float(a @ b / a.norm() / b.norm())


def test_spearman_bce(pair):
    queries, keys = pair
    scores = spearman_correlation(queries, keys, RANK_SMOOTHING).numpy()
    n, total, weights = 5, 0.0, 0.0
    for i in range(n):
        for j in range(n):
            p = 1 / (1 + math.exp(-(3.0 * scores[i, j] - 0.4)))
            weight = n - 1 if i == j else 1
            total -= weight * (math.log(p) if i == j else math.log(1 - p))
            weights += weight
    actual = spearman_bce_loss(queries, keys, SLOPE, OFFSET).item()
    assert actual == pytest.approx(total / weights, rel=1e-9)


def test_spearman_bce_of_an_uninformed_model_is_log_two(pair):
    actual = spearman_bce_loss(*pair, torch.tensor(0.0), torch.tensor(0.0)).item()
    assert actual == pytest.approx(math.log(2))


def test_infonce(pair):
    queries, keys = pair
    losses = []
    for i in range(5):
        logits = [cosine(queries[i], key) / INFONCE_TEMPERATURE for key in keys]
        losses.append(math.log(sum(math.exp(x) for x in logits)) - logits[i])
    actual = infonce_loss(queries, keys, SLOPE, OFFSET).item()
    assert actual == pytest.approx(np.mean(losses), rel=1e-9)


def test_triplet(pair):
    queries, keys = pair
    losses = [
        max(
            0.0,
            TRIPLET_MARGIN + cosine(queries[i], keys[j]) - cosine(queries[i], keys[i]),
        )
        for i in range(5)
        for j in range(5)
        if i != j
    ]
    actual = triplet_loss(queries, keys, SLOPE, OFFSET).item()
    assert actual == pytest.approx(np.mean(losses), rel=1e-9)


@pytest.mark.parametrize("loss", [spearman_bce_loss, infonce_loss, triplet_loss])
def test_retrieval_gradients(loss, pair):
    inputs = [x.clone().requires_grad_() for x in (*pair, SLOPE, OFFSET)]
    used = inputs if loss is spearman_bce_loss else inputs[:2]
    rest = inputs[len(used) :]
    assert torch.autograd.gradcheck(lambda *x: loss(*x, *rest), used)


@pytest.mark.parametrize("loss", [spearman_bce_loss, infonce_loss, triplet_loss])
def test_retrieval_prefers_the_right_pairing(loss, pair):
    queries, _ = pair
    right = loss(queries, queries, SLOPE, OFFSET)
    wrong = loss(queries, queries.roll(1, dims=0), SLOPE, OFFSET)
    assert right < wrong


@pytest.mark.parametrize("loss", [spearman_bce_loss, infonce_loss, triplet_loss])
def test_retrieval_of_a_single_series_is_finite(loss, pair):
    one = pair[0][:1]
    assert torch.isfinite(loss(one, one, SLOPE, OFFSET))


def test_reconstruction_counts_hidden_values_only():
    generator = torch.Generator().manual_seed(0)
    predicted = torch.randn(3, 2, 6, generator=generator).double().requires_grad_()
    target = torch.randn(3, 2, 6, generator=generator).double()
    hidden = torch.rand(3, 2, 6, generator=generator) < 0.4
    errors = [
        (predicted[index] - target[index]).item() ** 2
        for index in map(tuple, hidden.nonzero().tolist())
    ]
    actual = reconstruction_loss(predicted, target, hidden)
    assert actual.item() == pytest.approx(np.mean(errors))
    assert torch.autograd.gradcheck(
        lambda x: reconstruction_loss(x, target, hidden), predicted
    )
    nothing = torch.zeros_like(hidden)
    assert reconstruction_loss(predicted, target, nothing).item() == 0.0


def distance(a, b):
    return float(((a - b) ** 2).mean())


def test_cluster_triplet_is_its_equation():
    generator = torch.Generator().manual_seed(0)
    anchor, positives, near, far = (
        torch.randn(*shape, 4, generator=generator).double()
        for shape in ((), (3,), (5,), (2,))
    )
    to_positive = np.mean([distance(anchor, p) for p in positives])
    to_negative = np.mean([distance(anchor, n) for n in [*near, *far]])
    spreads = [
        max(distance(a, b) for a in group for b in group)
        for group in (positives, near, far)
    ]
    expected = math.log((to_positive + 1) / (to_negative + 1))
    expected += spreads[0] + (spreads[1] + spreads[2]) / 2
    points = torch.cat((anchor[None], positives, near, far))

    def loss(points):
        negatives = [np.arange(4, 9), np.arange(9, 11)]
        triplet = ClusterTriplet(0, np.arange(1, 4), negatives)
        return cluster_triplet_loss(points, [triplet])

    assert loss(points).item() == pytest.approx(expected, rel=1e-9)
    assert torch.autograd.gradcheck(loss, points.requires_grad_())


def test_cluster_triplets_are_averaged():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(12, 3, generator=generator).double()
    clusters = [np.arange(0, 3), np.arange(3, 7), np.arange(7, 12)]
    triplets = [
        ClusterTriplet(
            own[0], own[1:], [other for other in clusters if other is not own]
        )
        for own in clusters
    ]
    each = [cluster_triplet_loss(points, [triplet]).item() for triplet in triplets]
    together = cluster_triplet_loss(points, triplets).item()
    assert together == pytest.approx(np.mean(each), rel=1e-12)


def test_collapse_is_no_optimum_of_the_cluster_triplet():
    place = torch.tensor([0.0, 3.0, -3.0]).repeat_interleave(3)
    negatives = [np.arange(3, 6), np.arange(6, 9)]
    triplet = ClusterTriplet(0, np.arange(1, 3), negatives)
    apart, collapsed = (
        cluster_triplet_loss(points, [triplet])
        for points in (place[:, None], torch.zeros(9, 1))
    )
    assert apart < collapsed


def test_segment_clusters_pull_together_and_push_apart():
    centres = torch.tensor([[3.0, 0.0], [-3.0, 0.0]]).repeat_interleave(20, dim=0)
    noise = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    tight = segment_cluster_loss(centres + 0.1 * noise, 2, np.random.default_rng(0))
    loose = segment_cluster_loss(centres + 1.5 * noise, 2, np.random.default_rng(0))
    assert tight < loose


def test_tight_clusters_are_told_apart_in_single_precision():
    # Far from the origin, where their squares differ by less than rounding.
    generator = torch.Generator().manual_seed(0)
    points = 100 + 0.01 * torch.randn(40, 8, generator=generator)
    precise, single = (
        segment_cluster_loss(x, 2, np.random.default_rng(0)).item()
        for x in (points.double(), points)
    )
    assert single == pytest.approx(precise, rel=1e-4)


def nearest_to_the_mean_first(points):
    centre = points.mean(dim=0)
    return sorted(range(len(points)), key=lambda row: distance(points[row], centre))


@pytest.mark.parametrize(("size", "n_positives"), [(4, 1), (20, 5), (300, 50)])
def test_the_members_next_nearest_to_the_centroid_are_positives(size, n_positives):
    generator = torch.Generator().manual_seed(size)
    group = torch.randn(size, 3, generator=generator).double()
    # A segment that is a cluster of its own has no positives and is the only negative.
    points = torch.cat((group, torch.full((1, 3), 1e3).double()))
    anchor, *others = nearest_to_the_mean_first(group)
    positives = np.array(others[:n_positives])
    triplet = ClusterTriplet(anchor, positives, [np.array([size])])
    expected = cluster_triplet_loss(points, [triplet])
    actual = segment_cluster_loss(points, 2, np.random.default_rng(0))
    assert actual.item() == pytest.approx(expected.item(), rel=1e-9)


def test_negatives_are_drawn_from_the_other_cluster():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(8, 2, generator=generator).double()
    points[4:] += 30.0
    near, far = (
        [start + row for row in nearest_to_the_mean_first(points[start : start + 4])]
        for start in (0, 4)
    )
    possible = []
    for of_near in far:
        for of_far in near:
            triplets = [
                ClusterTriplet(near[0], np.array(near[1:2]), [np.array([of_near])]),
                ClusterTriplet(far[0], np.array(far[1:2]), [np.array([of_far])]),
            ]
            possible.append(cluster_triplet_loss(points, triplets).item())
    drawn = set()
    for seed in range(50):
        loss = segment_cluster_loss(points, 2, np.random.default_rng(seed)).item()
        differences = [abs(loss - one) for one in possible]
        assert min(differences) < 1e-9
        drawn.add(int(np.argmin(differences)))
    assert len(drawn) > 10


def test_negatives_are_as_many_as_positives_and_differ():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(12, 2, generator=generator).double()
    points[10:] += 30.0
    anchor, *others = nearest_to_the_mean_first(points[:10])
    # Three positives, so both members of the small cluster are negatives; for that one,
    # whose anchor has one positive, any single member of the large cluster is.
    of_large = ClusterTriplet(anchor, np.array(others[:3]), [np.array([10, 11])])
    possible = []
    for negative in range(10):
        of_small = ClusterTriplet(10, np.array([11]), [np.array([negative])])
        possible.append(cluster_triplet_loss(points, [of_large, of_small]).item())
    for seed in range(10):
        loss = segment_cluster_loss(points, 2, np.random.default_rng(seed)).item()
        assert min(abs(loss - one) for one in possible) < 1e-9


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("n_segments", [0, 1, 3, 7, 8])
def test_too_few_segments_or_distinct_ones_cost_nothing(n_segments, alike):
    embeddings = torch.ones(n_segments, 4)
    if not alike:
        embeddings.normal_(generator=torch.Generator().manual_seed(0))
    embeddings.requires_grad_()
    loss = segment_cluster_loss(embeddings, 4, np.random.default_rng(0))
    loss.backward()
    assert (loss.item() == 0.0) == (n_segments < 2 * 4 or alike)


def slow_token_retrieval(first, second, mask):
    """TS2Vec's hierarchical loss, token by token."""
    n = len(first)
    levels = []
    while True:
        length = first.shape[1]
        views = (first, second)
        questions = {"within": [], "across": []}
        for own, other in ((0, 1), (1, 0)):
            for i in range(n):
                for t in range(length):
                    if not mask[i, t]:
                        continue
                    token, counterpart = views[own][i, t], views[other][i, t]
                    places = {
                        "within": [(i, s) for s in range(length)],
                        "across": [(j, t) for j in range(n)],
                    }
                    for question, candidates in places.items():
                        scores = [
                            token @ views[view][place]
                            for view in (own, other)
                            for place in candidates
                            if mask[place] and (view, place) != (own, (i, t))
                        ]
                        scores = torch.stack(scores)
                        questions[question].append(
                            torch.logsumexp(scores, 0) - token @ counterpart
                        )
        within, across = (torch.stack(x).mean() for x in questions.values())
        levels.append((within + across) / 2)
        if length == 1:
            return torch.stack(levels).mean()
        half = -(-length // 2)
        merged = [torch.zeros(n, half, first.shape[2]).to(first) for _ in views]
        merged_mask = torch.zeros(n, half, dtype=torch.bool)
        for i in range(n):
            for t in range(half):
                kept = [s for s in (2 * t, 2 * t + 1) if s < length and mask[i, s]]
                if kept:
                    merged_mask[i, t] = True
                    for view in (0, 1):
                        merged[view][i, t] = views[view][i, kept].amax(dim=0)
        (first, second), mask = merged, merged_mask


@pytest.mark.parametrize("scale", [1.0, 1e3])
@pytest.mark.parametrize("length", [1, 2, 5, 8])
def test_token_retrieval_is_its_definition(length, scale):
    generator = torch.Generator().manual_seed(length)
    views = scale * torch.randn(2, 3, length, 4, generator=generator).double()
    views.requires_grad_()
    mask = torch.rand(3, length, generator=generator) < 0.8
    mask[0] = True
    outcome = []
    for function in (token_retrieval_loss, slow_token_retrieval):
        loss = function(*views, mask)
        outcome.append((loss, *torch.autograd.grad(3.0 * loss, views)))
    torch.testing.assert_close(*outcome)


def test_token_retrieval_is_finite_beside_padding_while_products_are():
    # Their products are as large as numbers of single precision get.
    tokens = 1e18 * torch.tensor([[[1.0], [-1.0], [1.0]], [[-1.0], [1.0], [-1.0]]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    tokens.requires_grad_()
    loss = token_retrieval_loss(tokens, -tokens, mask)
    loss.backward()
    assert loss.isfinite()
    assert tokens.grad.isfinite().all()


def test_padding_adds_no_level_to_token_retrieval():
    generator = torch.Generator().manual_seed(0)
    views = torch.randn(2, 3, 5, 4, generator=generator).double()
    mask = torch.rand(3, 5, generator=generator) < 0.8
    pad = torch.nn.functional.pad
    longer, longer_mask = pad(views, (0, 0, 0, 20)), pad(mask, (0, 20))
    torch.testing.assert_close(
        token_retrieval_loss(*longer, longer_mask), token_retrieval_loss(*views, mask)
    )


def test_token_retrieval_of_nothing_is_zero_with_a_gradient():
    tokens = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    tokens.requires_grad_()
    loss = token_retrieval_loss(tokens, tokens, torch.zeros(2, 3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(tokens.grad, torch.zeros_like(tokens))
