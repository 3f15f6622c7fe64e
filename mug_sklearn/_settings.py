"""From the estimator's parameters to the network's shape and the plan of training.

`settings` is anything with the parameters of `MUGTransformer` as attributes. Numbers
may be numpy's, whose narrow types overflow in arithmetic, so they are turned into
Python's.
"""

import math
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import torch

from .device import trains_in_half_precision
from .nn.coarse import segment_scale
from .nn.convolution import receptive_field
from .nn.network import MUGConfig
from .pretraining.trainer import TrainingPlan

AUTO_SEGMENT_LENGTHS = (0.2, 0.4, 0.6)  # ShapeNet
SEGMENT_POINTS = 16
SEGMENTS_PER_LENGTH = 6
AUTO_BATCH_SIZE = 8  # TS2Vec's
AUTO_STEPS = 100
MOST_AUTO_STEPS = 1000
# Fields of a network's shape that are not named after the parameter they follow from.
_SAID_AS = {
    "patch_length": "patch_length (by max_tokens, if automatic)",
    "segment_scales": "segment_lengths",
    "segment_depth": "thereby segment_depth",
}


def check_combinations(settings: Any) -> None:
    """Refuse combinations that constraints on single parameters cannot see."""
    if settings.granularity != "coarse" and settings.d_model % settings.n_heads:
        raise ValueError(
            f"d_model={settings.d_model} is no multiple of n_heads={settings.n_heads}; "
            "each head takes an equal share of d_model."
        )
    if settings.readout == "cross" and settings.granularity != "multi":
        raise ValueError(
            f"readout='cross' needs granularity='multi', but granularity="
            f"{settings.granularity!r} has no cross-granularity transformer; use "
            "'combined' or 'robust'."
        )
    asked = _asked_segment_lengths(settings)
    for length in asked:
        whole = isinstance(length, Integral) and not isinstance(length, bool)
        share = isinstance(length, Real) and not isinstance(length, Integral)
        if not (whole and length >= 1) and not (share and 0 < length <= 1):
            raise ValueError(
                f"segment_lengths={settings.segment_lengths!r} holds {length!r}; "
                "accepted are integers >= 1 (timepoints) and floats in (0, 1] "
                "(fractions of the longest training series)."
            )
    # 1 is one timepoint, whereas 1.0, which equals it, is the whole series.
    n_lengths = len({(isinstance(length, Integral), length) for length in asked})
    has_segments = settings.granularity != "fine"
    if has_segments and not 1 <= n_lengths <= settings.n_shapelets:
        raise ValueError(
            f"segment_lengths={settings.segment_lengths!r} has {n_lengths} lengths;"
            f" accepted are 1 to n_shapelets={settings.n_shapelets}."
        )


