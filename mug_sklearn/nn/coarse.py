"""Step 2: the coarse-grained encoder (ShapeNet), its segments and shapelets.

Li et al., "ShapeNet: A Shapelet-Neural Network Approach for Multivariate Time Series
Classification", AAAI 2021. Ours: a segment spans all channels; long segments are
averaged down to a bounded number of points, so that cost grows linearly with T; gaps
are masked; a segment counts if at least half of its points are observed.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .convolution import SeriesEncoder
from .layers import (
    ALIGNED,
    TokenLinear,
    as_numbers,
    distinct,
    known_to_be_full,
    lowered,
    maximum,
    observed_patches,
    pad_end,
    patches,
    require_one_token,
)

# Numbers in windows that are in memory together on a CPU, 2 MB. More leave its cache,
# and may get memory that the system must clear first.
WINDOW_NUMBERS = 2**19


@dataclass(frozen=True)
class SegmentScale:
    """How segments of one length are cut.

    Attributes
    ----------
    length : int
        Timepoints in a segment.
    pooling : int
        Timepoints averaged into one point.
    width : int
        Points in a segment, ``ceil(length / pooling)``.
    stride : int
        Points between the starts of neighbouring segments.
    """

    length: int
    pooling: int
    width: int
    stride: int

    @property
    def half(self) -> int:
        """Points that must be observed for a segment to count: half of them."""
        return -(-self.width // 2)


def segment_scale(
    length: int, n_timepoints: int, max_points: int, n_segments: int
) -> SegmentScale:
    """Scale at which about `n_segments` segments of `length` cover a training series.

    Parameters
    ----------
    length : int
        Timepoints in a segment, at most `n_timepoints`.
    n_timepoints : int
        Length of the longest training series.
    max_points : int
        Most points that a segment may have after pooling.
    n_segments : int
        Segments wanted on a series of `n_timepoints`.
    """
    pooling = -(-length // max_points)
    width = -(-length // pooling)
    slack = -(-n_timepoints // pooling) - width
    stride = max(1, min(-(-slack // max(n_segments - 1, 1)), width))
    return SegmentScale(length, pooling, width, stride)


def masked_average_pool(
    values: Tensor, observed: Tensor, pooling: int
) -> tuple[Tensor, Tensor]:
    """Average the observed values of each run of `pooling` timepoints.

    Returns
    -------
    values : Tensor of shape (n, C, ceil(T / pooling))
        0 where nothing is observed.
    observed : bool Tensor of the same shape
    """
    if pooling == 1:
        return values * observed, observed
    missing = -values.shape[-1] % pooling
    weight = pad_end(as_numbers(observed, values.dtype), missing)
    total = pad_end(values, missing) * weight
    total, count = (x.unflatten(-1, (-1, pooling)).sum(dim=-1) for x in (total, weight))
    return total / count.clamp(min=1), count > 0


def cut_segments(
    values: Tensor, observed: Tensor, scale: SegmentScale
) -> tuple[Tensor, Tensor]:
    """Slide a window over each series; `segment_mask` says which segments count.

    Returns
    -------
    values, observed : Tensor of shape (n, S, C, width)
    """
    pooled, present = masked_average_pool(values, observed, scale.pooling)
    cut_values, cut_observed = _slide(pooled, scale), _slide(present, scale)
    return cut_values.transpose(1, 2), cut_observed.transpose(1, 2)


def segment_mask(observed: Tensor, scale: SegmentScale) -> Tensor:
    """Which segments count, (n, C, T) -> (n, S).

    A segment counts if at least half of its points are observed in some channel. If a
    series has no such segment, those with the most observed points count. The mask
    depends on the series alone, not on its batch.
    """
    present = observed_patches(distinct(observed), scale.pooling)  # (1 or n, points)
    n_present = _slide(present.float(), scale).sum(dim=-1)
    # Segments that exist only because this batch is padded must not count. To a series
    # shorter than half a segment this leaves none, and its first one counts.
    point = torch.arange(1, present.shape[1] + 1, device=present.device)
    n_points = (present * point).amax(dim=1, keepdim=True)
    start = scale.stride * torch.arange(n_present.shape[1], device=present.device)
    n_present = n_present * (start <= n_points - scale.half)
    best = n_present.amax(dim=1, keepdim=True)
    counts = (n_present >= best.clamp(max=scale.half)) & (best > 0)
    return require_one_token(counts).expand(len(observed), -1)


def _slide(points: Tensor, scale: SegmentScale) -> Tensor:
    """Windows over the last dimension: (..., points) -> (..., S, width)."""
    n_points = points.shape[-1]
    # A window that starts later cannot have half of its points inside the series.
    last_start = max(0, n_points - scale.half)
    reach = last_start // scale.stride * scale.stride + scale.width
    padded = F.pad(points, (0, max(0, reach - n_points)))
    return padded.unfold(-1, scale.width, scale.stride)


@dataclass(frozen=True)
class Segments:
    """Coarse tokens of a batch, and the feature map that they are cut from.

    Attributes
    ----------
    tokens : Tensor of shape (n, S, d)
    mask : bool Tensor of shape (n, S)
    n_segments : tuple of int
        Number of segments of each length; their tokens follow one another.
    spans : int Tensor of shape (S, 2)
        First timepoint of each segment, and the one after its last.
    features : Tensor of shape (n, P, n_features)
        The encoder's output at each patch of the series.
    feature_mask : bool Tensor of shape (n, P)
        True where a patch covers an observed value.
    """

    tokens: Tensor
    mask: Tensor
    n_segments: tuple[int, ...]
    spans: Tensor
    features: Tensor
    feature_mask: Tensor

    def by_scale(self) -> list[tuple[Tensor, Tensor]]:
        """Tokens and mask of the segments of each length."""
        tokens = self.tokens.split(self.n_segments, dim=1)
        return list(zip(tokens, self.mask.split(self.n_segments, dim=1), strict=True))


class CoarseEncoder(nn.Module):
    """ShapeNet: embeds segments of several lengths.

    A segment's embedding is the maximum of the CNN's projected output over the patches
    that it touches, normalised.

    Parameters
    ----------
    n_channels : int
    patch_length : int
        Timepoints in one point of the feature map.
    scales : tuple of SegmentScale
    width, depth : int
        Channels and residual blocks of the CNN.
    n_features : int
        Width of the CNN's output.
    d_model : int
    """

    def __init__(
        self,
        n_channels: int,
        patch_length: int,
        scales: tuple[SegmentScale, ...],
        width: int,
        depth: int,
        n_features: int,
        d_model: int,
    ) -> None:
        super().__init__()
        self.patch_length = patch_length
        self.scales = scales
        self.encoder = SeriesEncoder(
            2 * n_channels * patch_length, width, depth, n_features
        )
        self.project = TokenLinear(n_features, d_model)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, values: Tensor, observed: Tensor) -> Segments:
        features = self.encoder(patches(values, observed, self.patch_length))
        feature_mask = require_one_token(observed_patches(observed, self.patch_length))
        points = self.project(features)  # (n, P, d)
        known = lowered(points, feature_mask)
        strongest, masks, spans = [], [], []
        for scale in self.scales:
            mask = segment_mask(observed, scale)
            step = scale.stride * scale.pooling
            for start in range(0, mask.shape[1] * step, step):
                first = start // self.patch_length
                last = -(-(start + scale.length) // self.patch_length)
                strongest.append(maximum(known[:, first:last]))
                spans.append((start, start + scale.length))
            masks.append(mask)
        embedding = torch.stack(strongest, dim=1)  # (n, S, d)
        embedding = embedding.masked_fill(embedding.isinf(), 0.0)
        return Segments(
            self.norm(embedding),
            torch.cat(masks, dim=1),
            tuple(mask.shape[1] for mask in masks),
            torch.tensor(spans, device=values.device),
            features,
            feature_mask,
        )


class ShapeletTransform(nn.Module):
    """Best-match distance of a series to each shapelet.

    Parameters
    ----------
    scale : SegmentScale
        Scale at which the shapelets were cut, and slide point by point.
    n_shapelets, n_channels : int
    """

    values: Tensor
    observed: Tensor

    def __init__(self, scale: SegmentScale, n_shapelets: int, n_channels: int) -> None:
        super().__init__()
        self.scale = scale
        shape = (n_shapelets, n_channels, scale.width)
        self.register_buffer("values", torch.zeros(shape))
        self.register_buffer("observed", torch.ones(shape, dtype=torch.bool))

    def forward(self, values: Tensor, observed: Tensor) -> Tensor:
        """Distances of the best matches, (n, C, T) -> (n, n_shapelets)."""
        return self.distances(values, observed).amin(dim=-1)

    def distances(self, values: Tensor, observed: Tensor) -> Tensor:
        """Distances at each position, (n, C, T) -> (n, n_shapelets, positions).

        The distance at a position is the mean squared difference over the points
        observed in both. A position counts if these are at least half of the shapelet's
        observed points; if there is no such position, the ones with the most points do.
        At all others the distance is infinite. From a series with which it shares no
        point, a shapelet is as far as from one that stays at its channels' means. No
        root is taken: it would blow up the rounding error of a perfect match.
        """
        pooled, present = masked_average_pool(
            values, distinct(observed), self.scale.pooling
        )
        seen = as_numbers(present, pooled.dtype)
        known = as_numbers(self.observed, pooled.dtype)
        shapelet = self.values * known
        # Shapelets with the same gaps, or none, overlap a window alike.
        gaps = as_numbers(distinct(self.observed), pooled.dtype)
        # known * pooled^2 - 2 * shapelet * pooled + shapelet^2 * seen
        power, counted = pooled.square(), gaps
        if known_to_be_full(self.observed):  # then all channels count alike
            power, counted = power.sum(dim=1, keepdim=True), gaps[:, :1]
        square = self._products(-2 * shapelet, pooled) + self._products(counted, power)
        square = (square + self._products(shapelet.square(), seen)).clamp_(min=0)
        common = self._products(gaps, seen)
        half = gaps.sum(dim=(1, 2))[:, None] / 2
        fewest = torch.minimum(common.amax(dim=-1, keepdim=True), half)
        penalty = torch.zeros_like(common).masked_fill(common < fewest, torch.inf)
        shared = common > 0
        distance = square / common
        if not known_to_be_full(shared):  # somewhere that is 0 / 0
            n_known = known.sum(dim=(1, 2)).clamp(min=1)
            from_means = shapelet.square().sum(dim=(1, 2)) / n_known
            distance = torch.where(shared, distance, from_means[:, None])
        return distance + penalty

    def _products(self, shapelets: Tensor, series: Tensor) -> Tensor:
        """Inner product of each shapelet with each window.

        (shapelets, C, width), (n, C, points) -> (n, shapelets, points). One matrix
        product per series, so that its rounding does not depend on the batch.
        """
        rows = shapelets.flatten(1)
        found = [
            torch.bmm(rows.expand(len(some), -1, -1), self._windows(some))
            for some in series.split(self._n_at_once(series))
        ]
        return torch.cat(found)[..., : series.shape[-1]]

    def _n_at_once(self, series: Tensor) -> int:
        """Number of series whose windows are together in memory."""
        if series.device.type != "cpu":
            return max(1, len(series))
        _, n_rows, n_points = series.shape
        n_aligned = n_points + -n_points % ALIGNED
        return max(1, WINDOW_NUMBERS // (n_rows * self.scale.width * n_aligned))

    def _windows(self, series: Tensor) -> Tensor:
        """Every window that starts inside, (n, C, points) -> (n, C * width, aligned).

        Further windows are added so that all matrices of a batch are aligned alike.
        """
        further = -series.shape[-1] % ALIGNED
        padded = F.pad(series, (0, self.scale.width - 1 + further))
        windows = padded.unfold(-1, self.scale.width, 1).transpose(2, 3)
        # Windows left overlapping in memory would be copied anew for each series.
        return windows.contiguous().flatten(1, 2)
