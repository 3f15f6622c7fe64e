"""Running the benchmark: every method on every data set, into a crash-safe CSV file."""

import csv
import os
import platform
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from filelock import FileLock
from joblib import Parallel, delayed, effective_n_jobs
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from threadpoolctl import threadpool_limits

from .._progress import ProgressBar
from .._warnings import warn_user
from ..datasets import Dataset, Series, bundled_names, load_dataset
from .memory import peak_memory_mb, reset_peak_memory
from .methods import Method, select_methods
from .protocol import CLASSIFIERS
from .report_reading import KEY, OWN_CLASSIFIER, RESULT_COLUMNS, read_results
from .resampling import resample_split

# A failure stops nothing else, not even that of a method that exits the interpreter.
_RECORDED = (Exception, SystemExit)
_LONGEST_MESSAGE = 1000
_PACKAGES = ("mug_sklearn", "torch", "scikit-learn", "aeon", "numpy")


@dataclass(frozen=True)
class _Unit:
    """One fit: a method on a split of a data set, then every classifier."""

    dataset: str
    source: str | Path
    resample: int
    method: str
    seed: int
    classifiers: tuple[str, ...]

    def row_keys(self) -> list[tuple[str, ...]]:
        """The keys of its rows."""
        key = (self.dataset, str(self.resample), self.method, str(self.seed))
        return [(*key, name) for name in self.classifiers]

    def without(self, done: Collection[tuple[str, ...]]) -> "_Unit":
        """The same with the classifiers that are not done yet."""
        named = zip(self.classifiers, self.row_keys(), strict=True)
        return replace(
            self, classifiers=tuple(name for name, key in named if key not in done)
        )


def run_benchmark(
    datasets: Mapping[str, str | os.PathLike[str]],
    methods: Sequence[str] | Mapping[str, Method],
    output: str | os.PathLike[str],
    *,
    seeds: int = 3,
    classifiers: Sequence[str] = ("svm", "svc"),
    resamples: int = 0,
    n_jobs: int = 1,
    verbose: bool = True,
) -> int:
    """Run methods on data sets and append the results to a CSV file.

    A transformer is fitted on the training series alone, without labels; each
    classifier is then fitted on the embeddings. What the file already holds without an
    error is not run again, so that an interrupted run continues where it stopped; a
    warning tells of results by other versions of the libraries.
    Several runs may write to one file at once if they cover different methods or data
    sets; a run does not see what another is about to do, so overlapping work is done
    twice. They keep a lock beside the file, ``.NAME.lock``.

    Parameters
    ----------
    datasets : mapping of str to str or path-like
        Name of each data set, and its source for `mug_sklearn.datasets.load_dataset`.
    methods : sequence of str, or mapping of str to Method
        Names from `METHODS`, or custom methods.
    output : str or path-like
        The CSV file; it is made if it does not exist, and only ever appended to.
    seeds : int, default=3
        Runs of each random method, with seeds 0, 1, ...
    classifiers : sequence of str, default=("svm", "svc")
        Names from `CLASSIFIERS`.
    resamples : int, default=0
        Further splits of each data set, stratified and of the same sizes. Resample 0
        is the given split.
    n_jobs : int, default=1
        Processes, by joblib's current backend; each then computes on one thread.
    verbose : bool, default=True
        Show a progress bar with the time left, and at the end what failed.

    Returns
    -------
    int
        Number of failed fits. Their errors are in the file; a later run retries them.

    Raises
    ------
    ValueError
        Before anything runs: if there is nothing to run, a name is unknown, a data set
        cannot be loaded, or the file holds something other than results.
    ImportError
        If a method needs `aeon`, which is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from mug_sklearn.benchmark import load_results, run_benchmark
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "results.csv"
    ...     failed = run_benchmark(
    ...         {"UnitTest": "UnitTest"}, ["raw"], path, verbose=False
    ...     )
    ...     results = load_results(path)
    >>> failed, results["classifier"].tolist()
    (0, ['svm', 'svc'])
    """
    table = select_methods(methods)
    if not table or not datasets:
        raise ValueError(
            f"there are {len(table)} methods and {len(datasets)} data sets; at least "
            "one of each is needed"
        )
    check_settings(seeds, classifiers, resamples, n_jobs)
    path = Path(output)
    sizes = {name: _size(load_dataset(where)) for name, where in datasets.items()}
    bundled = bundled_names()
    sources = {
        # Absolute, as workers that joblib keeps are in the folder of an earlier call.
        name: where if where in bundled else Path(where).absolute()
        for name, where in datasets.items()
    }
    done = _prepare_file(path)
    asked = [
        unit
        for name in sorted(datasets, key=lambda name: -sizes[name])
        for unit in _units(name, sources[name], table, seeds, resamples, classifiers)
    ]
    _warn_of_other_versions(path, asked, done)
    units = [left for unit in asked if (left := unit.without(done)).classifiers]
    failures = []
    with ProgressBar(total=len(units), unit="fit", shown=verbose) as progress:
        for rows in _run_units(units, table, n_jobs):
            _append(path, rows)
            failures += [row for row in rows if row["error"]][:1]
            progress.update()
    if verbose:
        for row in failures:
            where = "{dataset}, resample {resample}, {method}, seed {seed}"
            print(f"{where.format(**row)}: {row['error']}", file=sys.stderr)
    return len(failures)


