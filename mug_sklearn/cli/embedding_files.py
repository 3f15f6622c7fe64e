"""Writing embeddings to files, by extension."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

EMBEDDING_SUFFIXES = (".npz", ".npy", ".parquet")


def write_embedding(
    path: Path,
    suffix: str,
    shape: tuple[int, int],
    names: Iterable[str],
    parts: Iterable[NDArray],
) -> None:
    """Write an embedding.

    Parameters
    ----------
    path : Path
        Path of the file, whatever its extension.
    suffix : {".npz", ".npy", ".parquet"}
        Which format to write.
    shape : tuple of int
        (n_series, n_features)
    names : iterable of str
        Names of the features.
    parts : iterable of float32 ndarray of shape (n_some, n_features)
        The embedding's rows, in order.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "embedding.npz"
    >>> rows = np.ones((3, 2), dtype=np.float32)
    >>> write_embedding(path, ".npz", (3, 2), ["a", "b"], [rows[:2], rows[2:]])
    >>> np.load(path)["embedding"].shape
    (3, 2)
    """
    if suffix == ".npy":
        # Part by part, so that an embedding may be larger than memory. Not by a memory
        # map: if the disk is full, writing to one kills the process.
        with path.open("wb") as file:
            descr = np.lib.format.dtype_to_descr(np.dtype(np.float32))
            header = {"descr": descr, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(np.ascontiguousarray(part, np.float32).data)
        return
    embedding = np.empty(shape, dtype=np.float32)
    start = 0
    for part in parts:
        embedding[start : start + len(part)] = part
        start += len(part)
    if suffix == ".npz":
        with path.open("wb") as file:
            np.savez(file, embedding=embedding)
    else:
        pd.DataFrame(embedding, columns=list(names)).to_parquet(path)
