"""What importing the package costs, and a first fit."""

import subprocess
import sys
import textwrap


def test_what_is_not_loaded():
    # One process for all, each step loading more: to start one takes seconds.
    script = """
        import sys

        def loaded(*names):
            return set(names) & set(sys.modules)

        import mug_sklearn
        assert not loaded("sktime", "matplotlib", "numba"), "the package"

        import mug_sklearn.__main__
        assert not loaded("sktime", "matplotlib", "numba"), "the program"

        import mug_sklearn.benchmark
        assert not loaded("sktime", "matplotlib", "numba"), "the benchmark"

        import mug_sklearn.distributed
        assert not loaded("dask", "distributed"), "the package for clusters"

        import numpy as np
        import torch
        X = np.random.default_rng(0).normal(size=(8, 30))
        mug_sklearn.MUGTransformer(max_epochs=1).fit(X).transform(X)
        # torch's compiler takes longer to load than such a fit.
        assert not loaded("torch._dynamo", "triton", "sktime", "matplotlib"), "a fit"
        # Before 2.12, torch needs this to make a network that has no values yet.
        assert torch.__version__ < (2, 12) or not loaded("sympy"), "a fit"
    """
    outcome = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True
    )
    assert outcome.returncode == 0, outcome.stderr
