"""Markdown pieces that the report's sections share."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from .report_tables import (
    NOISE_DECIMALS,
    average_ranks,
    complete_rows,
    differences,
    wilcoxon_holm,
    win_draw_loss,
)

NOTHING = "–"


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[object]], numeric: bool = True
) -> str:
    """A table whose first column is text and whose others are numbers, or text too."""
    alignment = "---:" if numeric else "---"
    lines = [header, ["---"] + [alignment] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def number(value: float, decimals: int = 3) -> str:
    """A number with fixed decimals; a dash for NaN."""
    return NOTHING if pd.isna(value) else f"{value:.{decimals}f}"


def signed(value: float) -> str:
    """A difference with its sign; a dash for NaN."""
    return NOTHING if pd.isna(value) else f"{value:+z.3f}"


def p_value(value: float) -> str:
    """A p-value to three digits, without a misleading zero."""
    return "<0.001" if value < 0.001 else number(value)


def margin(table: pd.DataFrame, reference: str, other: str) -> list[str]:
    """Wins, draws and losses of the reference, and its mean difference."""
    counts = win_draw_loss(table, reference, other)
    mean = differences(table, reference, other).mean()
    return [" / ".join(map(str, counts)), signed(mean)]


def comparison_table(table: pd.DataFrame, reference: str) -> str:
    """The reference against each other method: counts, mean difference and test."""
    others = [method for method in table.columns if method != reference]
    tests = wilcoxon_holm(table[[reference, *others]], reference)
    rows = []
    for other in others:
        rows.append(
            [
                other,
                int(tests.loc[other, "n_datasets"]),
                *margin(table, reference, other),
                p_value(tests.loc[other, "p"]),
                p_value(tests.loc[other, "p_holm"]),
            ]
        )
    header = ["against", "data sets", "wins / draws / losses", "mean difference"]
    return markdown_table([*header, "Wilcoxon p", "p (Holm)"], rows)


def rank_table(table: pd.DataFrame) -> str:
    """Mean accuracy and average rank of every method, best rank first."""
    ranks = average_ranks(table).sort_values(kind="stable")
    means = complete_rows(table).mean().reindex(ranks.index)
    rows = [
        [method, number(means[method]), number(rank, 2)]
        for method, rank in ranks.items()
    ]
    return markdown_table(["method", "mean accuracy", "average rank"], rows)


def coverage(table: pd.DataFrame, compared: str = "compared methods") -> str:
    """Which data sets the means and ranks cover, and which are left out and why."""
    common = complete_rows(table)
    absent = [method for method in table.columns if method not in common.columns]
    present = table.drop(columns=absent)
    text = (
        f"Means and ranks are over the {len(common)} of {len(table)} data sets for "
        f"which all {compared} have an accuracy."
    )
    left_out = [
        f"{dataset} (no {', '.join(row.index[row.isna()])})"
        for dataset, row in present.iterrows()
        if dataset not in common.index
    ]
    if left_out and common.columns.size:
        text += f" Left out: {'; '.join(left_out)}."
    if absent:
        text += f" Methods without any accuracy: {', '.join(absent)}."
    return text


def accuracy_rows(
    table: pd.DataFrame, spread: pd.DataFrame | None = None
) -> list[list[str]]:
    """One row per data set: the best accuracy is bold, the spread is over seeds."""
    rows = []
    for dataset, accuracies in table.round(NOISE_DECIMALS).iterrows():
        row = [str(dataset)]
        for method, accuracy in accuracies.items():
            text = number(accuracy)
            if accuracy == accuracies.max():
                text = f"**{text}**"
            deviation = np.nan if spread is None else spread.loc[dataset, method]
            row.append(text if pd.isna(deviation) else f"{text} ± {deviation:.3f}")
        rows.append(row)
    return rows


def _cell(value: object) -> str:
    """Text that ends neither a cell nor a row."""
    return " ".join(str(value).split()).replace("|", "\\|")
