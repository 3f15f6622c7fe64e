"""The plain values of a panel: what learns nothing, to compare with."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from ._panel import Panel
from .datasets import Series


class FilledPanel(TransformerMixin, BaseEstimator):
    """Make an array without gaps of any panel, standardised by channel.

    Gaps are interpolated linearly, and hold the next observed value at the edges. A
    series shorter than the longest training series is then filled up with its own
    mean, as the archive's equal-length versions are, and a longer one is cut. The mean
    and standard deviation of each channel are those of the training series.

    Parameters
    ----------
    min_timepoints : int, default=1
        Length up to which all series are filled if none is as long.

    Attributes
    ----------
    location_, scale_ : ndarray of shape (n_channels,)
        Mean and standard deviation of each channel.
    n_timepoints_ : int
        Length of the longest training series, at least `min_timepoints`.

    Examples
    --------
    >>> import numpy as np
    >>> from mug_sklearn._raw_values import FilledPanel
    >>> series = [np.array([[0.0, np.nan, 2.0, 4.0]]), np.array([[1.0, 3.0]])]
    >>> FilledPanel().fit_transform(series).round(2)
    array([[[-1.41, -0.71,  0.  ,  1.41]],
    <BLANKLINE>
           [[-0.71,  0.71,  0.  ,  0.  ]]])
    """

    def __init__(self, min_timepoints: int = 1) -> None:
        self.min_timepoints = min_timepoints

    def fit(self, X: Series, y: Any = None) -> Self:
        """Learn the length, mean and standard deviation of the training series.

        Parameters
        ----------
        X : ndarray of shape (n_series, n_channels, n_timepoints), or list of arrays \
                of shape (n_channels, n_timepoints_i)
        y : ignored

        Returns
        -------
        FilledPanel
        """
        panel = Panel(X)
        self.n_timepoints_ = max(panel.n_timepoints, self.min_timepoints)
        self.location_, self.scale_ = panel.channel_statistics
        return self

    def transform(self, X: Series) -> NDArray[np.float64]:
        """Fill and standardise.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        float64 ndarray of shape (n_series, n_channels, n_timepoints_)
        """
        filled = np.zeros((len(X), len(self.scale_), self.n_timepoints_))
        for row, one in zip(filled, Panel(X).take(np.arange(len(X))), strict=True):
            kept = one[:, : self.n_timepoints_]
            kept = (kept - self.location_[:, None]) / self.scale_[:, None]
            for target, channel in zip(row, kept, strict=True):
                known = np.flatnonzero(~np.isnan(channel))
                if len(known):
                    place = np.arange(len(channel))
                    target[: len(channel)] = np.interp(place, known, channel[known])
                    target[len(channel) :] = target[: len(channel)].mean()
        return filled


def raw_values() -> Pipeline:
    """Transformer from a panel to the values of each series in one row.

    Returns
    -------
    Pipeline

    Examples
    --------
    >>> raw_values().fit_transform([np.array([[1.0, 3.0]]), np.array([[5.0]])]).shape
    (2, 2)
    """
    return make_pipeline(FilledPanel(), FunctionTransformer(_flatten))


def _flatten(panel: NDArray) -> NDArray:
    return panel.reshape(len(panel), -1)
