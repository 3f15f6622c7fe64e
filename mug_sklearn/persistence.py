"""Fitted state as numpy arrays and back, and such state in a file without code.

As arrays, so that a pickle of the estimator holds no torch object: it loads on a
machine without the device that it was trained on, and equal fits have equal states.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from safetensors import SafetensorError, safe_open

from ._files import replaced_file
from .nn.coarse import SegmentScale
from .nn.network import MUGConfig, MUGNetwork, build_network
from .nn.readout import BlockScaling, Readout

HEADER = "mug_sklearn"
FORMAT = 1
RECORDS = {record.__name__: record for record in (MUGConfig, SegmentScale)}


def network_to_arrays(network: MUGNetwork) -> dict[str, np.ndarray]:
    """Parameters and buffers by name."""
    return {name: _array(tensor) for name, tensor in network.state_dict().items()}


def network_from_arrays(config: MUGConfig, arrays: dict[str, np.ndarray]) -> MUGNetwork:
    """Rebuild a network on the CPU, in evaluation mode."""
    network = build_network(config)
    state = {name: _tensor(array) for name, array in arrays.items()}
    network.load_state_dict(state)
    return network.eval()


def moments_to_arrays(
    moments: Mapping[int, Mapping[str, torch.Tensor]],
) -> dict[str, Any]:
    """An optimiser's state of each parameter, by the parameter's number."""
    return {
        str(number): {name: _array(value) for name, value in of_one.items()}
        for number, of_one in moments.items()
    }


def moments_from_arrays(
    arrays: Mapping[str, Mapping[str, np.ndarray]], device: torch.device
) -> dict[int, dict[str, torch.Tensor]]:
    """The inverse of `moments_to_arrays`, on a device."""
    return {
        int(number): {name: _tensor(array).to(device) for name, array in of_one.items()}
        for number, of_one in arrays.items()
    }


def losses_to_arrays(steps: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
    """The loss and its terms over several steps, as one array per term.

    As JSON, so many numbers would make a file's header too long.
    """
    return {name: np.array([terms[name] for terms in steps]) for name in steps[0]}


def losses_from_arrays(arrays: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
    """The inverse of `losses_to_arrays`."""
    steps = zip(*(array.tolist() for array in arrays.values()), strict=True)
    return [dict(zip(arrays, step, strict=True)) for step in steps]


def readout_to_arrays(readout: Readout) -> dict[str, Any]:
    """The readout's fields with arrays in place of tensors."""
    return {
        "scalings": {
            name: {
                "location": _array(scaling.location),
                "scale": _array(scaling.scale),
                "typical_square": scaling.typical_square,
                "weight": scaling.weight,
            }
            for name, scaling in readout.scalings.items()
        },
        "location": _array(readout.location),
        "axes": None if readout.axes is None else _array(readout.axes),
    }


def readout_from_arrays(state: dict[str, Any]) -> Readout:
    """The inverse of `readout_to_arrays`."""
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


def write_state(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write a state to a safetensors file, all or nothing.

    Arrays become tensors of the file, named by where they are in the state; the rest
    is JSON in its header.

    Parameters
    ----------
    path : str or path-like
        An existing file is replaced once the new one is complete.
    state : mapping of str to object
        Arrays, numbers, strings, None, tuples, lists and dictionaries of these, and
        the records of a network's shape.

    Raises
    ------
    ValueError
        If the state holds something else; the message says where.
    FileNotFoundError
        If the folder does not exist.
    OSError
        If the file cannot be written, such as on a full disk.
    """
    arrays: dict[str, np.ndarray] = {}
    content = _encoded(dict(state), "", arrays)
    versions = {name: version(name) for name in ("mug_sklearn", "torch", "numpy")}
    header = json.dumps({"format": FORMAT, "versions": versions, "state": content})
    with replaced_file(path) as temporary:
        try:
            safetensors.numpy.save_file(arrays, temporary, metadata={HEADER: header})
        except SafetensorError as error:  # such as on a full disk
            raise OSError(str(error)) from error


def require_form_in_file(state: Mapping[str, Any]) -> None:
    """Refuse a state that `write_state` cannot write.

    Raises
    ------
    ValueError
        As `write_state`.
    """
    _encoded(dict(state), "", {})


def read_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `write_state` wrote. Nothing in the file is executed.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    PermissionError
        If it may not be read.
    ValueError
        If it is not such a file, is incomplete, or has another format.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {os.fspath(path)!r}")
    # safetensors would say of one that may not be read that it does not exist.
    Path(path).open("rb").close()
    try:
        with safe_open(path, framework="np") as file:
            header = (file.metadata() or {}).get(HEADER)
            if header is None:
                raise ValueError(f"its header has no entry {HEADER!r}")
            content = json.loads(header)
            if not isinstance(content, dict) or content.get("format") != FORMAT:
                found = content.get("format") if isinstance(content, dict) else None
                raise ValueError(f"its format is {found!r}, and {FORMAT} is accepted")
            state = _decoded(content.get("state"), file)
            if not isinstance(state, dict):
                raise ValueError(f"its state is of type {type(state).__name__}")
    except (
        SafetensorError,
        AttributeError,
        KeyError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise ValueError(
            f"{os.fspath(path)!r} is not a complete file of MUGTransformer.save: "
            f"{error}"
        ) from error
    return state


def _encoded(value: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    """A part of a state as JSON; its arrays are added to `arrays`."""

    def inside(key: object) -> str:
        return f"{place}.{key}" if place else str(key)

    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray) and value.dtype != object:
        name = place if place not in arrays else f"{place}#{len(arrays)}"
        arrays[name] = np.array(value, order="C")
        return {"array": name}
    if isinstance(value, np.ndarray):
        return {"objects": _encoded(value.tolist(), place, arrays)}
    if isinstance(value, list):
        return [_encoded(one, inside(i), arrays) for i, one in enumerate(value)]
    if isinstance(value, tuple):
        return {"tuple": _encoded(list(value), place, arrays)}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {
            "dict": {
                key: _encoded(one, inside(key), arrays) for key, one in value.items()
            }
        }
    if type(value).__name__ in RECORDS:
        content = {field.name: getattr(value, field.name) for field in fields(value)}
        return {type(value).__name__: _encoded(content, place, arrays)}
    raise ValueError(
        f"{place}={value!r} cannot be saved; accepted are numbers, strings, None, "
        "arrays, and tuples, lists and dictionaries of these."
    )


def _decoded(content: Any, file: Any) -> Any:
    if isinstance(content, list):
        return [_decoded(one, file) for one in content]
    if not isinstance(content, dict):
        return content
    ((kind, inner),) = content.items()
    if kind == "array":
        return file.get_tensor(inner)
    if kind == "objects":
        return np.array(_decoded(inner, file), dtype=object)
    if kind == "tuple":
        return tuple(_decoded(inner, file))
    if kind == "dict":
        return {key: _decoded(one, file) for key, one in inner.items()}
    return RECORDS[kind](**_decoded(inner, file))


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()


def _tensor(array: np.ndarray) -> torch.Tensor:
    # A copy: the array may be a read-only memory map.
    return torch.from_numpy(np.array(array))
