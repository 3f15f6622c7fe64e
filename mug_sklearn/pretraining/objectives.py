"""Step 6: training objectives as pure functions of tensors.

`RETRIEVAL_LOSSES` holds the choices for the paper's retrieval task. The others are the
retrieval of the coarse encoder's features, which is ours, and the pretext tasks of the
encoders: TST's masked-value regression and ShapeNet's cluster-wise triplet loss.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..nn.layers import lowered
from .clustering import cluster
from .ranking import segment_means, spearman_correlation

INFONCE_TEMPERATURE = 0.1
TRIPLET_MARGIN = 0.5
RANK_SMOOTHING = 3.2


def spearman_bce_loss(
    queries: Tensor, keys: Tensor, slope: Tensor, offset: Tensor
) -> Tensor:
    """Spearman + binary cross-entropy retrieval loss, from the paper.

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
        Weighted mean of the cross-entropy; log(2) for an uninformed model.
    """
    scores = spearman_correlation(queries, keys, RANK_SMOOTHING)
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

    Every other key of the batch is a negative. The loss is the mean of
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


def token_retrieval_loss(first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
    """Hierarchical retrieval of tokens; ours, after TS2Vec.

    Token t of series i in one view must retrieve its counterpart in the other view, by
    softmax over inner products: among the tokens of its own series at all times, and
    among the tokens of all series at its own time, in both views. Then neighbouring
    tokens are merged in pairs by their maximum and the same is asked of the merged
    tokens, until one per series is left. The loss is the mean over both questions and
    all levels.

    Parameters
    ----------
    first, second : Tensor of shape (n, F, d)
        Tokens of two views on the same timeline.
    mask : bool Tensor of shape (n, F)
        True where a token counts in both views.

    Returns
    -------
    Tensor, scalar

    References
    ----------
    Yue et al., "TS2Vec: Towards Universal Representation of Time Series", AAAI 2022,
    equations 1 to 3.
    """
    # Padding that no series fills must not add levels.
    length = int(mask.any(dim=0).nonzero().max()) + 1 if mask.any() else 1
    mask = mask[:, :length]
    # With both views of a series side by side, neither question needs a copy.
    both = torch.stack((first[:, :length], second[:, :length]), dim=1)  # (n, 2, F, d)
    # Views alternate: the first of a series, then its second.
    other_view = torch.arange(2 * len(mask), device=mask.device) ^ 1
    levels = []
    while True:
        # All times of the first view, then all of the second.
        place = torch.arange(2 * mask.shape[1], device=mask.device)
        within = _counterpart_retrieval(
            both.flatten(1, 2), mask.repeat(1, 2), place.roll(mask.shape[1])
        )
        across = _counterpart_retrieval(
            both.flatten(0, 1).transpose(0, 1),
            mask.T.repeat_interleave(2, dim=1),
            other_view,
        )
        levels.append(0.5 * (within + across))
        if mask.shape[1] == 1:
            return torch.stack(levels).mean()
        both, mask = _merge_pairs(both, mask)


def _merge_pairs(both: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    # (n, 2, F, d), (n, F) -> (n, 2, ceil(F / 2), d), (n, ceil(F / 2))
    tokens, counts = both.flatten(0, 1), mask.repeat_interleave(2, dim=0)
    # Lowered by a finite number, so that zero times the result is zero.
    known = lowered(tokens, counts, by=torch.finfo(tokens.dtype).max)
    # As an image of one row: the gradient of a maximum over pairs takes far longer.
    image = known.transpose(1, 2).unsqueeze(2)
    pooled = F.max_pool2d(image, (1, 2), ceil_mode=True)
    merged = pooled.squeeze(2).transpose(1, 2)
    mask = F.pad(mask, (0, mask.shape[1] % 2)).unflatten(1, (-1, 2)).any(dim=2)
    # A pair without a token that counts becomes 0.
    merged = merged * mask.repeat_interleave(2, dim=0).unsqueeze(-1)
    return merged.unflatten(0, (-1, 2)), mask


def _counterpart_retrieval(
    items: Tensor, present: Tensor, counterpart: Tensor
) -> Tensor:
    """Each item retrieves its counterpart among all others of its group.

    Parameters
    ----------
    items : Tensor of shape (n_groups, m, d)
    present : bool Tensor of shape (n_groups, m)
        The same for an item and its counterpart.
    counterpart : int Tensor of shape (m,)

    Returns
    -------
    Tensor, scalar
        Mean cross-entropy over the items that are present; 0 if there are none.
    """
    entropy: Tensor = _CrossEntropyOfProducts.apply(items, present, counterpart)
    return entropy


class _CrossEntropyOfProducts(torch.autograd.Function):
    # The matrix of products is symmetric, which automatic differentiation does not
    # know: written by hand, the gradient takes one product instead of two, and fewer
    # passes.

    @staticmethod
    def forward(
        ctx: Any, items: Tensor, present: Tensor, counterpart: Tensor
    ) -> Tensor:
        logits = items @ items.transpose(1, 2)
        # Finite, as an absent item weighs 0, and 0 times infinity is not 0. Half the
        # lowest number, so that it stays finite when a product is added.
        lowest = torch.finfo(items.dtype).min / 2
        absent = items.new_zeros(present.shape).masked_fill_(~present, lowest)
        logits += absent.unsqueeze(1)
        logits.diagonal(dim1=1, dim2=2).fill_(lowest)
        target = counterpart.expand_as(present).unsqueeze(2)
        weight = (present.to(items.dtype) / present.sum().clamp(min=1)).unsqueeze(2)
        entropy = -(logits.log_softmax(dim=2).gather(2, target) * weight).sum()
        # Not by exp of the log-softmax above, which is slow where it underflows.
        share = logits.softmax(dim=2)
        # Gradient by the logits: weight times (share, less 1 at the counterpart).
        by_logits = share.scatter_add_(2, target, -torch.ones_like(weight)).mul_(weight)
        ctx.save_for_backward(items, by_logits)
        return entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        items, by_logits = ctx.saved_tensors
        symmetric = by_logits + by_logits.transpose(1, 2)
        return symmetric.mul_(gradients[0]) @ items, None, None


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
        0 if nothing was hidden.
    """
    squared = (predicted - target).square().masked_fill(~hidden, 0.0)
    return squared.sum() / hidden.sum().clamp(min=1)


