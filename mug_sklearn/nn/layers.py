"""Building blocks shared by the encoders: masked normalisation, masked attention.

Shape letters used in this package: n series, C channels, T timepoints, F fine tokens,
P patches, S segments (coarse tokens), d = d_model. A token mask is True where a token
counts.
"""

import platform
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Numbers in a cache line. A product may round differently if a matrix begins elsewhere
# in a line, so all matrices of a batch begin at the start of one.
ALIGNED = 16
# On an x86 processor with AVX2: for others its convolutions may be slow, and round a
# series otherwise in another batch.
HAS_ONEDNN = (
    platform.machine().lower() in ("x86_64", "amd64")
    and torch.backends.cpu.get_cpu_capability() != "DEFAULT"
    and torch.backends.mkldnn.is_available()
)
# Smallest weight of a new batch in the running statistics.
MOMENTUM = 0.1


def drawn_by(generator: torch.Generator) -> dict[str, Any]:
    """Settings of a draw that torch's default device and precision do not affect."""
    device = generator.device
    return {"generator": generator, "device": device, "dtype": torch.float32}


class Tokens(NamedTuple):
    """Token-level representation of a batch at one granularity.

    Attributes
    ----------
    tokens : Tensor of shape (n, F, d)
    mask : bool Tensor of shape (n, F)
    """

    tokens: Tensor
    mask: Tensor


