"""The optimiser: torch's AdamW update, without the class around it.

Creating a `torch.optim.AdamW` loads torch's compiler, which in a new process takes
longer than many a fit.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.adamw import adamw

FIRST_BETA, SECOND_BETA = 0.9, 0.999
EPSILON = 1e-8


class AdamW:
    """Adam with decoupled weight decay, and torch's defaults for the rest.

    Parameters
    ----------
    parameters : iterable of Tensor
        Tensors that get gradients.
    weight_decay : float

    Attributes
    ----------
    moments : dict of str to dict of str to Tensor
        For each parameter that has had a gradient, by its number, as text for JSON:
        the running means ``exp_avg`` and ``exp_avg_sq``, of the parameter's shape, and
        ``step``, the number of gradients they have seen.

    References
    ----------
    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """

    def __init__(self, parameters: Iterable[Tensor], weight_decay: float) -> None:
        self.parameters = list(parameters)
        self.weight_decay = weight_decay
        self.moments: dict[str, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update each parameter that has a gradient, in place."""
        parameters: list[Tensor] = []
        gradients: list[Tensor] = []
        moments: list[dict[str, Tensor]] = []
        for number, parameter in enumerate(self.parameters):
            if parameter.grad is None:
                continue
            if str(number) not in self.moments:
                self.moments[str(number)] = _no_moments(parameter)
            parameters.append(parameter)
            gradients.append(parameter.grad)
            moments.append(self.moments[str(number)])
        adamw(
            parameters,
            gradients,
            [of_one["exp_avg"] for of_one in moments],
            [of_one["exp_avg_sq"] for of_one in moments],
            [],
            [of_one["step"] for of_one in moments],
            fused=True,
            amsgrad=False,
            beta1=FIRST_BETA,
            beta2=SECOND_BETA,
            lr=learning_rate,
            weight_decay=self.weight_decay,
            eps=EPSILON,
            maximize=False,
        )


def _no_moments(parameter: Tensor) -> dict[str, Tensor]:
    # torch counts steps in single precision, whatever the parameter's precision.
    return {
        "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }
