"""Types of what users may pass, where Python's and numpy's own are too narrow."""

from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

# Such as a seed that a generator of numpy has drawn, or the row that argmin found.
Int: TypeAlias = int | np.integer[Any]
Float: TypeAlias = float | np.floating[Any]


class Store(Protocol):
    """Series in a file or elsewhere, to be read some rows at a time."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __getitem__(self, rows: slice, /) -> Any: ...


PanelLike: TypeAlias = ArrayLike | Store
