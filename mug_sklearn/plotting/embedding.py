"""The embedding as a two-dimensional map."""

import importlib
from typing import Any, Self

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.utils.validation import check_array, check_is_fitted

from ._style import MARKS, beside, make_room_for_legend, read_labels, require_axes

_METHODS = ("pca", "tsne", "umap")
_CLASSES_PER_LEGEND_COLUMN = 12


class EmbeddingDisplay:
    """A map of an embedding, one point per series.

    Parameters
    ----------
    points : ndarray of shape (n_series, 2)
        Coordinates on the map.
    y : ndarray of shape (n_series,), default=None
        What the points are coloured by.
    axis_labels : tuple of two str, default=("", "")
        Names of the coordinates.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Set by `plot`.
    figure_ : matplotlib.figure.Figure
        Set by `plot`.

    See Also
    --------
    plot_embedding : The same in one call, from an embedding.

    Examples
    --------
    >>> import numpy as np
    >>> from mug_sklearn import MUGTransformer
    >>> from mug_sklearn.plotting import EmbeddingDisplay
    >>> X = np.sin(np.arange(20) * np.linspace(0.1, 1, 8)[:, None])
    >>> mug = MUGTransformer(max_epochs=1, random_state=0).fit(X)
    >>> EmbeddingDisplay.from_estimator(mug, X).points.shape
    (8, 2)
    """

    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(
        self,
        points: NDArray[Any],
        y: NDArray[Any] | None = None,
        axis_labels: tuple[str, str] = ("", ""),
    ) -> None:
        self.points = points
        self.y = y
        self.axis_labels = axis_labels

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        method: str = "pca",
        random_state: Any = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the map of a panel embedded by a fitted transformer.

        Parameters
        ----------
        estimator : transformer
            Such as a MUGTransformer, or a pipeline of transformers.
        X : array-like or list of arrays
            Series, as `estimator.transform` takes them.
        y, method, random_state, ax
            As in `plot_embedding`.

        Returns
        -------
        EmbeddingDisplay

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        TypeError
            If `estimator` cannot transform, or `ax` is something else.
        ImportError, ValueError
            As in `plot_embedding`, and if `estimator.transform` does not accept `X`.
        """
        require_axes(ax)
        check_is_fitted(estimator)
        if not hasattr(estimator, "transform"):
            raise TypeError(
                f"this {type(estimator).__name__} has no transform; a pipeline's steps "
                "before its classifier are pipeline[:-1]."
            )
        return cls.from_embedding(
            estimator.transform(X), y, method=method, random_state=random_state, ax=ax
        )

    @classmethod
    def from_embedding(
        cls,
        embedding: ArrayLike,
        y: ArrayLike | None = None,
        *,
        method: str = "pca",
        random_state: Any = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the map of an embedding.

        Parameters
        ----------
        embedding, y, method, random_state, ax
            As in `plot_embedding`.

        Returns
        -------
        EmbeddingDisplay

        Raises
        ------
        ImportError, TypeError, ValueError
            As in `plot_embedding`.
        """
        require_axes(ax)
        vectors = _read_embedding(embedding)
        if method not in _METHODS:
            raise ValueError(f"method={method!r}; accepted are {', '.join(_METHODS)}.")
        labels = None
        if y is not None:
            labels = read_labels(y)
            if len(labels) != len(vectors):
                raise ValueError(
                    f"y has {len(labels)} labels, but embedding has {len(vectors)} "
                    "series."
                )
            if pd.isna(labels).any():
                raise ValueError("y has missing labels; leave out their series.")
            if labels.dtype.kind == "f" and np.isinf(labels).any():
                raise ValueError("y has infinite values; accepted are finite numbers.")
            _classes(labels)  # refuses too many, before any work
        if method == "pca":
            points, shares = _principal_plane(vectors)
            first, second = (
                f"principal component {number} ({share:.0%})"
                for number, share in enumerate(shares, start=1)
            )
        else:
            points = _neighbour_map(vectors, method, random_state)
            name = {"tsne": "t-SNE", "umap": "UMAP"}[method]
            first, second = f"{name} 1", f"{name} 2"
        return cls(points, labels, (first, second)).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        EmbeddingDisplay
            This display.

        Raises
        ------
        ValueError
            If there are more classes than marks that differ.
        TypeError
            If `ax` is something else.
        """
        require_axes(ax)
        classes = None if self.y is None else _classes(self.y)
        own_figure = ax is None
        if ax is None:
            ax = plt.subplots(layout="constrained")[1]
        if self.y is None:
            _scatter(ax, self.points, *MARKS[0])
        elif classes is None:
            # The ends of the scale are dark and light; an edge sets them off from both.
            marks = _scatter(ax, self.points, self.y, "o", edge=0.5)
            ax.figure.colorbar(marks, ax=ax, label="y")
        else:
            _scatter_classes(ax, self.points, self.y, classes)
        if own_figure:
            make_room_for_legend(ax)
        ax.set_xlabel(self.axis_labels[0])
        ax.set_ylabel(self.axis_labels[1])
        ax.set_title("Embedding")
        self.ax_ = ax
        self.figure_ = ax.figure
        return self


def plot_embedding(
    embedding: ArrayLike,
    y: ArrayLike | None = None,
    *,
    method: str = "pca",
    random_state: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw an embedding as a map, by default of its first two principal components.

    Parameters
    ----------
    embedding : array-like of shape (n_series, n_features)
        Output of `MUGTransformer.transform`.
    y : array-like of shape (n_series,), default=None
        Class labels, at most 48 different ones, shown as colours and markers with a
        legend; or numbers with a fractional part or of more than 48 values, shown as a
        colour scale.
    method : {"pca", "tsne", "umap"}, default="pca"
        "tsne" is scikit-learn's, with a perplexity of at most a third of the number of
        series.
        "umap" needs the package umap-learn.
    random_state : int, RandomState instance or None, default=None
        For t-SNE and UMAP; an int makes the map repeatable.
    ax : matplotlib.axes.Axes, default=None
        Where to draw; a new figure if None.

    Returns
    -------
    ax : matplotlib.axes.Axes
        The axes drawn on; principal components are labelled with their variance share.

    Raises
    ------
    ValueError
        If `method` is unknown, if `embedding` is not a finite table or has fewer than
        four series with "tsne" or "umap", or if `y` has a different length, lacks
        labels, holds infinite values or more than 48 classes that are not numbers.
    TypeError
        If `embedding` is an estimator, or `ax` is something else.
    ImportError
        If umap-learn is needed but not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from mug_sklearn.plotting import plot_embedding
    >>> embedding = np.random.default_rng(0).normal(size=(30, 8))
    >>> ax = plot_embedding(embedding, y=["walk", "run", "rest"] * 10)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['rest', 'run', 'walk']
    """
    return EmbeddingDisplay.from_embedding(
        embedding, y, method=method, random_state=random_state, ax=ax
    ).ax_


