"""Scikit-learn transformers of panels as aeon's collection transformers.

Without an adapter, `MUGTransformer` works on what aeon's loaders return, and in aeon's
pipelines on series of one channel; these pipelines refuse more channels, unequal
lengths and missing values for transformers that are not aeon's own. Needs `aeon`.
"""

from typing import Any

import numpy as np
from aeon.transformations.collection import BaseCollectionTransformer
from numpy.typing import NDArray
from sklearn.base import clone

from .. import MUGTransformer

__all__ = ["CollectionTransformerAdapter"]


class CollectionTransformerAdapter(BaseCollectionTransformer):
    """A scikit-learn transformer of panels as an aeon collection transformer.

    Parameters
    ----------
    transformer : scikit-learn transformer
        Turns a panel into one vector per series. It is cloned before it is fitted, and
        receives the labels that the adapter was given.

    Attributes
    ----------
    transformer_ : scikit-learn transformer
        The fitted clone.

    Examples
    --------
    >>> from aeon.datasets import load_unit_test
    >>> from mug_sklearn import MUGTransformer
    >>> from mug_sklearn.adapters.aeon import CollectionTransformerAdapter
    >>> X, y = load_unit_test(split="train")
    >>> mug = MUGTransformer(max_epochs=0, embedding_dim=4, random_state=0)
    >>> CollectionTransformerAdapter(mug).fit_transform(X).shape
    (20, 4)
    """

    _tags = {  # noqa: RUF012 -- aeon's own convention
        "X_inner_type": ["numpy3D", "np-list"],
        "output_data_type": "Tabular",
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:missing_values": True,
        "removes_unequal_length": True,
        "removes_missing_values": True,
        "algorithm_type": "deeplearning",
    }

    def __init__(self, transformer: Any) -> None:
        self.transformer = transformer
        super().__init__()

    def _fit(self, X: Any, y: Any = None) -> "CollectionTransformerAdapter":
        self.transformer_ = clone(self.transformer).fit(X, y)
        return self

    def _transform(self, X: Any, y: Any = None) -> NDArray:
        return np.asarray(self.transformer_.transform(X))

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        return {
            "transformer": MUGTransformer(
                max_epochs=0, n_random_shapelets=8, random_state=0
            )
        }
