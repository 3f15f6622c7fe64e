"""The methods that the benchmark compares, by name: MUG, its ablations and its peers.

Every method reads the same panels. The peers of `aeon` accept no gaps, and few of them
accept series of unequal length, so `FilledPanel` prepares the series for them. Random
convolutions need as many timepoints as their kernels have.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

from sklearn.pipeline import make_pipeline

from .. import MUGTransformer
from .._raw_values import FilledPanel, raw_values

# Kernels of nine timepoints; MultiRocket lays them on the differences of a series, too.
_SHORTEST_CONVOLVED = 10


@dataclass(frozen=True)
class Method:
    """One method of the benchmark.

    Parameters
    ----------
    make : callable
        Takes a seed and returns an unfitted estimator: a transformer from a panel to an
        embedding, or a classifier of panels.
    description : str, default=""
        What the method is, in a few words.
    is_classifier : bool, default=False
        True if the estimator classifies by itself.
    is_random : bool, default=True
        False if all seeds give the same result; then only one is run.
    needs_aeon : bool, default=False
        True if `aeon` must be installed. In each process the method is first fitted on
        a few values, so that what numba compiles is not timed.

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
    return raw_values()


def _catch22(seed: int) -> Any:
    from aeon.transformations.collection.feature_based import Catch22

    return make_pipeline(FilledPanel(), Catch22(replace_nans=True))


def _convolution(seed: int, name: str) -> Any:
    from aeon.transformations.collection import convolution_based

    return make_pipeline(
        FilledPanel(min_timepoints=_SHORTEST_CONVOLVED),
        getattr(convolution_based, name)(random_state=seed),
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


# Changes that are run under each of the two readouts: description and parameters.
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
    "mug-coarse": _ablation(
        "its coarse encoder with the random shapelets", granularity="coarse"
    ),
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
    # noisy features count for less
    "mug-robust": _ablation("the robust readout", readout="robust"),
    "mug-robust-untrained": _ablation(
        "the robust readout, no training", readout="robust", max_epochs=0
    ),
    # the same under the paper's readout, which sees only the cross-granularity tokens
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
    """Look up methods by name, or check that custom methods can run.

    Parameters
    ----------
    methods : sequence of str, or mapping of str to Method
        Names from `METHODS`, or custom methods.

    Returns
    -------
    dict of str to Method

    Raises
    ------
    ValueError
        If a name is unknown.
    ImportError
        If a method needs `aeon`, which is not installed.

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