def check_settings(
    seeds: int, classifiers: Sequence[str], resamples: int, n_jobs: int
) -> None:
    """Refuse settings that `run_benchmark` does not accept, with a ValueError."""
    unknown = [name for name in classifiers if name not in CLASSIFIERS]
    if unknown or not classifiers:
        raise ValueError(
            f"classifiers={list(classifiers)!r}; there are {', '.join(CLASSIFIERS)}"
        )
    for name, value, least in (("seeds", seeds, 1), ("resamples", resamples, 0)):
        if value < least:
            raise ValueError(f"{name}={value}; at least {least} is accepted")
    if n_jobs == 0:
        raise ValueError("n_jobs=0; processes, or -1 for one a core, are accepted")


def _size(data: Dataset) -> int:
    """Number of values in a data set, by which the longest work begins first."""
    return sum(one.size for part in (data.X_train, data.X_test) for one in part)


def _units(
    dataset: str,
    source: str | Path,
    methods: Mapping[str, Method],
    seeds: int,
    resamples: int,
    classifiers: Sequence[str],
) -> Iterator[_Unit]:
    """The fits that are asked for on a data set."""
    for resample in range(resamples + 1):
        for name, method in methods.items():
            wanted = (
                [OWN_CLASSIFIER] if method.is_classifier else dict.fromkeys(classifiers)
            )
            for seed in range(seeds if method.is_random else 1):
                yield _Unit(dataset, source, resample, name, seed, tuple(wanted))


def _run_units(
    units: Sequence[_Unit], methods: Mapping[str, Method], n_jobs: int
) -> Iterator[list[dict[str, Any]]]:
    """The rows of each unit, as they are finished.

    If a unit kills the process it runs in, nothing tells which unit it was. All that
    may have been running are then run one after another, each in processes that no
    other unit uses, and the rest continues.
    """
    left = dict.fromkeys(units)  # a set in order
    # One unit per batch, so that joblib sends out no more than two per process.
    settings = {"batch_size": 1, "pre_dispatch": "2 * n_jobs"}
    while left:
        # Anew, as after an error joblib's may give a result twice.
        parallel = Parallel(n_jobs, return_as="generator_unordered", **settings)
        work = [
            delayed(_run_unit)(unit, methods[unit.method], n_jobs == 1) for unit in left
        ]
        try:
            for unit, rows in parallel(work):
                del left[unit]
                yield rows
        except BrokenProcessPool:
            for unit in list(left)[: 2 * effective_n_jobs(n_jobs)]:
                del left[unit]
                yield _run_apart(unit, methods[unit.method])


