"""The discovered shapelets, drawn where series match them best."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray
from torch import Tensor

from .._panel import Panel
from .._types import Int
from ..nn.coarse import ShapeletTransform
from ..nn.layers import observed_patches
from ._style import (
    draw_channel_legend,
    draw_series,
    new_or_given_axes,
    read_fitted_panel,
    require_count,
    require_stacked_axes,
)


@dataclass(frozen=True)
class MatchedShapelet:
    """A shapelet, with the series and the position that match it best.

    Attributes
    ----------
    length : int
        Length of its segment in timepoints.
    timepoints : ndarray of shape (n_points,)
        Where its points lie on the series; in long segments, a point is the mean of a
        few timepoints.
    values : ndarray of shape (n_channels, n_points)
        The shapelet in the units of the series; NaN where it is not observed.
    compared : bool ndarray of shape (n_channels, n_points)
        Where the series has a value to compare with the shapelet's.
    series : ndarray of shape (n_channels, n_timepoints)
        The series that matches it best.
    row : int
        Row number of that series in the panel.
    distance : float
        Mean squared difference over what is compared, each channel in units of its
        standard deviation.
    """

    length: int
    timepoints: NDArray[Any]
    values: NDArray[Any]
    compared: NDArray[Any]
    series: NDArray[Any]
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
        Axes of each shapelet. Set by `plot`.
    figure_ : matplotlib.figure.Figure
        Set by `plot`.

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

    ax_: NDArray[Any]
    figure_: Figure | SubFigure

    def __init__(self, shapelets: Sequence[MatchedShapelet]) -> None:
        self.shapelets = shapelets

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, n_shapelets: Int = 3, ax: Any = None
    ) -> Self:
        """Draw the best shapelets of a fitted transformer.

        Parameters
        ----------
        estimator, X, n_shapelets, ax
            As in `plot_shapelets`.

        Returns
        -------
        ShapeletsDisplay

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As in `plot_shapelets`.
        """
        panel = read_fitted_panel(estimator, X)
        if not estimator.config_.has_coarse:
            raise ValueError(
                "the estimator was fitted with granularity='fine', which has no "
                "shapelets; they come with granularity='multi' and 'coarse'."
            )
        chosen = _best_shapelets(estimator)
        n_drawn = require_count(
            "n_shapelets",
            n_shapelets,
            len(chosen),
            "the different shapelets of the estimator",
        )
        require_stacked_axes(ax, n_drawn)
        shapelets = [
            _matched(estimator, panel, transform, number)
            for transform, number in chosen[:n_drawn]
        ]
        return cls(shapelets).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : array-like of matplotlib.axes.Axes, default=None
            Axes for each shapelet; a new figure if None.

        Returns
        -------
        ShapeletsDisplay
            This display.

        Raises
        ------
        ValueError
            If `ax` holds a different number of axes.
        TypeError
            If it holds something else.
        """
        axes = new_or_given_axes(ax, len(self.shapelets))
        thin = []
        for one, shapelet in zip(axes, self.shapelets, strict=True):
            thin.append(draw_series(one, shapelet.series, alpha=0.8, linewidth=0.8))
            time, values = shapelet.timepoints, shapelet.values
            draw_series(one, values, time, linewidth=1.2, linestyle=":")
            matched = np.where(shapelet.compared, values, np.nan)
            draw_series(one, matched, time, linewidth=2.5)
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
    estimator: Any, X: Any, *, n_shapelets: Int = 3, ax: Any = None
) -> NDArray[Any]:
    """Draw the shapelets of best utility on the series that match them best.

    The thick line is a shapelet, a typical segment of the training series, drawn at its
    best match. The thin line is the series of `X` that matches it best; among the
    training series, this is usually the one that the shapelet was cut from. In a long
    shapelet, each point is the mean of several timepoints and is compared with such
    means, so that fast waves of the thin line are missing in it. A dotted part of a
    shapelet is compared with nothing: it lies in a gap or beyond an end of the series,
    as up to half of a shapelet may, or more if the series is shorter than that. Up to
    six channels have a colour of their own; of more, colours repeat, and there is no
    legend.

    Parameters
    ----------
    estimator : MUGTransformer
        Fitted transformer, with ``granularity="multi"`` or ``"coarse"``.
    X : array-like or list of arrays
        Series to look for matches in, in any form that `MUGTransformer` takes.
    n_shapelets : int, default=3
        Number of shapelets to draw. Utility compares only shapelets of one length, so
        the best of each length come first, shortest first, then the second best, and so
        on.
    ax : array-like of matplotlib.axes.Axes, default=None
        Axes for each shapelet; a new figure if None.

    Returns
    -------
    ax : ndarray of matplotlib.axes.Axes
        Each title states the shapelet's length, the series' row number in `X` and the
        distance: the mean squared difference over what is compared, each channel in
        units of its standard deviation.

    Raises
    ------
    NotFittedError
        If `estimator` is not fitted.
    TypeError
        If `estimator` is something else, such as a pipeline, or `ax` holds anything
        but axes.
    ValueError
        If `estimator` has no shapelets or fewer than `n_shapelets`, if no series of `X`
        has a value to compare, or if `ax` holds a different number of axes.

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
    for transform in estimator.network_.shapelets:
        # Stored best first, and repeated if the panel had too few segments.
        content = torch.cat((transform.values, transform.observed), dim=1).cpu().numpy()
        _, first = np.unique(content, axis=0, return_index=True)
        ranked += [
            (rank, transform, int(number)) for rank, number in enumerate(np.sort(first))
        ]
    ranked.sort(key=lambda entry: entry[0])  # of one rank, the shortest stay first
    return [(transform, number) for _, transform, number in ranked]


def _matched(
    estimator: Any, panel: Panel, transform: ShapeletTransform, number: int
) -> MatchedShapelet:
    """Find the best match of one shapelet in a panel.

    A series without a value in any of the shapelet's channels is no match.
    """
    has_channel = transform.observed[number].any(dim=1)  # (C,)

    def best(values: Tensor, observed: Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
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
    points = positions[row] + np.arange(scale.width)
    standardised = transform.values[number].cpu().numpy()
    values = standardised * estimator.scale_[:, None] + estimator.location_[:, None]
    observed = transform.observed[number].cpu().numpy()
    known = torch.from_numpy(np.isfinite(series))[:, None]
    present = observed_patches(known, scale.pooling).numpy()
    beyond_the_end = np.zeros_like(observed)
    present = np.concatenate((present, beyond_the_end), axis=1)
    return MatchedShapelet(
        length=scale.length,
        timepoints=points * scale.pooling + (scale.pooling - 1) / 2,
        values=np.where(observed, values, np.nan),
        compared=observed & present[:, points],
        series=series,
        row=row,
        distance=float(distances[row]),
    )