@dataclass(frozen=True)
class ClusterTriplet:
    """One cluster's anchor, positives and negatives, as rows of the embeddings.

    Attributes
    ----------
    anchor : int
    positives : int array of shape (n_positives,)
        Members of the anchor's cluster.
    negatives : list of int arrays of shape (n_negatives_k,)
        Members of each other cluster.
    """

    anchor: int
    positives: np.ndarray
    negatives: list[np.ndarray]


def cluster_triplet_loss(embeddings: Tensor, triplets: list[ClusterTriplet]) -> Tensor:
    """ShapeNet's cluster-wise triplet loss, averaged over the clusters.

    ``log((D_ap + 1) / (D_an + 1)) + spread(positives) + spread(negatives)``, where
    ``D_ap`` and ``D_an`` are the mean distances of the anchor from the positives and
    from the negatives, and the spread of a cluster is the distance of its two members
    farthest apart, for the negatives averaged over their clusters. The distance of two
    embeddings is their mean squared difference over the features.

    Parameters
    ----------
    embeddings : Tensor of shape (n, d)
    triplets : list of ClusterTriplet
        At least one.

    Returns
    -------
    Tensor, scalar

    References
    ----------
    Li et al., "ShapeNet: A Shapelet-Neural Network Approach for Multivariate Time
    Series Classification", AAAI 2021, section on the cluster-wise triplet loss.
    """
    values = embeddings.detach().cpu().numpy()
    # Pairs of rows, and how many of them go into each of a cluster's four means.
    pairs: list[tuple[int, int]] = []
    sizes: list[int] = []
    for triplet in triplets:
        groups = [triplet.positives, *triplet.negatives]
        pairs += [(triplet.anchor, member) for group in groups for member in group]
        pairs += [_farthest_pair(values, group) for group in groups]
        n_negatives = sum(map(len, triplet.negatives))
        sizes += [len(triplet.positives), n_negatives, 1, len(triplet.negatives)]
    device = embeddings.device
    first, second = embeddings[torch.from_numpy(np.array(pairs).T).to(device)]
    distances = (first - second).square().mean(dim=1)
    means = segment_means(distances, torch.tensor(sizes, device=device))
    near, far, spread, other_spreads = means.unflatten(0, (-1, 4)).unbind(1)
    return (near.log1p() - far.log1p() + spread + other_spreads).mean()


def _farthest_pair(points: np.ndarray, members: np.ndarray) -> tuple[int, int]:
    among = np.square(points[members][:, None] - points[members]).sum(axis=2)
    row, column = divmod(int(among.argmax()), len(members))
    return int(members[row]), int(members[column])


def segment_cluster_loss(
    embeddings: Tensor, n_clusters: int, rng: np.random.Generator
) -> Tensor:
    """Cluster segment embeddings and take the cluster-wise triplet loss.

    k-means splits the embeddings. In each cluster, the member nearest to the centroid
    is the anchor, the ``min(50, size // 5 + 1)`` next nearest are its positives, and as
    many members drawn from each other cluster, or all that it has, are its negatives.

    Parameters
    ----------
    embeddings : Tensor of shape (n_segments, d)
    n_clusters : int
        At least 2; fewer are used if there are fewer distinct segments.
    rng : numpy Generator
        Draws the initial centroids and the negatives.

    Returns
    -------
    Tensor, scalar
        0 with fewer than ``2 * n_clusters`` segments, or if all fall into one cluster.
    """
    clusters = _nearest_first(embeddings, n_clusters, rng)
    triplets = []
    for index, members in enumerate(clusters):
        n_positives = min(50, len(members) // 5 + 1)
        others = clusters[:index] + clusters[index + 1 :]
        if len(members) < 2 or not others:
            continue
        negatives = [
            rng.choice(other, min(n_positives, len(other)), replace=False)
            for other in others
        ]
        positives = members[1 : 1 + n_positives]
        triplets.append(ClusterTriplet(int(members[0]), positives, negatives))
    if not triplets:
        return embeddings.sum() * 0.0
    return cluster_triplet_loss(embeddings, triplets)


def _nearest_first(
    embeddings: Tensor, n_clusters: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Non-empty k-means clusters as index arrays, nearest to the centroid first."""
    points = embeddings.detach().cpu().double().numpy()
    if len(points) < 2 * n_clusters:
        return []
    label, distance = cluster(points, n_clusters, n_iter=5, rng=rng)
    order = np.argsort(distance, kind="stable")
    clusters = [order[label[order] == index] for index in range(n_clusters)]
    return [members for members in clusters if len(members)]
