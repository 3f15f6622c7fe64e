"""Run the suite and write its figures: ``python -m benchmarks --output FOLDER``.

Other options go to pytest: ``--data``, ``--ts2vec``, ``--quick``, ``-k NAME``.
"""

import argparse
import sys
from pathlib import Path

import pytest

from .report import write_figures


def main() -> int:
    """Run and report; the exit code is pytest's."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    options, others = parser.parse_known_args()
    options.output.mkdir(parents=True, exist_ok=True)
    results = options.output / "results.json"
    code = pytest.main(
        [
            str(Path(__file__).parent),
            "-o",
            "python_files=bench_*.py",
            "--benchmark-disable-gc",
            f"--benchmark-json={results}",
            *others,
        ]
    )
    write_figures(results, options.output / "figures.md")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
