"""Part of step 2: the dilated causal CNN of the coarse-grained encoder."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import ALIGNED, TokenLinear, token_linear

# Number of inputs from which copying a signal three times costs more than shifting its
# products.
WIDE = 512


class CausalConv(nn.Module):
    """Dilated causal convolution of kernel size 3, channels last.

    One matrix product over the three taps side by side: on the short signals here, its
    backward pass takes half the time of the convolution library's. Outside training,
    the taps are not copied; their products with each series are added up. A wide
    signal, of many channels or long patches, is never copied: all its products are
    computed at once, then shifted and added up.
    """

    def __init__(self, n_inputs: int, n_outputs: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.taps = TokenLinear(3 * n_inputs, n_outputs)

    def forward(self, signal: Tensor) -> Tensor:
        # (N, points, inputs) -> (N, points, outputs)
        if signal.shape[2] >= WIDE:
            return self._of_wide(signal)
        taps = self._taps(signal)
        aligned = signal.shape[2] % ALIGNED == len(self.taps.bias) % ALIGNED == 0
        if self.training or signal.device.type != "cpu" or not aligned:
            return self.taps(torch.cat(taps, dim=-1))
        weights = self.taps.weight.T.contiguous().unflatten(0, (3, 1, -1))
        weights = weights.expand(-1, len(signal), -1, -1)
        output = torch.baddbmm(self.taps.bias, taps[0], weights[0])
        for tap, weight in zip(taps[1:], weights[1:], strict=True):
            output.baddbmm_(tap, weight)
        return output

    def _of_wide(self, signal: Tensor) -> Tensor:
        bias = self.taps.bias
        # (outputs, 3 * inputs) -> (3 * outputs, inputs)
        weights = self.taps.weight.unflatten(1, (3, -1)).transpose(0, 1).flatten(0, 1)
        none = bias.new_zeros(len(weights))
        products = token_linear(signal, weights, none, self.training)
        late = [tap.chunk(3, dim=2) for tap in self._taps(products)]
        return late[0][0] + late[1][1] + late[2][2] + bias

    def _taps(self, signal: Tensor) -> list[Tensor]:
        """The signal delayed by two dilations, one and none, with zeros before it."""
        padded = F.pad(signal, (0, 0, 2 * self.dilation, 0))
        starts = (0, self.dilation, 2 * self.dilation)
        return [padded[:, start : start + signal.shape[1]] for start in starts]


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
    """Dilated causal CNN that turns a series into one feature vector per patch.

    Ours: it runs once over the whole series, whereas ShapeNet's runs over each segment
    anew, so that whatever segments share is computed only once.
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
    """Number of points that one feature of a `SeriesEncoder` of `depth` sees."""
    return 2 ** (depth + 2) - 1
