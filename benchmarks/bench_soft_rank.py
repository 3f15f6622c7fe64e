"""The soft rank against its quadratic alternative, forward and backward."""

import pytest
import torch

from mug_sklearn.pretraining.objectives import RANK_SMOOTHING
from mug_sklearn.pretraining.ranking import soft_rank


def pairwise_rank(values, temperature=1.0):
    """Rank as one plus the soft number of smaller entries, O(d^2)."""
    difference = values.unsqueeze(2) - values.unsqueeze(1)
    return torch.sigmoid(difference / temperature).sum(dim=2) + 0.5


def exact_rank(values):
    return soft_rank(values, RANK_SMOOTHING / values.shape[1])


VERSIONS = {"exact": exact_rank, "pairwise": pairwise_rank}


@pytest.mark.parametrize("version", VERSIONS)
def test_forward_and_backward(measure, version):
    values = torch.randn(512, 320, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(512, 320, generator=torch.Generator().manual_seed(1))
    values.requires_grad_()

    def run():
        values.grad = None
        (VERSIONS[version](values) * weight).sum().backward()

    measure(run, rounds=15)
