"""A progress bar on stderr."""

import sys
from typing import Any

from tqdm.auto import tqdm


class ProgressBar(tqdm):
    """tqdm's bar, without the thread that even a hidden one would leave behind.

    That thread revives a bar that skips updates, which this one does not.

    Parameters
    ----------
    shown : bool
        Not where there is no stderr, as in programs without a console.
    **options
        As for tqdm.
    """

    monitor_interval = 0

    def __init__(self, *, shown: bool, **options: Any) -> None:
        is_hidden = not shown or sys.stderr is None
        super().__init__(disable=is_hidden, miniters=1, **options)
