"""Soft ranks and Spearman's correlation against slow, obvious definitions."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mug_sklearn.pretraining.objectives import RANK_SMOOTHING
from mug_sklearn.pretraining.ranking import soft_rank, spearman_correlation

rows = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
    elements=st.floats(-5, 5, allow_nan=False),
)


def permutahedron_projection(point: np.ndarray) -> np.ndarray:
    """The projection as the quadratic programme that defines it.

    A point lies in the permutahedron of (d, ..., 1) iff its entries sum to the sum of
    the ranks and the sum of any k of them is at most that of the k largest ranks.
    """
    size = len(point)
    ranks = np.arange(size, 0, -1.0)
    subsets = [[(mask >> i) & 1 for i in range(size)] for mask in range(1, 2**size - 1)]
    constraints = [{"type": "eq", "fun": lambda x: x.sum() - ranks.sum()}]
    if subsets:
        matrix = np.array(subsets, dtype=float)
        bound = np.array([ranks[: int(row.sum())].sum() for row in matrix])
        constraints.append({"type": "ineq", "fun": lambda x: bound - matrix @ x})
    result = scipy.optimize.minimize(
        lambda x: 0.5 * np.square(x - point).sum(),
        np.full(size, ranks.mean()),
        jac=lambda x: x - point,
        constraints=constraints,
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return result.x


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("regularization", [0.1, 1.0, 5.0])
def test_soft_rank_is_the_projection_onto_the_permutahedron(seed, regularization):
    values = np.random.default_rng(seed).normal(size=(2, 5))
    expected = [permutahedron_projection(row / regularization) for row in values]
    actual = soft_rank(torch.from_numpy(values), regularization)
    np.testing.assert_allclose(actual.numpy(), expected, atol=1e-5)


@given(rows, st.floats(0.01, 100))
@settings(deadline=None, max_examples=50)
def test_soft_ranks_sum_to_the_ranks_and_keep_the_order(values, regularization):
    size = values.shape[1]
    ranks = soft_rank(torch.from_numpy(values), regularization).numpy()
    np.testing.assert_allclose(ranks.sum(axis=1), size * (size + 1) / 2, rtol=1e-9)
    for row, rank in zip(values, ranks, strict=True):
        assert (np.diff(rank[np.argsort(row, kind="stable")]) >= -1e-9).all()


@given(rows)
@settings(deadline=None, max_examples=50)
def test_little_regularization_gives_hard_ranks(values):
    values = np.round(values, 2) + 1e-3 * np.arange(values.shape[1])
    expected = scipy.stats.rankdata(values, axis=1)
    gaps = np.diff(np.sort(values, axis=1), axis=1)
    regularization = gaps.min(initial=1.0) / 2
    actual = soft_rank(torch.from_numpy(values), regularization).numpy()
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_rows_do_not_affect_each_other():
    values = torch.randn(6, 40, generator=torch.Generator().manual_seed(0)).double()
    values[2] *= 1e6
    together = soft_rank(values, 0.5)
    alone = torch.cat([soft_rank(row[None], 0.5) for row in values])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-9)


def test_equal_rows_have_gradients_of_their_own():
    # As far from each other as ranks are: all of a row is one block.
    values = torch.tensor([[3.0, 2.0, 1.0]] * 2, requires_grad=True)
    soft_rank(values, 1.0)[0, 0].backward()
    assert (values.grad[1] == 0).all()


@pytest.mark.parametrize("regularization", [0.05, 0.5, 20.0])
def test_soft_rank_gradient(regularization):
    values = torch.randn(3, 7, generator=torch.Generator().manual_seed(1)).double()
    values.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: soft_rank(x, regularization), values)


def test_spearman_with_little_regularization_is_scipys():
    rng = np.random.default_rng(0)
    queries, keys = rng.normal(size=(4, 9)), rng.normal(size=(5, 9))
    expected = [
        [scipy.stats.spearmanr(query, key).statistic for key in keys]
        for query in queries
    ]
    actual = spearman_correlation(
        torch.from_numpy(queries), torch.from_numpy(keys), 1e-4
    )
    np.testing.assert_allclose(actual.numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("width", [16, 32, 128, 512])
def test_the_smoothing_of_training_leaves_ranks_at_every_width(width):
    rng = np.random.default_rng(width)
    queries, keys = rng.normal(size=(8, width)), rng.normal(size=(8, width))
    # An entry far from the others counts for more in Pearson's correlation.
    queries[:, 0] = keys[:, 0] = 3.0
    actual = spearman_correlation(
        torch.from_numpy(queries), torch.from_numpy(keys), RANK_SMOOTHING
    ).numpy()
    expected = scipy.stats.spearmanr(queries, keys, axis=1).statistic[:8, 8:]
    pearson = np.corrcoef(queries, keys)[:8, 8:]
    assert np.abs(actual - expected).mean() < 0.5 * np.abs(pearson - expected).mean()


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_neither_scale_nor_level_changes_spearman(factor):
    generator = torch.Generator().manual_seed(0)
    queries, keys = torch.randn(2, 4, 32, generator=generator).double()
    expected = spearman_correlation(queries, keys, RANK_SMOOTHING)
    actual = spearman_correlation(factor * (queries + 1), factor * keys, RANK_SMOOTHING)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


def test_spearman_gradient():
    generator = torch.Generator().manual_seed(2)
    queries = torch.randn(3, 6, generator=generator).double().requires_grad_()
    keys = torch.randn(4, 6, generator=generator).double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda q, k: spearman_correlation(q, k, 2.0), (queries, keys)
    )


def test_spearman_of_a_constant_row_is_zero():
    constant, other = torch.ones(1, 5).double(), torch.arange(5.0).double()[None]
    assert spearman_correlation(constant, other, 0.3).abs().item() < 1e-5
