"""What importing the package costs, and a first fit."""

import subprocess
import sys

import pytest

USE = """
import numpy as np
from mug_sklearn import MUGTransformer
X = np.random.default_rng(0).normal(size=(8, 30))
MUGTransformer(max_epochs=1).fit(X).transform(X)
"""


@pytest.mark.parametrize(
    ("code", "others"),
    [
        ("import mug_sklearn", {"sktime", "matplotlib", "numba"}),
        ("import mug_sklearn.__main__", {"sktime", "matplotlib", "numba"}),
        ("import mug_sklearn.distributed", {"dask", "distributed"}),
        # torch's compiler takes longer to load than such a fit.
        (USE, {"torch._dynamo", "sympy", "triton", "sktime", "matplotlib"}),
    ],
    ids=["package", "program", "distributed", "fit and transform"],
)
def test_what_is_not_loaded(code, others):
    listing = f"{code}\nimport sys; print({others} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
