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
from ..nn.layers import lowered
from .ranking import spearman_correlation

INFONCE_TEMPERATURE = 0.1
TRIPLET_MARGIN = 0.5
RANK_REGULARIZATION = 0.1
IGNORED = -100


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


def token_retrieval_loss(first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
    """Hierarchical retrieval of tokens, ours after TS2Vec.

    Token t of series i in one view must retrieve its counterpart in the other view, by
    softmax over inner products: among the tokens of its own series at all times, and
    among the tokens of all series at its own time. Then neighbouring tokens are merged
    by their maximum, two by two, and the same is asked of them, up to one token a
    series. The mean over both questions and all levels.

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
    both = torch.stack((first[:, :length], second[:, :length]))  # (2, n, F, d)
    mask = mask[:, :length]
    levels = []
    while True:
        within = _contrast(both.transpose(0, 1).flatten(1, 2), mask)
        across = _contrast(both.flatten(0, 1).transpose(0, 1), mask.T)
        levels.append(0.5 * (within + across))
        if mask.shape[1] == 1:
            return torch.stack(levels).mean()
        merged, mask = _merge_pairs(both.flatten(0, 1), mask)
        both = merged.unflatten(0, (2, -1))


def _merge_pairs(tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    # (2n, F, d), (n, F) -> (2n, ceil(F / 2), d), (n, ceil(F / 2))
    counts = mask.repeat(2, 1)
    # By a finite number, so that zero times the result is zero.
    known = lowered(tokens, counts, by=torch.finfo(tokens.dtype).max)
    # As an image of one row; the gradient of a maximum over two takes far longer.
    image = known.transpose(1, 2).unsqueeze(2)
    pooled = F.max_pool2d(image, (1, 2), ceil_mode=True)
    merged = pooled.squeeze(2).transpose(1, 2)
    mask = F.pad(mask, (0, mask.shape[1] % 2)).unflatten(1, (-1, 2)).any(dim=2)
    # A pair without a token that counts becomes 0.
    return merged * mask.repeat(2, 1).unsqueeze(-1), mask


def _contrast(items: Tensor, mask: Tensor) -> Tensor:
    """Each of m items retrieves its other view among all 2m - 1 others of its group."""
    # items: (groups, 2m, d), one view after the other; mask: (groups, m)
    present = torch.cat((mask, mask), dim=1)
    logits = items @ items.transpose(1, 2)
    n_items = items.shape[1]
    itself = torch.eye(n_items, dtype=torch.bool, device=items.device)
    # A large finite value: a row without any item then has a defined gradient, 0.
    logits = logits.masked_fill(itself | ~present.unsqueeze(1), -1e4)
    other = torch.arange(n_items, device=items.device).roll(n_items // 2)
    target = torch.where(present, other, IGNORED).flatten()
    entropy = F.cross_entropy(
        logits.flatten(end_dim=1), target, ignore_index=IGNORED, reduction="sum"
    )
    return entropy / present.sum().clamp(min=1)


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


def mean_square_distances(points: Tensor) -> Tensor:
    """Mean squared difference over the dimensions between all pairs: (n, d) -> (n, n).

    Examples
    --------
    >>> import torch
    >>> mean_square_distances(torch.tensor([[0.0, 0.0], [1.0, 3.0]]))
    tensor([[0., 5.],
            [5., 0.]])
    """
    square = points.square().mean(dim=1)
    product = points @ points.T / points.shape[1]
    return (square[:, None] + square - 2 * product).clamp(min=0)


def cluster_triplet_loss(
    distances: Tensor, anchor: int, positives: np.ndarray, negatives: list[np.ndarray]
) -> Tensor:
    """ShapeNet's cluster-wise triplet loss of one cluster.

    ``log((D_ap + 1) / (D_an + 1)) + spread(positives) + spread(negatives)``, with
    ``D_ap`` and ``D_an`` the mean distance of the anchor from the positives and from
    the negatives, and spread the distance of the pair of one cluster that is farthest
    apart, averaged over the clusters of the negatives.

    Parameters
    ----------
    distances : Tensor of shape (n, n)
        Between all embeddings, from `mean_square_distances`.
    anchor : int
        Row of the anchor.
    positives : int array of shape (n_positives,)
        Rows of members of the anchor's cluster.
    negatives : list of int arrays of shape (n_negatives_k,)
        Rows of members of each other cluster.

    Returns
    -------
    Tensor, scalar

    References
    ----------
    Li et al., "ShapeNet: A Shapelet-Neural Network Approach for Multivariate Time
    Series Classification", AAAI 2021, section on the cluster-wise triplet loss.
    """
    values = distances.detach().cpu().numpy()
    groups = (positives, *negatives)
    pairs = [(anchor, member) for group in groups for member in group]
    pairs += [_farthest_pair(values, group) for group in groups]
    # All at once: the gradient of each choice is as large as the matrix.
    rows, columns = np.array(pairs).T
    sizes = [len(positives), sum(map(len, negatives)), 1, len(negatives)]
    near, far, spread, other_spreads = distances[rows, columns].split(sizes)
    ratio = torch.log1p(near.mean()) - torch.log1p(far.mean())
    return ratio + spread[0] + other_spreads.mean()


def _farthest_pair(distances: np.ndarray, members: np.ndarray) -> tuple[int, int]:
    among = distances[np.ix_(members, members)]
    row, column = np.unravel_index(among.argmax(), among.shape)
    return int(members[row]), int(members[column])


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
    distances = mean_square_distances(embeddings)
    losses = []
    for index, members in enumerate(clusters):
        if len(members) < 2:
            continue
        n_positives = min(50, len(members) // 5 + 1)
        others = [
            rng.choice(other, min(n_positives, len(other)), replace=False)
            for position, other in enumerate(clusters)
            if position != index
        ]
        if others:
            positives = members[1 : 1 + n_positives]
            losses.append(
                cluster_triplet_loss(distances, int(members[0]), positives, others)
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
