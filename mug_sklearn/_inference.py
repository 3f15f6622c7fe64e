"""Inference by a fitted network: batches of bounded size, tokens as arrays."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._panel import Panel
from ._warnings import warn_user
from .device import (
    double_precision_device,
    is_out_of_memory,
    repeatable_arithmetic,
    use_one_thread,
    usual_modes,
)
from .nn.network import MUGNetwork

# Most values and series in a batch: more make a CPU no faster, and these keep an
# accelerator busy. Eight channels count as one, since the bank, which takes the most
# memory, mixes them.
CPU_BATCH = (2**16, 256)
ACCELERATOR_BATCH = (2**21, 2048)
# Fewer series than this are not split over threads, as each batch has a fixed cost.
LEAST_SHARE = 64

Result = TypeVar("Result")


class TokenRepresentation(NamedTuple):
    """Token-level representation of a panel at one granularity.

    Attributes
    ----------
    tokens : float32 array of shape (n_series, n_tokens, d_model)
        0 where `mask` is False.
    mask : bool array of shape (n_series, n_tokens)
        True where a token represents something observed: a patch with a value, or a
        segment of whose points at least half hold one (in a sparse series, as many as
        in any other). A series without any value keeps one token of every kind and
        segment length; where no segment of a length reaches a value, one is kept.
    spans : int array of shape (n_tokens, 2)
        First timepoint that each token covers, and the one after its last.
    """

    tokens: NDArray[np.float32]
    mask: NDArray[np.bool_]
    spans: NDArray[np.int64]


@dataclass(frozen=True)
class Inference:
    """A network in evaluation mode, with the standardisation of its input.

    Attributes
    ----------
    network : MUGNetwork
    location, scale : float64 array of shape (n_channels,)
    device : torch.device
        Where the network is.
    """

    network: MUGNetwork
    location: np.ndarray
    scale: np.ndarray
    device: torch.device

    def map_batches(
        self,
        compute: Callable[[Tensor, Tensor], Result],
        panel: Panel,
        rows: np.ndarray | None = None,
    ) -> Iterator[tuple[np.ndarray, Result]]:
        """Results over batches of bounded size, longest series first.

        A CPU works on as many batches at once as torch has threads. If memory runs out,
        smaller batches are tried.

        Parameters
        ----------
        compute : callable
            Takes the values and the observed mask of a batch, (n, C, T) on the device.
        panel : Panel
        rows : int array, optional
            Row numbers of the panel; by default, all.

        Yields
        ------
        rows : int array
            Row numbers of the batch.
        result : object
            What `compute` returned for it.
        """
        rows = np.arange(panel.n_series) if rows is None else rows

        # Of its own, so that what a failed batch held is freed before its halves begin.
        def compute_rows(chosen: np.ndarray) -> Result:
            values, observed = batches.read(chosen)
            with usual_modes(self.device, training=False):
                return compute(values, observed)

        def results(chosen: np.ndarray) -> list[tuple[np.ndarray, Result]]:
            try:
                return [(chosen, compute_rows(chosen))]
            except (MemoryError, RuntimeError) as error:
                if len(chosen) == 1 or not is_out_of_memory(error):
                    raise
            batches.shrink(len(chosen))
            return [
                pair for half in np.array_split(chosen, 2) for pair in results(half)
            ]

        # One thread per batch: several would round its sums in another order.
        with repeatable_arithmetic() as n_threads:
            batches = _Batches(self, panel, rows, n_threads)
            if self.device.type != "cpu":
                n_threads = 1
            try:
                for pairs in _map_in_order(results, batches, n_threads):
                    yield from pairs
            finally:
                if batches.too_many:
                    # Not where noticed: a worker thread knows no line of the user's.
                    warn_of_memory(batches.too_many, self.device)

    def token_representations(self, panel: Panel) -> dict[str, TokenRepresentation]:
        """Tokens of each granularity of the network, by name."""
        representations: dict[str, TokenRepresentation] = {}
        place_of: dict[str, dict[tuple[int, ...], int]] = {}
        # The longest series come first, so the first batch has every token there is.
        for rows, arrays in self.map_batches(self._token_arrays, panel):
            for name, (tokens, mask, spans) in arrays.items():
                # The last patch may reach beyond the longest series.
                inside = spans[:, 0] < panel.n_timepoints
                tokens, mask, spans = tokens[:, inside], mask[:, inside], spans[inside]
                if name not in representations:
                    shape = (panel.n_series, *mask.shape[1:])
                    representations[name] = TokenRepresentation(
                        np.zeros((*shape, tokens.shape[-1]), dtype=np.float32),
                        np.zeros(shape, dtype=bool),
                        np.minimum(spans, panel.n_timepoints),
                    )
                    place_of[name] = {(*s,): i for i, s in enumerate(spans.tolist())}
                whole = representations[name]
                # Fewer segments of each length fit into shorter series.
                places = np.array([place_of[name][(*s,)] for s in spans.tolist()])
                whole.tokens[rows[:, None], places] = tokens * mask[..., None]
                whole.mask[rows[:, None], places] = mask
        return representations

    def _token_arrays(
        self, values: Tensor, observed: Tensor
    ) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Tokens, mask and spans of each granularity for one batch."""
        config = self.network.config
        tokens = self.network(values, observed)
        arrays = {}
        if tokens.fine is not None:
            spans = patch_spans(tokens.fine.mask.shape[1], config.patch_length)
            arrays["fine"] = (*tokens.fine, spans)
        if tokens.coarse is not None:
            spans = tokens.coarse.spans.cpu().numpy()
            arrays["coarse"] = (tokens.coarse.tokens, tokens.coarse.mask, spans)
        if tokens.multi is not None:
            spans = arrays["fine"][2]
            if config.fine_fusion == "max":
                spans = np.array([[0, np.iinfo(np.int64).max]])  # the whole series
            arrays["fused"] = (*tokens.fused, spans)
            arrays["multi"] = (*tokens.multi, spans)
        return {
            name: (tokens.cpu().numpy(), mask.cpu().numpy(), spans)
            for name, (tokens, mask, spans) in arrays.items()
        }


