"""The training loop: resuming, batches, schedule, early stop."""

import copy

import numpy as np
import pytest
import torch

from mug_sklearn.nn.coarse import SegmentScale
from mug_sklearn.nn.network import MUGConfig, build_network, initialise
from mug_sklearn.persistence import to_arrays, to_tensors
from mug_sklearn.pretraining.objectives import (
    RETRIEVAL_LOSSES,
    segment_cluster_loss,
    token_retrieval_loss,
)
from mug_sklearn.pretraining.trainer import (
    GRADIENT_CLIP,
    SEGMENT_CLUSTERS,
    Trainer,
    TrainingPlan,
    learning_rate_factor,
)
from mug_sklearn.pretraining.views import View

CONFIG = MUGConfig(
    granularity="multi",
    n_channels=2,
    n_timepoints=20,
    patch_length=2,
    segment_scales=(SegmentScale(4, 1, 4, 3), SegmentScale(8, 2, 4, 3)),
    n_shapelets=2,
    n_random_shapelets=0,
    d_model=8,
    n_heads=2,
    n_layers=1,
    fine_fusion="attention",
    fusion="cross_attention",
)


def make_plan(**changes):
    settings = {
        "n_series": 10,
        "n_steps": 12,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "loss": "spearman_bce",
        "token_retrieval_weight": 1.0,
        "reconstruction_weight": 1.0,
        "cluster_triplet_weight": 0.1,
        "early_stopping": False,
        "n_iter_no_change": 10,
        "tol": 1e-3,
        "seed": 5,
    }
    return TrainingPlan(**{**settings, **changes})


def make_trainer(**changes):
    network = build_network(CONFIG)
    initialise(network, torch.Generator().manual_seed(0))
    values = torch.randn(10, 2, 20, generator=torch.Generator().manual_seed(1))
    observed = torch.ones_like(values, dtype=torch.bool)
    rows_read = []

    def read_batch(rows, device):
        rows_read.append(rows)
        return values[rows], observed[rows]

    trainer = Trainer(network, read_batch, make_plan(**changes), torch.device("cpu"))
    return trainer, rows_read


def run(trainer, n_steps=None):
    return list(trainer.run(n_steps))


