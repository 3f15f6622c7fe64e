"""The benchmark report's pictures, drawn without touching the caller's pyplot figures.

All are PNG files in matplotlib's default style, whatever style the caller set, since
they are read side by side on one page.
"""

import re
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from textwrap import fill
from unittest.mock import patch

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.style import context
from matplotlib.text import Annotation
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from .report_tables import complete_rows, differences, win_draw_loss

_REFERENCE_COLOUR, _PEER_COLOUR = "#D55E00", "#0072B2"
_DOTS_PER_INCH = 150
_SCATTER_COLUMNS = 4
_LETTERS_PER_PANEL = 30
_SHORTEST_SECONDS = 1e-3
_ALPHA = 0.05
_CAPTION = (
    "In a diagram of average ranks, bars join methods that pairwise one-sided Wilcoxon "
    "tests do not tell apart at 5 %, divided by the number of methods less one. In a "
    "picture of pairs each point is a data set; the reference is better above the "
    "line, and the wins are its own."
)
_NEAREST = 7
# Where a label may go around its point: offset in points and alignment, best first.
_LABEL_PLACES = [
    (
        distance * x,
        distance * y,
        align,
        "center" if not y else "bottom" if y > 0 else "top",
    )
    for distance in (_NEAREST, 14, 24, 36)
    for x, y, align in (
        (1, 0, "left"),
        (-1, 0, "right"),
        (0, 1, "center"),
        (0, -1, "center"),
        (0.8, 0.8, "left"),
        (0.8, -0.8, "left"),
        (-0.8, 0.8, "right"),
        (-0.8, -0.8, "right"),
    )
]


def draw_pictures(
    tables: Mapping[str, pd.DataFrame],
    summary: pd.DataFrame,
    classifier: str,
    reference: str,
    folder: Path,
) -> list[str]:
    """Draw a classifier's pictures; return titles and links, or why one is left out.

    Under the empty name, ``tables`` holds the accuracies of the methods that were run;
    under the name of a file, those of the reference and the file's published methods.
    """
    drawings: dict[str, tuple[str, Callable[[Path], None]]] = {}
    for name, table in tables.items():
        suffix, title = (f"_{name}", f", published: {name}") if name else ("", "")
        drawings[f"critical_difference_{classifier}{suffix}"] = (
            f"Average ranks{title}",
            partial(draw_critical_difference, table, reference=reference),
        )
        drawings[f"scatter_{classifier}{suffix}"] = (
            f"Accuracy, pair by pair{title}",
            partial(draw_scatter_grid, table, reference=reference),
        )
    drawings[f"time_{classifier}"] = (
        "Mean accuracy and time to fit",
        partial(
            draw_time_accuracy,
            summary["fit"],
            summary["accuracy"],
            reference=reference,
        ),
    )
    lines = []
    taken: set[str] = set()
    for stem, (title, draw) in drawings.items():
        name = re.sub(r"[^\w.-]", "_", stem)
        while name.casefold() in taken:  # one file, where case makes no difference
            name += "_"
        taken.add(name.casefold())
        name += ".png"
        try:
            draw(folder / name)
        except ImportError:
            lines.append(f"{title}: left out, as aeon is not installed.")
        except ValueError as error:
            lines.append(f"{title}: left out, as {error}")
        else:
            # The text of a link is not shown beside the picture.
            lines.append(f"**{title}**\n\n![{title}]({name})")
    return [*lines, _CAPTION]


