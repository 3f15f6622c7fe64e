"""The course of a fit: pretraining, shapelet discovery, readout. No scikit-learn."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._inference import Inference, warn_of_memory
from ._panel import Panel
from ._progress import ProgressBar
from ._warnings import warn_user
from .device import double_precision_device, is_out_of_memory
from .nn.network import MUGConfig, MUGNetwork, build_network, initialise
from .nn.readout import Readout, fit_readout
from .persistence import (
    losses_from_arrays,
    losses_to_arrays,
    to_arrays,
    to_tensors,
)
from .pretraining.discovery import discover_shapelets
from .pretraining.processes import Processes
from .pretraining.random_streams import RandomStream
from .pretraining.trainer import Trainer, TrainingPlan

# Most series that the statistics fitted after training look at.
READOUT_SERIES = 2048
DISCOVERY_SERIES = 256
CALIBRATION_SERIES = 32
SAMPLE_VALUES = 2**20


@dataclass(frozen=True)
class Course:
    """What a fit trains on, and how.

    Attributes
    ----------
    panel : Panel
        The training series, of which those with an observed value are trained on.
    typical : Panel
        Series that shapelets and readout are fitted on: the same, or a sample of a
        stream.
    location, scale : float64 array of shape (n_channels,)
        Standardisation of the channels.
    config : MUGConfig
    plan : TrainingPlan
    device : torch.device
    processes : Processes
        The processes that train together.
    weights : mapping of str to Tensor, optional
        State of the network to continue from; None draws one.
    moments : mapping
        What the optimiser remembers of earlier steps, from `to_arrays`.
    losses : mapping
        Losses of the steps done before an interruption, from `losses_to_arrays`.
    calibrates : bool
        Whether the thresholds of the random shapelets still have to be set.
    """

    panel: Panel
    typical: Panel
    location: np.ndarray
    scale: np.ndarray
    config: MUGConfig
    plan: TrainingPlan
    device: torch.device
    processes: Processes
    weights: Mapping[str, Tensor] | None
    moments: Mapping[str, Mapping[str, np.ndarray]]
    losses: Mapping[str, np.ndarray]
    calibrates: bool

    def pretrain(
        self,
        begin_epoch: Callable[[int], None],
        end_epoch: Callable[[Trainer, int], bool],
        progress: ProgressBar,
    ) -> Trainer:
        """Train a network, in smaller batches if memory runs out.

        Parameters
        ----------
        begin_epoch : callable
            Called with the epoch's number, from 0; again if the epoch is repeated.
        end_epoch : callable
            Called with the trainer and the epoch's number; returns True to stop there.
        progress : ProgressBar
            Counts the steps.
        """
        affordable = self.plan
        while True:
            network = self._initial_network()
            try:
                trainer = Trainer(
                    network, self._read_batch, affordable, self.device, self.processes
                )
                trainer.optimizer.moments = to_tensors(self.moments, self.device)
                trainer.losses = losses_from_arrays(self.losses)
                progress.reset(affordable.n_steps)
                progress.update(trainer.step)
                _train_epochs(trainer, begin_epoch, end_epoch, progress)
                trainer.optimizer.zero_grad()  # the network is kept, without gradients
                return trainer
            except _OutOfMemory as shortage:
                # Processes that train together must agree on the batch size, and the
                # steps before an interruption ran at this one. Below 4, half a batch is
                # a single series, which has nothing to be told apart from.
                may_change = self.processes.size == 1 and not self.losses
                if affordable.batch_size < 4 or not may_change:
                    raise shortage.error from None
            if affordable is self.plan:
                warn_of_memory(self.plan.batch_size, self.device)
            affordable = affordable.with_half_the_batch()

    def complete(self, network: MUGNetwork) -> None:
        """Discover the shapelets, and calibrate the bank of random ones, in place."""
        if not self.config.has_coarse:
            return
        network.eval()
        seed = self.plan.seed
        rng = RandomStream.SHAPELETS.generator(seed)
        discover_shapelets(network, *self._sample(DISCOVERY_SERIES, rng), rng)
        if self.config.n_random_shapelets and self.calibrates:
            values, observed = self._sample(CALIBRATION_SERIES, rng)
            generator = torch.Generator("cpu").manual_seed(seed)
            network.bank.calibrate(values, observed, generator)

    def fit_readout(
        self, inference: Inference, readout: str, embedding_dim: int | None
    ) -> Readout:
        """Fit the map from pooled features of a complete network to the embedding.

        Parameters
        ----------
        inference : Inference
        readout : {"combined", "robust", "cross"}
        embedding_dim : int or None

        Raises
        ------
        ValueError
            If features are not finite.
        """
        network = inference.network
        names = ["multi"] if readout == "cross" else None
        pooled = partial(network.pooled_blocks, names=names)
        blocks = self._features(inference, pooled, READOUT_SERIES, RandomStream.READOUT)
        if not all(bool(block.isfinite().all()) for block in blocks.values()):
            raise ValueError(
                "Training diverged: features of training series are not finite. "
                f"Choose a learning_rate below {self.plan.learning_rate}."
            )
        noise = None
        if readout == "robust":
            halves = network.split_half_noise
            of_series = self._features(
                inference, halves, CALIBRATION_SERIES, RandomStream.NOISE
            )
            noise = {name: x.double().mean(dim=0) for name, x in of_series.items()}
        fitted = fit_readout(blocks, embedding_dim, noise)
        # A stream may begin with a single series; others will follow.
        if fitted.is_constant and self.typical is self.panel:
            warn_user(
                "The embedding is constant: a fit needs several series that differ."
            )
        return fitted

    def _features(
        self,
        inference: Inference,
        compute: Callable[[Tensor, Tensor], dict[str, Tensor]],
        n_series: int,
        stream: RandomStream,
    ) -> dict[str, Tensor]:
        """Features of at most `n_series` typical series, in the panel's order."""
        chosen = self._draw_rows(n_series, stream.generator(self.plan.seed))
        gathered: dict[str, list[Tensor]] = {}
        order = []
        for rows, features in inference.map_batches(compute, self.typical, chosen):
            order.append(rows)
            for name, part in features.items():
                gathered.setdefault(name, []).append(part)
        device = double_precision_device(self.device)
        back = torch.from_numpy(np.argsort(np.concatenate(order))).to(device)
        return {
            name: torch.cat(parts).to(device)[back] for name, parts in gathered.items()
        }

    def training_state(self, trainer: Trainer) -> dict[str, Any]:
        """What `pretrain` needs besides the network's weights to continue from here."""
        return {
            "optimizer": to_arrays(trainer.optimizer.moments),
            "losses": losses_to_arrays(trainer.losses),
            "plan": asdict(trainer.plan),
            "calibrates": self.calibrates,
            "panel": self.panel.summary(),
        }

    def _initial_network(self) -> MUGNetwork:
        network = build_network(self.config)
        if self.weights is None:
            initialise(network, torch.Generator("cpu").manual_seed(self.plan.seed))
        else:
            network.load_state_dict(self.weights)
        return network

    def _read_batch(
        self, rows: np.ndarray, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        rows = self.panel.with_values[rows]
        return self.panel.batch(rows, self.location, self.scale, device)

    def _sample(self, n_series: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """At most `n_series` typical series, drawn at random, as tensors."""
        panel = self.typical
        affordable = SAMPLE_VALUES // (panel.n_channels * panel.n_timepoints)
        rows = self._draw_rows(min(n_series, max(1, affordable)), rng)
        place = double_precision_device(self.device)
        values, observed = panel.batch(rows, self.location, self.scale, place)
        return values.to(self.device), observed.to(self.device)

    def _draw_rows(self, n_series: int, rng: np.random.Generator) -> np.ndarray:
        """Rows of at most `n_series` typical series, in the panel's order."""
        rows = self.typical.with_values
        return np.sort(rng.choice(rows, min(n_series, len(rows)), replace=False))


class _OutOfMemory(Exception):
    """Memory ran out in training; in a callback, smaller batches would be no cure."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


def _train_epochs(
    trainer: Trainer,
    begin_epoch: Callable[[int], None],
    end_epoch: Callable[[Trainer, int], bool],
    progress: ProgressBar,
) -> None:
    size = trainer.plan.steps_per_epoch
    while not trainer.is_done():
        epoch = trainer.step // size  # a checkpoint lies between two epochs
        begin_epoch(epoch)
        try:
            for terms in trainer.run(size):
                progress.update()
                progress.set_postfix(loss=f"{terms['loss']:.3f}", refresh=False)
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise _OutOfMemory(error) from error
            raise
        if end_epoch(trainer, epoch):
            return
