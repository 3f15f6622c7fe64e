"""``python -m mug_sklearn demo``: MUG, its parts and raw values on one data set."""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.svm import SVC
from sklearn.utils.multiclass import check_classification_targets

from .. import MUGTransformer
from .._files import check_replaceable
from .._raw_values import raw_values
from ..datasets import Dataset, bundled_names, load_dataset
from .arguments import at_least, random_seed

_GRANULARITIES = {
    "MUG + SVC": "multi",
    "fine only (TST) + SVC": "fine",
    "coarse only, with random shapelets + SVC": "coarse",
}
_PICTURES = ("embedding.png", "training_loss.png")


class _Result(NamedTuple):
    """One row of the demo's table."""

    method: str
    accuracy: float
    fit_seconds: float
    transform_seconds: float
    width: int


def add_command(commands: Any) -> None:
    """Add ``demo`` to the commands.

    Parameters
    ----------
    commands : argparse's object for subcommands
    """
    demo = commands.add_parser(
        "demo",
        help="compare MUG with its parts and with raw values on one data set",
        description="Fits MUG, each of its granularities alone, and raw values on one "
        "data set, prints a table of accuracies and times, and saves two plots.",
        epilog="bundled data sets: " + ", ".join(bundled_names()),
    )
    demo.set_defaults(run=_run)
    demo.add_argument(
        "--dataset",
        default="BasicMotions",
        metavar="NAME_OR_PATH",
        help="a bundled data set, a .npz file, a NAME_TRAIN.ts file, or a folder NAME "
        "with NAME_TRAIN.ts and NAME_TEST.ts (default: %(default)s)",
    )
    demo.add_argument(
        "--output",
        type=Path,
        default=Path("mug-demo"),
        metavar="DIR",
        help="folder for the plots (default: %(default)s)",
    )
    demo.add_argument(
        "--random-state",
        type=random_seed,
        default=0,
        metavar="SEED",
        help="seed of every fit (default: %(default)s)",
    )
    demo.add_argument(
        "--max-epochs",
        type=at_least(1),
        metavar="N",
        help="upper bound of the training epochs (default: chosen by the transformer)",
    )


def _run(args: argparse.Namespace) -> None:
    data = load_dataset(args.dataset)
    check_classification_targets(data.y_train)
    if len(set(data.y_train)) < 2:
        raise ValueError(f"all training series of {data.name} are of one class.")
    if args.output.exists() and not args.output.is_dir():
        raise ValueError(f"--output is no folder, {str(args.output)!r}.")
    args.output.mkdir(parents=True, exist_ok=True)
    for name in _PICTURES:
        check_replaceable(args.output / name, f"{name} in --output", {})
    _demo(data, args.dataset, args.output, args.random_state, args.max_epochs)


def _demo(
    data: Dataset, source: str, output: Path, random_state: int, max_epochs: int | None
) -> None:
    """Print the comparison's table and the code for it; save plots in the folder."""
    # Imported here, so that no other command waits for matplotlib.
    from ..plotting import plot_embedding, plot_loss_curve
    from ..plotting._style import MARKS

    parameters: dict[str, Any] = {"random_state": random_state}
    if max_epochs is not None:
        parameters["max_epochs"] = max_epochs
    n_train, n_test = len(data.X_train), len(data.X_test)
    print(f"{data.name}: {n_train} training and {n_test} test series")

    transformers = {
        method: MUGTransformer(granularity=granularity, verbose=1, **parameters)
        for method, granularity in _GRANULARITIES.items()
    }
    transformers["raw values + SVC"] = raw_values()
    results, embeddings = [], {}
    for method, transformer in transformers.items():
        print(f"Fitting {method} ...", flush=True)
        result, embeddings[method] = _evaluate(method, transformer, data)
        results.append(result)

    print(f"\n{_table(results)}\n")
    method = next(iter(_GRANULARITIES))
    is_coloured = len(set(data.y_test)) <= len(MARKS)
    labels = data.y_test if is_coloured else None
    _save(
        output / _PICTURES[0],
        lambda ax: plot_embedding(embeddings[method], labels, ax=ax),
        f"{data.name}: test series, embedded by MUG",
    )
    _save(
        output / _PICTURES[1],
        lambda ax: plot_loss_curve(transformers[method], ax=ax),
        f"{data.name}: training of MUG",
    )
    print(f"\nThe same in code:\n\n{_code(source, parameters)}")


def _evaluate(
    method: str, transformer: TransformerMixin, data: Dataset
) -> tuple[_Result, np.ndarray]:
    """Time the transformer and score SVC() on its output."""
    started = time.perf_counter()
    transformer.fit(data.X_train)
    fitted = time.perf_counter()
    train, test = map(transformer.transform, (data.X_train, data.X_test))
    transformed = time.perf_counter()
    accuracy = SVC().fit(train, data.y_train).score(test, data.y_test)
    result = _Result(
        method, accuracy, fitted - started, transformed - fitted, test.shape[1]
    )
    return result, test


def _table(results: Sequence[_Result]) -> str:
    rows = [["method", "accuracy", "fit s", "transform s", "width"]]
    for result in results:
        times = [f"{result.fit_seconds:.2f}", f"{result.transform_seconds:.2f}"]
        rows.append(
            [result.method, f"{result.accuracy:.3f}", *times, str(result.width)]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    # Methods are left-aligned, numbers right-aligned.
    method, *numbers = widths
    return "\n".join(
        "  ".join([row[0].ljust(method), *map(str.rjust, row[1:], numbers)])
        for row in rows
    )


def _save(path: Path, draw: Callable, title: str) -> None:
    """Draw on a figure of our own, which needs no display and leaves pyplot alone."""
    from matplotlib.figure import Figure

    from ..plotting._style import make_room_for_legend

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    ax = figure.subplots()
    draw(ax)
    ax.set_title(title)
    make_room_for_legend(ax)
    figure.savefig(path, dpi=150)
    print(f"saved {path}")


def _code(source: str, parameters: dict[str, Any]) -> str:
    arguments = ", ".join(f"{name}={value}" for name, value in parameters.items())
    return f"""\
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from mug_sklearn import MUGTransformer
from mug_sklearn.datasets import load_dataset

data = load_dataset({source!r})
model = make_pipeline(MUGTransformer({arguments}), SVC())
model.fit(data.X_train, data.y_train)
print(model.score(data.X_test, data.y_test))"""
