"""Whole processes: parallel grid searches, imports, and their peak memory."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from mug_sklearn import MUGTransformer

from .conftest import random_walks


@pytest.mark.parametrize("n_jobs", [1, 2, 4])
def test_grid_search(measure, n_jobs):
    X = random_walks(48, 1, 150)
    y = np.arange(48) % 2
    mug = MUGTransformer(max_epochs=10, random_state=0, device="cpu")
    grid = {"mugtransformer__n_shapelets": [20, 40, 60, 80]}
    search = GridSearchCV(make_pipeline(mug, SVC()), grid, cv=2, n_jobs=n_jobs)
    # The warm-up round starts the workers, which joblib keeps.
    measure(lambda: search.fit(X, y), rounds=3, n_jobs=n_jobs)


def run_process(script: str, *arguments: object) -> dict:
    """Run a script that prints a JSON object last."""
    outcome = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(outcome.stdout.splitlines()[-1])


def test_import(measure):
    script = """
        import time, json
        import sklearn.utils.validation, torch
        import sklearn.base, sklearn.utils._param_validation
        start = time.perf_counter()
        import mug_sklearn
        print(json.dumps({"seconds": time.perf_counter() - start}))
    """
    seconds = [run_process(script)["seconds"] for _ in range(5)]
    measure(lambda: None, rounds=1, seconds=sorted(seconds)[2])


MEMORY = """
    import json, sys, time
    import numpy as np
    import torch
    from mug_sklearn import MUGTransformer

    torch.set_num_threads(1)

    def peak():
        # Of this process alone: getrusage would inherit its parent's.
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e9
"""


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@on_linux
@pytest.mark.parametrize("n_timepoints", [100_000, 1_000_000])
def test_long_series(measure, request, n_timepoints):
    if request.config.getoption("quick") and n_timepoints > 100_000:
        pytest.skip("takes minutes")
    script = (
        MEMORY
        + """
    X = np.random.default_rng(0).standard_normal((2, int(sys.argv[1]))).cumsum(axis=1)
    mug = MUGTransformer(max_epochs=1, random_state=0, device="cpu").fit(X)
    start = time.perf_counter()
    finite = np.isfinite(mug.transform(X[:1])).all()
    seconds = time.perf_counter() - start
    print(json.dumps({"peak_gb": peak(), "seconds": seconds, "finite": bool(finite)}))
    """
    )
    facts = run_process(script, n_timepoints)
    assert facts["finite"]
    measure(lambda: None, rounds=1, n_timepoints=n_timepoints, **facts)


@on_linux
@pytest.mark.parametrize("n_series", [10_000, 1_000_000])
def test_memory_map(measure, request, tmp_path, n_series):
    """fit reads all of the map, transform its first 2,000 series.

    The rest of it would take hours, and no batch needs more than another.
    """
    if request.config.getoption("quick") and n_series > 10_000:
        pytest.skip("writes 4 GB")
    path = tmp_path / "series.npy"
    shape = (n_series, 1_000)
    stored = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    rng = np.random.default_rng(0)
    for start in range(0, n_series, 10_000):
        stored[start : start + 10_000] = rng.standard_normal((10_000, 1_000))
    stored.flush()
    del stored
    script = (
        MEMORY
        + """
    imported = peak()
    X = np.load(sys.argv[1], mmap_mode="r")
    start = time.perf_counter()
    mug = MUGTransformer(random_state=0, device="cpu").fit(X)
    seconds = time.perf_counter() - start
    mug.transform(X[:2000])
    facts = {"peak_gb": peak(), "imported_gb": imported, "fit_seconds": seconds}
    print(json.dumps(facts | {"gigabytes": X.nbytes / 1e9}))
    """
    )
    facts = run_process(script, path)
    path.unlink()
    measure(lambda: None, rounds=1, n_series=n_series, **facts)