def _read_embedding(embedding: Any) -> NDArray[Any]:
    """A finite table of float64, one row per series."""
    if hasattr(embedding, "fit"):
        raise TypeError(
            f"embedding is a {type(embedding).__name__}; accepted is the output of its "
            "transform, and EmbeddingDisplay.from_estimator takes an estimator."
        )
    shape = np.shape(embedding)
    if len(shape) != 2:
        raise ValueError(
            f"embedding has shape {shape}; accepted is (n_series, n_features), as "
            "transform gives it."
        )
    return check_array(embedding, dtype=np.float64, input_name="embedding")


def _principal_plane(embedding: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Coordinates on the first two principal components and their variance shares."""
    points, shares = np.zeros((len(embedding), 2)), np.zeros(2)
    n_components = min(2, *embedding.shape)
    # A single point, or equal points, have no direction of variance: all at the origin.
    if np.ptp(embedding, axis=0).any():
        pca = PCA(n_components, svd_solver="full").fit(embedding)
        points[:, :n_components] = pca.transform(embedding)
        shares[:n_components] = pca.explained_variance_ratio_
        # Rounding would fill the whole height of the map.
        points[:, shares < np.finfo(float).eps] = 0
    return points, shares


def _neighbour_map(
    embedding: NDArray[Any], method: str, random_state: Any
) -> NDArray[Any]:
    """Coordinates that keep neighbours in the embedding close together."""
    n_series = len(embedding)
    if n_series < 4:
        raise ValueError(
            f"embedding has {n_series} series; method={method!r} needs at least 4."
        )
    if not np.ptp(embedding, axis=0).any():
        return np.zeros((n_series, 2))  # equal embeddings: nothing to tell apart
    seed = random_state
    if seed is None:
        # None would use, and change, numpy's global state.
        seed = int(np.random.default_rng().integers(2**31))
    if method == "tsne":
        perplexity = min(30.0, n_series / 3)
        init = "pca" if embedding.shape[1] > 1 else "random"
        mapper = TSNE(perplexity=perplexity, init=init, random_state=seed)
    else:
        try:
            umap = importlib.import_module("umap")
        except ImportError as error:
            raise ImportError(
                "method='umap' needs the package umap-learn: pip install umap-learn"
            ) from error
        n_neighbors = min(15, n_series - 1)
        mapper = umap.UMAP(n_neighbors=n_neighbors, random_state=seed, n_jobs=1)
    # An array, even if scikit-learn is configured to return frames.
    return np.asarray(mapper.fit_transform(embedding))


def _scatter(
    ax: Axes, points: NDArray[Any], colour: Any, marker: str, edge: float = 0
) -> Any:
    x, y = points.T
    return ax.scatter(
        x,
        y,
        s=28,
        c=colour,
        marker=marker,
        alpha=0.85,
        linewidths=edge,
        edgecolors="0.5",
    )


def _classes(y: NDArray[Any]) -> NDArray[Any] | None:
    """The different labels, or None if they are numbers for a colour scale."""
    values = np.unique(y)
    is_number = y.dtype.kind in "iuf"
    if is_number and (len(values) > len(MARKS) or np.mod(values, 1).any()):
        return None
    if len(values) > len(MARKS):
        raise ValueError(
            f"y has {len(values)} classes; at most {len(MARKS)} are accepted, as there "
            "are no more marks that differ."
        )
    if y.dtype.kind == "U":
        # The archives' labels are numbers as strings: "2" comes before "10".
        numbers = pd.to_numeric(values, errors="coerce")
        if not np.isnan(numbers).any():
            return values[np.argsort(numbers, kind="stable")]
    return values


def _scatter_classes(
    ax: Axes, points: NDArray[Any], y: NDArray[Any], classes: NDArray[Any]
) -> None:
    marks = [
        _scatter(ax, points[y == label], *mark)
        for label, mark in zip(classes, MARKS, strict=False)
    ]
    # Both are passed, as matplotlib itself skips labels with a leading underscore.
    legend = ax.legend(
        marks,
        [str(label) for label in classes],
        title="class",
        ncols=-(-len(classes) // _CLASSES_PER_LEGEND_COLUMN),
        **beside(ax),
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
