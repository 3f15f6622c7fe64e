"""How loops over timepoints are compiled for a CPU."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numba

Function = TypeVar("Function", bound=Callable)


def compiled(function: Function) -> Function:
    """Compile at first use, and keep the result on disk where there is a place for it.

    Sums may be reordered and products fused; NaN keeps its meaning.
    """
    options = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": {"reassoc", "contract", "nsz"},
    }
    before = numba.config.CACHE_DIR
    try:
        # Beside the source, numba's own choice, uninstalling would leave it behind.
        numba.config.CACHE_DIR = before or str(Path.home() / ".cache" / "mug_sklearn")
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder that may be written to
        return numba.njit(**options)(function)
    finally:
        numba.config.CACHE_DIR = before