def network_config(settings: Any, n_channels: int, n_timepoints: int) -> MUGConfig:
    """The network's shape, for training series of at most `n_timepoints`.

    Raises
    ------
    ValueError
        If a length is longer than the longest training series.
    """
    patch_length = settings.patch_length
    if isinstance(patch_length, str):
        patch_length = -(-n_timepoints // int(settings.max_tokens))
    elif patch_length > n_timepoints:
        raise ValueError(
            f"patch_length={patch_length} is longer than the longest training "
            f"series, which has {n_timepoints} timepoints."
        )
    # Fields of an encoder that is switched off keep their defaults, so that they never
    # make two networks differ.
    config = MUGConfig(
        granularity=settings.granularity,
        n_channels=n_channels,
        n_timepoints=n_timepoints,
        patch_length=int(patch_length),
        d_model=int(settings.d_model),
    )
    if config.has_fine:
        n_heads, n_layers = int(settings.n_heads), int(settings.n_layers)
        config = replace(config, n_heads=n_heads, n_layers=n_layers)
    if config.has_coarse:
        config = replace(
            config,
            segment_scales=tuple(
                segment_scale(length, n_timepoints, SEGMENT_POINTS, SEGMENTS_PER_LENGTH)
                for length in _segment_timepoints(settings, n_timepoints)
            ),
            n_shapelets=int(settings.n_shapelets),
            n_random_shapelets=int(settings.n_random_shapelets),
            segment_depth=_segment_depth(config.n_patches),
        )
    if config.granularity == "multi":
        config = replace(
            config, fine_fusion=settings.fine_fusion, fusion=settings.fusion
        )
    return config


def changed_parameters(config: MUGConfig, before: MUGConfig) -> str:
    """Names and values of the parameters by which two networks differ in shape."""
    now, then = dict(vars(config)), dict(vars(before))
    differing = [name for name in now if now[name] != then[name]]
    for shape in (now, then):
        scales = shape["segment_scales"]
        shape["segment_scales"] = tuple(scale.length for scale in scales)
    return "; ".join(
        f"{_SAID_AS.get(name, name)} was {then[name]!r} and is {now[name]!r}"
        for name in differing
    )


def _segment_depth(n_patches: int) -> int:
    """Fewest residual blocks, at least 2, after which a feature sees half the patches.

    Half is enough: the maximum over time gathers the rest.
    """
    depth = 2
    while receptive_field(depth) < (n_patches - 1) / 2:
        depth += 1
    return depth


def _asked_segment_lengths(settings: Any) -> tuple[Any, ...]:
    lengths = settings.segment_lengths
    return AUTO_SEGMENT_LENGTHS if isinstance(lengths, str) else tuple(lengths)


def _segment_timepoints(settings: Any, n_timepoints: int) -> list[int]:
    """Distinct segment lengths in timepoints, shortest first."""
    timepoints = set()
    for length in _asked_segment_lengths(settings):
        if not isinstance(length, Integral):
            timepoints.add(max(1, round(float(length) * n_timepoints)))
        elif int(length) <= n_timepoints:
            timepoints.add(int(length))
        else:
            raise ValueError(
                f"segment_lengths={settings.segment_lengths!r} holds {length}, but "
                f"the longest training series has {n_timepoints} timepoints."
            )
    return sorted(timepoints)


def training_plan(
    settings: Any,
    n_series: int,
    seed: int,
    device: torch.device,
    one_pass: bool = False,
) -> TrainingPlan:
    """How long to train on `n_series` series, and with which settings.

    With `one_pass`, ``max_epochs="auto"`` means one pass over them, and batches are of
    equal size, so that fewer series than batches are left out, where it could be nearly
    half of them (with batches of two, the last of an odd number is).
    """
    batch_size = settings.batch_size
    if isinstance(batch_size, str):
        batch_size = AUTO_BATCH_SIZE
    batch_size = min(int(batch_size), n_series)
    if one_pass and batch_size > 1:
        n_batches = -(-n_series // batch_size)
        batch_size = max(2, n_series // n_batches)
    plan = TrainingPlan(
        n_series=n_series,
        n_steps=0,
        batch_size=batch_size,
        learning_rate=float(settings.learning_rate),
        loss=settings.loss,
        token_retrieval_weight=float(settings.token_retrieval_weight),
        reconstruction_weight=float(settings.reconstruction_weight),
        cluster_triplet_weight=float(settings.cluster_triplet_weight),
        early_stopping=settings.early_stopping,
        n_iter_no_change=int(settings.n_iter_no_change),
        tol=float(settings.tol),
        seed=seed,
        half_precision=trains_in_half_precision(device, settings.precision),
        compiled=settings.compile,
    )
    max_epochs = settings.max_epochs
    if max_epochs == "auto" and not one_pass:
        growth = math.sqrt(max(1.0, n_series / 1000))
        n_steps = min(MOST_AUTO_STEPS, round(AUTO_STEPS * growth))
    else:
        n_passes = 1 if max_epochs == "auto" else int(max_epochs)
        n_steps = n_passes * plan.steps_per_epoch
    return replace(plan, n_steps=n_steps)
