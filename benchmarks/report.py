"""Tables of the figures in a results file of the suite."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mug_sklearn.benchmark.report_text import markdown_table

Runs = dict[str, list[dict[str, Any]]]


def write_figures(results: Path, target: Path) -> None:
    """Write the tables as markdown.

    Parameters
    ----------
    results : Path
        What pytest-benchmark wrote.
    target : Path
    """
    content = json.loads(results.read_text())
    # The raw times are many, and their statistics suffice.
    for one in content["benchmarks"]:
        one["stats"].pop("data", None)
    results.write_text(json.dumps(content, indent=1) + "\n")
    runs: Runs = {}
    for one in content["benchmarks"]:
        facts = one["extra_info"] | (one["params"] or {})
        module = Path(one["fullname"].split("::")[0]).stem
        key = f"{module}.{one['name'].split('[')[0]}"
        runs.setdefault(key, []).append(facts | one["stats"])
    machine = content["machine_info"]
    cpu = machine.get("cpu", {}).get("brand_raw", machine["machine"])
    sections = [
        "# Measured figures",
        f"{cpu}, {machine['system']}, Python {machine['python_version']}. Times are "
        "medians with the range from the first to the third quartile; one thread "
        "unless it says otherwise.",
    ]
    for build in (
        _machine,
        _floors,
        _growth,
        _peers,
        _fits,
        _soft_rank,
        _processes,
        _accelerator,
    ):
        sections += build(runs)
    target.write_text("\n\n".join(sections) + "\n")


def _section(
    title: str, header: Sequence[str], rows: Sequence[Sequence[object]], *notes: str
) -> list[str]:
    """A table under its title; nothing where nothing was measured."""
    return [f"## {title}", *notes, markdown_table(header, rows)] if rows else []


def _time(run: dict[str, Any], share: float = 1.0) -> str:
    low, median, high = (1e3 * run[key] * share for key in ("q1", "median", "q3"))
    return f"{median:.3g} ({low:.3g} to {high:.3g})"


def _rates(runs: Runs) -> dict[str, float]:
    """Operations and bytes a second on one thread, as far as they were measured."""
    measured = (("flop", "matrix_product"), ("bytes", "copy"))
    return {
        unit: run[unit] / run["median"]
        for unit, name in measured
        for run in runs.get(f"bench_machine.test_{name}", [])
        if run["threads"] == "one"
    }


def _machine(runs: Runs) -> list[str]:
    measured = (
        ("matrix product", "flop", "GFLOP/s"),
        ("convolution", "flop", "GFLOP/s"),
        ("copy", "bytes", "GB/s"),
    )
    rows = [
        (what, run["n_threads"], f"{run[unit] / run['median'] / 1e9:.1f} {label}")
        for what, unit, label in measured
        for run in runs.get(f"bench_machine.test_{what.replace(' ', '_')}", [])
    ]
    return _section("The machine", ("what", "threads", "rate"), rows)


def _floors(runs: Runs) -> list[str]:
    rates = _rates(runs)
    if len(rates) < 2:
        return []
    rows = []
    for key, name in (("training_step", "training step"), ("transform", "transform")):
        for run in runs.get(f"bench_floor.test_{key}", []):
            floor = max(run[unit] / rate for unit, rate in rates.items())
            rows.append(
                (
                    f"{name}, {run['size']}",
                    f"{run['flop'] / 1e9:.2f}",
                    f"{run['bytes'] / 1e6:.1f}",
                    f"{1e3 * floor:.3g}",
                    _time(run),
                    f"{floor / run['median']:.0%}",
                )
            )
    header = ("what", "GFLOP", "MB", "floor, ms", "measured, ms", "share")
    return _section("Floors", header, rows)


def _growth(runs: Runs) -> list[str]:
    rows = []
    for what in ("fit", "transform"):
        measured = runs.get(f"bench_growth.test_{what}", [])
        for axis in ("n_series", "n_timepoints", "n_channels"):
            of_axis = sorted(
                (run["size"], run["median"]) for run in measured if run["axis"] == axis
            )
            if len(of_axis) < 2:
                continue
            size, seconds = np.array(of_axis).T
            slope = np.polyfit(np.log(size), np.log(seconds), 1)[0]
            last = np.log(seconds[-1] / seconds[-2]) / np.log(size[-1] / size[-2])
            times = ", ".join(f"{int(n):,}: {s:.3g}" for n, s in of_axis)
            rows.append((what, axis, times, f"{slope:.2f}", f"{last:.2f}"))
    header = ("what", "axis", "seconds at each size", "slope", "slope at the end")
    return _section("Growth", header, rows, "Slopes are of log time against log size.")


def _peers(runs: Runs) -> list[str]:
    minirocket = {
        (run["size"], run["n_series"]): run
        for run in runs.get("bench_peers.test_transform_minirocket", [])
    }
    rows = []
    for run in runs.get("bench_peers.test_transform_mug", []):
        peer = minirocket.get((run["size"], run["n_series"]))
        if peer is None:
            continue
        rows.append(
            (
                run["size"],
                run["n_series"],
                _time(run, 1 / run["n_series"]),
                _time(peer, 1 / peer["n_series"]),
                f"{peer['median'] / run['median']:.2f}",
            )
        )
    header = ("size", "series", "MUG, ms a series", "MiniRocket, ms", "relative rate")
    return _section("transform beside MiniRocket", header, rows)


def _fits(runs: Runs) -> list[str]:
    by_method: dict[str, dict[str, dict[str, Any]]] = {"mug": {}, "ts2vec": {}}
    for run in runs.get("bench_peers.test_fit", []):
        if "data_set" in run:
            by_method[run["method"]][run["data_set"]] = run
    mug, ts2vec = by_method["mug"], by_method["ts2vec"]
    both = [name for name in mug if name in ts2vec]
    if not both:
        return []
    rows = [
        (
            name,
            f"{mug[name]['median']:.1f}",
            f"{ts2vec[name]['median']:.1f}",
            f"{mug[name]['median'] / ts2vec[name]['median']:.2f}",
            f"{mug[name]['transform_ms_per_series']:.2f}",
            f"{ts2vec[name]['transform_ms_per_series']:.2f}",
            f"{_encoding_ratio(mug[name], ts2vec[name]):.2f}",
            f"{mug[name]['accuracy']:.3f}",
            f"{ts2vec[name]['accuracy']:.3f}",
        )
        for name in both
    ]
    fit_ratio = np.median([mug[n]["median"] / ts2vec[n]["median"] for n in both])
    rate = np.median([_encoding_ratio(mug[n], ts2vec[n]) for n in both])
    accuracy = [np.mean([m[n]["accuracy"] for n in both]) for m in (mug, ts2vec)]
    rows.append(
        (
            "median; mean accuracy",
            "",
            "",
            f"{fit_ratio:.2f}",
            "",
            "",
            f"{rate:.2f}",
            f"{accuracy[0]:.3f}",
            f"{accuracy[1]:.3f}",
        )
    )
    header = (
        "data set",
        "fit, s: MUG",
        "TS2Vec",
        "ratio",
        "transform, ms a series: MUG",
        "TS2Vec",
        "relative rate",
        "accuracy: MUG",
        "TS2Vec",
    )
    return _section("fit beside TS2Vec's reference code", header, rows)


def _encoding_ratio(mug: dict[str, Any], ts2vec: dict[str, Any]) -> float:
    return float(ts2vec["transform_ms_per_series"] / mug["transform_ms_per_series"])


def _soft_rank(runs: Runs) -> list[str]:
    measured = runs.get("bench_soft_rank.test_forward_and_backward", [])
    rows = [(run["version"], _time(run)) for run in measured]
    title = "Soft ranks of 512 x 320, forward and backward"
    return _section(title, ("version", "ms"), rows)


def _processes(runs: Runs) -> list[str]:
    sections = []
    searches = {
        run["n_jobs"]: run for run in runs.get("bench_processes.test_grid_search", [])
    }
    if 1 in searches:
        speeds = [
            (jobs, _time(run), f"{searches[1]['median'] / run['median']:.2f}")
            for jobs, run in searches.items()
        ]
        sections += _section("Grid search", ("n_jobs", "ms", "speed-up"), speeds)
    for run in runs.get("bench_processes.test_import", []):
        text = f"`import mug_sklearn` takes {1e3 * run['seconds']:.0f} ms beyond"
        sections += ["## Import", f"{text} torch and scikit-learn."]
    series = [
        (f"{run['n_timepoints']:,}", f"{run['seconds']:.1f}", f"{run['peak_gb']:.2f}")
        for run in runs.get("bench_processes.test_long_series", [])
    ]
    header = ("timepoints", "transform of one, s", "peak of fit and transform, GB")
    sections += _section("Long series", header, series)
    maps = [
        (
            f"{run['n_series']:,} x 1,000",
            f"{run['gigabytes']:.2f}",
            f"{run['fit_seconds']:.0f}",
            f"{run['peak_gb']:.2f}",
            f"{run['imported_gb']:.2f}",
        )
        for run in runs.get("bench_processes.test_memory_map", [])
    ]
    columns = ("map", "GB", "fit, s", "peak GB", "of it before the fit")
    return sections + _section("Memory maps", columns, maps)


def _accelerator(runs: Runs) -> list[str]:
    products = runs.get("bench_accelerator.test_matrix_product", [])
    copies = runs.get("bench_accelerator.test_copy", [])
    if not products:
        return []
    rates = [
        (f"matrix product, {run['dtype']}", f"{run['flop'] / run['median'] / 1e12:.1f}")
        for run in products
    ] + [("copy", f"{run['bytes'] / run['median'] / 1e12:.2f}") for run in copies]
    fits = runs.get("bench_accelerator.test_fit", [])
    measured = [("fit, 1 channel", run) for run in fits]
    for run in runs.get("bench_accelerator.test_transform", []):
        measured.append((f"transform, channels: {run['n_channels']}", run))
    slowest = {
        what: run["median"]
        for what, run in measured
        if run["place"].endswith("one thread")
    }
    rows = [
        (
            what,
            run["place"],
            _time(run),
            f"{slowest[what] / run['median']:.1f}" if what in slowest else "",
            f"{run['difference']:.1e}" if "difference" in run else "",
        )
        for what, run in measured
    ]
    header = ("what", "where", "ms", "times as fast", "largest difference")
    return [
        f"## Accelerator: {products[0]['name']}",
        "512 series of 1,000 timepoints; a fit of 10 steps, each of all of them.",
        markdown_table(("what", "Tera/s (operations, bytes)"), rates),
        markdown_table(header, rows),
    ]
