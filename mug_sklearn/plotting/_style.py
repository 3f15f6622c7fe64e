"""What the pictures share: what they accept, colours, axes, how a series is drawn."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted, column_or_1d

from .._estimator import MUGTransformer
from .._input_forms import read_panel
from .._panel import Panel

# Okabe and Ito's colours, which colour-blind readers can tell apart, but with a lighter
# blue and without black and yellow, which vanish on a dark or a light background.
COLOURS = ("#2A85C4", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MARKS = [(colour, marker) for marker, colour in product(_MARKERS, COLOURS)]
_HEIGHT_OF_AXES = 1.6  # inches


def new_or_given_axes(
    ax: Any,
    n_axes: int,
    height_ratios: Sequence[float] | None = None,
    sharey: bool = False,
) -> NDArray[Any]:
    """Stacked axes with a common time axis, or those that were given.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, array-like of them, or None
    n_axes : int
        Number of axes that the picture needs.
    height_ratios : sequence of float, optional
        Relative heights of new axes; by default, equal ones.
    sharey : bool, default=False
        Whether new axes have a common range of values, too.

    Raises
    ------
    ValueError
        If `ax` holds a different number of axes.
    TypeError
        If it holds something else.
    """
    if ax is None:
        ratios = list(height_ratios or [1] * n_axes)
        # Titles have a certain length: larger letters need a larger figure.
        zoom = max(1.0, plt.rcParams["font.size"] / 10)
        height = max(3.0, _HEIGHT_OF_AXES * sum(ratios))
        _, axes = plt.subplots(
            n_axes,
            squeeze=False,
            sharex=True,
            sharey=sharey,
            height_ratios=ratios,
            figsize=(7 * zoom, height * zoom),
            layout="constrained",
        )
        return axes[:, 0]
    require_stacked_axes(ax, n_axes)
    return _array_of(ax)


def require_stacked_axes(ax: Any, n_axes: int) -> None:
    """Refuse anything but None and as many of matplotlib's Axes."""
    if ax is None:
        return
    given = _array_of(ax)
    for one in given:
        if not isinstance(one, Axes):
            raise TypeError(
                f"ax holds a {type(one).__name__}; accepted are matplotlib's Axes."
            )
    if len(given) != n_axes:
        raise ValueError(f"ax holds {len(given)} Axes; this picture needs {n_axes}.")


def _array_of(ax: Any) -> NDArray[Any]:
    return np.atleast_1d(np.asarray(ax, dtype=object)).ravel()


def require_axes(ax: Any) -> None:
    """Refuse anything but None and one of matplotlib's Axes."""
    if not isinstance(ax, Axes | None):
        raise TypeError(f"ax is a {type(ax).__name__}; accepted are matplotlib's Axes.")


def require_fitted(estimator: Any, attribute: str | None = None) -> None:
    """Refuse anything but a fitted MUGTransformer, such as a pipeline around one.

    Parameters
    ----------
    estimator : object
    attribute : str, optional
        The only fitted attribute needed, which may exist before the end of the fit.

    Raises
    ------
    TypeError
        If `estimator` is something else.
    NotFittedError
        If `estimator` is not fitted.
    """
    if not isinstance(estimator, MUGTransformer):
        raise TypeError(
            f"a {type(estimator).__name__} was given, and a fitted MUGTransformer is "
            "accepted; the first step of a pipeline is pipeline[0], and what is inside "
            "of a FrozenEstimator its `estimator`."
        )
    if attribute is None:
        estimator._require_fitted()
    else:
        check_is_fitted(estimator, attribute)


def read_fitted_panel(estimator: Any, X: Any) -> Panel:
    """The panel `X`, as the fitted transformer reads it."""
    require_fitted(estimator)
    return read_panel(estimator, X, reset=False)


