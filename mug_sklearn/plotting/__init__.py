"""Pictures of a fitted transformer: training, embedding, attention, shapelets, search.

Each picture comes as a function that returns its axes, and as a display that keeps what
its ``from_estimator`` has computed, as scikit-learn's displays do. Axes, text and
background follow matplotlib's current style; the marks are of medium lightness, so that
they are legible on light and dark backgrounds alike.
"""

from .attention import CrossAttentionDisplay, plot_cross_attention
from .embedding import EmbeddingDisplay, plot_embedding
from .neighbors import NeighborsDisplay, plot_neighbors
from .shapelets import ShapeletsDisplay, plot_shapelets
from .training import LossCurveDisplay, plot_loss_curve

__all__ = [
    "CrossAttentionDisplay",
    "EmbeddingDisplay",
    "LossCurveDisplay",
    "NeighborsDisplay",
    "ShapeletsDisplay",
    "plot_cross_attention",
    "plot_embedding",
    "plot_loss_curve",
    "plot_neighbors",
    "plot_shapelets",
]
