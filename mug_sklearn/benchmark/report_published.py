"""The report's sections that compare the reference with published accuracies."""

from collections.abc import Collection

import pandas as pd

from .report_tables import DEFAULT_PUBLISHED, join_published
from .report_text import (
    accuracy_rows,
    comparison_table,
    coverage,
    margin,
    markdown_table,
    number,
    rank_table,
)

# Papers print three decimals; finer differences would be wins by rounding.
_DECIMALS = 3


def published_table(
    table: pd.DataFrame, reference: str, published: pd.DataFrame
) -> pd.DataFrame:
    """The reference and its usual peers, on the file's data sets that were run."""
    own = table.loc[table.index.isin(published["dataset"]), [reference]]
    return join_published(own, published).round(_DECIMALS)


def published_lines(
    table: pd.DataFrame, reference: str, name: str, published: pd.DataFrame
) -> list[str]:
    """Paragraphs that compare the reference with one file's published methods."""
    joined = published_table(table, reference, published)
    lines = [f"### {reference} and published accuracies: {name}"]
    lines.append(
        f"Of the file's {published['dataset'].nunique()} data sets {len(joined)} were "
        f"run. Compared after rounding to {_DECIMALS} decimals, as papers print them."
    )
    if joined.empty:
        return [*lines, "There is nothing to compare."]
    lines += [
        coverage(joined),
        rank_table(joined),
        comparison_table(joined, reference),
        *_other_methods(table, reference, published),
        markdown_table(["data set", *joined.columns], accuracy_rows(joined)),
    ]
    return lines


def source_lines(
    name: str, published: pd.DataFrame, datasets: Collection[str]
) -> list[str]:
    """Paragraphs on where one file's figures come from and what they do not cover.

    ``datasets`` are those of the results.
    """
    sources = published.groupby("source", sort=False)["method"].unique()
    rows = [[source, ", ".join(methods)] for source, methods in sources.items()]
    table = markdown_table(["source", "methods"], rows, numeric=False)
    lines = [f"### {name}", table]
    figures = published.groupby(["dataset", "method"], sort=False)["accuracy"]
    rounded = figures.agg(lambda values: list(dict.fromkeys(values.round(_DECIMALS))))
    disagreeing = [
        f"{method} on {dataset} ({', '.join(number(value) for value in values)})"
        for (dataset, method), values in rounded.items()
        if len(values) > 1
    ]
    if disagreeing:
        lines.append(
            "Given more than once, with different figures, of which the first in the "
            f"file is used: {'; '.join(disagreeing)}."
        )
    not_run = sorted(set(published["dataset"]) - set(datasets))
    if not_run:
        lines.append(f"Data sets that were not run: {', '.join(not_run)}.")
    return lines


def _other_methods(
    table: pd.DataFrame, reference: str, published: pd.DataFrame
) -> list[str]:
    """The file's further methods, one by one as each has data sets of its own."""
    others = [
        method
        for method in published["method"].unique()
        if method not in DEFAULT_PUBLISHED
    ]
    if not others or len(others) == published["method"].nunique():
        return []
    joined = join_published(table[[reference]], published, others).round(_DECIMALS)
    rows = []
    for column in joined.columns[1:]:
        pair = joined[[reference, column]].dropna()
        rows.append(
            [
                column,
                len(pair),
                number(pair[column].mean()),
                number(pair[reference].mean()),
                *margin(joined, reference, column),
            ]
        )
    header = ["published method", "data sets", "its mean", f"mean of {reference}"]
    return [
        f"Further published methods, each on the data sets it shares with {reference} "
        "(no ranks, as these sets differ):",
        markdown_table([*header, "wins / draws / losses", "mean difference"], rows),
    ]
