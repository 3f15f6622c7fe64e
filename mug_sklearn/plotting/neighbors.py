"""The nearest neighbours of a series."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any, Self

import numpy as np
from matplotlib.figure import Figure, SubFigure
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors

from .._input_forms import one_series
from .._types import Int
from ._style import (
    draw_channel_legend,
    draw_series,
    new_or_given_axes,
    read_fitted_panel,
    read_labels,
    require_count,
    require_stacked_axes,
)

_LETTERS_PER_LINE = 70  # of a title, which matplotlib itself would clip


class NeighborsDisplay:
    """A series and those nearest to it by their embeddings.

    Parameters
    ----------
    query : ndarray of shape (n_channels, n_timepoints)
        The series whose neighbours are shown.
    neighbors : list of ndarray of shape (n_channels, n_timepoints_i)
        The neighbours, nearest first.
    rows : int ndarray of shape (n_neighbors,)
        Row numbers of the neighbours in the panel.
    distances : ndarray of shape (n_neighbors,)
        Euclidean distances between the embeddings.
    labels : ndarray of shape (n_neighbors,), default=None
        Labels of the neighbours.

    Attributes
    ----------
    ax_ : ndarray of matplotlib.axes.Axes
        Axes of the query, then of each neighbour. Set by `plot`.
    figure_ : matplotlib.figure.Figure
        Set by `plot`.

    See Also
    --------
    plot_neighbors : The same in one call.

    Examples
    --------
    >>> import numpy as np
    >>> from mug_sklearn import MUGTransformer
    >>> from mug_sklearn.plotting import NeighborsDisplay
    >>> X = np.sin(np.arange(20) * np.linspace(0.1, 1, 8)[:, None])
    >>> mug = MUGTransformer(max_epochs=1, random_state=0).fit(X)
    >>> display = NeighborsDisplay.from_estimator(mug, X, X[2], n_neighbors=1)
    >>> display.rows
    array([2])
    """

    ax_: NDArray[Any]
    figure_: Figure | SubFigure

    def __init__(
        self,
        query: NDArray[Any],
        neighbors: Sequence[NDArray[Any]],
        rows: NDArray[Any],
        distances: NDArray[Any],
        labels: NDArray[Any] | None = None,
    ) -> None:
        self.query = query
        self.neighbors = neighbors
        self.rows = rows
        self.distances = distances
        self.labels = labels

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        query: ArrayLike,
        *,
        n_neighbors: Int = 4,
        y: ArrayLike | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw the nearest neighbours in a fitted transformer's embedding.

        Parameters
        ----------
        estimator, X, query, n_neighbors, y, ax
            As in `plot_neighbors`.

        Returns
        -------
        NeighborsDisplay

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As in `plot_neighbors`.
        """
        panel = read_fitted_panel(estimator, X)
        is_frame = hasattr(query, "columns")
        # In a frame, a row is a series, as in X.
        asked = one_series(np.asarray(query) if is_frame else query, "query")
        if len(asked) != panel.n_channels:
            raise ValueError(
                f"query has {len(asked)} channels, but the series of X have "
                f"{panel.n_channels}."
            )
        if np.isnan(asked).all():
            raise ValueError("query holds no observed value (only NaN).")
        number = require_count(
            "n_neighbors", n_neighbors, panel.n_series, "the number of series in X"
        )
        labels = None if y is None else read_labels(y)
        if labels is not None and len(labels) != panel.n_series:
            raise ValueError(
                f"y has {len(labels)} labels, but X has {panel.n_series} series."
            )
        require_stacked_axes(ax, 1 + number)
        search = NearestNeighbors(n_neighbors=number).fit(estimator.transform(X))
        found = search.kneighbors(estimator.transform([asked]))
        distances, rows = (part[0] for part in found)
        return cls(
            asked,
            panel.take(rows),
            rows,
            distances,
            None if labels is None else labels[rows],
        ).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : array-like of matplotlib.axes.Axes, default=None
            Axes for the query and for each neighbour; a new figure if None.

        Returns
        -------
        NeighborsDisplay
            This display.

        Raises
        ------
        ValueError
            If `ax` holds a different number of axes.
        TypeError
            If it holds something else.
        """
        axes = new_or_given_axes(ax, 1 + len(self.neighbors), sharey=True)
        lines = draw_series(axes[0], self.query)
        axes[0].set_title("query", fontsize="medium", fontweight="bold")
        for number, series in enumerate(self.neighbors):
            label = "" if self.labels is None else f", class {self.labels[number]}"
            draw_series(axes[1 + number], series)
            title = (
                f"series {self.rows[number]}{label}, "
                f"distance {self.distances[number]:.3g}"
            )
            axes[1 + number].set_title(
                fill(title, _LETTERS_PER_LINE),
                fontsize="medium",
                parse_math=False,
            )
        draw_channel_legend(axes[0], lines)
        for one in axes:
            one.set_ylabel("value")
        axes[-1].set_xlabel("timepoint")
        self.ax_ = axes
        self.figure_ = axes[0].figure
        return self


def plot_neighbors(
    estimator: Any,
    X: Any,
    query: ArrayLike,
    *,
    n_neighbors: Int = 4,
    y: ArrayLike | None = None,
    ax: Any = None,
) -> NDArray[Any]:
    """Draw a series and those of a panel nearest to it by their embeddings.

    In a new figure, all series have the same scales of time and of values. Up to six
    channels have a colour of their own; of more, colours repeat, and there is no
    legend.

    Parameters
    ----------
    estimator : MUGTransformer
        Fitted transformer.
    X : array-like or list of arrays
        The series to search, in any form that `MUGTransformer` takes.
    query : array-like of shape (n_timepoints,) or (n_channels, n_timepoints)
        One series, of any length.
    n_neighbors : int, default=4
        Number of neighbours to draw.
    y : array-like of shape (n_series,), default=None
        Labels of the series in `X`, shown in the titles.
    ax : array-like of matplotlib.axes.Axes, default=None
        Axes for the query and for each neighbour; a new figure if None.

    Returns
    -------
    ax : ndarray of matplotlib.axes.Axes

    Raises
    ------
    NotFittedError
        If `estimator` is not fitted.
    TypeError
        If `estimator` is something else, such as a pipeline, or `ax` holds anything
        but axes.
    ValueError
        If `query` is not one series with the channels of `X` and an observed value, if
        `n_neighbors` is less than 1 or more than the number of series in `X`, if `y`
        has a different length, or if `ax` holds a different number of axes.

    Examples
    --------
    >>> import numpy as np
    >>> from mug_sklearn import MUGTransformer
    >>> from mug_sklearn.plotting import plot_neighbors
    >>> X = np.sin(np.arange(20) * np.linspace(0.1, 1, 8)[:, None])
    >>> mug = MUGTransformer(max_epochs=1, random_state=0).fit(X)
    >>> len(plot_neighbors(mug, X, X[0], n_neighbors=2))
    3
    """
    display = NeighborsDisplay.from_estimator(
        estimator, X, query, n_neighbors=n_neighbors, y=y, ax=ax
    )
    return display.ax_
