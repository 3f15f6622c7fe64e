"""Which segments the timestamps of a series drew on."""

from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray
from torch import Tensor

from .._inference import patch_spans
from .._types import Int
from ._style import (
    COLOURS,
    draw_channel_legend,
    draw_series,
    new_or_given_axes,
    read_fitted_panel,
    require_row,
    require_stacked_axes,
)


class CrossAttentionDisplay:
    """The cross-granularity attention of one series, step 4 of the paper.

    Parameters
    ----------
    values : ndarray of shape (n_channels, n_timepoints)
        The series; NaN where it is not observed.
    weights : ndarray of shape (n_tokens, n_segments)
        How much each fine token drew on each segment, averaged over the heads; rows
        sum to 1.
    token_spans, segment_spans : int ndarray of shape (n_tokens, 2), (n_segments, 2)
        First timepoint that each token or segment covers, and the one after its last.

    Attributes
    ----------
    ax_ : ndarray of two matplotlib.axes.Axes
        Axes of the series, and of the weights below it. Set by `plot`.
    figure_ : matplotlib.figure.Figure
        Set by `plot`.

    See Also
    --------
    plot_cross_attention : The same in one call.

    Examples
    --------
    >>> import numpy as np
    >>> from mug_sklearn import MUGTransformer
    >>> from mug_sklearn.plotting import CrossAttentionDisplay
    >>> X = np.sin(np.arange(20) * np.linspace(0.1, 1, 8)[:, None])
    >>> mug = MUGTransformer(max_epochs=1, random_state=0).fit(X)
    >>> display = CrossAttentionDisplay.from_estimator(mug, X, series=2)
    >>> display.weights.sum(axis=1).round(6).tolist() == [1.0] * 20
    True
    """

    ax_: NDArray[Any]
    figure_: Figure | SubFigure

    def __init__(
        self,
        values: NDArray[Any],
        weights: NDArray[Any],
        token_spans: NDArray[Any],
        segment_spans: NDArray[Any],
    ) -> None:
        self.values = values
        self.weights = weights
        self.token_spans = token_spans
        self.segment_spans = segment_spans

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, series: Int = 0, ax: Any = None
    ) -> Self:
        """Draw the attention of one series.

        Parameters
        ----------
        estimator, X, series, ax
            As in `plot_cross_attention`.

        Returns
        -------
        CrossAttentionDisplay

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As in `plot_cross_attention`.
        """
        panel = read_fitted_panel(estimator, X)
        row = require_row("series", series, panel)
        _require_cross_attention(estimator)
        require_stacked_axes(ax, 2)
        network = estimator.network_

        def attend(values: Tensor, observed: Tensor) -> tuple[NDArray[Any], ...]:
            tokens = network(values, observed)
            coarse = tokens.coarse
            weights = network.fusion.attention.weights(
                tokens.fused.tokens, coarse.tokens, coarse.mask
            )
            counts = tokens.fused.mask[0], coarse.mask[0]
            return tuple(x.cpu().numpy() for x in (weights[0], *counts, coarse.spans))

        inference = estimator._inference()
        ((_, found),) = inference.map_batches(attend, panel, np.array([row]))
        weights, is_token, is_segment, segment_spans = found
        (values,) = panel.take(np.array([row]))
        token_spans = patch_spans(len(is_token), estimator.config_.patch_length)
        return cls(
            values,
            weights[is_token][:, is_segment],
            np.minimum(token_spans[is_token], values.shape[1]),
            segment_spans[is_segment],
        ).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : array-like of two matplotlib.axes.Axes, default=None
            Where to draw the series and the weights; a new figure if None.

        Returns
        -------
        CrossAttentionDisplay
            This display.

        Raises
        ------
        ValueError
            If `ax` holds a different number of axes.
        TypeError
            If it holds something else.
        """
        axes = new_or_given_axes(ax, 2, height_ratios=(1, 2))
        above, below = axes
        lines = draw_series(above, self.values)
        above.set_title("Which segments the timestamps drew on", fontsize="medium")
        above.set_ylabel("value")
        draw_channel_legend(above, lines)
        image, order = self._draw_weights(below)
        self._draw_segments(below, order)
        below.set_xlabel("timepoint")
        for one in axes:
            one.set_xlim(-0.5, self.values.shape[1] - 0.5)
        # Beside both axes, so that it takes its place from both alike.
        parents = [one for one in axes if one.figure is below.figure]
        below.figure.colorbar(image, ax=parents, label="attention weight")
        self.ax_ = axes
        self.figure_ = below.figure
        return self

    def _draw_weights(self, ax: Axes) -> tuple[QuadMesh, NDArray[Any]]:
        """Draw the weights, one row per segment; with the segments in row order."""
        length = np.diff(self.segment_spans, axis=1)[:, 0]
        order = np.lexsort((self.segment_spans[:, 0], length))
        edges, columns = [self.token_spans[0, 0]], []
        for (start, stop), weight in zip(self.token_spans, self.weights, strict=True):
            if start > edges[-1]:  # a gap without tokens
                edges.append(start)
                columns.append(np.full(len(order), np.nan))
            edges.append(stop)
            columns.append(weight[order])
        rows = np.arange(len(order) + 1) - 0.5
        image = ax.pcolormesh(
            *(np.array(edges) - 0.5, rows), np.array(columns).T, cmap="Blues", vmin=0
        )
        ax.set_facecolor("0.7")  # shows in the gaps, where no weight is
        ax.set_ylim(len(order) - 0.5, -0.5)
        lengths = np.unique(length)
        ax.set_yticks(
            [np.flatnonzero(length[order] == one).mean() for one in lengths],
            [f"{one}" for one in lengths],
        )
        ax.set_ylabel("segments, by length")
        for one in lengths[1:]:
            boundary = np.flatnonzero(length[order] == one)[0] - 0.5
            ax.axhline(boundary, color="grey", linewidth=0.8)
        return image, order

    def _draw_segments(self, ax: Axes, order: NDArray[Any]) -> None:
        """Draw a line in each row through the cells where its segment lies."""
        spans = np.minimum(self.segment_spans[order], self.values.shape[1])
        for row, ends in enumerate(spans - 0.5):
            ax.plot(ends, [row, row], color=COLOURS[3], linewidth=1.5)


def plot_cross_attention(
    estimator: Any, X: Any, *, series: Int = 0, ax: Any = None
) -> NDArray[Any]:
    """Draw which segments each timestamp of a series drew on.

    The upper axes show the series. In the lower ones, each row is a segment, shorter
    ones first, with a line where it lies; the darker blue a cell, the more the
    timestamp there drew on the segment. A gap is grey. Up to six channels have a colour
    of their own; of more, colours repeat, and there is no legend.

    Parameters
    ----------
    estimator : MUGTransformer
        Fitted transformer, with ``granularity="multi"`` and attention in both fusions.
    X : array-like or list of arrays
        Series, in any form that `MUGTransformer` takes.
    series : int, default=0
        Row number of the series in `X`.
    ax : array-like of two matplotlib.axes.Axes, default=None
        Where to draw the series and the weights; a new figure if None.

    Returns
    -------
    ax : ndarray of two matplotlib.axes.Axes

    Raises
    ------
    NotFittedError
        If `estimator` is not fitted.
    TypeError
        If `estimator` is something else, such as a pipeline, or `ax` holds anything
        but axes.
    ValueError
        If `estimator` has no such attention, if `series` is not a row number of `X`, or
        if `ax` holds a different number of axes.

    Examples
    --------
    >>> import numpy as np
    >>> from mug_sklearn import MUGTransformer
    >>> from mug_sklearn.plotting import plot_cross_attention
    >>> X = np.sin(np.arange(20) * np.linspace(0.1, 1, 8)[:, None])
    >>> mug = MUGTransformer(max_epochs=1, random_state=0).fit(X)
    >>> above, below = plot_cross_attention(mug, X)
    >>> below.get_xlabel()
    'timepoint'
    """
    display = CrossAttentionDisplay.from_estimator(estimator, X, series=series, ax=ax)
    return display.ax_


def _require_cross_attention(estimator: Any) -> None:
    needed = {
        "granularity": "multi",
        "fusion": "cross_attention",
        "fine_fusion": "attention",
    }
    for name, value in needed.items():
        found = getattr(estimator.config_, name)
        if found != value:
            raise ValueError(
                f"the estimator was fitted with {name}={found!r}, which has no "
                f"cross-granularity attention of timestamps; it takes {name}={value!r}."
            )
