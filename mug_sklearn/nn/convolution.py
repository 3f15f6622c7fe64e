"""The dilated causal CNN of the coarse-grained encoder."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import ALIGNED, TokenLinear


class CausalConv(nn.Module):
    """Dilated causal convolution of kernel size 3, channels last.

    One matrix product over the three taps side by side: on the short signals here its
    backward pass takes half the time of the convolution library's. Out of training the
    taps are not copied: their products with each series are added up.
    """

    def __init__(self, n_inputs: int, n_outputs: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.taps = TokenLinear(3 * n_inputs, n_outputs)

    def forward(self, signal: Tensor) -> Tensor:
        # (N, points, inputs) -> (N, points, outputs)
        n_points = signal.shape[1]
        padded = F.pad(signal, (0, 0, 2 * self.dilation, 0))
        starts = (0, self.dilation, 2 * self.dilation)
        taps = [padded[:, start : start + n_points] for start in starts]
        aligned = signal.shape[2] % ALIGNED == len(self.taps.bias) % ALIGNED == 0
        if self.training or signal.device.type != "cpu" or not aligned:
            return self.taps(torch.cat(taps, dim=-1))
        weights = self.taps.weight.T.contiguous().unflatten(0, (3, 1, -1))
        weights = weights.expand(-1, len(signal), -1, -1)
        output = torch.baddbmm(self.taps.bias, taps[0], weights[0])
        for tap, weight in zip(taps[1:], weights[1:], strict=True):
            output.baddbmm_(tap, weight)
        return output


class CausalBlock(nn.Module):
    """Residual block of two dilated causal convolutions."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = CausalConv(width, width, dilation)
        self.second = CausalConv(width, width, dilation)

    def forward(self, signal: Tensor) -> Tensor:
        inner = self.first(F.gelu(signal))
        return signal + self.second(F.gelu(inner))


class SeriesEncoder(nn.Module):
    """Dilated causal CNN: a series becomes one feature vector a patch.

    Ours: it runs once over the whole series, where ShapeNet's runs over each segment
    anew; what segments share is then computed once.
    """

    def __init__(self, n_inputs: int, width: int, depth: int, n_features: int) -> None:
        super().__init__()
        self.stem = CausalConv(n_inputs, width, 1)
        self.blocks = nn.Sequential(
            *(CausalBlock(width, 2**level) for level in range(depth))
        )
        self.features = TokenLinear(width, n_features)

    def forward(self, series: Tensor) -> Tensor:
        # (n, P, inputs) -> (n, P, n_features)
        return self.features(F.gelu(self.blocks(self.stem(series))))


def receptive_field(depth: int) -> int:
    """Points of a series that a feature of a `SeriesEncoder` of `depth` sees."""
    return 2 ** (depth + 2) - 1
