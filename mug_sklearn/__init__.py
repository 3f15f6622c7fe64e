"""Unsupervised multi-granularity representations of time series for scikit-learn."""

from ._estimator import MUGTransformer, TokenRepresentation

__version__ = "0.1.0.dev0"

__all__ = ["MUGTransformer", "TokenRepresentation", "__version__"]
