"""The benchmark: one protocol, every method and data set in one table.

`run_benchmark` fills a CSV file, `write_report` reads it. On the command line,
``python -m mug_sklearn benchmark --help``. `archive_split` and `FixedSplits` give the
same data and splits to other harnesses.
"""

from .methods import METHODS, Method
from .protocol import CLASSIFIERS, GridSearchedSVC
from .report import load_results, write_report
from .resampling import FixedSplits, archive_split
from .runner import run_benchmark

__all__ = [
    "CLASSIFIERS",
    "METHODS",
    "FixedSplits",
    "GridSearchedSVC",
    "Method",
    "archive_split",
    "load_results",
    "run_benchmark",
    "write_report",
]
