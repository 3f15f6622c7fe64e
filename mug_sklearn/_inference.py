"""A fitted network at work: batches of bounded size, tokens as arrays."""

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from ._panel import Panel
from .device import is_out_of_memory
from .nn.network import MUGNetwork

# Values and series in a batch: what a CPU's caches hold, and what keeps an accelerator
# busy.
CPU_BATCH = (2**13, 64)
ACCELERATOR_BATCH = (2**19, 512)

Result = TypeVar("Result")


class TokenRepresentation(NamedTuple):
    """Token-level representation of a panel at one granularity.

    Attributes
    ----------
    tokens : float32 array of shape (n_series, n_tokens, d_model)
        0 where `mask` is False.
    mask : bool array of shape (n_series, n_tokens)
        True where a token represents something observed.
    spans : int array of shape (n_tokens, 2)
        First timepoint that a token covers, and the one after its last.
    """

    tokens: np.ndarray
    mask: np.ndarray
    spans: np.ndarray


@dataclass(frozen=True)
class Inference:
    """A network in evaluation mode, with the standardisation of what it reads.

    Attributes
    ----------
    network : MUGNetwork
    location, scale : float64 array of shape (n_channels,)
    device : torch.device
        Where the network is.
    dtype : torch.dtype
        Of the network.
    """

    network: MUGNetwork
    location: np.ndarray
    scale: np.ndarray
    device: torch.device
    dtype: torch.dtype

    def map_batches(
        self,
        compute: Callable[[Tensor, Tensor], Result],
        panel: Panel,
        rows: np.ndarray | None = None,
    ) -> Iterator[tuple[np.ndarray, Result]]:
        """Results over batches of bounded size, longest series first.

        Series of similar length share a batch, so that little padding is computed.
        Where memory runs out, smaller batches are tried.

        Parameters
        ----------
        compute : callable
            Takes values and observed mask of a batch, (n, C, T) on the device.
        panel : Panel
        rows : int array, optional
            Of the panel; by default all.

        Yields
        ------
        rows : int array
            Of the batch.
        result : object
            What `compute` has given for it.
        """
        rows = np.arange(panel.n_series) if rows is None else rows
        rows = rows[np.argsort(-panel.lengths[rows], kind="stable")]
        on_cpu = self.device.type == "cpu"
        n_values, most = CPU_BATCH if on_cpu else ACCELERATOR_BATCH
        affordable = most
        start = 0
        while start < len(rows):
            longest = max(1, int(panel.lengths[rows[start]]))
            size = n_values // (longest * math.ceil(panel.n_channels / 8))
            chosen = rows[start : start + max(1, min(affordable, size))]
            try:
                batch = panel.batch(chosen, self.location, self.scale)
                values = torch.from_numpy(batch.values).to(self.device, self.dtype)
                observed = torch.from_numpy(batch.observed).to(self.device)
                with torch.inference_mode():
                    result = compute(values, observed)
            except (MemoryError, RuntimeError) as error:
                if len(chosen) == 1 or not is_out_of_memory(error):
                    raise
                if affordable == most:
                    warn_of_memory(len(chosen), self.device)
                affordable = len(chosen) // 2
                continue
            start += len(chosen)
            yield chosen, result

    def token_representations(self, panel: Panel) -> dict[str, TokenRepresentation]:
        """Tokens of each granularity that the network has, by its name."""
        representations: dict[str, TokenRepresentation] = {}
        # The longest series come first, so the first batch has every token there is.
        for rows, arrays in self.map_batches(self._token_arrays, panel):
            for name, (tokens, mask, spans) in arrays.items():
                if name not in representations:
                    shape = (panel.n_series, *mask.shape[1:])
                    representations[name] = TokenRepresentation(
                        np.zeros((*shape, tokens.shape[-1]), dtype=np.float32),
                        np.zeros(shape, dtype=bool),
                        np.minimum(spans, panel.n_timepoints),
                    )
                whole = representations[name]
                n_tokens = mask.shape[1]
                whole.tokens[rows, :n_tokens] = tokens * mask[..., None]
                whole.mask[rows, :n_tokens] = mask
        return representations

    def _token_arrays(
        self, values: Tensor, observed: Tensor
    ) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Tokens, mask and spans of each granularity for one batch."""
        config = self.network.config
        tokens = self.network(values, observed)
        arrays = {}
        if tokens.fine is not None:
            start = np.arange(tokens.fine.shape[1]) * config.patch_length
            spans = np.stack((start, start + config.patch_length), axis=1)
            arrays["fine"] = (tokens.fine, tokens.fine_mask, spans)
        if tokens.coarse is not None:
            spans = tokens.coarse.spans.cpu().numpy()
            arrays["coarse"] = (tokens.coarse.tokens, tokens.coarse.mask, spans)
        if tokens.multi is not None:
            spans = arrays["fine"][2]
            if config.fine_fusion == "max":
                spans = np.array([[0, spans[-1, 1]]])
            arrays["fused"] = (tokens.fused, tokens.fused_mask, spans)
            arrays["multi"] = (tokens.multi, tokens.fused_mask, spans)
        return {
            name: (tokens.cpu().numpy(), mask.cpu().numpy(), spans)
            for name, (tokens, mask, spans) in arrays.items()
        }


def warn_of_memory(batch_size: int, device: torch.device) -> None:
    """Tell that a batch of this size was too large for a device's memory."""
    warnings.warn(
        f"Memory on device {str(device)!r} does not suffice for {batch_size} series at "
        "once; smaller batches are used.",
        UserWarning,
        stacklevel=5,
    )
