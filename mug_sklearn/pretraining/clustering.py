"""k-means of segments, for the shapelets and for the cluster-wise loss."""

import numpy as np


def cluster(
    points: np.ndarray, n_clusters: int, n_iter: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """k-means from random distinct points; an empty cluster keeps its centroid.

    Parameters
    ----------
    points : float64 array of shape (n_points, d)
    n_clusters : int
        Fewer are made if there are fewer distinct points.
    n_iter : int
        Lloyd iterations.
    rng : numpy Generator

    Returns
    -------
    label : int array of shape (n_points,)
    distance : array of shape (n_points,)
        From each point to its centroid, rounded to six decimals: if two points are
        equally near, such as in a cluster of two, rounding errors must not decide.
    """
    # Imported here: its package takes longer to import than this one.
    from scipy.cluster.vq import vq

    # Distinct, as rounding errors would decide between equal centroids. By a dict, as
    # np.unique, which sorts, takes ten times as long.
    rounded = np.round(points, 6) + 0.0  # no negative zero
    distinct: dict[bytes, int] = {}
    for place, row in enumerate(rounded):
        distinct.setdefault(row.tobytes(), place)
    n_clusters = min(n_clusters, len(distinct))
    chosen = rng.choice(list(distinct.values()), n_clusters, replace=False)
    centroids = points[chosen]
    # Not by scipy's kmeans2: it warns of each empty cluster, and silencing a warning
    # silences it in other threads, too.
    for _ in range(n_iter):
        label, _ = vq(points, centroids, check_finite=False)
        member = (label == np.arange(n_clusters)[:, None]).astype(points.dtype)
        size = member.sum(axis=1, keepdims=True)
        means = member @ points / np.maximum(size, 1)
        centroids = np.where(size > 0, means, centroids)
    label, distance = vq(points, centroids, check_finite=False)
    return label, distance.round(6)
