"""Training over several processes, each of which encodes a share of every batch."""

from typing import Any

import numpy as np
import torch
import torch.distributed
from torch import Tensor


class Processes:
    """The processes that train together: here, this one alone."""

    rank = 0
    size = 1

    def share(self, n_series: int) -> np.ndarray:
        """Indices of the series of a batch that this process encodes."""
        return np.array_split(np.arange(n_series), self.size)[self.rank]

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, on each of them; gradients flow through it."""
        return tensor

    def take(self, tensor: Tensor, rows: Tensor) -> Tensor:
        """The rows of a whole batch that this process encodes."""
        return tensor

    def gather(self, tensor: Tensor, rows: Tensor, n_rows: int) -> Tensor:
        """Put together what all processes have computed for their rows.

        Parameters
        ----------
        tensor : Tensor of shape (n_own, ...)
        rows : int Tensor of shape (n_own,)
            Where these rows go.
        n_rows : int
            Number of rows of all processes together.

        Returns
        -------
        Tensor of shape (n_rows, ...)
            Equal on all processes; gradients flow through it.
        """
        return tensor

    def sum_gradients(self, parameters: list[Tensor]) -> None:
        """Add up the gradients of all processes, in place."""


class GroupProcesses(Processes):
    """The processes of torch's default process group, which must be set up."""

    def __init__(self) -> None:
        self.rank = torch.distributed.get_rank()
        self.size = torch.distributed.get_world_size()

    def sum(self, tensor: Tensor) -> Tensor:
        """As in `Processes`."""
        summed: Tensor = _SumOverProcesses.apply(tensor)
        return summed

    def take(self, tensor: Tensor, rows: Tensor) -> Tensor:
        """As in `Processes`."""
        return tensor[rows]

    def gather(self, tensor: Tensor, rows: Tensor, n_rows: int) -> Tensor:
        """As in `Processes`."""
        # Every row comes from one process and is zero on the others, so their sum is
        # exact, and shares may differ in size.
        is_mask = tensor.dtype == torch.bool
        own = tensor.float() if is_mask else tensor
        empty = own.new_zeros((n_rows, *own.shape[1:]))
        whole = self.sum(empty.index_copy(0, rows, own))
        return whole > 0.5 if is_mask else whole

    def sum_gradients(self, parameters: list[Tensor]) -> None:
        """As in `Processes`."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        torch.distributed.all_reduce(flat)
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


class _SumOverProcesses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # Each process has a loss of its own that depends on every process's summand.
        total = gradients[0].clone()
        torch.distributed.all_reduce(total)
        return total
