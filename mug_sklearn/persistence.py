"""Fitted state as numpy arrays and back.

A pickle of the estimator then holds no torch object: it loads on a machine without
the device that it was trained on, and equal fits have equal states.
"""

from typing import Any

import numpy as np
import torch

from .nn.network import MUGConfig, MUGNetwork, build_network
from .nn.readout import Readout


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
    # A copy: the arrays may be a read-only memory map.
    state = {name: torch.from_numpy(np.array(one)) for name, one in arrays.items()}
    network.load_state_dict(state)
    return network.eval()


def readout_to_arrays(readout: Readout) -> dict[str, Any]:
    """The readout's fields with arrays in place of tensors."""
    return {
        "blocks": readout.blocks,
        "location": readout.location.numpy().copy(),
        "scale": readout.scale.numpy().copy(),
        "axes": None if readout.axes is None else readout.axes.numpy().copy(),
    }


def readout_from_arrays(state: dict[str, Any]) -> Readout:
    """The readout that `readout_to_arrays` took apart."""
    return Readout(
        blocks=tuple(state["blocks"]),
        location=torch.from_numpy(np.array(state["location"])),
        scale=torch.from_numpy(np.array(state["scale"])),
        axes=None
        if state["axes"] is None
        else torch.from_numpy(np.array(state["axes"])),
    )
