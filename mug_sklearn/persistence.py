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
    """Parameters and buffers by name, on the CPU."""
    state = network.state_dict()
    return {name: tensor.cpu().numpy().copy() for name, tensor in state.items()}


def network_from_arrays(
    config: MUGConfig, arrays: dict[str, np.ndarray], device: torch.device
) -> MUGNetwork:
    """Rebuild a network in evaluation mode."""
    network = build_network(config)
    # A copy: the arrays may be a read-only memory map.
    state = {name: torch.from_numpy(np.array(one)) for name, one in arrays.items()}
    network.load_state_dict(state)
    return network.to(device).eval()


def readout_to_arrays(readout: Readout) -> dict[str, Any]:
    """The readout's fields with arrays in place of tensors."""
    axes = None if readout.axes is None else readout.axes.cpu().numpy().copy()
    return {
        "blocks": readout.blocks,
        "location": readout.location.cpu().numpy().copy(),
        "scale": readout.scale.cpu().numpy().copy(),
        "axes": axes,
    }


def readout_from_arrays(state: dict[str, Any], device: torch.device) -> Readout:
    """The readout that `readout_to_arrays` took apart."""
    location, scale, axes = (
        None if state[name] is None else torch.from_numpy(np.array(state[name]))
        for name in ("location", "scale", "axes")
    )
    assert location is not None
    assert scale is not None
    return Readout(tuple(state["blocks"]), location, scale, axes).to(device)
