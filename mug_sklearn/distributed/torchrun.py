"""Pretraining by several processes, started by torchrun.

`MUGTransformer.fit` never looks at the environment; only this entry point does.
"""

import argparse
import ast
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed

# torch's compiler imports this module, whose functions keep the process group of that
# moment in a default argument. Such a group would outlive `destroy_process_group`, and
# its threads the interpreter, which now and then aborts the process at exit. At this
# point there is no group yet.
import torch.distributed.nn.functional

from .. import MUGTransformer
from .._files import check_replaceable
from .._input_forms import read_panel
from .._series_files import SERIES_FORMATS, check_series_path, read_series_file
from ..pretraining.processes import GroupProcesses, Processes

EXAMPLES = f"""\
examples:
  torchrun --nproc-per-node 2 -m mug_sklearn.distributed fit X.npy --save model
  torchrun --nproc-per-node 4 -m mug_sklearn.distributed fit data.npz --save model \\
      --parameters batch_size=64 max_epochs=20 "segment_lengths=(0.1, 0.3)"

{SERIES_FORMATS}"""


class _SharedMUG(MUGTransformer):
    """A transformer that trains with the other processes of torch's process group."""

    def _processes(self) -> Processes:
        together = torch.distributed.is_initialized()
        return GroupProcesses() if together else Processes()


# Messages name the class that users know.
_SharedMUG.__name__ = MUGTransformer.__name__


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return 0, or 2 if something was not accepted.

    Parameters
    ----------
    arguments : sequence of str
        The arguments without the program's name.
    """
    options = _parser().parse_args(arguments)
    rank = int(os.environ["RANK"]) if _is_launched() else 0
    is_first = rank == 0
    try:
        mug = _make_estimator(options.parameters, show=options.verbose and is_first)
        check_series_path(options.series)
        if is_first:
            check_replaceable(options.save, "--save", {"series": options.series})
        X = read_series_file(options.series, options.array)
        asked = mug.device
        _join_processes(mug)
        _check_same_series(X)
        mug.fit(X)
        if is_first:
            # Whoever loads the file need not have this process' device.
            mug.set_params(device=asked).save(options.save)
    except (OSError, ValueError, ImportError) as error:
        # Each process says it: the first to end takes the others down, perhaps unheard.
        place = f" in process {rank}" if _is_launched() else ""
        print(f"error{place}: {error}", file=sys.stderr, flush=True)
        return 2
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    return 0


def _make_estimator(settings: Sequence[str], show: bool) -> MUGTransformer:
    # All processes must draw the same numbers.
    parameters: dict[str, Any] = {"random_state": 0, "verbose": int(show)}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"--parameters takes name=value, not {setting!r}")
        if "__" in name:  # set_params looks for a parameter of a parameter
            raise ValueError(f"Invalid parameter {name!r} for MUGTransformer")
        try:
            parameters[name] = ast.literal_eval(text)
        except (SyntaxError, ValueError, TypeError):  # that of {[]: 1}, say
            parameters[name] = text
    if parameters["random_state"] is None:
        raise ValueError(
            "random_state=None would differ between processes; give an int"
        )
    return _SharedMUG().set_params(**parameters)


def _join_processes(mug: MUGTransformer) -> None:
    """Join the processes that torchrun has started, if any, each on its own device."""
    if not _is_launched():
        return
    on_cuda = str(mug.device).startswith(("auto", "cuda")) and torch.cuda.is_available()
    if on_cuda:
        place, n_devices = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if place >= n_devices:
            raise ValueError(
                f"--nproc-per-node is more than the {n_devices} GPUs of this machine; "
                "to train on its CPU give --parameters device=cpu"
            )
        # Objects are exchanged through the current device.
        torch.cuda.set_device(place)
        mug.set_params(device=f"cuda:{place}")
    elif mug.device == "auto":
        mug.set_params(device="cpu")  # gloo serves no other accelerator
    torch.distributed.init_process_group("nccl" if on_cuda else "gloo")


def _is_launched() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def _check_same_series(X: Any) -> None:
    """Refuse files of different series on different machines, before training."""
    if not torch.distributed.is_initialized():
        return
    own = read_panel(MUGTransformer(), X, reset=True).summary()
    summaries = [own] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(summaries, own)
    if any(summary != own for summary in summaries):
        sizes = [(one["n_series"], one["n_timepoints"]) for one in summaries]
        raise ValueError(
            "the processes read different series; their numbers and greatest lengths "
            f"are {sizes}"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mug_sklearn.distributed",
        description="Pretraining by several processes, started by torchrun.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True)
    fit = commands.add_parser(
        "fit",
        help="pretrain MUGTransformer and save it",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fit.add_argument("series", type=Path, help="file of series")
    fit.add_argument("--array", metavar="NAME", help="which array of a .npz file")
    fit.add_argument(
        "--save", type=Path, required=True, help="file for MUGTransformer.load"
    )
    fit.add_argument(
        "--parameters",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="parameters of MUGTransformer",
    )
    fit.add_argument("--verbose", action="store_true", help="show a progress bar")
    return parser
