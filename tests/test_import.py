"""What importing the package costs."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "others"),
    [
        ("mug_sklearn", {"sktime", "matplotlib", "numba"}),
        ("mug_sklearn.__main__", {"sktime", "matplotlib", "numba"}),
        ("mug_sklearn.distributed", {"dask", "distributed"}),
    ],
)
def test_import_does_not_load(module, others):
    code = (
        f"import sys, {module}; "
        f"print({others} & {{name.split('.')[0] for name in sys.modules}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
