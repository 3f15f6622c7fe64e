"""The loss curve, by term."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from ._style import (
    COLOURS,
    beside,
    count_along_x,
    make_room_for_legend,
    require_axes,
    require_fitted,
)

_NOT_A_TERM = {"epoch", "n_steps"}


class LossCurveDisplay:
    """The training loss and each of its terms against the epoch.

    Parameters
    ----------
    history : list of dict
        Epochs, as in `MUGTransformer.history_`.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Set by `plot`.
    figure_ : matplotlib.figure.Figure
        Set by `plot`.

    See Also
    --------
    plot_loss_curve : The same in one call.

    Examples
    --------
    >>> from mug_sklearn.plotting import LossCurveDisplay
    >>> history = [{"epoch": 1, "loss": 1.1}, {"epoch": 2, "loss": 0.8}]
    >>> LossCurveDisplay(history).plot().ax_.get_ylabel()
    'loss'
    """

    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(self, history: Sequence[Mapping[str, float]]) -> None:
        self.history = history

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> Self:
        """Draw the loss curve of a fitted transformer.

        Parameters
        ----------
        estimator : MUGTransformer
        ax : matplotlib.axes.Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        TypeError
            If `estimator` is something else, such as a pipeline.
        ValueError
            If the fit had no epoch.
        """
        require_fitted(estimator, "history_")
        return cls(estimator.history_).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        LossCurveDisplay
            This display, with one line for each term; the total, ``loss``, is the
            thicker one.

        Raises
        ------
        ValueError
            If the history holds no epoch.
        TypeError
            If it holds something other than dictionaries with an epoch's number and
            loss, or `ax` is something else.
        """
        history = self.history
        if not hasattr(history, "__len__"):
            raise TypeError(
                f"{history!r} was given, and a fitted MUGTransformer or its history_, "
                "a list with a dict for each epoch, is accepted."
            )
        if len(history) == 0:
            raise ValueError(
                "the history holds no epoch; a loss curve needs at least one epoch of "
                "training"
            )
        for row in history:
            if not (isinstance(row, Mapping) and {"epoch", "loss"} <= set(row)):
                raise TypeError(
                    f"the history holds {row!r}, and a dict for each epoch, with its "
                    "number as 'epoch' and its 'loss', is accepted, as in "
                    "MUGTransformer.history_"
                )
        require_axes(ax)
        own_figure = ax is None
        if ax is None:
            ax = plt.subplots(layout="constrained")[1]
        # In order of first appearance; a term may be absent from some epochs.
        terms = dict.fromkeys(key for row in history for key in row)
        epochs = [row["epoch"] for row in history]
        for index, term in enumerate(term for term in terms if term not in _NOT_A_TERM):
            ax.plot(
                epochs,
                [row.get(term, np.nan) for row in history],
                color=COLOURS[index % len(COLOURS)],
                linewidth=2.5 if term == "loss" else 1.2,
                # A single epoch has no line to show, only its point.
                marker="o" if len(epochs) == 1 else None,
                label=term.replace("_", " "),
            )
        count_along_x(ax)
        ax.set_xlabel("epoch")
        ax.set_ylabel("loss")
        ax.set_title("Training loss")
        ax.legend(**beside(ax))
        if own_figure:
            make_room_for_legend(ax)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self


def plot_loss_curve(
    estimator_or_history: Any,  # an estimator or its history_
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw the training loss and each of its terms against the epoch.

    The terms are drawn as they are, before their weights, such as that of 0.01 of the
    cluster-wise triplets: the loss is their weighted sum.

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
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If the history holds no epoch.
    TypeError
        If it holds something other than dictionaries with an epoch's number and loss,
        such as `loss_curve_`, if the estimator is something else, such as a pipeline,
        or if `ax` is something else.

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
    if hasattr(estimator_or_history, "fit"):
        return LossCurveDisplay.from_estimator(estimator_or_history, ax=ax).ax_
    return LossCurveDisplay(estimator_or_history).plot(ax=ax).ax_
