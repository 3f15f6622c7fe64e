"""Types of arguments."""

import argparse
from collections.abc import Callable


def at_least(minimum: int) -> Callable[[str], int]:
    """Give argparse's type of the integers from a minimum on.

    Parameters
    ----------
    minimum : int

    Returns
    -------
    callable
        Of a text; raises what argparse reports.

    Examples
    --------
    >>> at_least(1)("3")
    3
    """

    # argparse names this function where a text is no integer.
    def integer(text: str) -> int:
        if int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text} is less than {minimum}")
        return int(text)

    return integer
