"""The training loop: resuming, batches, schedule, early stop."""

import copy

import numpy as np
import pytest
import torch

from mug_sklearn.nn.coarse import SegmentScale
from mug_sklearn.nn.network import MUGConfig, build_network, initialise
from mug_sklearn.persistence import moments_from_arrays, moments_to_arrays
from mug_sklearn.pretraining.trainer import (
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
        return values[rows], observed[rows], torch.full((len(rows),), 20)

    trainer = Trainer(network, read_batch, make_plan(**changes), torch.device("cpu"))
    return trainer, rows_read


def run(trainer, n_steps=None):
    return list(trainer.run(n_steps))


def summaries(trainer):
    n_epochs = -(-trainer.step // trainer.plan.steps_per_epoch)
    return [trainer.epoch_summary(epoch) for epoch in range(n_epochs)]


@pytest.mark.parametrize("interrupted_after", [1, 5, 11])
def test_resuming_equals_not_stopping(interrupted_after):
    whole, _ = make_trainer()
    run(whole)
    first, _ = make_trainer()
    run(first, interrupted_after)
    second, _ = make_trainer()
    second.network.load_state_dict(first.network.state_dict())
    arrays = moments_to_arrays(first.optimizer.moments)
    second.optimizer.moments = moments_from_arrays(arrays, second.device)
    second.losses = list(first.losses)
    run(second)
    assert second.losses == whole.losses
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(second.network.state_dict()[name], tensor), name


def test_an_epoch_visits_each_series_at_most_once():
    trainer, rows = make_trainer()
    run(trainer)
    assert trainer.plan.steps_per_epoch == 2
    for epoch in range(6):
        visited = np.concatenate(rows[2 * epoch : 2 * epoch + 2])
        assert len(set(visited)) == 8
    assert len(set(np.concatenate(rows))) == 10


def test_a_step_may_begin_an_epoch_that_is_not_finished():
    trainer, _ = make_trainer(n_steps=5)
    run(trainer)
    assert [epoch["n_steps"] for epoch in summaries(trainer)] == [2, 2, 1]


def test_learning_rate_warms_up_and_decays():
    factors = [learning_rate_factor(step, 100) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == 1.0
    assert (np.diff(factors[:10]) > 0).all()
    assert (np.diff(factors[10:]) < 0).all()
    assert factors[-1] < 1e-3


@pytest.mark.parametrize(
    ("losses", "stops"),
    [
        ([1.0] * 49, [False] * 49),
        ([1.0] * 25 + [0.98] * 25, [False] * 50),
        ([1.0] * 25 + [0.995] * 25, [False] * 49 + [True]),
        ([-1.0] * 25 + [-1.02] * 25, [False] * 50),
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


def test_every_weight_of_the_method_is_trained():
    trainer, _ = make_trainer()
    before = copy.deepcopy(dict(trainer.network.named_parameters()))
    run(trainer, 3)
    for name, parameter in trainer.network.named_parameters():
        # Softmax ignores what adds the same to all scores: the bias of the keys.
        if not name.endswith("key_value.bias"):
            assert not torch.equal(parameter, before[name]), name


def test_padding_has_no_influence_on_training():
    trainer, _ = make_trainer()
    read = trainer.read_batch

    def padded(rows, device):
        values, observed, lengths = read(rows, device)
        pad = torch.nn.functional.pad
        return pad(values, (0, 6)), pad(observed, (0, 6)), lengths

    # The views draw noise for the padding too, so the losses compared are of plain
    # batches.
    rows = np.arange(8)
    results = []
    for reader in (read, padded):
        values, observed, _ = reader(rows, torch.device("cpu"))
        view = View(values, observed, torch.zeros_like(observed))
        trainer.network.train()
        terms = trainer.loss_terms(view, np.random.default_rng(0))
        results.append({name: term.item() for name, term in terms.items()})
    assert results[0] == pytest.approx(results[1], rel=1e-4)
