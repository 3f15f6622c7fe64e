"""Fitted state as numpy arrays and back.

A pickle of the estimator then holds no torch object: it loads on a machine without
the device that it was trained on, and equal fits have equal states.
"""

from typing import Any

import numpy as np
import torch

from .nn.network import MUGConfig, MUGNetwork, build_network
from .nn.readout import BlockScaling, Readout


def network_to_arrays(network: MUGNetwork) -> dict[str, np.ndarray]:
    """Parameters and buffers by name, floating ones in the precision of training."""
    return {
        name: (tensor.float() if tensor.is_floating_point() else tensor)
        .cpu()
        .numpy()
        .copy()
        for name, tensor in network.state_dict().items()
    }


def network_from_arrays(config: MUGConfig, arrays: dict[str, np.ndarray]) -> MUGNetwork:
    """Rebuild a network on the CPU, in evaluation mode."""
    network = build_network(config)
    state = {name: _tensor(array) for name, array in arrays.items()}
    network.load_state_dict(state)
    return network.eval()


def readout_to_arrays(readout: Readout) -> dict[str, Any]:
    """The readout's fields with arrays in place of tensors."""
    return {
        "scalings": {
            name: {
                "location": scaling.location.numpy().copy(),
                "scale": scaling.scale.numpy().copy(),
                "typical_square": scaling.typical_square,
                "weight": scaling.weight,
            }
            for name, scaling in readout.scalings.items()
        },
        "location": readout.location.numpy().copy(),
        "axes": None if readout.axes is None else readout.axes.numpy().copy(),
    }


def readout_from_arrays(state: dict[str, Any]) -> Readout:
    """The readout that `readout_to_arrays` took apart."""
    return Readout(
        scalings={
            name: BlockScaling(
                location=_tensor(scaling["location"]),
                scale=_tensor(scaling["scale"]),
                typical_square=float(scaling["typical_square"]),
                weight=float(scaling["weight"]),
            )
            for name, scaling in state["scalings"].items()
        },
        location=_tensor(state["location"]),
        axes=None if state["axes"] is None else _tensor(state["axes"]),
    )


def _tensor(array: np.ndarray) -> torch.Tensor:
    # A copy: the array may be a read-only memory map.
    return torch.from_numpy(np.array(array))
