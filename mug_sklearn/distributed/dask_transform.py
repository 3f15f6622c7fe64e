"""Embedding a Dask array block by block with a fitted transformer."""

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from ..device import repeatable_arithmetic

if TYPE_CHECKING:
    from dask.array import Array

__all__ = ["transform"]


def transform(estimator: Any, X: "Array") -> "Array":
    """Embed a Dask array lazily, each block of series where Dask computes it.

    The estimator is used as it is at the time of the call. The task graph holds it
    once, however many blocks there are, and each worker gets it once. Each block is
    computed on one torch thread.

    Parameters
    ----------
    estimator : MUGTransformer or other fitted transformer
        Any scikit-learn transformer, or a Pipeline of them, whose output for a series
        depends on that series alone and has a fixed width.
    X : dask.array.Array of shape (n_series, n_timepoints) or \
            (n_series, n_channels, n_timepoints)
        The series, in chunks along the first axis, whose sizes may be unknown (NaN).
        Chunks along the other axes are merged, since a series is embedded as a whole.

    Returns
    -------
    dask.array.Array of shape (n_series, n_features_out)
        The embedding, of dtype float32, in the chunks of `X` along the first axis. Only
        the embedding of one made-up series is computed right away, to check that `X`
        has the right form.

    Raises
    ------
    ImportError
        If Dask is not installed.
    TypeError
        If `X` is not a Dask array, or the estimator has no method `transform`.
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If `X` does not have two or three axes, or not the width that the estimator was
        fitted on, or if the estimator does not return one vector per series.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from mug_sklearn import MUGTransformer
    >>> from mug_sklearn.distributed import transform
    >>> train = np.sin(np.arange(40) * np.linspace(0.1, 1, 20)[:, None])
    >>> mug = MUGTransformer(max_epochs=1, embedding_dim=8, random_state=0).fit(train)
    >>> X = da.from_array(np.tile(train, (5, 1)), chunks=(25, -1))
    >>> embedding = transform(mug, X)
    >>> embedding.shape, embedding.numblocks
    ((100, 8), (4, 1))
    >>> embedding[:20].compute().shape
    (20, 8)
    """
    try:
        # Imported here, as only callers of this function need them.
        import cloudpickle
        import dask.array as da
        from dask import delayed
        from dask.tokenize import tokenize
    except ImportError as error:
        raise ImportError(
            f"{error.name} is not installed, which a Dask array needs; "
            'pip install "mug_sklearn[distributed]"'
        ) from error
    if not hasattr(estimator, "transform"):
        raise TypeError(
            f"{type(estimator).__name__} has no method transform; expected a fitted "
            "transformer or a Pipeline of them"
        )
    check_is_fitted(estimator)
    if not isinstance(X, da.Array):
        raise TypeError(
            f"X is a {type(X).__name__}; expected a dask.array.Array, such as from "
            "dask.array.from_array(X, chunks=(1000, -1)) or DataFrame.to_dask_array()"
        )
    if X.ndim not in (2, 3) or any(map(math.isnan, X.shape[1:])):
        raise ValueError(
            f"X has shape {X.shape}; expected (n_series, n_timepoints) or (n_series, "
            "n_channels, n_timepoints), of which only n_series may be unknown"
        )
    width = _embedding_width(estimator, X)
    # As a task of its own, the estimator has a key that the blocks refer to; as an
    # argument of map_blocks it would be copied into each of them. Data scattered in
    # advance would be lost with the worker that holds them, but a task is run again.
    # Pickled now, since a later refit would change the object before it is used.
    content = cloudpickle.dumps(estimator)
    model = delayed(cloudpickle.loads)(
        content, dask_key_name=f"model-{tokenize(content)}"
    )
    return X.rechunk(dict.fromkeys(range(1, X.ndim), -1)).map_blocks(
        _embed_block,
        model,
        width,
        name=f"embedding-{tokenize(X, content)}",
        chunks=(X.chunks[0], (width,)),
        drop_axis=list(range(2, X.ndim)),
        dtype=np.float32,
        meta=np.empty((0, 0), dtype=np.float32),
    )


def _embedding_width(estimator: Any, X: "Array") -> int:
    """Number of features of one made-up series with the form of those of `X`."""
    # Neither constant nor zero, so that logarithms and ratios in a pipeline are finite.
    made_up = np.linspace(1, 2, math.prod(X.shape[1:])).reshape(1, *X.shape[1:])
    with warnings.catch_warnings():
        # Of channels that are constant in the user's series, but not here.
        warnings.filterwarnings("ignore", ".* held no two different values in fit")
        embedding = _embed(made_up.astype(X.dtype), estimator)
    if embedding.ndim != 2 or len(embedding) != 1:
        raise ValueError(
            f"{type(estimator).__name__} turned one series into an array of shape "
            f"{embedding.shape}; expected (1, n_features_out)"
        )
    return embedding.shape[1]


def _embed_block(block: NDArray, estimator: Any, width: int) -> NDArray[np.float32]:
    """The embedding of one block of series, which may be empty."""
    # A selection may leave empty blocks, which scikit-learn refuses.
    if len(block) == 0:
        return np.empty((0, width), dtype=np.float32)
    return _embed(block, estimator)


def _embed(series: NDArray, estimator: Any) -> NDArray[np.float32]:
    # A Dask array has lost its column names, and scikit-learn would warn of that.
    names = getattr(estimator, "feature_names_in_", ())
    named: Any = series
    if series.ndim == 2 and len(names) == series.shape[1]:
        named = pd.DataFrame(series, columns=names)
    # Dask already fills the cores with blocks.
    with repeatable_arithmetic():
        return np.asarray(estimator.transform(named), dtype=np.float32)
