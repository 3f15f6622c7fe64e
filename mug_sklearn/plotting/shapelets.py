"""The discovered shapelets, where series match them best."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray
from torch import Tensor

from .._panel import Panel
from ..nn.coarse import ShapeletTransform
from ._style import (
    draw_channel_legend,
    draw_series,
    new_or_given_axes,
    read_fitted_panel,
    require_count,
)


@dataclass(frozen=True)
class MatchedShapelet:
    """A shapelet, and the series and place that match it best.

    Attributes
    ----------
    length : int
        Timepoints of the segment that it is.
    timepoints : ndarray of shape (n_points,)
        Where its points lie on the series; a point is the mean of a few timepoints
        in long segments.
    values : ndarray of shape (n_channels, n_points)
        In the units of the series; NaN where it is not observed.
    series : ndarray of shape (n_channels, n_timepoints)
        The series that matches it best.
    row : int
        Of that series in the panel.
    distance : float
        Mean squared difference, in standard deviations of each channel.
    """

    length: int
    timepoints: NDArray
    values: NDArray
    series: NDArray
    row: int
    distance: float


class ShapeletsDisplay:
    """Discovered shapelets, each on the series that matches it best.

    Parameters
    ----------
    shapelets : list of MatchedShapelet

    Attributes
    ----------
    ax_ : ndarray of matplotlib.axes.Axes
        One for each shapelet. After `plot`.
    figure_ : matplotlib.figure.Figure
        After `plot`.

    See Also
    --------
    plot_shapelets : The same in one call.

    Examples
    --------
    >>> import numpy as np
    >>> from mug_sklearn import MUGTransformer
    >>> from mug_sklearn.plotting import ShapeletsDisplay
    >>> X = np.sin(np.arange(20) * np.linspace(0.1, 1, 8)[:, None])
    >>> mug = MUGTransformer(max_epochs=1, random_state=0).fit(X)
    >>> display = ShapeletsDisplay.from_estimator(mug, X)
    >>> [shapelet.length for shapelet in display.shapelets]
    [4, 8, 12]
    """

    ax_: NDArray
    figure_: Figure | SubFigure

    def __init__(self, shapelets: Sequence[MatchedShapelet]) -> None:
        self.shapelets = shapelets

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, n_shapelets: int = 3, ax: Any = None
    ) -> Self:
        """Draw the best shapelets of a fitted transformer.

        Parameters
        ----------
        estimator, X, n_shapelets, ax
            As `plot_shapelets`.

        Returns
        -------
        ShapeletsDisplay

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `plot_shapelets`.
        """
        panel = read_fitted_panel(estimator, X)
        if not estimator.config_.has_coarse:
            raise ValueError(
                "the estimator was fitted with granularity='fine', which has no "
                "shapelets; they come with granularity='multi' and 'coarse'."
            )
        chosen = _best_shapelets(estimator)
        number = require_count(
            "n_shapelets",
            n_shapelets,
            len(chosen),
            "the different shapelets of the estimator",
        )
        shapelets = [
            _matched(estimator, panel, transform, place)
            for transform, place in chosen[:number]
        ]
        return cls(shapelets).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : array-like of matplotlib.axes.Axes, default=None
            One for each shapelet; a new figure if None.

        Returns
        -------
        ShapeletsDisplay
            This one.

        Raises
        ------
        ValueError
            Where `ax` holds another number of axes.
        """
        axes = new_or_given_axes(ax, len(self.shapelets))
        thin = []
        for one, shapelet in zip(axes, self.shapelets, strict=True):
            thin.append(draw_series(one, shapelet.series, alpha=0.6, linewidth=0.8))
            draw_series(one, shapelet.values, shapelet.timepoints, linewidth=2.5)
            one.set_title(
                f"{shapelet.length} timepoints, on series {shapelet.row}, "
                f"distance {shapelet.distance:.3f}",
                fontsize="medium",
            )
            one.set_ylabel("value")
        draw_channel_legend(axes[0], thin[0])
        axes[-1].set_xlabel("timepoint")
        self.ax_ = axes
        self.figure_ = axes[0].figure
        return self


