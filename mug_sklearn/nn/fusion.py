"""Steps 3 and 4: fine-grained fusion and the cross-granularity transformer.

Each has the paper's ablation beside it, with the same signature: `MaxFusion` for
`AttentionFusion`, `ConcatenationFusion` for `CrossGranularityTransformer`.
"""

import torch
from torch import Tensor, nn

from .layers import (
    Attention,
    FeedForward,
    TokenLinear,
    Tokens,
    masked_max,
    masked_mean,
)


class AttentionFusion(nn.Module):
    """Merge the timestamp representations by self-attention, with a residual."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.attention = Attention(d_model, n_heads)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, fine: Tensor, mask: Tensor) -> Tokens:
        # (n, F, d), (n, F) -> (n, F, d), (n, F)
        return Tokens(self.norm(fine + self.attention(fine, fine, mask)), mask)


class MaxFusion(nn.Module):
    """Ablation: the maximum over time; one token stands for the series."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_model)

    def forward(self, fine: Tensor, mask: Tensor) -> Tokens:
        # (n, F, d), (n, F) -> (n, 1, d), (n, 1)
        fused = self.norm(masked_max(fine, mask)).unsqueeze(1)
        return Tokens(fused, torch.ones_like(mask[:, :1]))


class CrossGranularityTransformer(nn.Module):
    """Timestamps attend to segments: Query = fused, Key = Value = coarse.

    Attention, Add & Norm, feed-forward, Add & Norm.
    """

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.attention = Attention(d_model, n_heads)
        self.attention_norm = nn.LayerNorm(d_model)
        self.feedforward = FeedForward(d_model)
        self.feedforward_norm = nn.LayerNorm(d_model)

    def forward(self, fused: Tensor, coarse: Tensor, coarse_mask: Tensor) -> Tensor:
        # (n, F, d), (n, S, d), (n, S) -> (n, F, d)
        attended = fused + self.attention(fused, coarse, coarse_mask)
        multi = self.attention_norm(attended)
        return self.feedforward_norm(multi + self.feedforward(multi))


class ConcatenationFusion(nn.Module):
    """Ablation: each fused token joined to the mean segment, projected back to d."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.project = TokenLinear(2 * d_model, d_model)

    def forward(self, fused: Tensor, coarse: Tensor, coarse_mask: Tensor) -> Tensor:
        # (n, F, d), (n, S, d), (n, S) -> (n, F, d)
        segment = masked_mean(coarse, coarse_mask).unsqueeze(1).expand_as(fused)
        return self.project(torch.cat((fused, segment), dim=-1))
