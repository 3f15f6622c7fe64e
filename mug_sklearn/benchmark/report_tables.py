"""Tables and tests behind the benchmark's report: means, ranks, comparisons.

Accuracies are compared after rounding to ten decimals, so that means which differ only
by floating-point noise count as equal.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

from .report_reading import OWN_CLASSIFIER, listed

# The usual peers of unsupervised representations. A file may hold dozens of methods;
# ranks among all of them would leave hardly a data set that every one has.
DEFAULT_PUBLISHED = (
    "TS2Vec",
    "T-Loss",
    "TNC",
    "TS-TCC",
    "TST",
    "ShapeNet",
    "DTW",
    "ED",
    "ED-1NN",
)
NOISE_DECIMALS = 10


class WinDrawLoss(NamedTuple):
    """On how many data sets a method is better than, equal to or worse than another.

    Examples
    --------
    >>> from mug_sklearn.benchmark.report import WinDrawLoss
    >>> WinDrawLoss(wins=3, draws=1, losses=2).wins
    3
    """

    wins: int
    draws: int
    losses: int


def classifiers_of(results: pd.DataFrame) -> list[str]:
    """Classifiers that have a table, in order of appearance.

    ``own`` is among them only if there is nothing else: methods that classify by
    themselves belong to every table.
    """
    others = [name for name in results["classifier"].unique() if name != OWN_CLASSIFIER]
    return others or [OWN_CLASSIFIER]


def runs_of(results: pd.DataFrame, classifier: str) -> pd.DataFrame:
    """Runs that belong to a classifier's table, failed ones included."""
    accepted = classifiers_of(results)
    if classifier not in accepted:
        raise ValueError(
            f"classifier is {classifier!r}; the results have {listed(accepted)}."
        )
    return results[results["classifier"].isin([classifier, OWN_CLASSIFIER])]


def accuracy_table(results: pd.DataFrame, classifier: str) -> pd.DataFrame:
    """Mean accuracy of every method on every data set, with one classifier.

    Methods that classify by themselves take part in every classifier's table.

    Parameters
    ----------
    results : pandas.DataFrame
        What `load_results` returned.
    classifier : str
        Name of the classifier.

    Returns
    -------
    table : pandas.DataFrame of shape (n_datasets, n_methods)
        Means over resamples and seeds; NaN where no run succeeded. The rows are all
        data sets of the results, sorted; the columns are in order of appearance.

    Raises
    ------
    ValueError
        If the results have no such classifier.

    Examples
    --------
    >>> import pandas as pd
    >>> from mug_sklearn.benchmark.report import accuracy_table
    >>> results = pd.DataFrame({"dataset": "A", "method": ["mug", "mug", "ed"]})
    >>> results["classifier"] = ["svm", "svm", "own"]
    >>> results["accuracy"] = [0.8, 0.6, 0.5]
    >>> accuracy_table(results, "svm").round(2).to_dict("list")
    {'mug': [0.7], 'ed': [0.5]}
    """
    runs = runs_of(results, classifier)
    means = runs.groupby(["dataset", "method"])["accuracy"].mean().unstack()
    table = means.reindex(
        index=sorted(results["dataset"].unique()), columns=runs["method"].unique()
    )
    return table.rename_axis(index="dataset", columns="method")


def complete_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Data sets for which all methods have a figure.

    A method without any figure is left out, as no data set would remain with it.
    """
    present = table.dropna(axis="columns", how="all")
    # Without any column every row would count as complete.
    return present.dropna().round(NOISE_DECIMALS) if present.size else present.iloc[:0]


def average_ranks(table: pd.DataFrame) -> pd.Series:
    """Average rank of every method over the data sets that all methods have.

    Parameters
    ----------
    table : pandas.DataFrame of shape (n_datasets, n_methods)
        Accuracies. Data sets that some method lacks are left out; a method without
        any figure takes no part.

    Returns
    -------
    ranks : pandas.Series of shape (n_methods,)
        Average ranks: 1 is the best, ties share the mean of their ranks. NaN for a
        method without any figure, and for all if no data set is complete.

    Examples
    --------
    >>> import pandas as pd
    >>> from mug_sklearn.benchmark.report import average_ranks
    >>> average_ranks(pd.DataFrame({"a": [0.9, 0.8], "b": [0.9, 0.7]})).to_dict()
    {'a': 1.25, 'b': 1.75}
    """
    ranks = complete_rows(table).rank(axis="columns", ascending=False).mean()
    return ranks.reindex(table.columns).rename("average rank")


def win_draw_loss(table: pd.DataFrame, method: str, other: str) -> WinDrawLoss:
    """Count a method's wins, draws and losses against another.

    Parameters
    ----------
    table : pandas.DataFrame of shape (n_datasets, n_methods)
        Accuracies. Data sets that one of the two lacks do not count.
    method, other : str
        Columns of the table.

    Returns
    -------
    counts : WinDrawLoss
        Wins, draws and losses of ``method``.

    Raises
    ------
    ValueError
        If the table has no such method.

    Examples
    --------
    >>> import pandas as pd
    >>> from mug_sklearn.benchmark.report import win_draw_loss
    >>> table = pd.DataFrame({"a": [0.9, 0.8, 0.5], "b": [0.9, 0.7, 0.6]})
    >>> win_draw_loss(table, "a", "b")
    WinDrawLoss(wins=1, draws=1, losses=1)
    """
    difference = differences(table, method, other)
    return WinDrawLoss(
        wins=int((difference > 0).sum()),
        draws=int((difference == 0).sum()),
        losses=int((difference < 0).sum()),
    )


def differences(table: pd.DataFrame, method: str, other: str) -> pd.Series:
    """Accuracy of a method minus another's, on the data sets that both have."""
    for name in (method, other):
        if name not in table.columns:
            raise ValueError(
                f"there is no method {name!r} in the table, which has "
                f"{listed(table.columns)}."
            )
    return (table[method] - table[other]).dropna().round(NOISE_DECIMALS)