def _run_apart(unit: _Unit, method: Method) -> list[dict[str, Any]]:
    """The rows of a unit that may kill its process."""
    try:
        # A single job would run in this process.
        ((_, rows),) = Parallel(n_jobs=2)([delayed(_run_unit)(unit, method, False)])
    except BrokenProcessPool as error:
        # The rest of joblib's message explains what ends processes in general.
        rows = _failures(unit, _message(error).split(". ")[0])
        # What this process needed says nothing of the one that ended.
        return _completed(unit, [row | {"peak_memory_mb": ""} for row in rows], {})
    return rows


def _run_unit(
    unit: _Unit, method: Method, keep_threads: bool
) -> tuple[_Unit, list[dict[str, Any]]]:
    """A unit and its rows; an error becomes part of the rows."""
    sizes: dict[str, int] = {}
    reset_peak_memory()
    try:
        data = resample_split(load_dataset(unit.source), unit.resample)
        sizes = {"n_train": len(data.y_train), "n_test": len(data.y_test)}
        with _threads(keep_threads):
            if method.needs_aeon:
                _warm_up(method)
            rows = list(_measure(unit, method, data))
    except _RECORDED as error:
        rows = _failures(unit, _message(error))
    return unit, _completed(unit, rows, sizes)


def _failures(unit: _Unit, message: str) -> list[dict[str, Any]]:
    """One row with the error for every classifier of a unit."""
    return [{"classifier": name, "error": message} for name in unit.classifiers]


