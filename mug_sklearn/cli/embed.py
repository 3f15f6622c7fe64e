"""``python -m mug_sklearn fit`` and ``embed``: from files to models and embeddings."""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .. import MUGTransformer
from .._files import check_replaceable, replaced_file
from .._input_forms import read_panel
from .._panel import Panel
from .._progress import ProgressBar
from .._series_files import (
    SERIES_FORMATS,
    check_series_path,
    check_suffix,
    read_series_file,
)
from ..device import resolve_device
from .arguments import at_least, random_seed
from .embedding_files import EMBEDDING_SUFFIXES, write_embedding

CHUNK_SERIES = 512
_SETTINGS = ("granularity", "max_epochs", "random_state")
_FIT_EXAMPLES = f"""\
examples:
  python -m mug_sklearn fit train.npz --array X_train --save model.safetensors
  python -m mug_sklearn fit GunPoint_TRAIN.ts --save model.safetensors --max-epochs 50

{SERIES_FORMATS}
"""
_EMBED_EXAMPLES = f"""\
examples:
  fit on the series themselves, without labels, and embed them:
    python -m mug_sklearn embed series.csv embedding.npz
  embed new series as an earlier fit does:
    python -m mug_sklearn embed new.npy embedding.parquet --model model.safetensors

{SERIES_FORMATS}

embeddings are written to
  .npz      as an array `embedding`
  .npy      written in pieces, so that they may be larger than memory
  .parquet  with a column for each feature
"""


def add_commands(commands: Any) -> None:
    """Add ``fit`` and ``embed`` to the commands.

    Parameters
    ----------
    commands : argparse's object for subcommands
    """
    fit = commands.add_parser(
        "fit",
        help="fit MUG on a file of series and save it",
        description="Fits MUG on a file of series, without labels, and saves it for "
        "`embed` and for MUGTransformer.load.",
        epilog=_FIT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fit.set_defaults(run=_fit)
    fit.add_argument("input", type=Path, metavar="IN", help="file of series")
    fit.add_argument("--save", type=Path, required=True, metavar="FILE", help="model")
    embed = commands.add_parser(
        "embed",
        help="turn a file of series into a file of vectors",
        description="Writes one vector a series, in the order of the input.",
        epilog=_EMBED_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    embed.set_defaults(run=_embed)
    embed.add_argument("input", type=Path, metavar="IN", help="file of series")
    embed.add_argument("output", type=Path, metavar="OUT", help="file of vectors")
    embed.add_argument(
        "--model", type=Path, metavar="FILE", help="that `fit` saved; not fitted again"
    )
    for command in (fit, embed):
        _add_settings(command)


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--array", metavar="NAME", help="which array of a .npz file")
    command.add_argument(
        "--granularity",
        choices=("multi", "fine", "coarse"),
        help="of the fit (default: multi)",
    )
    command.add_argument(
        "--max-epochs",
        type=at_least(0),
        metavar="N",
        help="most epochs of the fit (default: chosen by the transformer)",
    )
    command.add_argument(
        "--random-state",
        type=random_seed,
        metavar="SEED",
        help="seed of the fit (default: 0)",
    )
    command.add_argument(
        "--device", default="auto", help="such as cpu or cuda (default: auto)"
    )
    command.add_argument(
        "--quiet", action="store_true", help="print neither progress nor summary"
    )


def _fit(args: argparse.Namespace) -> None:
    check_series_path(args.input)
    check_replaceable(args.save, "--save", {"IN": args.input})
    resolve_device(args.device)
    X = read_series_file(args.input, args.array)
    started = time.perf_counter()
    with _naming(args.input):
        mug = _new_transformer(args).fit(X)
    mug.save(args.save)
    _report(args, f"fitted on {len(X)} series", started, args.save)


def _embed(args: argparse.Namespace) -> None:
    check_series_path(args.input)
    check_suffix(args.output, EMBEDDING_SUFFIXES)
    check_replaceable(args.output, "OUT", {"IN": args.input, "--model": args.model})
    resolve_device(args.device)
    started = time.perf_counter()
    if args.model is None:
        X = read_series_file(args.input, args.array)
        with _naming(args.input):
            mug = _new_transformer(args).fit(X)
            panel = read_panel(mug, X, reset=False)
    else:
        mug = _loaded_transformer(args)
        X = read_series_file(args.input, args.array)
        if isinstance(X, np.ndarray) and X.ndim == 2:
            # A table must be as wide as that of the fit, whereas channels may have any
            # length: the longest series need not be equally long in all files.
            X = X[:, np.newaxis]
        with _naming(args.input):
            _, panel = mug._read_to_transform(X)
    names = mug.get_feature_names_out()
    with replaced_file(args.output) as temporary:
        write_embedding(
            temporary,
            args.output.suffix,
            (len(X), len(names)),
            names,
            _embedded(mug, panel, args),
        )
    what = f"embedded {len(X)} series in {len(names)} features"
    _report(args, what, started, args.output)


def _embedded(
    mug: MUGTransformer, panel: Panel, args: argparse.Namespace
) -> Iterator[np.ndarray]:
    """Embeddings of chunks of the series, in order."""
    rows = range(panel.n_series)
    with ProgressBar(
        total=len(rows), desc="embed", unit="series", shown=not args.quiet
    ) as progress:
        for start in rows[::CHUNK_SERIES]:
            chunk = rows[start : start + CHUNK_SERIES]
            with _naming(args.input):
                embedding = mug._embed(panel, chunk)
            yield embedding
            progress.update(len(chunk))


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file whose series the transformer refuses."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: {error}") from error


def _new_transformer(args: argparse.Namespace) -> MUGTransformer:
    settings = {"random_state": 0, "device": args.device, **_given_settings(args)}
    return MUGTransformer(verbose=int(not args.quiet), **settings)


def _loaded_transformer(args: argparse.Namespace) -> MUGTransformer:
    if given := _given_settings(args):
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        raise ValueError(f"{options}: not with --model, which is fitted already.")
    return MUGTransformer.load(args.model).to(args.device)


def _given_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of a fit that the command line names."""
    return {
        name: value for name in _SETTINGS if (value := getattr(args, name)) is not None
    }


def _report(args: argparse.Namespace, what: str, started: float, path: Path) -> None:
    if not args.quiet:
        seconds = time.perf_counter() - started
        print(f"{what}, {seconds:.1f} s: {path}")