def wilcoxon_holm(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Compare a method with every other by Wilcoxon's test, with Holm's correction.

    Parameters
    ----------
    table : pandas.DataFrame of shape (n_datasets, n_methods)
        Accuracies. Each comparison uses the data sets that both methods have.
    reference : str
        The method that is compared with all others.

    Returns
    -------
    tests : pandas.DataFrame of shape (n_methods - 1, 3)
        For each other method, ``n_datasets``, the two-sided ``p`` of the signed-rank
        test (1 if all differences are zero, NaN without a common data set), and
        ``p_holm``, which is corrected over the comparisons that could be made.

    Raises
    ------
    ValueError
        If the table has no method ``reference``.

    Examples
    --------
    >>> import pandas as pd
    >>> from mug_sklearn.benchmark.report import wilcoxon_holm
    >>> table = pd.DataFrame({"a": [5, 6, 7, 8, 9], "b": range(5), "c": range(5)})
    >>> wilcoxon_holm(table / 10, "a").values.tolist()
    [[5.0, 0.0625, 0.125], [5.0, 0.0625, 0.125]]
    """
    others = [method for method in table.columns if method != reference]
    pairs = [differences(table, reference, other) for other in others]
    p = pd.Series([_signed_rank_p(pair) for pair in pairs], index=others, dtype=float)
    ascending = p.dropna().sort_values()
    # Each step's bound is at least that of the step before.
    corrected = ascending * np.arange(len(ascending), 0, -1)
    holm = corrected.cummax().clip(upper=1.0)
    return pd.DataFrame(
        {"n_datasets": [len(pair) for pair in pairs], "p": p, "p_holm": holm},
        index=others,
    )


def join_published(
    table: pd.DataFrame,
    published: pd.DataFrame,
    methods: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Add published accuracies to a table, as columns named ``NAME (published)``.

    If a figure is given more than once, the first counts.

    Parameters
    ----------
    table : pandas.DataFrame of shape (n_datasets, n_methods)
        Accuracies, with the data sets as index.
    published : pandas.DataFrame
        What `load_published` returned.
    methods : sequence of str, default=None
        Names of the published methods. If None, those among TS2Vec, T-Loss, TNC,
        TS-TCC, TST, ShapeNet, DTW, ED and ED-1NN that appear, or all that appear if
        none of these does.

    Returns
    -------
    joined : pandas.DataFrame of shape (n_datasets, n_methods + n_published)
        The table's data sets; NaN where no figure was published.

    Raises
    ------
    ValueError
        If one of ``methods`` was not published.

    Examples
    --------
    >>> import pandas as pd
    >>> from mug_sklearn.benchmark.report import join_published
    >>> table = pd.DataFrame({"mug": [0.9, 0.8]}, index=["A", "B"])
    >>> published = pd.DataFrame({"dataset": ["A"], "method": "TNC", "accuracy": 0.7})
    >>> join_published(table, published)["TNC (published)"].tolist()
    [0.7, nan]
    """
    available = published["method"].unique().tolist()
    if methods is None:
        methods = [m for m in DEFAULT_PUBLISHED if m in available] or available
    unknown = [method for method in methods if method not in available]
    if unknown:
        raise ValueError(
            f"no figures were published for {listed(unknown)}, "
            f"only for {listed(available)}."
        )
    first = published.drop_duplicates(["dataset", "method"])
    figures = first.pivot(index="dataset", columns="method", values="accuracy")
    columns = figures.reindex(index=table.index, columns=list(methods))
    return pd.concat([table, columns.add_suffix(" (published)")], axis="columns")


def _signed_rank_p(difference: pd.Series) -> float:
    """Two-sided p of Wilcoxon's signed-rank test."""
    if difference.empty:
        return np.nan
    if not difference.any():
        return 1.0  # scipy's answer would be NaN
    return float(wilcoxon(difference).pvalue)
