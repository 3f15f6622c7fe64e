"""Types of command-line arguments."""

import argparse
from collections.abc import Callable


def at_least(minimum: int, at_most: int | None = None) -> Callable[[str], int]:
    """Make an argparse type of integers from a minimum, up to a maximum if given.

    Parameters
    ----------
    minimum : int
    at_most : int, optional
        The maximum; by default there is none.

    Returns
    -------
    callable
        Converts a text; raises an error that argparse reports.

    Examples
    --------
    >>> at_least(1)("3")
    3
    """

    # argparse names this function if a text is not an integer.
    def integer(text: str) -> int:
        if int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text} is less than {minimum}")
        if at_most is not None and int(text) > at_most:
            raise argparse.ArgumentTypeError(f"{text} is more than {at_most}")
        return int(text)

    return integer


# What scikit-learn's `check_random_state` takes.
random_seed = at_least(0, at_most=2**32 - 1)
