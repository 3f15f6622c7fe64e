"""Command line: ``python -m mug_sklearn benchmark`` and ``… benchmark report``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..datasets import bundled_names, find_datasets
from .archive import download_datasets
from .methods import METHODS, select_methods
from .protocol import CLASSIFIERS
from .report import write_report
from .runner import check_settings, run_benchmark

_WIDTH = max(map(len, METHODS)) + 2
_EPILOG = "\n".join(
    [
        "methods:",
        *(f"  {name:{_WIDTH}}{method.description}" for name, method in METHODS.items()),
        f"\nclassifiers: {', '.join(CLASSIFIERS)}",
        "\nthe report on what was run:\n"
        "  python -m mug_sklearn benchmark report RESULTS.csv",
    ]
)


def main(argv: Sequence[str]) -> int:
    """Run the benchmark, or report on its results.

    Parameters
    ----------
    argv : sequence of str
        The arguments after ``benchmark``.

    Returns
    -------
    int
        0, or 1 if some fit failed.

    Raises
    ------
    OSError, ValueError, ImportError
        If something cannot be read, written or run.

    Examples
    --------
    >>> from mug_sklearn.benchmark.cli import main
    >>> main(["--datasets", "nowhere", "--output", "results.csv"])
    Traceback (most recent call last):
    ValueError: no data set nowhere; there are ACSF1, ...
    """
    if argv and argv[0] == "report":
        return _report(argv[1:])
    args = _run_parser().parse_args(argv)
    names, classifiers = _names(args.methods), _names(args.classifiers)
    # First, so that an error here does not wait for a download.
    methods = select_methods(METHODS if names == ["all"] else names)
    check_settings(args.seeds, classifiers, args.resamples, args.jobs)
    n_failed = run_benchmark(
        _sources(args.data, _names(args.datasets), args.download),
        methods,
        args.output,
        seeds=args.seeds,
        classifiers=classifiers,
        resamples=args.resamples,
        n_jobs=args.jobs,
    )
    if n_failed:
        print(
            f"{n_failed} fits failed; the same command tries them again",
            file=sys.stderr,
        )
    return 1 if n_failed else 0


def _report(argv: Sequence[str]) -> int:
    args = _report_parser().parse_args(argv)
    print(write_report(args.results, args.published, args.output))
    return 0


def _sources(
    folder: Path | None, wanted: Sequence[str], download: bool
) -> dict[str, str]:
    """Name and source of each data set asked for."""
    if download:
        if folder is None or wanted == ["all"]:
            raise ValueError("--download needs --data and the names in --datasets")
        folder.mkdir(parents=True, exist_ok=True)
    found = {name: str(path) for name, path in find_datasets(folder).items()}
    if wanted == ["all"]:
        if folder is None:
            raise ValueError("'all' is every data set in the folder that --data names")
        if not found:
            raise ValueError(
                f"--data {str(folder)!r} holds no data set, neither NAME.npz nor "
                "NAME_TRAIN.ts beside NAME_TEST.ts"
            )
        return found
    known = {name: name for name in bundled_names()} | found
    missing = [name for name in wanted if name not in known]
    if missing and download and folder is not None:
        download_datasets(missing, folder)
        return _sources(folder, wanted, download=False)
    if missing:
        raise ValueError(
            f"no data set {', '.join(missing)}; there are {', '.join(sorted(known))}"
        )
    return {name: known[name] for name in wanted}


def _names(values: Sequence[str]) -> list[str]:
    """Names that are separated by spaces or commas."""
    return " ".join(values).replace(",", " ").split()


def _run_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mug_sklearn benchmark",
        description="Runs methods on data sets and appends to a CSV file.\n"
        "What the file already holds is not run again.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of .npz files or of .ts pairs, or of folders of them; not needed "
        "for data sets that sktime brings along",
    )
    parser.add_argument(
        "--datasets",
        nargs="+",
        default=["all"],
        metavar="NAME",
        help="names, or 'all' in the folder (default: all)",
    )
    parser.add_argument(
        "--download",
        action="store_true",
        help="fetch those that the folder lacks from the UCR and UEA archives",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        default=["mug"],
        metavar="NAME",
        help="names, or 'all' (default: mug)",
    )
    parser.add_argument(
        "--classifiers",
        nargs="+",
        default=["svm", "svc"],
        metavar="NAME",
        help="default: svm,svc",
    )
    for name, default, text in (
        ("--seeds", 3, "runs of each random method"),
        ("--resamples", 0, "stratified redraws of each split, beside the given one"),
        ("--jobs", 1, "processes, of one thread each if more than one"),
    ):
        parser.add_argument(
            name, type=int, default=default, metavar="N", help=f"{text} ({default})"
        )
    parser.add_argument("--output", type=Path, required=True, metavar="RESULTS.csv")
    return parser


def _report_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mug_sklearn benchmark report",
        description="Prints a report on a results file in Markdown.",
    )
    parser.add_argument("results", type=Path, metavar="RESULTS.csv")
    parser.add_argument(
        "--published",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="CSV files of published accuracies: dataset,method,accuracy,source",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="also write report.md and its pictures into this folder",
    )
    return parser
