"""A sample of a stream of series."""

from dataclasses import dataclass, field

import numpy as np

from ._panel import Panel

MOST_SERIES = 512
MOST_VALUES = 2**22


def affordable_series(n_values: int) -> int:
    """How many series of `n_values` values each a sample may hold."""
    return max(2, min(MOST_SERIES, MOST_VALUES // n_values))


@dataclass(frozen=True)
class Reservoir:
    """A uniform sample of all series of a stream.

    Vitter, "Random Sampling with a Reservoir", ACM TOMS 1985, algorithm R.

    Attributes
    ----------
    series : list of float64 arrays of shape (C, T_i)
    n_seen : int
        Series of the stream so far.
    capacity : int
        Most series to keep. It never grows, which would favour later series.
    """

    series: list[np.ndarray] = field(default_factory=list)
    n_seen: int = 0
    capacity: int = MOST_SERIES

    def extended(
        self, panel: Panel, capacity: int, rng: np.random.Generator
    ) -> "Reservoir":
        """The sample once the series of `panel` are added; this one is left as it is.

        Parameters
        ----------
        panel : Panel
        capacity : int
            Most series to keep, from now on.
        rng : numpy Generator
        """
        capacity = min(capacity, self.capacity)
        held = self.series
        if len(held) > capacity:
            chosen = np.sort(rng.choice(len(held), capacity, replace=False))
            held = [held[number] for number in chosen]
        place = self.n_seen + np.arange(panel.n_series)
        drawn = rng.integers(0, place + 1)
        slots = np.where(place < capacity, place, drawn)
        # A later series takes the slot of an earlier one.
        entering = {int(slot): row for row, slot in enumerate(slots) if slot < capacity}
        rows = np.array(list(entering.values()), dtype=np.intp)
        series = dict(enumerate(held))
        series |= dict(zip(entering, panel.take(rows), strict=True))
        kept = [series[slot] for slot in sorted(series)]
        return Reservoir(kept, self.n_seen + panel.n_series, capacity)
