"""The methods that the benchmark compares, by name: MUG, its ablations and its peers.

Every method reads the same panels. The peers of `aeon` take no gaps, and few of them
series of unequal length: `FilledPanel` prepares the series for them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from .. import MUGTransformer
from .._panel import Panel
from ..datasets import Series


class FilledPanel(TransformerMixin, BaseEstimator):
    """Make an array without gaps of any panel, standardised by channel.

    Gaps are interpolated linearly, and hold the next observed value at the edges. A
    series shorter than the longest training series is then filled up with its own
    mean, as the archive's equal-length versions are, and a longer one is cut. The mean
    and standard deviation of each channel are those of the training series.

    Attributes
    ----------
    location_, scale_ : ndarray of shape (n_channels,)
        Mean and standard deviation of each channel.
    n_timepoints_ : int
        Length of the longest training series.

    Examples
    --------
    >>> import numpy as np
    >>> from mug_sklearn.benchmark.methods import FilledPanel
    >>> series = [np.array([[0.0, np.nan, 2.0, 4.0]]), np.array([[1.0, 3.0]])]
    >>> FilledPanel().fit_transform(series).round(2)
    array([[[-1.41, -0.71,  0.  ,  1.41]],
    <BLANKLINE>
           [[-0.71,  0.71,  0.  ,  0.  ]]])
    """

    def fit(self, X: Series, y: Any = None) -> Self:
        """Learn the length, mean and standard deviation of the training series.

        Parameters
        ----------
        X : ndarray of shape (n_series, n_channels, n_timepoints), or list of arrays \
                of shape (n_channels, n_timepoints_i)
        y : ignored

        Returns
        -------
        FilledPanel
        """
        panel = Panel(X)
        self.n_timepoints_ = panel.n_timepoints
        self.location_, self.scale_ = panel.channel_statistics
        return self

    def transform(self, X: Series) -> NDArray[np.float64]:
        """Fill and standardise.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        float64 ndarray of shape (n_series, n_channels, n_timepoints_)
        """
        filled = np.zeros((len(X), len(self.scale_), self.n_timepoints_))
        for row, one in zip(filled, Panel(X).take(np.arange(len(X))), strict=True):
            kept = one[:, : self.n_timepoints_]
            kept = (kept - self.location_[:, None]) / self.scale_[:, None]
            for target, channel in zip(row, kept, strict=True):
                known = np.flatnonzero(~np.isnan(channel))
                if len(known):
                    place = np.arange(len(channel))
                    target[: len(channel)] = np.interp(place, known, channel[known])
                    target[len(channel) :] = target[: len(channel)].mean()
        return filled


@dataclass(frozen=True)
class Method:
    """One method of the benchmark.

    Attributes
    ----------
    make : callable
        Takes a seed and gives an unfitted estimator: a transformer from a panel to an
        embedding, or a classifier of panels.
    description : str
        What it is, in a few words.
    is_classifier : bool
        True where the estimator classifies by itself.
    is_random : bool
        False where all seeds give the same result; one seed is then run.
    needs_aeon : bool
        True where `aeon` must be installed.

    Examples
    --------
    >>> from mug_sklearn import MUGTransformer
    >>> from mug_sklearn.benchmark import Method
    >>> Method(lambda seed: MUGTransformer(d_model=48, random_state=seed)).make(7)
    MUGTransformer(d_model=48, random_state=7)
    """

    make: Callable[[int], Any]
    description: str = ""
    is_classifier: bool = False
    is_random: bool = True
    needs_aeon: bool = False


def _mug(seed: int, **parameters: Any) -> Any:
    return MUGTransformer(random_state=seed, **parameters)


def _raw(seed: int) -> Any:
    return make_pipeline(FilledPanel(), FunctionTransformer(_flatten))


def _flatten(panel: NDArray) -> NDArray:
    return panel.reshape(len(panel), -1)


def _catch22(seed: int) -> Any:
    from aeon.transformations.collection.feature_based import Catch22

    return make_pipeline(FilledPanel(), Catch22(replace_nans=True))


def _convolution(seed: int, name: str) -> Any:
    from aeon.transformations.collection import convolution_based

    return make_pipeline(
        FilledPanel(), getattr(convolution_based, name)(random_state=seed)
    )


def _rdst(seed: int) -> Any:
    from aeon.transformations.collection.shapelet_based import (
        RandomDilatedShapeletTransform,
    )

    return make_pipeline(
        FilledPanel(), RandomDilatedShapeletTransform(random_state=seed)
    )


def _nearest_neighbour(seed: int, distance: str) -> Any:
    from aeon.classification.distance_based import KNeighborsTimeSeriesClassifier

    return make_pipeline(
        FilledPanel(), KNeighborsTimeSeriesClassifier(distance=distance)
    )


def _ablation(description: str, **parameters: Any) -> Method:
    return Method(partial(_mug, **parameters), description)


def _convolution_peer(name: str, description: str) -> Method:
    return Method(partial(_convolution, name=name), description, needs_aeon=True)


def _distance_peer(distance: str, description: str) -> Method:
    return Method(
        partial(_nearest_neighbour, distance=distance),
        description,
        is_classifier=True,
        is_random=False,
        needs_aeon=True,
    )


# What is changed under each of the two readouts: description and parameters.
_CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "untrained": ("no training", {"max_epochs": 0}),
    "no-token-retrieval": (
        "no hierarchical retrieval",
        {"token_retrieval_weight": 0.0},
    ),
    "infonce": ("InfoNCE as loss", {"loss": "infonce"}),
    "triplet": ("triplet loss", {"loss": "triplet"}),
    "concat": ("granularities joined by concatenation", {"fusion": "concat"}),
    "maxpool": ("timestamps merged by maximum", {"fine_fusion": "max"}),
}

METHODS: dict[str, Method] = {
    "mug": Method(_mug, "MUGTransformer as it comes"),
    # its granularities
    "mug-fine": _ablation("its fine encoder alone, TST", granularity="fine"),
    "mug-coarse": _ablation("its coarse encoder alone", granularity="coarse"),
    "shapenet": _ablation(
        "its coarse encoder without the random shapelets",
        granularity="coarse",
        n_random_shapelets=0,
    ),
    # what the bank, training and each choice of the paper contribute
    "mug-no-bank": _ablation("no random shapelets", n_random_shapelets=0),
    **{
        f"mug-{name}": _ablation(description, **parameters)
        for name, (description, parameters) in _CHANGES.items()
    },
    # the same under the paper's readout, which sees nothing else
    "mug-cross": _ablation("the paper's readout", readout="cross"),
    **{
        f"mug-cross-{name}": _ablation(
            f"the paper's readout, {description}", readout="cross", **parameters
        )
        for name, (description, parameters) in _CHANGES.items()
    },
    # peers
    "raw": Method(_raw, "the values themselves", is_random=False),
    "catch22": Method(
        _catch22, "22 summary statistics", is_random=False, needs_aeon=True
    ),
    "minirocket": _convolution_peer("MiniRocket", "random convolutions"),
    "multirocket": _convolution_peer(
        "MultiRocket", "random convolutions, four statistics of each"
    ),
    "hydra": _convolution_peer("HydraTransformer", "competing random convolutions"),
    "rdst": Method(_rdst, "random dilated shapelets", needs_aeon=True),
    "1nn-euclidean": _distance_peer("euclidean", "nearest neighbour"),
    "1nn-dtw": _distance_peer("dtw", "nearest neighbour, full-window warping"),
}
"""All methods by name."""


def select_methods(
    methods: Sequence[str] | Mapping[str, Method],
) -> dict[str, Method]:
    """Give the methods of these names, or check that methods of one's own can run.

    Parameters
    ----------
    methods : sequence of str, or mapping of str to Method
        Names from `METHODS`, or methods of one's own.

    Returns
    -------
    dict of str to Method

    Raises
    ------
    ValueError
        If a name is unknown.
    ImportError
        If one needs `aeon`, which is not installed.

    Examples
    --------
    >>> from mug_sklearn.benchmark.methods import select_methods
    >>> list(select_methods(["mug", "raw"]))
    ['mug', 'raw']
    """
    if isinstance(methods, Mapping):
        chosen = dict(methods)
    else:
        unknown = [name for name in methods if name not in METHODS]
        if unknown:
            raise ValueError(
                f"unknown methods {', '.join(unknown)}; there are {', '.join(METHODS)}"
            )
        chosen = {name: METHODS[name] for name in methods}
    require_aeon([name for name, method in chosen.items() if method.needs_aeon])
    return chosen


def require_aeon(what: Sequence[str]) -> None:
    """Check that `aeon` is installed, if anything needs it.

    Parameters
    ----------
    what : sequence of str
        What needs it, for the message.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    if what and find_spec("aeon") is None:
        raise ImportError(
            f"aeon is not installed, but needed for {', '.join(what)}: "
            'pip install "mug_sklearn[benchmark]"'
        )
