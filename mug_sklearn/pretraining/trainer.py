"""The training loop: optimiser, schedule, early stopping, record of losses."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..nn.coarse import Segments
from ..nn.layers import MaskedBatchNorm, Tokens, masked_mean
from ..nn.network import Granularities, MUGNetwork
from .adamw import AdamW
from .objectives import (
    RETRIEVAL_LOSSES,
    reconstruction_loss,
    segment_cluster_loss,
    token_retrieval_loss,
)
from .processes import Processes
from .random_streams import RandomStream
from .views import View, augmented_view

GRADIENT_CLIP = 4.0  # TST
WEIGHT_DECAY = 1e-4
WARM_UP_SHARE = 0.1
SEGMENT_CLUSTERS = 4
SMALLEST_STOP_WINDOW = 25

ReadBatch = Callable[[np.ndarray, torch.device], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class TrainingPlan:
    """What to train and for how long.

    Attributes
    ----------
    n_series : int
        Series to train on.
    n_steps : int
        Maximum number of optimisation steps.
    batch_size : int
    learning_rate : float
        Peak of the schedule: linear warm-up, then cosine decay towards zero.
    loss : {"spearman_bce", "infonce", "triplet"}
        Retrieval loss, used where both granularities exist.
    token_retrieval_weight : float
        Weight of the retrieval of the coarse encoder's features.
    reconstruction_weight, cluster_triplet_weight : float
        Weights of the encoders' pretext tasks, relative to the retrieval loss.
    early_stopping : bool
    n_iter_no_change : int
        Epochs in the window of early stopping.
    tol : float
        Smallest relative improvement that counts.
    seed : int
    half_precision : bool
        Run the network in bfloat16 where torch's autocast finds it safe. The losses
        and the weights stay in single precision.
    compiled : bool
        Let torch compile the network.
    """

    n_series: int
    n_steps: int
    batch_size: int
    learning_rate: float
    loss: str
    token_retrieval_weight: float
    reconstruction_weight: float
    cluster_triplet_weight: float
    early_stopping: bool
    n_iter_no_change: int
    tol: float
    seed: int
    half_precision: bool = False
    compiled: bool = False

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in an epoch; each epoch leaves out a different remainder."""
        return max(1, self.n_series // self.batch_size)

    @property
    def n_epochs(self) -> int:
        """Maximum number of epochs, including one that is only begun."""
        return -(-self.n_steps // self.steps_per_epoch)

    def with_half_the_batch(self) -> "TrainingPlan":
        """The same plan for as many epochs, in batches of half the size."""
        halved = replace(self, batch_size=self.batch_size // 2)
        n_steps = self.n_steps * halved.steps_per_epoch // self.steps_per_epoch
        return replace(halved, n_steps=n_steps)

    @property
    def stop_window(self) -> int:
        """Steps over which the loss must improve."""
        return max(self.n_iter_no_change * self.steps_per_epoch, SMALLEST_STOP_WINDOW)


def learning_rate_factor(step: int, n_steps: int) -> float:
    """Linear warm-up over a tenth of the steps, then cosine decay."""
    warm_up = max(1, round(WARM_UP_SHARE * n_steps))
    if step < warm_up:
        return (step + 1) / warm_up
    progress = (step - warm_up) / max(1, n_steps - warm_up)
    return 0.5 * (1 + math.cos(math.pi * progress))


class Trainer:
    """Trains a network in place.

    All randomness of a step comes from the plan's seed and the step's number. So no
    global random state is touched, and a trainer that is given the weights, the
    optimiser's state and the `losses` of another one continues as that one would.

    Parameters
    ----------
    network : MUGNetwork
    read_batch : callable
        Takes row numbers and a device; returns ``(values, observed)``, tensors of
        shape (n, C, T) on that device.
    plan : TrainingPlan
    device : torch.device
    processes : Processes, optional
        The processes that train together; by default this one alone.

    Attributes
    ----------
    losses : list of dict of str to float
        The loss and its terms at each step, in order; further steps are appended.
    """

    def __init__(
        self,
        network: MUGNetwork,
        read_batch: ReadBatch,
        plan: TrainingPlan,
        device: torch.device,
        processes: Processes | None = None,
    ) -> None:
        self.processes = Processes() if processes is None else processes
        if self.processes.size > plan.batch_size:
            raise ValueError(
                f"batch_size={plan.batch_size} series cannot be shared by "
                f"{self.processes.size} processes; each needs at least one."
            )
        for module in network.modules():
            if isinstance(module, MaskedBatchNorm):
                module.sum_over_processes = self.processes.sum
        self.network = network.to(device)
        self._forward = torch.compile(self.network) if plan.compiled else self.network
        self.read_batch = read_batch
        self.plan = plan
        self.device = device
        self.optimizer = AdamW(network.parameters(), WEIGHT_DECAY)
        self.losses: list[dict[str, float]] = []
        self._loss_sums = [0.0]
        # An epoch and its order of the series, kept since a long one is slow to draw.
        self._order: tuple[int, np.ndarray] | None = None

    @property
    def step(self) -> int:
        """Optimisation steps done."""
        return len(self.losses)

    def run(self, n_steps: int | None = None) -> Iterator[dict[str, float]]:
        """Train, yielding the losses of each step as it is done.

        Parameters
        ----------
        n_steps : int, optional
            Stop after this many further steps at the latest.

        Raises
        ------
        ValueError
            If the loss is no longer finite.
        """
        last = self.plan.n_steps if n_steps is None else self.step + n_steps
        while self.step < last and not self.is_done():
            yield self._train_step()

    def is_done(self) -> bool:
        """Whether the plan is fulfilled or the loss no longer improves."""
        return self.step >= self.plan.n_steps or self.has_converged()

    def has_converged(self) -> bool:
        """Whether the mean loss of the last window is no better than the one before."""
        window = self.plan.stop_window
        if not self.plan.early_stopping or len(self.losses) < 2 * window:
            return False
        # Cumulative sums, as a window may be many steps long.
        for terms in self.losses[len(self._loss_sums) - 1 :]:
            self._loss_sums.append(self._loss_sums[-1] + terms["loss"])
        first, middle, last = (
            self._loss_sums[-1 - back] for back in (2 * window, window, 0)
        )
        before, now = (middle - first) / window, (last - middle) / window
        return before - now < self.plan.tol * abs(before)

    def epoch_summary(self, epoch: int) -> dict[str, float]:
        """An epoch's number of steps and mean terms; `epoch` counts from 0."""
        size = self.plan.steps_per_epoch
        steps = self.losses[epoch * size : (epoch + 1) * size]
        means = {key: float(np.mean([s[key] for s in steps])) for key in steps[0]}
        return {"n_steps": len(steps)} | means

    def _train_step(self) -> dict[str, float]:
        rng = RandomStream.STEP.generator(self.plan.seed, self.step)
        # A GPU makes the views of a large batch in a fraction of the time. GPUs of
        # different models draw differently, so processes that need equal views use the
        # CPU.
        draws_there = self.device.type == "cuda" and self.processes.size == 1
        place = self.device if draws_there else torch.device("cpu")
        generator = torch.Generator(place).manual_seed(int(rng.integers(2**63)))
        values, observed = self.read_batch(self._batch_indices(), place)
        views = [augmented_view(values, observed, generator) for _ in range(2)]
        both = View(*(torch.cat(x).to(self.device) for x in zip(*views, strict=True)))
        self.network.train()
        terms = self.loss_terms(both, rng)
        self._update(terms["loss"])
        recorded = {name: float(term.detach()) for name, term in terms.items()}
        if not math.isfinite(recorded["loss"]):
            raise ValueError(
                f"Training diverged: the loss of step {self.step + 1} is "
                f"{recorded['loss']}. Choose a learning_rate below "
                f"{self.plan.learning_rate}, or lower weights of its terms."
            )
        self.losses.append(recorded)
        return recorded

    def _batch_indices(self) -> np.ndarray:
        epoch, batch = divmod(self.step, self.plan.steps_per_epoch)
        if self._order is None or self._order[0] != epoch:
            rng = RandomStream.ORDER.generator(self.plan.seed, epoch)
            self._order = epoch, rng.permutation(self.plan.n_series)
        start = batch * self.plan.batch_size
        return self._order[1][start : start + self.plan.batch_size]

    def loss_terms(self, views: View, rng: np.random.Generator) -> dict[str, Tensor]:
        """The joint loss and its terms.

        Parameters
        ----------
        views : View
            The first views of a batch followed by the second ones, in the same order.
        rng : numpy Generator
        """
        plan = self.plan
        tokens, predicted = self._encode(views)
        coarse = tokens.coarse
        terms: dict[str, Tensor] = {}
        if tokens.fused is not None and tokens.multi is not None and coarse is not None:
            terms["retrieval"] = self._retrieval(tokens.fused, tokens.multi)
            terms["token_retrieval"] = _token_retrieval(coarse)
        if predicted is not None:
            terms["reconstruction"] = reconstruction_loss(
                predicted, views.values, views.hidden
            )
        if coarse is not None:
            terms["cluster_triplet"] = _cluster_triplet(coarse, rng)
        weights = {
            "retrieval": 1.0,
            "token_retrieval": plan.token_retrieval_weight,
            "reconstruction": plan.reconstruction_weight,
            "cluster_triplet": plan.cluster_triplet_weight,
        }
        weighted = [weights[name] * term for name, term in terms.items()]
        return {"loss": torch.stack(weighted).sum()} | terms

    def _encode(self, views: View) -> tuple[Granularities, Tensor | None]:
        """What the losses need of the network's output, complete on all processes.

        That is the tokens, except for the fine ones themselves, and the values that
        were predicted from those.
        """
        n_views = len(views.values)
        n_series = n_views // 2
        share = torch.from_numpy(self.processes.share(n_series)).to(self.device)
        own = torch.cat((share, n_series + share))  # in both views
        values, observed, hidden = (self.processes.take(part, own) for part in views)
        half_precision = self.plan.half_precision
        predicted = None
        # No cache: inside another autocast, be it a caller's or the one that turns that
        # off, copies of weights would outlive a step.
        with torch.autocast(
            self.device.type,
            torch.bfloat16,
            enabled=half_precision,
            cache_enabled=False,
        ):
            tokens = self._forward(values, observed, hidden)
            if tokens.fine is not None:
                predicted = self.network.fine.reconstruct(
                    tokens.fine.tokens, values.shape[-1]
                )

        def complete(part: Tensor) -> Tensor:
            if half_precision and part.is_floating_point():
                part = part.float()
            return self.processes.gather(part, own, n_views)

        tokens = replace(tokens, fine=None).map(complete)
        return tokens, None if predicted is None else complete(predicted)

    def _retrieval(self, fused: Tokens, multi: Tokens) -> Tensor:
        """Steps 5 and 6: each query retrieves its own series in the other view."""
        loss = RETRIEVAL_LOSSES[self.plan.loss]
        first_query, second_query = masked_mean(*fused).chunk(2)
        first_key, second_key = masked_mean(*multi).chunk(2)
        slope, offset = self.network.log_slope.exp(), self.network.offset
        forth = loss(first_query, second_key, slope, offset)
        back = loss(second_query, first_key, slope, offset)
        return 0.5 * (forth + back)

    def _update(self, loss: Tensor) -> None:
        factor = learning_rate_factor(self.step, self.plan.n_steps)
        self.optimizer.zero_grad()
        # All processes have the same loss; their gradients add up to that of one.
        (loss / self.processes.size).backward()
        # Not network.parameters(): walking through it takes longer than clipping.
        parameters = self.optimizer.parameters
        self.processes.sum_gradients(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, GRADIENT_CLIP)
        self.optimizer.step(self.plan.learning_rate * factor)


def _token_retrieval(coarse: Segments) -> Tensor:
    """Each feature of the coarse map retrieves itself in the other view."""
    first, second = coarse.features.chunk(2)
    seen_first, seen_second = coarse.feature_mask.chunk(2)
    return token_retrieval_loss(first, second, seen_first & seen_second)


def _cluster_triplet(coarse: Segments, rng: np.random.Generator) -> Tensor:
    """ShapeNet's loss of each segment length, averaged over the lengths."""
    losses = [
        segment_cluster_loss(tokens[mask], SEGMENT_CLUSTERS, rng)
        for tokens, mask in coarse.by_scale()
    ]
    return torch.stack(losses).mean()
