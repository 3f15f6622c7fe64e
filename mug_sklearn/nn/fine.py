"""Step 1: the fine-grained encoder, TST, and its masked-value head.

Zerveas et al., "A Transformer-based Framework for Multivariate Time Series
Representation Learning", KDD 2021. Ours: patches for long series, an
observed-indicator beside every value so that nothing is imputed, no dropout (masked
spans and augmented views regularise, and the network draws no random numbers), and
positional encodings that begin as sinusoids: TST's small random ones need hundreds of
epochs before they tell where a token is.
"""

import math

import torch
from torch import Tensor, nn

from .layers import (
    Attention,
    FeedForward,
    MaskedBatchNorm,
    TokenLinear,
    Tokens,
    observed_patches,
    patches,
    require_one_token,
)


class TransformerLayer(nn.Module):
    """Post-norm transformer encoder layer with BatchNorm in place of LayerNorm."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.attention = Attention(d_model, n_heads)
        self.attention_norm = MaskedBatchNorm(d_model)
        self.feedforward = FeedForward(d_model)
        self.feedforward_norm = MaskedBatchNorm(d_model)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        attended = tokens + self.attention(tokens, tokens, mask)
        tokens = self.attention_norm(attended, mask)
        return self.feedforward_norm(tokens + self.feedforward(tokens), mask)


def sinusoidal_positions(n_positions: int, d_model: int) -> Tensor:
    """Sinusoids of wavelengths 2 pi to 10,000 times that, (n_positions, d_model).

    References
    ----------
    Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.5.
    """
    place, feature = (
        torch.arange(n, dtype=torch.float64, device="cpu")
        for n in (n_positions, d_model)
    )
    angle = place[:, None] * 1e4 ** (-2 * (feature // 2) / d_model)
    return torch.where(feature % 2 == 0, angle.sin(), angle.cos())


class FineEncoder(nn.Module):
    """TST: one token for each timepoint, or for each patch of timepoints.

    Parameters
    ----------
    n_channels : int
    patch_length : int
        Timepoints in one token.
    n_positions : int
        Number of learnable positional encodings. Tokens beyond them share the last.
    d_model, n_heads, n_layers : int
        Size of the transformer.
    """

    def __init__(
        self,
        n_channels: int,
        patch_length: int,
        n_positions: int,
        d_model: int,
        n_heads: int,
        n_layers: int,
    ) -> None:
        super().__init__()
        self.patch_length = patch_length
        self.embed = TokenLinear(2 * n_channels * patch_length, d_model)
        self.position = nn.Parameter(torch.zeros(n_positions, d_model))
        self.layers = nn.ModuleList(
            TransformerLayer(d_model, n_heads) for _ in range(n_layers)
        )
        self.head = nn.Sequential(
            nn.GELU(), nn.Linear(d_model, n_channels * patch_length)
        )

    def forward(
        self, values: Tensor, observed: Tensor, hidden: Tensor | None = None
    ) -> Tokens:
        """Encode a batch.

        Parameters
        ----------
        values : Tensor of shape (n, C, T)
        observed : bool Tensor of shape (n, C, T)
        hidden : bool Tensor of shape (n, C, T), optional
            Observed values to hide from the encoder; their tokens stay.

        Returns
        -------
        Tokens
            The mask is True where a token covers an observed value.
        """
        mask = require_one_token(observed_patches(observed, self.patch_length))
        visible = observed if hidden is None else observed & ~hidden
        embedded = self.embed(patches(values, visible, self.patch_length))  # (n, F, d)
        place = torch.arange(mask.shape[1], device=values.device)
        tokens = embedded * math.sqrt(embedded.shape[-1])
        tokens = tokens + self.position[place.clamp(max=len(self.position) - 1)]
        for layer in self.layers:
            tokens = layer(tokens, mask)
        return Tokens(tokens, mask)

    def reconstruct(self, tokens: Tensor, n_timepoints: int) -> Tensor:
        """Predict the values from the tokens: (n, F, d) -> (n, C, T)."""
        predicted = self.head(tokens).unflatten(-1, (-1, self.patch_length))
        return predicted.transpose(1, 2).flatten(start_dim=2)[..., :n_timepoints]