def require_row(name: str, row: Any, panel: Panel) -> int:
    """Refuse anything but a row number of a panel."""
    if not isinstance(row, int | np.integer) or not 0 <= row < panel.n_series:
        raise ValueError(
            f"{name}={row!r}; accepted are row numbers of X, 0 to {panel.n_series - 1}."
        )
    return int(row)


def require_count(name: str, count: Any, most: int, of_what: str) -> int:
    """Refuse a number of things to draw that is not an integer from 1 to `most`."""
    if not isinstance(count, int | np.integer) or not 1 <= count <= most:
        raise ValueError(f"{name}={count!r}; accepted are 1 to {most}, {of_what}.")
    return int(count)


def read_labels(y: Any) -> NDArray[Any]:
    """Labels as an array of numbers, of booleans or of strings.

    Labels of several kinds become strings; with missing ones among them, they stay as
    they are.
    """
    # scikit-learn would turn pandas' nullable integers and booleans into floats.
    # numpy would turn what is missing in a list of strings into the string "nan".
    labels = column_or_1d(np.asarray(y, dtype=None if hasattr(y, "dtype") else object))
    if labels.dtype != object or pd.isna(labels).any():
        return labels
    if 0 < sum(isinstance(label, bool) for label in labels) < len(labels):
        return labels.astype(str)  # as numbers, they would be 0 and 1
    return column_or_1d(np.array(labels.tolist()))


def beside(ax: Axes) -> dict[str, Any]:
    """Where to put a legend: beside the axes if their figure makes room for it."""
    engine = ax.figure.get_layout_engine()
    if engine is None or isinstance(engine, PlaceHolderLayoutEngine):
        return {"loc": "best"}
    return {"loc": "upper left", "bbox_to_anchor": (1, 1)}


def make_room_for_legend(ax: Axes) -> None:
    """Widen the axes' figure by the legend beside them, if any; let it be as high."""
    figure: Any = ax.figure
    legend = ax.get_legend()
    if legend is not None:
        legend_size = legend.get_window_extent().size / figure.dpi
        figure.set_figwidth(figure.get_figwidth() + legend_size[0])
        title = plt.rcParams["font.size"] / 20  # inches, with the margins around it
        figure.set_figheight(max(figure.get_figheight(), legend_size[1] + title))


def count_along_x(ax: Axes) -> None:
    """Put ticks at whole numbers only, if need be at a single one."""
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))


def draw_series(
    ax: Axes, values: NDArray[Any], timepoints: NDArray[Any] | None = None, **line: Any
) -> list[Line2D]:
    """Draw each channel of a series of shape (n_channels, n_timepoints); NaN is a gap.

    A value between two gaps has no line to either side, so it is drawn as a point.

    Returns
    -------
    list of matplotlib.lines.Line2D
        One for each channel.
    """
    lines = []
    time = np.arange(values.shape[1]) if timepoints is None else timepoints
    for channel, (colour, one) in enumerate(
        zip(np.resize(COLOURS, len(values)), values, strict=True)
    ):
        lines += ax.plot(time, one, color=colour, label=f"channel {channel}", **line)
        known = np.isfinite(np.concatenate(([np.nan], one, [np.nan])))
        alone = np.flatnonzero(known[1:-1] & ~known[:-2] & ~known[2:])
        size = 4 * lines[-1].get_linewidth()
        points = line | {"linestyle": "none", "marker": ".", "markersize": size}
        ax.plot(time[alone], one[alone], color=colour, **points)
    count_along_x(ax)
    return lines


def draw_channel_legend(ax: Axes, lines: Sequence[Line2D]) -> None:
    """Add a legend of the channels, if there are several and not more than colours.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    lines : sequence of matplotlib.lines.Line2D
        From `draw_series`.
    """
    if 1 < len(lines) <= len(COLOURS):
        legend = ax.legend(handles=lines, fontsize="small", **beside(ax))
        for handle in filter(None, legend.legend_handles):
            handle.set(alpha=1, linewidth=1.5)  # lines may be faint, the legend not
