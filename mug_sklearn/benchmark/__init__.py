"""The benchmark: one protocol, every method and data set in one table.

`run_benchmark` fills a CSV file, `write_report` reads it. For the command line, see
``python -m mug_sklearn benchmark --help``. `sktime_harness.archive_task` gives the same
data and splits to sktime's harness.
"""

from .methods import METHODS, Method
from .protocol import CLASSIFIERS, GridSearchedSVC
from .report import load_results, write_report
from .runner import run_benchmark

__all__ = [
    "CLASSIFIERS",
    "METHODS",
    "GridSearchedSVC",
    "Method",
    "load_results",
    "run_benchmark",
    "write_report",
]