def draw_critical_difference(
    table: pd.DataFrame, path: Path, *, reference: str | None = None
) -> None:
    """Draw a critical-difference diagram by aeon's `plot_critical_difference`.

    Bars join methods that pairwise one-sided Wilcoxon tests do not tell apart, at 5 %
    with aeon's form of Holm's correction. The tests are slow for 13 data sets or fewer,
    where scipy goes through all permutations.

    Parameters
    ----------
    table : pandas.DataFrame of shape (n_datasets, n_methods)
        Accuracies; data sets that some method lacks are left out.
    path : pathlib.Path
        The PNG file to write.
    reference : str, default=None
        The method whose name is coloured.

    Raises
    ------
    ImportError
        If aeon is not installed.
    ValueError
        If fewer than three methods or no common data set remain, or if all methods are
        equal on every data set.

    Examples
    --------
    >>> import pandas as pd
    >>> from pathlib import Path
    >>> from mug_sklearn.benchmark.report_figures import draw_critical_difference
    >>> table = pd.DataFrame({"mug": [0.9, 0.8], "ed": [0.7, 0.6]})
    >>> draw_critical_difference(table, Path("ranks.png"))
    Traceback (most recent call last):
    ValueError: a critical-difference diagram needs ... found 2 methods, 2 data sets.
    """
    common = complete_rows(table)
    if (
        common.shape[1] < 3
        or common.empty
        or (common.nunique(axis="columns") == 1).all()
    ):
        raise ValueError(
            "a critical-difference diagram needs three methods or more and data sets "
            "on which all have an accuracy and not all the same; found "
            f"{common.shape[1]} methods, {len(common)} data sets."
        )
    from aeon.visualisation import plot_critical_difference

    names = [_no_formula(method) for method in common.columns]
    space = 0.7 + 0.115 * max(map(len, names))
    # aeon would register its figure with pyplot, and so pick a backend and change the
    # caller's current figure. It warns of equal methods, which the tables show.
    with (
        context("default"),
        patch.object(plt, "figure", Figure),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        figure, _ = plot_critical_difference(
            common.to_numpy(),
            names,
            highlight={_no_formula(reference): _REFERENCE_COLOUR}
            if reference
            else None,
            alpha=_ALPHA,
            width=4 + 2 * space,
            textspace=space,
        )
        figure.savefig(path, dpi=_DOTS_PER_INCH, bbox_inches="tight")


def draw_scatter_grid(table: pd.DataFrame, path: Path, *, reference: str) -> None:
    """Draw a method's accuracy against every other's, one panel per method.

    Parameters
    ----------
    table : pandas.DataFrame of shape (n_datasets, n_methods)
        Accuracies. Each panel shows the data sets that both methods have.
    path : pathlib.Path
        The PNG file to write.
    reference : str
        The method on the vertical axes: its wins lie above the diagonal.

    Raises
    ------
    ValueError
        If the table has no method ``reference``, or no other shares a data set with it.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from pathlib import Path
    >>> from mug_sklearn.benchmark.report_figures import draw_scatter_grid
    >>> table = pd.DataFrame({"mug": [0.9, 0.8], "ed": [0.7, 0.6]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_scatter_grid(table, Path(folder, "pairs.png"), reference="mug")
    ...     Path(folder, "pairs.png").exists()
    True
    """
    others = [
        method
        for method in table.columns
        if method != reference and len(differences(table, reference, method))
    ]
    if not others:
        raise ValueError(f"no other method shares a data set with {reference!r}.")
    columns = min(_SCATTER_COLUMNS, len(others))
    rows = -(-len(others) // columns)
    lowest = table[[reference, *others]].min(axis=None)
    limits = (max(0.0, np.floor(lowest * 10) / 10 - 0.02), 1.02)
    with context("default"):
        figure = Figure(figsize=(3.1 * columns, 3.1 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, other in zip(panels, others, strict=False):
            _draw_pair(panel, table, reference, other, limits)
        for panel in panels[len(others) :]:
            panel.set_axis_off()
        label = fill(f"accuracy of {reference}", _LETTERS_PER_PANEL)
        figure.supylabel(_no_formula(label))
        figure.supxlabel("accuracy of the other method")
        figure.savefig(path, dpi=_DOTS_PER_INCH)


def draw_time_accuracy(
    seconds: pd.Series, accuracy: pd.Series, path: Path, *, reference: str | None = None
) -> None:
    """Draw mean accuracy against median time to fit, one labelled point per method.

    Parameters
    ----------
    seconds : pandas.Series of shape (n_methods,)
        Median seconds to fit; less than a millisecond is drawn as a millisecond.
    accuracy : pandas.Series of shape (n_methods,)
        Mean accuracies, with the same index.
    path : pathlib.Path
        The PNG file to write.
    reference : str, default=None
        The method whose point is coloured.

    Raises
    ------
    ValueError
        If no method has both a time and an accuracy.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from pathlib import Path
    >>> from mug_sklearn.benchmark.report_figures import draw_time_accuracy
    >>> seconds = pd.Series({"mug": 30.0, "ed": 0.0})
    >>> accuracy = pd.Series({"mug": 0.8, "ed": 0.7})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_time_accuracy(seconds, accuracy, Path(folder, "time.png"))
    ...     Path(folder, "time.png").exists()
    True
    """
    points = pd.DataFrame({"seconds": seconds, "accuracy": accuracy}).dropna()
    if points.empty:
        raise ValueError("no method has both a time to fit and an accuracy.")
    points["seconds"] = points["seconds"].clip(lower=_SHORTEST_SECONDS)
    colours = [
        _REFERENCE_COLOUR if method == reference else _PEER_COLOUR
        for method in points.index
    ]
    with context("default"):
        figure = Figure(figsize=(8, 5.5), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        ax = figure.subplots()
        ax.scatter(points["seconds"], points["accuracy"], c=colours, zorder=3)
        ax.set_xscale("log")
        ax.margins(0.12)
        ax.grid(alpha=0.3)
        ax.set_xlabel("median seconds to fit (less than 1 ms drawn as 1 ms)")
        ax.set_ylabel("mean accuracy")
        canvas.draw()  # labels are placed in pixels, which only drawing fixes
        _label_points(ax, canvas, points)
        figure.savefig(path, dpi=_DOTS_PER_INCH)


def _draw_pair(
    ax: Axes,
    table: pd.DataFrame,
    reference: str,
    other: str,
    limits: tuple[float, float],
) -> None:
    """One panel of the grid: the reference against one other method."""
    pairs = table[[other, reference]].dropna()
    wins, draws, losses = win_draw_loss(table, reference, other)
    ax.plot(limits, limits, color="0.5", linewidth=1, zorder=1)
    ax.scatter(
        pairs[other], pairs[reference], s=16, alpha=0.7, color=_PEER_COLOUR, zorder=2
    )
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5))
    # Above the axes: inside of them, points may lie anywhere.
    counts = f"wins {wins}, losses {losses}, draws {draws}"
    name = fill(str(other), _LETTERS_PER_PANEL)
    ax.set_title(f"{_no_formula(name)}\n{counts}", fontsize=10)


def _no_formula(name: object) -> str:
    """A name that matplotlib does not read as a formula, between dollar signs."""
    return str(name).replace("$", r"\$")


def _label_points(ax: Axes, canvas: FigureCanvasAgg, points: pd.DataFrame) -> None:
    """Write each point's name where it covers neither a point nor another name."""
    renderer = canvas.get_renderer()
    frame = ax.get_window_extent(renderer)
    pixels = ax.transData.transform(points[["seconds", "accuracy"]].to_numpy())
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in pixels]
    for (name, row), own in zip(points.iterrows(), list(taken), strict=True):
        label = ax.annotate(
            _no_formula(name),
            (row["seconds"], row["accuracy"]),
            xytext=_LABEL_PLACES[0][:2],
            textcoords="offset points",
        )
        others = [box for box in taken if box is not own]
        for place in _LABEL_PLACES:
            box = _extent_at(label, place, renderer)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
            if inside and not box.count_overlaps(others):
                break
        else:  # too crowded: the best place even if it overlaps
            place = _LABEL_PLACES[0]
            box = _extent_at(label, place, renderer)
        if max(abs(place[0]), abs(place[1])) > _NEAREST:
            ax.annotate(
                "",
                (row["seconds"], row["accuracy"]),
                xytext=place[:2],
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.7},
            )
        taken.append(box)


def _extent_at(
    label: Annotation, place: tuple[float, float, str, str], renderer: RendererBase
) -> Bbox:
    """Move a label to a place around its point; return the pixels it then covers."""
    x, y, across, up = place
    label.set(position=(x, y), ha=across, va=up)
    return label.get_window_extent(renderer)
