"""Fitted state as numpy arrays and back, and such state in a file without code.

As arrays, so that a pickle of the estimator holds no torch object: it loads on a
machine without the device that it was trained on, and equal fits have equal states.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from safetensors import SafetensorError, safe_open

from ._files import replaced_file
from ._version import __version__
from .device import is_out_of_memory, repeatable_arithmetic
from .nn.coarse import SegmentScale
from .nn.network import MUGConfig, MUGNetwork, build_network
from .nn.readout import BlockScaling, Readout

HEADER = "mug_sklearn"
FORMAT = 3
RECORDS = {record.__name__: record for record in (MUGConfig, SegmentScale)}


def to_arrays(state: Any) -> Any:
    """Nested dictionaries with arrays in place of tensors; all else stays as it is."""
    if isinstance(state, Mapping):
        return {name: to_arrays(value) for name, value in state.items()}
    if isinstance(state, torch.Tensor):
        return state.detach().cpu().numpy().copy()
    return state


def to_tensors(state: Any, device: torch.device) -> Any:
    """The inverse of `to_arrays`, on a device."""
    if isinstance(state, Mapping):
        return {name: to_tensors(value, device) for name, value in state.items()}
    if isinstance(state, np.ndarray):
        # A copy: the array may be a read-only memory map.
        return torch.from_numpy(np.array(state)).to(device)
    return state


def network_from_arrays(config: MUGConfig, arrays: dict[str, np.ndarray]) -> MUGNetwork:
    """Rebuild a network on the CPU, in evaluation mode."""
    # On one thread: a forked process has lost those that OpenMP had started, and would
    # wait for them for ever. Tensors made in inference mode can never be trained.
    with repeatable_arithmetic(), torch.inference_mode(False):
        network = build_network(config)
        network.load_state_dict(to_tensors(arrays, torch.device("cpu")))
    return network.eval()


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
    scalings = {name: vars(scaling) for name, scaling in readout.scalings.items()}
    return to_arrays(vars(readout) | {"scalings": scalings})


def readout_from_arrays(state: dict[str, Any]) -> Readout:
    """The inverse of `readout_to_arrays`, on the CPU."""
    content = to_tensors(state, torch.device("cpu"))
    scalings = {
        name: BlockScaling(**scaling) for name, scaling in content["scalings"].items()
    }
    return Readout(**content | {"scalings": scalings})


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
    # Not from their installations' metadata, which a frozen program lacks.
    versions = {
        "mug_sklearn": __version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }
    header = {
        "format": FORMAT,
        "versions": versions,
        "checksum": checksum(content, arrays),
        "state": content,
    }
    metadata = {HEADER: json.dumps(header)}
    with replaced_file(path) as temporary:
        try:
            safetensors.numpy.save_file(arrays, temporary, metadata=metadata)
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
        If it is not such a file, is incomplete or damaged, or has another format.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {os.fspath(path)!r}")
    # safetensors would say of one that may not be read that it does not exist.
    Path(path).open("rb").close()
    with requiring_complete(path), safe_open(path, framework="np") as file:
        header = (file.metadata() or {}).get(HEADER)
        if header is None:
            raise ValueError(f"its header has no entry {HEADER!r}")
        content = json.loads(header)
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            raise ValueError(f"its format is {found!r}, and {FORMAT} is accepted")
        names = file.keys()
        arrays = {name: file.get_tensor(name) for name in names}
        if content.get("checksum") != checksum(content.get("state"), arrays):
            raise ValueError("its content is not what was written")
        state = _decoded(content["state"], arrays)
        if not isinstance(state, dict):
            raise ValueError(f"its state is of type {type(state).__name__}")
        return state


@contextmanager
def requiring_complete(path: str | os.PathLike[str]) -> Iterator[None]:
    """Tell of whatever a file of other content runs into that it is no such file."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError | Warning) or is_out_of_memory(error):
            raise
        raise ValueError(
            f"{os.fspath(path)!r} is not a complete file of MUGTransformer.save: "
            f"{error}"
        ) from error


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


def checksum(content: Any, arrays: Mapping[str, np.ndarray]) -> str:
    """Digest of a state as the JSON and the arrays of a file."""
    digest = hashlib.sha256(json.dumps(content).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _decoded(content: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(content, list):
        return [_decoded(one, arrays) for one in content]
    if not isinstance(content, dict):
        return content
    ((kind, inner),) = content.items()
    if kind == "array":
        return arrays[inner]
    if kind == "objects":
        return np.array(_decoded(inner, arrays), dtype=object)
    if kind == "tuple":
        return tuple(_decoded(inner, arrays))
    if kind == "dict":
        return {key: _decoded(one, arrays) for key, one in inner.items()}
    return RECORDS[kind](**_decoded(inner, arrays))
