"""Step 2, after training: choose shapelets among the training series' segments."""

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from ..nn.coarse import ShapeletTransform, cut_segments
from ..nn.network import MUGNetwork
from .clustering import cluster

MAX_CANDIDATES = 2048
UTILITY_BALANCE = 0.5


@torch.no_grad()
def discover_shapelets(
    network: MUGNetwork, values: Tensor, observed: Tensor, rng: np.random.Generator
) -> None:
    """Choose the shapelets of each segment length and store them in the network.

    At most 2,048 segments of each length, drawn at random, are clustered by the trained
    encoder's embeddings. Of the segments nearest to the centroids, those of the best
    utility become shapelets; if there are fewer than wanted, they are repeated.

    Parameters
    ----------
    network : MUGNetwork
        A network with the coarse granularity.
    values, observed : Tensor of shape (n, C, T)
        Training series.
    rng : numpy Generator
    """
    segments = network.coarse(values, observed)
    of_scales = zip(network.shapelets, segments.by_scale(), strict=True)
    for transform, (tokens, mask) in of_scales:
        assert isinstance(transform, ShapeletTransform)
        cut_values, cut_observed = cut_segments(values, observed, transform.scale)
        # Even a sparse series has a token, but it is no pattern to look for.
        n_present = cut_observed.any(dim=2).sum(dim=2).masked_fill(~mask, -1)
        enough = min(transform.scale.half, int(n_present.max()))
        candidates = (n_present >= enough).flatten().nonzero().squeeze(1).cpu().numpy()
        if len(candidates) > MAX_CANDIDATES:
            candidates = rng.choice(candidates, MAX_CANDIDATES, replace=False)
        rows = torch.from_numpy(candidates).to(values.device)
        segment_values = cut_values.flatten(end_dim=1)[rows]  # (candidates, C, width)
        segment_observed = cut_observed.flatten(end_dim=1)[rows]
        embeddings = tokens.flatten(end_dim=1)[rows]
        wanted = len(transform.values)
        best = select_shapelets(embeddings.cpu().numpy(), wanted, rng)
        # If the panel has fewer segments than shapelets are wanted, they are repeated.
        chosen = torch.from_numpy(np.resize(best, wanted)).to(values.device)
        transform.values.copy_(segment_values[chosen])
        transform.observed.copy_(segment_observed[chosen])


def shapelet_utility(candidates: np.ndarray, cluster_sizes: np.ndarray) -> np.ndarray:
    """Utility of shapelet candidates: high for popular and diverse ones.

    ``beta * size + (1 - beta) * sum of distances to the other candidates``, beta = 0.5.
    Ours: both terms are divided by their sum over the candidates, so that neither
    drowns out the other.

    Parameters
    ----------
    candidates : array of shape (n_candidates, d)
        Their embeddings.
    cluster_sizes : array of shape (n_candidates,)

    Returns
    -------
    array of shape (n_candidates,)

    References
    ----------
    Li et al., AAAI 2021, equation 7.
    """
    diversity = cdist(candidates, candidates).sum(axis=1)
    size_share = cluster_sizes / cluster_sizes.sum()
    diversity_share = diversity / max(diversity.sum(), np.finfo(np.float64).tiny)
    return UTILITY_BALANCE * size_share + (1 - UTILITY_BALANCE) * diversity_share


def select_shapelets(
    embeddings: np.ndarray, n_shapelets: int, rng: np.random.Generator
) -> np.ndarray:
    """Choose segments near cluster centroids, best utility first.

    k-means makes twice as many clusters as shapelets are wanted; the segment nearest to
    each centroid is a candidate, and the candidates of highest utility are chosen.

    Parameters
    ----------
    embeddings : array of shape (n_segments, d)
    n_shapelets : int
    rng : numpy Generator

    Returns
    -------
    int array of at most `n_shapelets` row numbers of `embeddings`
    """
    points = np.asarray(embeddings, dtype=np.float64)
    label, distance = cluster(points, 2 * n_shapelets, n_iter=10, rng=rng)
    order = np.lexsort((distance, label))
    _, first, sizes = np.unique(label[order], return_index=True, return_counts=True)
    nearest = order[first]
    utility = shapelet_utility(points[nearest], sizes)
    return nearest[np.argsort(-utility, kind="stable")[:n_shapelets]]
