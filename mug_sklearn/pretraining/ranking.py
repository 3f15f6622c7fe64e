"""For step 6: exact differentiable ranks, and their Spearman correlation.

The soft rank is the Euclidean projection onto the permutahedron (Blondel et al.,
"Fast Differentiable Sorting and Ranking", ICML 2020). The projection reduces to an
isotonic regression: O(d log d) for the sort, O(d) for pooling adjacent violators.
Its Jacobian is block-wise averaging, so the backward pass is exact and O(d).
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import isotonic_regression
from torch import Tensor


def _pool_adjacent_violators(targets: np.ndarray) -> np.ndarray:
    """Blocks of the non-increasing isotonic regression of each row of `targets`.

    All rows go through one call: shifting row r below everything in row r - 1 keeps
    the pooled blocks inside their rows, and only the blocks are taken from the
    result. The shift costs no precision as long as no row is far wider than another.

    Returns the sizes of the blocks, in order over all rows.
    """
    span = float(targets.max() - targets.min()) + 1.0
    shift = 2.0 * span * np.arange(len(targets), dtype=np.float64)
    flat = (targets - shift[:, None]).reshape(-1)
    starts = isotonic_regression(flat, increasing=False).blocks
    return np.diff(starts)


def segment_means(values: Tensor, sizes: Tensor) -> Tensor:
    """Means of consecutive segments, of the given sizes, of `values`, (n,)."""
    if values.device.type == "mps":  # Apple's devices have no such reduction
        return segment_means(values.cpu(), sizes.cpu()).to(values.device)
    return torch.segment_reduce(values, "mean", lengths=sizes)


def _block_mean(values: Tensor, sizes: Tensor) -> Tensor:
    """Replace each value by the mean of its block."""
    means = segment_means(values.reshape(-1), sizes)
    # Their number is given, as counting them means waiting for an accelerator.
    repeated = means.repeat_interleave(sizes, output_size=values.numel())
    return repeated.reshape(values.shape)


class _PermutahedronProjection(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        # values (r, d): projected onto the hull of the permutations of (d, ..., 1)
        ordered, order = torch.sort(values, dim=1, descending=True)
        size = values.shape[1]
        ranks = torch.arange(size, 0, -1, dtype=values.dtype, device=values.device)
        excess = ordered - ranks
        pooled = _pool_adjacent_violators(excess.cpu().double().numpy())
        sizes = torch.from_numpy(pooled).to(values.device)
        projected = ordered - _block_mean(excess, sizes)
        ctx.save_for_backward(order, sizes)
        return torch.empty_like(values).scatter_(1, order, projected)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        order, sizes = ctx.saved_tensors
        ordered = gradients[0].gather(1, order)
        through = ordered - _block_mean(ordered, sizes)
        return torch.empty_like(through).scatter_(1, order, through)


def soft_rank(values: Tensor, regularization: float) -> Tensor:
    """Differentiable ascending ranks of the entries of each row.

    Parameters
    ----------
    values : Tensor of shape (n_rows, n_entries)
        Floating point, finite.
    regularization : float
        Strength of the smoothing, > 0. As it goes to 0 the result becomes the hard
        ranks 1 to `n_entries`; as it grows all ranks approach their mean.

    Returns
    -------
    Tensor of shape (n_rows, n_entries)
        Each row sums to ``n_entries * (n_entries + 1) / 2``.

    References
    ----------
    Blondel, Teboul, Berthet, Djolonga, "Fast Differentiable Sorting and Ranking",
    ICML 2020, proposition 3.

    Examples
    --------
    >>> import torch
    >>> soft_rank(torch.tensor([[0.3, -2.0, 5.0]]), regularization=0.01)
    tensor([[2., 1., 3.]])
    """
    projected: Tensor = _PermutahedronProjection.apply(values / regularization)
    return projected


def standardise_rows(values: Tensor) -> Tensor:
    """Centre each row and divide it by its standard deviation; constant rows give 0."""
    return F.layer_norm(values, values.shape[1:], eps=1e-12)


def spearman_correlation(queries: Tensor, keys: Tensor, smoothing: float) -> Tensor:
    """Differentiable Spearman correlation of every query with every key.

    Parameters
    ----------
    queries : Tensor of shape (n_queries, d)
    keys : Tensor of shape (n_keys, d)
    smoothing : float
        Smoothing of the ranks, > 0. Rows are standardised before they are ranked, and
        their entries lie the closer the more there are: `soft_rank` is given
        ``smoothing / d``, so that neither the scale nor the width of the network's
        output has an effect.

    Returns
    -------
    Tensor of shape (n_queries, n_keys)
        Values in [-1, 1]; 0 where a row is constant.

    Notes
    -----
    Spearman's correlation is Pearson's of the ranks. From the paper: the correlation
    as retrieval score. Ours: exact soft ranks, and the standardisation before them.
    Two entries are always correlated by 1 or -1, which has no gradient.

    Examples
    --------
    >>> import torch
    >>> query = torch.tensor([[0.1, 0.2, 0.3]])
    >>> key = torch.tensor([[1.0, 5.0, 9.0], [9.0, 5.0, 1.0]])
    >>> spearman_correlation(query, key, smoothing=0.03).round(decimals=3)
    tensor([[ 1., -1.]])
    """
    rows = standardise_rows(torch.cat((queries, keys)))
    ranked = standardise_rows(soft_rank(rows, smoothing / queries.shape[1]))
    ranked_queries, ranked_keys = ranked.split((len(queries), len(keys)))
    return ranked_queries @ ranked_keys.T / queries.shape[1]