def summaries(trainer):
    n_epochs = -(-trainer.step // trainer.plan.steps_per_epoch)
    return [trainer.epoch_summary(epoch) for epoch in range(n_epochs)]


@pytest.fixture(scope="module")
def finished():
    """A trainer that has run, and the rows it read; nothing changes either."""
    trainer, rows = make_trainer()
    run(trainer)
    return trainer, rows


@pytest.mark.parametrize("interrupted_after", [1, 5, 11])
def test_resuming_equals_not_stopping(finished, interrupted_after):
    whole, _ = finished
    first, _ = make_trainer()
    run(first, interrupted_after)
    second, _ = make_trainer()
    second.network.load_state_dict(first.network.state_dict())
    arrays = to_arrays(first.optimizer.moments)
    second.optimizer.moments = to_tensors(arrays, second.device)
    second.losses = list(first.losses)
    run(second)
    assert second.losses == whole.losses
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(second.network.state_dict()[name], tensor), name


def test_evaluating_between_steps_changes_nothing(finished):
    plain, _ = finished
    watched, _ = make_trainer()
    for _ in watched.run():
        watched.network.eval()
    assert watched.losses == plain.losses


def test_every_step_draws_views_of_its_own(monkeypatch):
    trainer, _ = make_trainer()
    crops, loss_terms = [], trainer.loss_terms

    def noted(views, rng):
        crops.append(views.observed.numpy().tobytes())
        return loss_terms(views, rng)

    monkeypatch.setattr(trainer, "loss_terms", noted)
    run(trainer)
    assert len(set(crops)) == len(crops) == 12


def test_the_seed_decides_the_order_of_the_series_and_their_views():
    orders, losses = set(), set()
    for seed in range(3):
        trainer, rows = make_trainer(seed=seed)
        run(trainer, 1)
        orders.add(tuple(rows[0]))
        # Of a single series there is one order only.
        trainer, _ = make_trainer(seed=seed, n_series=1, batch_size=1)
        losses.add(run(trainer, 1)[0]["reconstruction"])
    assert len(orders) == len(losses) == 3


def test_the_step_that_diverges_is_named():
    trainer, _ = make_trainer()
    run(trainer, 3)
    with torch.no_grad():
        trainer.network.fine.head[1].bias.fill_(1e30)  # whose square overflows
    with pytest.raises(ValueError, match="the loss of step 4 is inf"):
        run(trainer)


def test_an_epochs_summary_is_the_mean_of_its_steps():
    trainer, _ = make_trainer()
    first, second = run(trainer, 4)[2:]
    summary = trainer.epoch_summary(1)
    for name in first:
        assert summary[name] == pytest.approx((first[name] + second[name]) / 2)


def test_an_epoch_visits_each_series_at_most_once(finished):
    trainer, rows = finished
    assert trainer.plan.steps_per_epoch == 2
    for epoch in range(6):
        visited = np.concatenate(rows[2 * epoch : 2 * epoch + 2])
        assert len(set(visited)) == 8
    assert len(set(np.concatenate(rows))) == 10


def test_a_step_may_begin_an_epoch_that_is_not_finished():
    trainer, _ = make_trainer(n_steps=5)
    run(trainer)
    assert trainer.plan.n_epochs == 3
    assert [epoch["n_steps"] for epoch in summaries(trainer)] == [2, 2, 1]


def test_learning_rate_warms_up_and_decays():
    factors = [learning_rate_factor(step, 100) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == 1.0
    assert (np.diff(factors[:10]) > 0).all()
    assert (np.diff(factors[10:]) < 0).all()
    assert factors[-1] < 1e-3


def test_a_short_training_warms_up_in_its_first_step():
    factors = [learning_rate_factor(step, 4) for step in range(4)]
    assert factors == pytest.approx([1, 1, 0.75, 0.25])


def test_steps_take_the_schedules_rate_clipped_gradients_and_two_views(monkeypatch):
    trainer, _ = make_trainer(learning_rate=0.02)
    rates, norms, seen, loss_terms = [], [], [], trainer.loss_terms

    def step(rate):
        rates.append(rate)
        gradients = [p.grad.flatten() for p in trainer.optimizer.parameters]
        norms.append(torch.cat(gradients).norm().item())

    def large_terms(views, rng):
        seen.append(views.values)
        return {name: 1e4 * term for name, term in loss_terms(views, rng).items()}

    monkeypatch.setattr(trainer.optimizer, "step", step)
    monkeypatch.setattr(trainer, "loss_terms", large_terms)
    run(trainer)
    expected = [0.02 * learning_rate_factor(step, 12) for step in range(12)]
    assert rates == pytest.approx(expected)
    assert norms == pytest.approx([GRADIENT_CLIP] * 12, rel=1e-4)
    for views in seen:
        first, second = views.chunk(2)
        assert not (first == second).all()


def test_the_window_of_the_early_stop_is_in_epochs():
    trainer, _ = make_trainer(n_iter_no_change=20)
    assert trainer.plan.steps_per_epoch == 2
    assert trainer.plan.stop_window == 40


@pytest.mark.parametrize(
    ("losses", "stops"),
    [
        ([1.0] * 49, [False] * 49),
        ([1.0] * 25 + [0.98] * 25, [False] * 50),
        ([1.0] * 25 + [0.995] * 25, [False] * 49 + [True]),
        ([-1.0] * 25 + [-1.02] * 25, [False] * 50),
        ([-1.0] * 25 + [-1.005] * 25, [False] * 49 + [True]),
        ([0.01] * 25 + [0.0098] * 25, [False] * 50),
        ([100.0] * 25 + [99.5] * 25, [False] * 49 + [True]),
        # What lies before both windows no longer counts.
        ([0.5] + [1.0] * 24 + [0.98] * 26, [False] * 49 + [True, False]),
    ],
)
def test_early_stop_compares_two_windows(losses, stops):
    trainer, _ = make_trainer(early_stopping=True, n_iter_no_change=1, tol=0.01)
    assert trainer.plan.stop_window == 25
    found = []
    for loss in losses:
        trainer.losses.append({"loss": loss})
        found.append(trainer.has_converged())
    assert found == stops


def test_no_more_steps_are_done_than_planned_or_needed():
    trainer, _ = make_trainer(n_steps=5)
    assert len(run(trainer, 100)) == 5
    # Two windows of 25 steps, of which the second cannot be as good as asked for.
    stopping = {"early_stopping": True, "n_iter_no_change": 1, "tol": 1e9}
    trainer, _ = make_trainer(n_steps=60, **stopping)
    assert len(run(trainer)) == 50


def test_every_weight_of_the_method_is_trained():
    trainer, _ = make_trainer()
    before = copy.deepcopy(dict(trainer.network.named_parameters()))
    run(trainer, 3)
    for name, parameter in trainer.network.named_parameters():
        # Softmax ignores what adds the same to all scores: the bias of the keys.
        if not name.endswith("key_value.bias"):
            assert not torch.equal(parameter, before[name]), name


@pytest.mark.parametrize("padding", [6, 14])
def test_padding_has_no_influence_on_training(padding):
    trainer, _ = make_trainer()
    read = trainer.read_batch

    def padded(rows, device):
        values, observed = read(rows, device)
        pad = torch.nn.functional.pad
        return pad(values, (0, padding)), pad(observed, (0, padding))

    # The views draw noise for the padding too, so the losses compared are of plain
    # batches.
    rows = np.arange(8)
    results = []
    for reader in (read, padded):
        values, observed = reader(rows, torch.device("cpu"))
        view = View(values, observed, torch.zeros_like(observed))
        trainer.network.train()
        terms = trainer.loss_terms(view, np.random.default_rng(0))
        results.append({name: term.item() for name, term in terms.items()})
    assert results[0] == pytest.approx(results[1], rel=1e-4)


def test_weights_decay_where_there_is_nothing_to_learn(monkeypatch):
    trainer, _ = make_trainer(learning_rate=1.0)
    weight = trainer.network.fine.embed.weight
    before = weight.detach().clone()

    def constant(views, rng):
        return {"loss": sum(0 * p.sum() for p in trainer.optimizer.parameters)}

    monkeypatch.setattr(trainer, "loss_terms", constant)
    run(trainer)
    assert (weight.abs() < before.abs()).all()


@pytest.fixture
def views():
    """Two views of four series, each cropped to a window of its own."""
    generator = torch.Generator().manual_seed(2)
    values = torch.randn(8, 2, 20, generator=generator).double()
    observed = torch.zeros(8, 2, 20, dtype=torch.bool)
    windows = [(0, 14), (3, 20), (5, 17), (0, 20), (6, 20), (0, 13), (8, 20), (2, 15)]
    for row, (start, stop) in enumerate(windows):
        observed[row, :, start:stop] = True
    hidden = observed & (torch.rand(8, 2, 20, generator=generator) < 0.3)
    return View(values * observed, observed, hidden)


def make_double_trainer(**changes):
    trainer, _ = make_trainer(**changes)
    trainer.network.double()
    with torch.no_grad():
        trainer.network.log_slope.fill_(0.7)
        trainer.network.offset.fill_(-0.4)
    return trainer


def loss_terms(trainer, views):
    with torch.no_grad():
        return trainer.loss_terms(views, np.random.default_rng(3))


def seen_patches(observed):
    """Patches of two timepoints with an observed value, one by one."""
    return torch.tensor(
        [[bool(row[:, t : t + 2].any()) for t in range(0, 20, 2)] for row in observed]
    )


@pytest.mark.parametrize("name", ["spearman_bce", "infonce", "triplet"])
def test_each_view_is_asked_for_the_other(views, name):
    trainer = make_double_trainer(loss=name)
    tokens = trainer.network(views.values, views.observed, views.hidden)
    seen = seen_patches(views.observed)
    fused, multi = tokens.fused.tokens, tokens.multi.tokens
    query = torch.stack([fused[i, seen[i]].mean(dim=0) for i in range(8)])
    key = torch.stack([multi[i, seen[i]].mean(dim=0) for i in range(8)])
    slope, offset = torch.tensor([0.7, -0.4], dtype=torch.float64)
    slope = slope.exp()
    forth = RETRIEVAL_LOSSES[name](query[:4], key[4:], slope, offset)
    back = RETRIEVAL_LOSSES[name](query[4:], key[:4], slope, offset)
    actual = loss_terms(trainer, views)["retrieval"]
    assert actual.item() == pytest.approx((forth + back).item() / 2, rel=1e-9)


def test_features_are_asked_for_where_both_views_have_them(views):
    trainer = make_double_trainer()
    features = trainer.network.coarse(views.values, views.observed).features
    seen = seen_patches(views.observed)
    in_both = torch.tensor(
        [[bool(seen[i, t] and seen[4 + i, t]) for t in range(10)] for i in range(4)]
    )
    expected = token_retrieval_loss(features[:4], features[4:], in_both)
    actual = loss_terms(trainer, views)["token_retrieval"]
    assert actual.item() == pytest.approx(expected.item(), rel=1e-9)


def test_masked_values_are_predicted_without_the_answers(views):
    trainer = make_double_trainer()
    network = trainer.network
    without = torch.where(views.hidden, 100.0, views.values)
    tokens = network(without, views.observed, views.hidden).fine
    predicted = network.fine.reconstruct(tokens.tokens, 20)
    errors = [
        (predicted[place] - views.values[place]).item() ** 2
        for place in map(tuple, views.hidden.nonzero().tolist())
    ]
    actual = loss_terms(trainer, views)["reconstruction"]
    assert actual.item() == pytest.approx(np.mean(errors), rel=1e-9)


def test_cluster_triplets_are_of_segments_of_one_length(views):
    trainer = make_double_trainer()
    segments = trainer.network.coarse(views.values, views.observed)
    rng = np.random.default_rng(3)
    losses, start = [], 0
    assert len(segments.n_segments) == 2
    for n_segments in segments.n_segments:
        of_length = [
            segments.tokens[series, s]
            for series in range(8)
            for s in range(start, start + n_segments)
            if segments.mask[series, s]
        ]
        start += n_segments
        losses.append(
            segment_cluster_loss(torch.stack(of_length), SEGMENT_CLUSTERS, rng).item()
        )
    actual = loss_terms(trainer, views)["cluster_triplet"]
    assert actual.item() == pytest.approx(np.mean(losses), rel=1e-9)


def test_the_joint_loss_is_the_weighted_sum(views):
    trainer = make_double_trainer(
        token_retrieval_weight=0.3,
        reconstruction_weight=0.7,
        cluster_triplet_weight=0.2,
    )
    terms = {name: x.item() for name, x in loss_terms(trainer, views).items()}
    expected = terms["retrieval"] + 0.3 * terms["token_retrieval"]
    expected += 0.7 * terms["reconstruction"] + 0.2 * terms["cluster_triplet"]
    assert terms["loss"] == pytest.approx(expected, rel=1e-9)
