"""Unsupervised multi-granularity representations of time series for scikit-learn."""

from ._estimator import MUGTransformer
from ._inference import TokenRepresentation
from ._version import __version__

__all__ = ["MUGTransformer", "TokenRepresentation", "__version__"]