def plot_shapelets(
    estimator: Any, X: Any, *, n_shapelets: int = 3, ax: Any = None
) -> NDArray:
    """Draw the shapelets of best utility on the series that match them best.

    A shapelet, the thick line, is a typical segment of the training series. The thin
    line is the series of `X` that comes nearest to it, placed where it does. On the
    training series it is usually the one that the shapelet was cut from.

    Parameters
    ----------
    estimator : MUGTransformer
        Fitted, with ``granularity="multi"`` or ``"coarse"``.
    X : array-like or list of arrays
        Series to look for matches in, in any form that `MUGTransformer` takes.
    n_shapelets : int, default=3
        How many. Utility compares shapelets of one length, so the best of each length
        come first, shortest first, then the second ones, and so on.
    ax : array-like of matplotlib.axes.Axes, default=None
        One for each shapelet; a new figure if None.

    Returns
    -------
    ax : ndarray of matplotlib.axes.Axes
        Each title states the shapelet's length, the series' row number in `X` and the
        distance: the mean squared difference, in standard deviations.

    Raises
    ------
    NotFittedError
        Before `fit`.
    TypeError
        Where the estimator is another one, such as a pipeline.
    ValueError
        Where the estimator has no shapelets, or not so many, no series of `X` has a
        value to compare, or `ax` holds another number of axes.

    Examples
    --------
    >>> import numpy as np
    >>> from mug_sklearn import MUGTransformer
    >>> from mug_sklearn.plotting import plot_shapelets
    >>> X = np.sin(np.arange(20) * np.linspace(0.1, 1, 8)[:, None])
    >>> mug = MUGTransformer(max_epochs=1, random_state=0).fit(X)
    >>> plot_shapelets(mug, X, n_shapelets=1)[0].get_title()
    '4 timepoints, on series ..., distance ...'
    """
    display = ShapeletsDisplay.from_estimator(
        estimator, X, n_shapelets=n_shapelets, ax=ax
    )
    return display.ax_


def _best_shapelets(estimator: Any) -> list[tuple[ShapeletTransform, int]]:
    """Different shapelets, the best of each length before the second best ones."""
    ranked = []
    for place, transform in enumerate(estimator.network_.shapelets):
        # Best first, repeated where the panel had too few segments.
        content = torch.cat((transform.values, transform.observed), dim=1).cpu().numpy()
        _, first = np.unique(content, axis=0, return_index=True)
        ranked += [
            (rank, place, transform, int(number))
            for rank, number in enumerate(np.sort(first))
        ]
    ranked.sort(key=lambda entry: entry[:2])
    return [(transform, number) for _, _, transform, number in ranked]


def _matched(
    estimator: Any, panel: Panel, transform: ShapeletTransform, number: int
) -> MatchedShapelet:
    """Look for the best match of one shapelet in a panel.

    Series without a value in a channel that the shapelet has are no match.
    """
    has_channel = transform.observed[number].any(dim=1)  # (C,)

    def best(values: Tensor, observed: Tensor) -> tuple[NDArray, NDArray]:
        distance = transform.distances(values, observed)[:, number]
        comparable = (observed.any(dim=2) & has_channel).any(dim=1)
        distance = distance.masked_fill(~comparable[:, None], torch.inf)
        nearest = distance.min(dim=1)
        return nearest.values.cpu().numpy(), nearest.indices.cpu().numpy()

    distances = np.empty(panel.n_series)
    positions = np.empty(panel.n_series, dtype=int)
    for rows, (distance, position) in estimator._inference().map_batches(best, panel):
        distances[rows], positions[rows] = distance, position
    row = int(distances.argmin())
    if not np.isfinite(distances[row]):
        raise ValueError(
            "X holds no series with a value in a channel that a shapelet has."
        )
    (series,) = panel.take(np.array([row]))
    scale = transform.scale
    points = (positions[row] + np.arange(scale.width)) * scale.pooling
    standardised = transform.values[number].cpu().numpy()
    values = standardised * estimator.scale_[:, None] + estimator.location_[:, None]
    observed = transform.observed[number].cpu().numpy()
    return MatchedShapelet(
        length=scale.length,
        timepoints=points + (scale.pooling - 1) / 2,
        values=np.where(observed, values, np.nan),
        series=series,
        row=row,
        distance=float(distances[row]),
    )
