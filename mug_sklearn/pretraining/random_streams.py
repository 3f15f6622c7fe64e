"""Independent random numbers for each purpose, all from the seed of one fit."""

from enum import IntEnum

import numpy as np


class RandomStream(IntEnum):
    """What random numbers are drawn for.

    A fit's purposes share no numbers, so that none depends on how many another drew.
    """

    ORDER = 0
    STEP = 1
    SHAPELETS = 2
    READOUT = 3
    RESERVOIR = 4

    def generator(self, seed: int, *position: int) -> np.random.Generator:
        """The stream's numbers, or those of one place in it.

        Parameters
        ----------
        seed : int
            Of the fit.
        *position : int
            Number of the epoch, of the step or of the series seen so far, where numbers
            must not depend on what was drawn before.
        """
        return np.random.default_rng([seed, self, *position])
