"""`MUGNetwork` wires the method step by step, in the paper's order."""

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from threading import current_thread, main_thread
from typing import Any

import torch
from torch import Tensor, nn

from .bank import DilatedShapelets, ShapeletBank
from .coarse import CoarseEncoder, Segments, SegmentScale, ShapeletTransform
from .fine import FineEncoder, sinusoidal_positions
from .fusion import (
    AttentionFusion,
    ConcatenationFusion,
    CrossGranularityTransformer,
    MaxFusion,
)
from .layers import (
    MaskedBatchNorm,
    Tokens,
    masked_max,
    masked_mean,
    require_one_token,
)

INITIAL_SLOPE = 5.0  # of the retrieval's scores, which are correlations


@dataclass(frozen=True)
class MUGConfig:
    """Everything that determines the network's shape.

    Fields of an encoder that is switched off keep their defaults, so that they never
    make two configurations differ.

    Attributes
    ----------
    granularity : {"multi", "fine", "coarse"}
        Which encoders exist. "fine" alone is TST, "coarse" alone is ShapeNet.
    n_channels, n_timepoints : int
        Channels of the training panel, and timepoints of its longest series.
    patch_length : int
        Timepoints in one fine token.
    d_model, n_heads, n_layers : int
        Size of the transformers.
    segment_scales : tuple of SegmentScale
        How segments of each length are cut.
    n_shapelets : int
        Number of discovered shapelets over all segment lengths.
    n_random_shapelets : int
        Number of random dilated shapelets per dilation; 0 for none.
    fine_fusion : {"attention", "max"}
    fusion : {"cross_attention", "concat"}
    segment_depth, segment_width, segment_features : int
        Residual blocks and channels of the segment encoder, and width of its output.
    """

    granularity: str
    n_channels: int
    n_timepoints: int
    patch_length: int
    d_model: int
    n_heads: int = 1
    n_layers: int = 0
    segment_scales: tuple[SegmentScale, ...] = ()
    n_shapelets: int = 0
    n_random_shapelets: int = 0
    fine_fusion: str = "attention"
    fusion: str = "cross_attention"
    segment_depth: int = 3
    segment_width: int = 64
    segment_features: int = 320

    @property
    def has_fine(self) -> bool:
        return self.granularity != "coarse"

    @property
    def has_coarse(self) -> bool:
        return self.granularity != "fine"

    @property
    def n_patches(self) -> int:
        """Patches of the longest training series."""
        return -(-self.n_timepoints // self.patch_length)

    def shapelets_of_scale(self) -> list[int]:
        """Number of discovered shapelets of each segment length, shared out evenly."""
        share, rest = divmod(self.n_shapelets, len(self.segment_scales))
        return [share + (i < rest) for i in range(len(self.segment_scales))]


@dataclass(frozen=True)
class Granularities:
    """Token-level representations of a batch; None where a granularity is off.

    Attributes
    ----------
    fine : Tokens, optional
    coarse : Segments, optional
    fused, multi : Tokens, optional
        One token per series with ``fine_fusion="max"``.
    """

    fine: Tokens | None = None
    coarse: Segments | None = None
    fused: Tokens | None = None
    multi: Tokens | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "Granularities":
        """Apply `change` to every tensor with one row per series, masks included."""
        changed: dict[str, Any] = {
            name: Tokens(*map(change, tokens))
            for name in ("fine", "fused", "multi")
            if (tokens := getattr(self, name)) is not None
        }
        if self.coarse is not None:
            parts: dict[str, Any] = {
                name: change(getattr(self.coarse, name))
                for name in ("tokens", "mask", "features", "feature_mask")
            }
            changed["coarse"] = replace(self.coarse, **parts)
        return replace(self, **changed)


class MUGNetwork(nn.Module):
    """The whole network.

    Parameters
    ----------
    config : MUGConfig
        A granularity that is off has no modules.
    """

    fine: FineEncoder
    coarse: CoarseEncoder
    shapelets: nn.ModuleList
    bank: ShapeletBank
    fine_fusion: nn.Module
    fusion: nn.Module
    log_slope: nn.Parameter
    offset: nn.Parameter

    def __init__(self, config: MUGConfig) -> None:
        super().__init__()
        self.config = config
        d_model, n_heads = config.d_model, config.n_heads
        if config.has_fine:
            self.fine = FineEncoder(
                config.n_channels,
                config.patch_length,
                n_positions=config.n_patches,
                d_model=d_model,
                n_heads=n_heads,
                n_layers=config.n_layers,
            )
        if config.has_coarse:
            self.coarse = CoarseEncoder(
                config.n_channels,
                config.patch_length,
                config.segment_scales,
                width=config.segment_width,
                depth=config.segment_depth,
                n_features=config.segment_features,
                d_model=d_model,
            )
            self.shapelets = nn.ModuleList(
                ShapeletTransform(scale, n_shapelets, config.n_channels)
                for scale, n_shapelets in zip(
                    config.segment_scales, config.shapelets_of_scale(), strict=True
                )
            )
            if config.n_random_shapelets:
                self.bank = ShapeletBank(
                    config.n_channels, config.n_timepoints, config.n_random_shapelets
                )
        if config.granularity == "multi":
            self.fine_fusion = (
                AttentionFusion(d_model, n_heads)
                if config.fine_fusion == "attention"
                else MaxFusion(d_model)
            )
            self.fusion = (
                CrossGranularityTransformer(d_model, n_heads)
                if config.fusion == "cross_attention"
                else ConcatenationFusion(d_model)
            )
            self.log_slope = nn.Parameter(torch.zeros(()))
            self.offset = nn.Parameter(torch.zeros(()))

    def forward(
        self, values: Tensor, observed: Tensor, hidden: Tensor | None = None
    ) -> Granularities:
        """Steps 1 to 4 of the method.

        Parameters
        ----------
        values : Tensor of shape (n, C, T)
        observed : bool Tensor of shape (n, C, T)
        hidden : bool Tensor of shape (n, C, T), optional
            Observed values that the fine encoder must not see (pretext task).
        """
        # 1. Fine-grained encoder, TST
        fine = self.fine(values, observed, hidden) if self.config.has_fine else None
        # 2. Coarse-grained encoder, ShapeNet
        coarse = self.coarse(values, observed) if self.config.has_coarse else None
        if fine is None or coarse is None:
            return Granularities(fine, coarse)
        # 3. Fine-grained fusion
        fused = self.fine_fusion(*fine)
        # 4. Cross-granularity transformer: Query = fused, Key = Value = coarse
        multi = self.fusion(fused.tokens, coarse.tokens, coarse.mask)
        return Granularities(fine, coarse, fused, Tokens(multi, fused.mask))

    def pooled_blocks(
        self, values: Tensor, observed: Tensor, names: Iterable[str] | None = None
    ) -> dict[str, Tensor]:
        """Describe each series by one vector per block, at every granularity.

        Parameters
        ----------
        values : Tensor of shape (n, C, T)
        observed : bool Tensor of shape (n, C, T)
        names : iterable of str, optional
            The blocks to compute, from "fine", "coarse", "shapelets", "bank" and
            "multi"; by default, all that the network has.

        Returns
        -------
        dict of str to Tensor of shape (n, width)
        """
        tokens = self(values, observed)
        blocks: dict[str, Callable[[], Tensor]] = {}
        if tokens.fine is not None:
            blocks["fine"] = partial(_mean_and_max, *tokens.fine)
        if tokens.coarse is not None:
            coarse = tokens.coarse
            blocks["coarse"] = partial(masked_max, coarse.features, coarse.feature_mask)
            blocks["shapelets"] = partial(self._shapelet_distances, values, observed)
            if self.config.n_random_shapelets:
                blocks["bank"] = partial(self.bank, values, observed)
        if tokens.multi is not None:
            blocks["multi"] = partial(_mean_and_max, *tokens.multi)
        return {name: blocks[name]() for name in (blocks if names is None else names)}

    def split_half_noise(self, values: Tensor, observed: Tensor) -> dict[str, Tensor]:
        """How much chance changes the pooled features of each series. Ours.

        Taken from differences between the even and the odd timepoints; for the coarse
        encoder between its even and odd patches, though it has seen their neighbours.

        Parameters
        ----------
        values : Tensor of shape (n, C, T)
        observed : bool Tensor of shape (n, C, T)

        Returns
        -------
        dict of str to Tensor of shape (n, width)
            Squares, for the pooled blocks "coarse" and "bank", those of them that the
            network has. The mean over series stands for the variance of a feature by
            chance, roughly for "coarse", whose features are maxima.
        """
        if not self.config.has_coarse:
            return {}
        segments = self.coarse(values, observed)
        noise = {"coarse": _noise_of_maxima(segments.features, segments.feature_mask)}
        if self.config.n_random_shapelets:
            noise["bank"] = self.bank.split_half_noise(values, observed)
        return noise

    def _shapelet_distances(self, values: Tensor, observed: Tensor) -> Tensor:
        distances = [shapelet(values, observed) for shapelet in self.shapelets]
        return torch.cat(distances, dim=1)


def _mean_and_max(tokens: Tensor, mask: Tensor) -> Tensor:
    return torch.cat((masked_mean(tokens, mask), masked_max(tokens, mask)), dim=1)


def _noise_of_maxima(tokens: Tensor, mask: Tensor) -> Tensor:
    """Squares of half the differences, (n, F, d), (n, F) -> (n, d).

    0 where a half has no token that counts.
    """
    if tokens.shape[1] == 1:
        return torch.zeros_like(tokens[:, 0])
    halves = slice(0, None, 2), slice(1, None, 2)
    even, odd = (
        masked_max(tokens[:, half], require_one_token(mask[:, half])) for half in halves
    )
    even_counts, odd_counts = (mask[:, half].any(dim=1) for half in halves)
    known = (even_counts & odd_counts)[:, None]
    return ((even - odd) / 2).square() * known


def build_network(config: MUGConfig) -> MUGNetwork:
    """A network of zeros on the CPU, built without drawing random numbers."""
    # Not in the main thread: an interrupt, which comes to that one, could leave it on
    # the meta device, or break torch's switching of devices with another error.
    if current_thread() is main_thread():
        with ThreadPoolExecutor(1) as thread:
            network = thread.submit(_without_storage, config).result()
    else:  # without an executor, which starts nothing once the main thread has ended
        network = _without_storage(config)
    # Not by `to_empty`: it loads torch's symbolic shapes, which takes half a second.
    zeros = {
        name: torch.zeros(tensor.shape, dtype=tensor.dtype, device="cpu")
        for name, tensor in network.state_dict().items()
    }
    network.load_state_dict(zeros, assign=True)
    return network


def _without_storage(config: MUGConfig) -> MUGNetwork:
    # Constructors on the meta device leave the global random state alone.
    with torch.device("meta"):
        # In single precision, whatever torch's default is.
        return MUGNetwork(config).float()


@torch.no_grad()
def initialise(network: MUGNetwork, generator: torch.Generator) -> None:
    """Draw all weights of a built network from `generator`."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)
        elif isinstance(module, FineEncoder):
            module.position.copy_(sinusoidal_positions(*module.position.shape))
        elif isinstance(module, DilatedShapelets):
            module.draw(generator)
        elif isinstance(module, nn.LayerNorm | MaskedBatchNorm):
            module.weight.fill_(1.0)
            module.bias.fill_(0.0)
            if isinstance(module, MaskedBatchNorm):
                module.running_variance.fill_(1.0)
    if network.config.granularity == "multi":
        network.log_slope.fill_(math.log(INITIAL_SLOPE))
        network.offset.fill_(0.0)
