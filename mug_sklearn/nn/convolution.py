"""Part of step 2: the dilated causal CNN of the coarse-grained encoder."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import TokenLinear, convolve, has_convolution, token_linear

# Number of inputs from which copying a signal three times costs more than shifting its
# products.
WIDE = 512


class CausalConv(nn.Module):
    """Dilated causal convolution of kernel size 3, channels last.

    In training it is one matrix product over the three taps side by side: on the short
    signals here, its backward pass takes half the time of the convolution library's.
    There, a wide signal, of many channels or long patches, is not copied: all its
    products are computed at once, then shifted and added up.
    """

    def __init__(self, n_inputs: int, n_outputs: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.taps = TokenLinear(3 * n_inputs, n_outputs)

    def forward(self, signal: Tensor) -> Tensor:
        # (N, points, inputs) -> (N, points, outputs)
        if not self.training and has_convolution(signal):
            weight = self.taps.weight.unflatten(1, (3, -1))
            return convolve(
                self._delayed(signal), weight, self.taps.bias, self.dilation
            )
        if signal.shape[2] >= WIDE:
            return self._of_wide(signal)
        return self.taps(torch.cat(self._taps(signal), dim=-1))

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
        padded = self._delayed(signal)
        starts = (0, self.dilation, 2 * self.dilation)
        return [padded[:, start : start + signal.shape[1]] for start in starts]

    def _delayed(self, signal: Tensor) -> Tensor:
        """The signal behind two dilations of zeros."""
        return F.pad(signal, (0, 0, 2 * self.dilation, 0))


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
    anew, so that whatever segments share is computed only once. As in TS2Vec, a GELU
    comes before each convolution but the first, and before the last linear map.
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
