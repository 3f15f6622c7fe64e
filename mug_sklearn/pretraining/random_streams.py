"""Random numbers for each purpose, all from the seed of one fit."""

from enum import IntEnum

import numpy as np


class RandomStream(IntEnum):
    """Purpose that random numbers are drawn for.

    Each purpose has its own numbers, so that none depends on how many another drew. The
    initial weights and the thresholds of the random shapelets come from no stream, but
    each from a torch generator seeded with the fit's seed.
    """

    ORDER = 0
    STEP = 1
    SHAPELETS = 2
    READOUT = 3
    RESERVOIR = 4
    NOISE = 5

    def generator(self, seed: int, *position: int) -> np.random.Generator:
        """Generator of the stream, or of one position in it.

        Parameters
        ----------
        seed : int
            Seed of the fit.
        *position : int
            Number of the epoch, of the step or of the series seen so far, if the
            numbers must not depend on what was drawn before.
        """
        return np.random.default_rng([seed, self, *position])