def _completed(
    unit: _Unit, rows: Iterable[dict[str, Any]], sizes: dict[str, int]
) -> list[dict[str, Any]]:
    """The rows, completed by the fields that all rows of a unit share."""
    common = {
        "error": "",
        "dataset": unit.dataset,
        "resample": unit.resample,
        "method": unit.method,
        "seed": unit.seed,
        "versions": _versions(),
        "machine": _machine(),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return [common | sizes | row for row in rows]


def _message(error: BaseException) -> str:
    """An error in one line, cut short as csv refuses to read very long fields."""
    message = " ".join(f"{type(error).__name__}: {error}".split())
    if len(message) > _LONGEST_MESSAGE:
        message = message[:_LONGEST_MESSAGE] + "…"
    return message


def _measure(unit: _Unit, method: Method, data: Dataset) -> Iterator[dict[str, Any]]:
    """Fit, transform, and score with each classifier, any of which may fail."""
    estimator = method.make(unit.seed)
    start = time.perf_counter()
    if method.is_classifier:
        estimator.fit(data.X_train, data.y_train)
        fitted = time.perf_counter()
        predicted = estimator.predict(data.X_test)
        yield {
            "classifier": OWN_CLASSIFIER,
            "fit_seconds": round(fitted - start, 4),
            "classifier_seconds": round(time.perf_counter() - fitted, 4),
            **_scores(data.y_test, predicted),
        }
        return
    estimator.fit(data.X_train)
    fitted = time.perf_counter()
    train, test = (
        np.asarray(estimator.transform(part)) for part in (data.X_train, data.X_test)
    )
    transformed = time.perf_counter()
    if train.ndim != 2 or train.shape[1:] != test.shape[1:]:
        raise ValueError(
            f"{unit.method} makes arrays of shapes {train.shape} and {test.shape} of "
            "training and test series; (n_series, n_features) is expected"
        )
    for name in unit.classifiers:
        begun = time.perf_counter()
        try:
            predicted = CLASSIFIERS[name]().fit(train, data.y_train).predict(test)
            judged: dict[str, Any] = _scores(data.y_test, predicted)
        except _RECORDED as error:
            judged = {"error": _message(error)}
        yield {
            "classifier": name,
            "fit_seconds": round(fitted - start, 4),
            "transform_seconds": round(transformed - fitted, 4),
            "classifier_seconds": round(time.perf_counter() - begun, 4),
            "embedding_width": train.shape[1],
            **judged,
        }


def _scores(true: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    # Not rounded, or equal total counts over several seeds could have unequal means.
    return {
        "accuracy": float(accuracy_score(true, predicted)),
        "balanced_accuracy": float(balanced_accuracy_score(true, predicted)),
    }


_warm: set[str] = set()


def _warm_up(method: Method) -> None:
    """Let numba compile once per process, so that compiling is not timed."""
    name = repr(method.make)
    if name in _warm:
        return
    rng = np.random.default_rng(0)
    for n_channels in (1, 2):
        tiny: Series = rng.normal(size=(4, n_channels, 40))
        # What fails here, as several channels may, need not fail on the data.
        with suppress(*_RECORDED):
            estimator = method.make(0)
            estimator.fit(tiny, np.array(["a", "b"] * 2))
            (estimator.predict if method.is_classifier else estimator.transform)(tiny)
    _warm.add(name)


@contextmanager
def _threads(keep: bool) -> Iterator[None]:
    """One thread for each of several processes; a single process keeps its threads.

    Afterwards the earlier settings are restored: some of aeon's transformers set the
    process' threads and leave them so, which would slow down what runs next.
    """
    import numba  # takes as long to import as everything else

    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        stack.callback(numba.set_num_threads, numba.get_num_threads())
        if not keep:
            torch.set_num_threads(1)
            numba.set_num_threads(1)
            stack.enter_context(threadpool_limits(1))
        yield


def _prepare_file(path: Path) -> dict[tuple[str, ...], str]:
    """Create or check the file; return key -> versions of its rows without an error.

    A last line that was cut off while being written is removed; one that only lacks its
    end gets it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _lock(path):
        header = ",".join(RESULT_COLUMNS)
        content = path.read_bytes() if path.exists() else b""
        first = content.split(b"\n", 1)[0].decode("utf-8-sig", "replace").rstrip("\r")
        if content and first != header:
            raise ValueError(
                f"{path} does not hold results: it begins with {first[:80]!r}; "
                f"expected the header {header!r}"
            )
        if b"\n" not in content:
            path.write_text(header + "\n", encoding="utf-8")
        with path.open("r+b") as file:
            _end_last_line(file)
        results = read_results(path, ["accuracy"])
    succeeded = (results["error"] == "") & results["accuracy"].notna()
    good = results[succeeded]
    keys = good[KEY].itertuples(index=False, name=None)
    return dict(zip(keys, good["versions"], strict=True))


def _warn_of_other_versions(
    path: Path, asked: Iterable[_Unit], done: Mapping[tuple[str, ...], str]
) -> None:
    """Warn of results by other versions of the libraries, which are not run again."""
    now = _versions()
    found = {done.get(key, now) for unit in asked for key in unit.row_keys()}
    others = sorted(found - {now})
    if others:
        warn_user(
            f"{path} holds results of other versions, which are kept and not run "
            f"again: {'; '.join(others)}. The versions now are {now}. Delete their "
            "lines to run them again."
        )


def _append(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append whole lines at once and flush them to the disk."""
    buffer = StringIO()
    writer = csv.DictWriter(buffer, RESULT_COLUMNS, restval="", lineterminator="\n")
    writer.writerows(rows)
    # Messages may name files whose names are not valid text.
    content = buffer.getvalue().encode("utf-8", errors="backslashreplace")
    with _lock(path), path.open("a+b") as file:
        # Another run that shares the file may have died while writing.
        _end_last_line(file)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _end_last_line(file: BinaryIO) -> None:
    """Let the file end with a whole line.

    One that was cut off while being written is taken off. One with all its fields, as
    an editor may leave it, or with more, which reading refuses, gets an end.
    """
    file.seek(max(file.seek(0, os.SEEK_END) - 1, 0))
    if file.read(1) in (b"", b"\n"):
        return
    file.seek(0)
    content = file.read()
    start = content.rfind(b"\n") + 1
    try:
        last = content[start:].decode("utf-8", "replace")
        (fields,) = csv.reader([last], strict=True)
    except csv.Error:  # a quote without an end
        fields = []
    if len(fields) < len(RESULT_COLUMNS):
        file.truncate(start)
    else:
        file.write(b"\n")


def _lock(path: Path) -> FileLock:
    """Lock for several runs that write to the same file."""
    return FileLock(path.with_name(f".{path.name}.lock"))


def _versions() -> str:
    found = []
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found.append(f"{package}={version(package)}")
    return ";".join(found)


def _machine() -> str:
    model = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.is_file():
        for line in cpu_info.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{model}; {os.cpu_count()} cores; {platform.system()}"
