"""Training objectives as pure functions of tensors.

`RETRIEVAL_LOSSES` holds the choices for the paper's retrieval task; the other two are
the pretext tasks of the encoders: TST's masked-value regression and ShapeNet's
cluster-wise triplet loss.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..nn.coarse import cluster
from .ranking import spearman_correlation

INFONCE_TEMPERATURE = 0.1
TRIPLET_MARGIN = 0.5
RANK_REGULARIZATION = 0.1


def spearman_bce_loss(
    queries: Tensor, keys: Tensor, slope: Tensor, offset: Tensor
) -> Tensor:
    """Spearman + binary cross-entropy retrieval loss, the paper's.

    Query i must retrieve key i among all keys: ``p_ij = sigmoid(slope * s_ij +
    offset)`` with ``s_ij`` the Spearman correlation, and cross-entropy against
    "j == i". Positives weigh ``n - 1`` times as much as negatives, as each row holds
    one positive and n - 1 negatives.

    Parameters
    ----------
    queries, keys : Tensor of shape (n, d)
    slope, offset : Tensor, scalar
        Learnable; `slope` is positive.

    Returns
    -------
    Tensor, scalar
        Mean of the weighted cross-entropy; log(2) for an uninformed model.
    """
    scores = spearman_correlation(queries, keys, RANK_REGULARIZATION)
    own = torch.eye(len(queries), dtype=queries.dtype, device=queries.device)
    weight = torch.where(own.bool(), max(len(queries) - 1, 1), 1).to(queries.dtype)
    entropy = F.binary_cross_entropy_with_logits(
        slope * scores + offset, own, weight, reduction="sum"
    )
    return entropy / weight.sum()


def infonce_loss(
    queries: Tensor, keys: Tensor, slope: Tensor, offset: Tensor
) -> Tensor:
    """InfoNCE over cosine similarities, an ablation of the retrieval loss.

    Takes the arguments of `spearman_bce_loss`; the temperature is fixed, so `slope`
    and `offset` have no effect.
    """
    logits = F.normalize(queries, dim=1) @ F.normalize(keys, dim=1).T
    target = torch.arange(len(queries), device=queries.device)
    return F.cross_entropy(logits / INFONCE_TEMPERATURE, target)


def triplet_loss(
    queries: Tensor, keys: Tensor, slope: Tensor, offset: Tensor
) -> Tensor:
    """Triplet loss over cosine similarities, an ablation of the retrieval loss.

    Every other key of the batch is a negative: the mean of
    ``max(0, margin + cos(q_i, k_j) - cos(q_i, k_i))`` over j != i. Takes the arguments
    of `spearman_bce_loss`; `slope` and `offset` have no effect.
    """
    similarity = F.normalize(queries, dim=1) @ F.normalize(keys, dim=1).T
    violation = F.relu(TRIPLET_MARGIN + similarity - similarity.diagonal()[:, None])
    own = torch.eye(len(queries), dtype=torch.bool, device=queries.device)
    total = violation.masked_fill(own, 0.0).sum()
    return total / max(len(queries) * (len(queries) - 1), 1)


RetrievalLoss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

RETRIEVAL_LOSSES: dict[str, RetrievalLoss] = {
    "spearman_bce": spearman_bce_loss,
    "infonce": infonce_loss,
    "triplet": triplet_loss,
}


def reconstruction_loss(predicted: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Mean squared error on the hidden values only (TST's pretext task).

    Parameters
    ----------
    predicted, target : Tensor of shape (n, C, T)
    hidden : bool Tensor of shape (n, C, T)
        True where a value was observed and hidden from the encoder.

    Returns
    -------
    Tensor, scalar
        0 where nothing was hidden.
    """
    squared = (predicted - target).square().masked_fill(~hidden, 0.0)
    return squared.sum() / hidden.sum().clamp(min=1)


def _mean_square_distance(anchor: Tensor, others: Tensor) -> Tensor:
    return (others - anchor).square().mean(dim=1).mean()


def _spread(points: Tensor) -> Tensor:
    """Distance of the pair of points that is farthest apart."""
    return (points[:, None] - points[None]).square().mean(dim=2).max()


def cluster_triplet_loss(
    anchor: Tensor, positives: Tensor, negatives: list[Tensor]
) -> Tensor:
    """ShapeNet's cluster-wise triplet loss of one cluster.

    ``log((D_ap + 1) / (D_an + 1)) + spread(positives) + spread(negatives)``, with
    ``D_ap`` and ``D_an`` the mean distance of the anchor from the positives and from
    the negatives, and spread the distance of the pair of one cluster that is farthest
    apart, averaged over the clusters of the negatives. A distance is the mean of
    squared differences over the embedding's dimensions.

    Parameters
    ----------
    anchor : Tensor of shape (d,)
    positives : Tensor of shape (n_positives, d)
        Members of the anchor's cluster.
    negatives : list of Tensor of shape (n_negatives_k, d)
        Members of each other cluster.

    Returns
    -------
    Tensor, scalar

    References
    ----------
    Li et al., "ShapeNet: A Shapelet-Neural Network Approach for Multivariate Time
    Series Classification", AAAI 2021, section on the cluster-wise triplet loss.
    """
    ratio = torch.log1p(_mean_square_distance(anchor, positives)) - torch.log1p(
        _mean_square_distance(anchor, torch.cat(negatives))
    )
    spread = torch.stack([_spread(members) for members in negatives]).mean()
    return ratio + _spread(positives) + spread


def segment_cluster_loss(
    embeddings: Tensor, n_clusters: int, rng: np.random.Generator
) -> Tensor:
    """Cluster segment embeddings and average the cluster-wise triplet loss.

    k-means splits the embeddings; in each cluster the member nearest the centroid is
    the anchor, the ``min(50, size // 5 + 1)`` next nearest are its positives and as
    many members drawn from each other cluster are its negatives.

    Parameters
    ----------
    embeddings : Tensor of shape (n_segments, d)
    n_clusters : int
        At least 2; fewer are used where there are fewer segments.
    rng : numpy Generator
        Draws the initial centroids and the negatives.

    Returns
    -------
    Tensor, scalar
        0 where no two clusters with two members exist.
    """
    clusters = _nearest_first(embeddings, n_clusters, rng)
    losses = []
    for index, members in enumerate(clusters):
        if len(members) < 2:
            continue
        n_positives = min(50, len(members) // 5 + 1)
        others = [
            embeddings[rng.choice(other, min(n_positives, len(other)), replace=False)]
            for position, other in enumerate(clusters)
            if position != index
        ]
        if not others:
            continue
        losses.append(
            cluster_triplet_loss(
                embeddings[members[0]],
                embeddings[members[1 : 1 + n_positives]],
                others,
            )
        )
    return torch.stack(losses).mean() if losses else embeddings.sum() * 0.0


def _nearest_first(
    embeddings: Tensor, n_clusters: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Non-empty k-means clusters as index arrays, nearest to the centroid first."""
    points = embeddings.detach().double().cpu().numpy()
    if len(points) < 2 * n_clusters:
        return []
    label, distance = cluster(points, n_clusters, n_iter=5, rng=rng)
    order = np.argsort(distance, kind="stable")
    clusters = [order[label[order] == index] for index in range(n_clusters)]
    return [members for members in clusters if len(members)]
