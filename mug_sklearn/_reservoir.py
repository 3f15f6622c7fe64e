"""A sample of a stream of series."""

from dataclasses import dataclass

import numpy as np

from ._panel import Panel

MOST_SERIES = 512
MOST_VALUES = 2**22
FEWEST_SERIES = 2


@dataclass(frozen=True)
class Reservoir:
    """A sample of all series of a stream, uniform if they are equally long.

    Every series draws a priority, and those with the lowest are kept, as many as there
    is room for (bottom-k sampling). So long ones are kept a little less often.

    Attributes
    ----------
    series : list of float64 arrays of shape (C, T_i)
        In the order of the stream.
    n_seen : int
        Series of the stream so far.
    priorities : float64 array of shape (n_kept,)
        In [0, 1).
    lowest_refused : float
        Lowest priority of a series that is not kept. None above it will ever be: the
        sample would favour later series.
    """

    series: list[np.ndarray]
    n_seen: int
    priorities: np.ndarray
    lowest_refused: float

    @classmethod
    def empty(cls) -> "Reservoir":
        """The sample of no series."""
        return cls([], 0, np.empty(0), 1.0)

    def extended(self, panel: Panel, rng: np.random.Generator) -> "Reservoir":
        """The sample once the series of `panel` are added; this one is left as it is.

        Parameters
        ----------
        panel : Panel
        rng : numpy Generator
        """
        n_kept = len(self.series)
        priorities = np.concatenate((self.priorities, rng.random(panel.n_series)))
        lengths = [one.shape[1] for one in self.series] + panel.lengths.tolist()
        order = np.argsort(priorities, kind="stable")
        # No more than can be kept, as a stream's part may hold millions.
        order = order[priorities[order] < self.lowest_refused][: MOST_SERIES + 1]
        n_values = panel.n_channels * np.cumsum(np.maximum(lengths, 1)[order])
        fitting = int(np.searchsorted(n_values, MOST_VALUES, side="right"))
        n_fitting = max(FEWEST_SERIES, min(fitting, MOST_SERIES))
        chosen, refused = np.sort(order[:n_fitting]), order[n_fitting:]
        return Reservoir(
            [self.series[row] for row in chosen[chosen < n_kept]]
            + panel.take(chosen[chosen >= n_kept] - n_kept),
            self.n_seen + panel.n_series,
            priorities[chosen],
            float(priorities[refused[0]]) if len(refused) else self.lowest_refused,
        )
