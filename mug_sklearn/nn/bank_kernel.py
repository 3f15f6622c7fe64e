"""The bank's matches on a GPU: a kernel whose responses never leave the registers.

It computes the same as `DilatedShapelets.features_by_tensors`, which writes every step
to memory and reads it back. Windows are centred and multiplied tap by tap, as in the
CPU's loops, so that both decide every comparison alike.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .bank import FLAT, GROUP_SIZE, PATTERN_LENGTH

# Timepoints at once: two for each thread that works on a group of patterns.
BLOCK = 256


def pool_matches(
    signal: Tensor, seen: Tensor, patterns: Tensor, thresholds: Tensor, dilation: int
) -> Tensor:
    """Sums over the observed timepoints: prevalence, strength of wins, opposite wins.

    Parameters
    ----------
    signal, seen : float32 Tensor of shape (n, mixes, T + 8 * dilation)
        Mixed signals, and 1 where they are observed, else 0; both zero-padded.
    patterns : float32 Tensor of shape (mixes, patterns, 9)
        Full groups of eight.
    thresholds : float32 Tensor of shape (mixes, patterns)
    dilation : int

    Returns
    -------
    float32 Tensor of shape (n, 3, mixes, patterns)
    """
    n, n_mixes, n_padded = signal.shape
    n_patterns = patterns.shape[1]
    sums = signal.new_empty((n, 3, n_mixes, n_patterns))
    grid = (n * n_mixes, n_patterns // GROUP_SIZE)
    sizes = (n_padded, n_mixes, n_patterns, dilation)
    constants = (PATTERN_LENGTH, GROUP_SIZE, FLAT, BLOCK)
    with torch.cuda.device_of(signal):
        _pool_matches[grid](
            signal.contiguous(),
            seen.contiguous(),
            patterns,
            thresholds,
            sums,
            *sizes,
            *constants,
        )
    return sums


@triton.jit
def _pool_matches(
    signal,
    seen,
    patterns,
    thresholds,
    sums,
    n_padded,
    n_mixes,
    n_patterns,
    dilation,
    n_taps: tl.constexpr,
    group_size: tl.constexpr,
    flat: tl.constexpr,
    block: tl.constexpr,
):
    # One program per mixed signal and group of patterns.
    row = tl.program_id(0).to(tl.int64)
    mix = row % n_mixes
    member = tl.program_id(1) * group_size + tl.arange(0, group_size)
    pattern = mix * n_patterns + member
    threshold = tl.load(thresholds + pattern)[:, None]
    is_first = (tl.arange(0, group_size) == 0)[:, None]
    signal += row * n_padded
    seen += row * n_padded
    n_timepoints = n_padded - (n_taps - 1) * dilation

    prevalence = tl.zeros((group_size, block), tl.float32)
    strength = tl.zeros((group_size, block), tl.float32)
    opposite = tl.zeros((group_size, block), tl.float32)
    for start in range(0, n_timepoints, block):
        time = start + tl.arange(0, block)
        inside = time < n_timepoints
        total = tl.zeros((block,), tl.float32)
        n_present = tl.zeros((block,), tl.float32)
        for tap in tl.static_range(n_taps):
            total += tl.load(signal + time + tap * dilation, inside, 0.0)
            n_present += tl.load(seen + time + tap * dilation, inside, 0.0)
        mean = tl.div_rn(total, tl.maximum(n_present, 1.0))
        response = tl.zeros((group_size, block), tl.float32)
        for tap in tl.static_range(n_taps):
            value = tl.load(signal + time + tap * dilation, inside, 0.0)
            present = tl.load(seen + time + tap * dilation, inside, 0.0)
            centred = (value - mean) * present
            window = tl.where(tl.abs(centred) > flat, centred, 0.0)
            weight = tl.load(patterns + pattern * n_taps + tap)
            response = tl.fma(weight[:, None], window[None, :], response)
        known = tl.load(seen + time + n_taps // 2 * dilation, inside, 0.0) > 0
        # Unobserved timepoints respond with NaN, which wins no comparison.
        response = tl.where(known[None, :], response, float("nan"))
        strongest = tl.max(response, axis=0)[None, :]
        weakest = tl.min(response, axis=0)[None, :]
        prevalence += tl.where(response > threshold, 1.0, 0.0)
        strength += tl.where(response == strongest, response, 0.0)
        # In a flat window all patterns tie; only the first is counted.
        counts = is_first | (strongest != weakest)
        opposite += tl.where((response == weakest) & counts, 1.0, 0.0)

    # (n, 3, mixes, patterns)
    target = sums + ((row // n_mixes) * 3 * n_mixes + mix) * n_patterns + member
    tl.store(target, tl.sum(prevalence, axis=1))
    tl.store(target + n_mixes * n_patterns, tl.sum(strength, axis=1))
    tl.store(target + 2 * n_mixes * n_patterns, tl.sum(opposite, axis=1))
