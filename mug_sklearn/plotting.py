"""Two pictures of a fitted transformer: the embedding's map and the loss curve.

Axes, text and background follow matplotlib's current style; the marks are of middling
lightness, so that they read on light and on dark backgrounds alike.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike
from sklearn.decomposition import PCA
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
)

__all__ = ["plot_embedding", "plot_loss_curve"]

# Okabe and Ito's colours, which colour-blind readers tell apart too, without black and
# yellow, which vanish on a dark or a light background.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_MARKS = [(colour, marker) for marker, colour in product(_MARKERS, _COLOURS)]
_CLASSES_PER_LEGEND_COLUMN = 12
_NOT_A_TERM = {"epoch", "n_steps", "seconds"}


def plot_embedding(
    embedding: ArrayLike, y: ArrayLike | None = None, *, ax: Axes | None = None
) -> Axes:
    """Draw an embedding as a map of its first two principal components.

    Parameters
    ----------
    embedding : array-like of shape (n_series, n_features)
        What `MUGTransformer.transform` returned.
    y : array-like of shape (n_series,), default=None
        Class labels, shown as colours and markers with a legend.
    ax : matplotlib.axes.Axes, default=None
        Where to draw; a new figure if None.

    Returns
    -------
    ax : matplotlib.axes.Axes
        The axes drawn on; each axis label states the share of variance it shows.

    Examples
    --------
    >>> import numpy as np
    >>> from mug_sklearn.plotting import plot_embedding
    >>> embedding = np.random.default_rng(0).normal(size=(30, 8))
    >>> ax = plot_embedding(embedding, y=["walk", "run", "rest"] * 10)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['rest', 'run', 'walk']
    """
    points, shares = _principal_plane(check_array(embedding, dtype=np.float64))
    if ax is None:
        ax = plt.subplots(layout="constrained")[1]
    if y is None:
        _scatter(ax, points, *_MARKS[0])
    else:
        labels = column_or_1d(y)
        check_consistent_length(points, labels)
        classes = np.unique(labels)
        for index, label in enumerate(classes):
            _scatter(
                ax,
                points[labels == label],
                *_MARKS[index % len(_MARKS)],
                label=str(label),
            )
        columns = -(-len(classes) // _CLASSES_PER_LEGEND_COLUMN)
        ax.legend(title="class", ncols=columns, loc="upper left", bbox_to_anchor=(1, 1))
    for axis, number, share in zip((ax.xaxis, ax.yaxis), (1, 2), shares, strict=True):
        axis.set_label_text(f"principal component {number} ({share:.0%})")
    ax.set_title("Embedding")
    return ax


def plot_loss_curve(
    estimator_or_history: Any,  # an estimator or its history_
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw the training loss and each of its terms against the epoch.

    Parameters
    ----------
    estimator_or_history : MUGTransformer or list of dict
        A fitted transformer, or its `history_`.
    ax : matplotlib.axes.Axes, default=None
        Where to draw; a new figure if None.

    Returns
    -------
    ax : matplotlib.axes.Axes
        The axes drawn on, with one line for each term that the history holds. The
        total, ``loss``, is the thicker line.

    Raises
    ------
    ValueError
        If the history holds no epoch.

    Examples
    --------
    >>> from mug_sklearn.plotting import plot_loss_curve
    >>> history = [
    ...     {"epoch": 1, "loss": 1.1, "retrieval": 0.7, "reconstruction": 0.4},
    ...     {"epoch": 2, "loss": 0.8, "retrieval": 0.5, "reconstruction": 0.3},
    ... ]
    >>> ax = plot_loss_curve(history)
    >>> [line.get_label() for line in ax.get_lines()]
    ['loss', 'retrieval', 'reconstruction']
    """
    history = _history_of(estimator_or_history)
    # In order of first appearance; a term may be absent from some epochs or from all.
    terms = dict.fromkeys(key for row in history for key in row)
    if ax is None:
        ax = plt.subplots(layout="constrained")[1]
    epochs = [row["epoch"] for row in history]
    for index, term in enumerate(term for term in terms if term not in _NOT_A_TERM):
        values = [row.get(term, np.nan) for row in history]
        ax.plot(
            epochs,
            values,
            color=_COLOURS[index % len(_COLOURS)],
            linewidth=2.5 if term == "loss" else 1.2,
            # A single epoch has no line to show, only its point.
            marker="o" if len(epochs) == 1 else None,
            label=term.replace("_", " "),
        )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    ax.set_title("Training loss")
    ax.legend()
    return ax


def _principal_plane(embedding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates on the first two principal components and their variance shares."""
    points, shares = np.zeros((len(embedding), 2)), np.zeros(2)
    n_components = min(2, *embedding.shape)
    # A single point, or equal points, have no direction of variance: all at the origin.
    if np.ptp(embedding, axis=0).any():
        pca = PCA(n_components, svd_solver="full").fit(embedding)
        points[:, :n_components] = pca.transform(embedding)
        shares[:n_components] = pca.explained_variance_ratio_
    return points, shares


def _scatter(
    ax: Axes, points: np.ndarray, colour: str, marker: str, label: str | None = None
) -> None:
    x, y = points.T
    ax.scatter(
        x, y, s=28, c=colour, marker=marker, alpha=0.85, linewidths=0, label=label
    )


def _history_of(estimator_or_history: Any) -> Sequence[Mapping[str, float]]:
    history = estimator_or_history
    if hasattr(estimator_or_history, "fit"):
        check_is_fitted(estimator_or_history, "history_")
        history = estimator_or_history.history_
    if not history:
        raise ValueError(
            "the history holds no epoch; a loss curve needs at least one epoch of "
            "training"
        )
    return history
