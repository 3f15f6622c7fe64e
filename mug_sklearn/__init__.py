"""Unsupervised multi-granularity representations of time series for scikit-learn."""

from ._estimator import MUGTransformer, TokenRepresentation
from ._version import __version__

__all__ = ["MUGTransformer", "TokenRepresentation", "__version__"]