def patch_spans(n_patches: int, patch_length: int) -> np.ndarray:
    """First timepoint of each patch, and the one after its last, (n_patches, 2)."""
    start = np.arange(n_patches) * patch_length
    return np.stack((start, start + patch_length), axis=1)


def _map_in_order(
    compute: Callable[[np.ndarray], Result],
    batches: Iterable[np.ndarray],
    n_threads: int,
) -> Iterator[Result]:
    """Results of the batches, in order; each thread uses one torch thread."""
    if n_threads == 1:
        yield from map(compute, batches)
        return
    # Each thread has a setting of its own.
    with ThreadPoolExecutor(n_threads, "batch", use_one_thread) as threads:
        pending: deque[Future] = deque()
        for chosen in batches:
            try:
                pending.append(threads.submit(compute, chosen))
            except RuntimeError:
                # No thread can be started; none is once the main one has ended, as it
                # may while others still work. So this one computes.
                while pending:
                    yield pending.popleft().result()
                yield compute(chosen)
            if len(pending) > n_threads:
                yield pending.popleft().result()
        for future in pending:
            yield future.result()


class _Batches:
    """Series in batches of bounded size, longest first.

    On a CPU, all series of a batch have the same number of patches, so that the shapes
    of a series' computations depend on that series alone. On an accelerator, where
    rounding may vary anyway and a batch takes long to start, some have up to twice as
    many as others.
    """

    def __init__(
        self, inference: Inference, panel: Panel, rows: np.ndarray, n_threads: int
    ) -> None:
        self.inference = inference
        self.panel = panel
        self.patch_length = inference.network.config.patch_length
        n_patches = np.maximum(-(-panel.lengths[rows] // self.patch_length), 1)
        order = np.argsort(-n_patches, kind="stable")
        self.rows = rows[order]
        # Negated, as numpy searches only ascending values.
        self.negated_n_patches = -n_patches[order].astype(np.float64)
        self.most_values, self.affordable = ACCELERATOR_BATCH
        self.least_alike = 0.5
        if inference.device.type == "cpu":
            self.least_alike = 1.0
            self.most_values, most = CPU_BATCH
            share = max(LEAST_SHARE, math.ceil(len(rows) / n_threads))
            self.affordable = min(most, share)
        self.too_many = 0  # size of the first batch that memory did not suffice for
        self.lock = Lock()

    def __iter__(self) -> Iterator[np.ndarray]:
        start = 0
        while start < len(self.rows):
            n_timepoints = int(-self.negated_n_patches[start]) * self.patch_length
            n_values = n_timepoints * math.ceil(self.panel.n_channels / 8)
            size = max(1, min(self.affordable, self.most_values // n_values))
            fewest = self.least_alike * self.negated_n_patches[start]
            alike = np.searchsorted(self.negated_n_patches, fewest, side="right")
            stop = min(start + size, int(alike))
            yield self.rows[start:stop]
            start = stop

    def read(self, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """Values of some series and the mask of those observed, on the device."""
        inference = self.inference
        with self.lock:  # the caller's own container may not be thread-safe
            values, observed = self.panel.batch(
                chosen,
                inference.location,
                inference.scale,
                double_precision_device(inference.device),
                multiple_of=self.patch_length,
            )
        return values.to(inference.device), observed.to(inference.device)

    def shrink(self, too_many: int) -> None:
        """Make smaller batches: memory ran out with this many series, at least two."""
        with self.lock:
            self.too_many = self.too_many or too_many
            self.affordable = min(self.affordable, too_many // 2)


def warn_of_memory(batch_size: int, device: torch.device) -> None:
    """Warn that a batch of this size was too large for a device's memory."""
    warn_user(
        f"Memory on device {str(device)!r} does not suffice for {batch_size} series at "
        "once; smaller batches are used."
    )