def as_numbers(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """1 where a mask is True, else 0."""
    # As bytes: torch's conversion of booleans takes seven times as long.
    return mask.view(torch.uint8).to(dtype)


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens that count: (n, F, d), (n, F) -> (n, d)."""
    weight = as_numbers(mask, tokens.dtype).unsqueeze(-1)
    return (tokens * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def known_to_be_full(mask: Tensor) -> bool:
    """Whether all of a mask is True, if that is worth asking."""
    return _is_asked(mask) and bool(mask.view(torch.uint8).amin() > 0)


def distinct(masks: Tensor) -> Tensor:
    """One mask if those of all series are known to be alike: (n, ...) -> (1 or n, ...).

    What depends on the masks alone is then computed once.
    """
    if not _is_asked(masks):
        return masks
    numbers = masks.view(torch.uint8)
    return masks if bool((numbers ^ numbers[:1]).amax() > 0) else masks[:1]


def _is_asked(mask: Tensor) -> bool:
    # Asking an accelerator means waiting, and in training something is mostly hidden.
    return not torch.is_grad_enabled() and mask.device.type == "cpu"


def lowered(tokens: Tensor, mask: Tensor, by: float = torch.inf) -> Tensor:
    """Lower tokens that do not count so that they win no maximum: (n, F, d), (n, F)."""
    if known_to_be_full(mask):
        return tokens
    # Adding is vectorised; masking by a mask without the last dimension is not.
    penalty = torch.zeros_like(mask, dtype=tokens.dtype).masked_fill(~mask, -by)
    return tokens + penalty.unsqueeze(-1)


def maximum(tokens: Tensor) -> Tensor:
    """Maximum over tokens: (n, F, d) -> (n, d)."""
    if torch.compiler.is_compiling():
        # Compiled, the gradient of amax compares it with a sum rounded otherwise, and
        # finds no equal.
        return tokens.max(dim=1).values
    return tokens.amax(dim=1)


def masked_max(tokens: Tensor, mask: Tensor) -> Tensor:
    """Maximum over the tokens that count: (n, F, d), (n, F) -> (n, d)."""
    return maximum(lowered(tokens, mask))


def require_one_token(mask: Tensor) -> Tensor:
    """Let the first token of a series count if none does.

    A series without a single observed value then has a defined representation, and
    no softmax or mean runs over an empty set.
    """
    first = torch.zeros_like(mask)
    first[:, 0] = True
    return torch.where(mask.any(dim=1, keepdim=True), mask, first)


def pad_end(series: Tensor, missing: int) -> Tensor:
    """Add zeros at the end: (..., T) -> (..., T + missing)."""
    # Padding by nothing would still copy.
    return F.pad(series, (0, missing)) if missing else series


def patches(values: Tensor, observed: Tensor, patch_length: int) -> Tensor:
    """Cut series into patches: observed values, then where they are observed.

    (n, C, T), bool (n, C, T) -> (n, F, 2 * C * patch_length).
    """
    seen = as_numbers(observed, values.dtype)
    missing = -values.shape[-1] % patch_length
    parts = (pad_end(x, missing) for x in (values * seen, seen))
    cut = [part.unflatten(-1, (-1, patch_length)).transpose(1, 2) for part in parts]
    return torch.cat(cut, dim=2).flatten(start_dim=2)


def observed_patches(observed: Tensor, patch_length: int) -> Tensor:
    """Which patches hold an observed value: (n, C, T) -> (n, F)."""
    missing = -observed.shape[-1] % patch_length
    # As bytes, whose maximum takes an eighth of the time, and then as numbers: torch's
    # compiler cannot pad booleans where lengths vary.
    seen = distinct(observed).view(torch.uint8).amax(dim=1).float()
    most = pad_end(seen, missing).unflatten(-1, (-1, patch_length)).amax(dim=-1)
    return (most > 0).expand(len(observed), -1)


def _unchanged(tensor: Tensor) -> Tensor:
    return tensor


class MaskedBatchNorm(nn.Module):
    """BatchNorm over the tokens that count.

    TST normalises over (batch, time) in place of LayerNorm. Ours: padding takes no
    part in the statistics, and the running statistics, those of the training's views,
    start as a plain average over batches. The trainer replaces `sum_over_processes`, as
    several processes may train together, each with a share of the batch.
    """

    running_mean: Tensor
    running_variance: Tensor
    n_batches: Tensor
    sum_over_processes: Callable[[Tensor], Tensor] = staticmethod(_unchanged)

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))
        self.register_buffer("running_mean", torch.zeros(d_model))
        self.register_buffer("running_variance", torch.ones(d_model))
        self.register_buffer("n_batches", torch.zeros((), dtype=torch.int64))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        mean, variance = self.running_mean, self.running_variance
        if self.training:
            # In the precision of the weights, even if tokens have less.
            weight = as_numbers(mask, self.weight.dtype).unsqueeze(-1)
            total = self.sum_over_processes
            count = total(weight.sum())
            mean = total((tokens * weight).sum(dim=(0, 1))) / count
            squares = ((tokens - mean).square() * weight).sum(dim=(0, 1))
            variance = total(squares) / count
            self._update(mean.detach(), variance.detach())
        scale = self.weight * torch.rsqrt(variance + 1e-5)
        return (tokens - mean) * scale + self.bias

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor) -> None:
        self.n_batches += 1
        n_batches = self.n_batches.to(self.running_mean.dtype)
        step = (1.0 / n_batches).clamp(min=MOMENTUM)
        self.running_mean += step * (mean - self.running_mean)
        self.running_variance += step * (variance - self.running_variance)


def has_convolution(tokens: Tensor) -> bool:
    """Whether `convolve` can be used: oneDNN is built in, and knows the precision."""
    on_cpu = tokens.device.type == "cpu" and tokens.dtype == torch.float32
    # torch's compiler cannot ask oneDNN directly.
    return HAS_ONEDNN and on_cpu and not torch.compiler.is_compiling()


def convolve(tokens: Tensor, weight: Tensor, bias: Tensor, dilation: int = 1) -> Tensor:
    """Dilated convolution along the tokens of each series.

    oneDNN takes less time for it than the matrix library for as many products, half of
    it with vectors of 512 bits on an AMD processor, and rounds a series alike in every
    batch. It is asked directly: `torch.nn.functional.conv2d` asks another library for
    small batches.

    Parameters
    ----------
    tokens : float32 Tensor of shape (n, F, inputs)
        On a CPU.
    weight : Tensor of shape (outputs, taps, inputs)
    bias : Tensor of shape (outputs,)
    dilation : int, default=1
        Tokens from one tap to the next.

    Returns
    -------
    Tensor of shape (n, F - (taps - 1) * dilation, outputs)
    """
    # As images of height 1, their channels side by side in memory: nothing is copied.
    image = tokens.transpose(1, 2).unsqueeze(2)
    kernel = weight.transpose(1, 2).unsqueeze(2)
    padding, stride, groups = [0, 0], [1, 1], 1
    convolved = torch.ops.aten.mkldnn_convolution(
        image, kernel, bias, padding, stride, [1, dilation], groups
    )
    return convolved.squeeze(2).transpose(1, 2).contiguous()


class TokenLinear(nn.Linear):
    """Layer around `token_linear`: (n, F, inputs) -> (n, F, outputs)."""

    def forward(self, tokens: Tensor) -> Tensor:
        return token_linear(tokens, self.weight, self.bias, self.training)


def token_linear(
    tokens: Tensor, weight: Tensor, bias: Tensor, training: bool
) -> Tensor:
    """Linear map of each token of a batch.

    Outside training, the rounding of a series must not depend on its batch. That of a
    product over the whole batch may, by a row's position and the number of rows; that
    of a convolution does not, nor do products of the single series.

    Parameters
    ----------
    tokens : Tensor of shape (n, F, inputs)
    weight : Tensor of shape (outputs, inputs)
    bias : Tensor of shape (outputs,)
    training : bool

    Returns
    -------
    Tensor of shape (n, F, outputs)
    """
    # On an accelerator, even products of equal shape may round differently.
    if training or tokens.device.type != "cpu":
        return F.linear(tokens, weight, bias)
    if has_convolution(tokens):
        return convolve(tokens, weight.unsqueeze(1), bias)
    n, n_tokens, _ = tokens.shape
    if any(n_tokens * width % ALIGNED for width in weight.shape):
        tokens = F.pad(tokens, (0, 0, 0, -n_tokens % ALIGNED))
    # Contiguous: the product of each series would copy a transposed view.
    transposed = weight.T.contiguous().expand(n, -1, -1)
    # Later operations may round differently if there are gaps in memory.
    return torch.baddbmm(bias, tokens, transposed)[:, :n_tokens].contiguous()


class Attention(nn.Module):
    """Multi-head scaled dot-product attention in which masked keys take no part."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = TokenLinear(d_model, d_model)
        self.key_value = TokenLinear(d_model, 2 * d_model)
        self.output = TokenLinear(d_model, d_model)

    def forward(self, queries: Tensor, keys: Tensor, key_mask: Tensor) -> Tensor:
        # (n, F, d), (n, S, d), (n, S) -> (n, F, d)
        # Whole cache lines of keys: a remainder would be computed one by one.
        missing = -keys.shape[1] % ALIGNED
        keys, key_mask = F.pad(keys, (0, 0, 0, missing)), F.pad(key_mask, (0, missing))
        n_queries, width = queries.shape[1:]
        if n_queries * width % ALIGNED:
            queries = F.pad(queries, (0, 0, 0, -n_queries % ALIGNED))
        query = self._split(self.query(queries))  # (n, heads, F, d / heads)
        key, value = (self._split(x) for x in self.key_value(keys).chunk(2, dim=-1))
        attended = F.scaled_dot_product_attention(
            query, key, value, attn_mask=key_mask[:, None, None, :]
        )
        output = self.output(attended.transpose(1, 2).flatten(start_dim=2))
        return output[:, :n_queries].contiguous()

    def weights(self, queries: Tensor, keys: Tensor, key_mask: Tensor) -> Tensor:
        """Attention weights averaged over the heads, (n, F, S)."""
        query = self._split(self.query(queries))
        key = self._split(self.key_value(keys).chunk(2, dim=-1)[0])
        score = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        score = score.masked_fill(~key_mask[:, None, None, :], -torch.inf)
        return score.softmax(dim=-1).mean(dim=1)

    def _split(self, tokens: Tensor) -> Tensor:
        # (n, F, d) -> (n, heads, F, d / heads)
        return tokens.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


class FeedForward(nn.Sequential):
    """Position-wise two-layer network with GELU, twice as wide inside."""

    def __init__(self, d_model: int) -> None:
        width = 2 * d_model
        super().__init__(
            TokenLinear(d_model, width), nn.GELU(), TokenLinear(width, d_model)
        )
