"""A benchmark's report: one page of tables, comparisons and pictures from results.csv.

`write_report` does everything; the other functions are its parts, for custom tables.
"""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import pandas as pd

from .report_published import published_lines, published_table, source_lines
from .report_reading import PathLikes, as_paths, listed, load_published, load_results
from .report_tables import (
    WinDrawLoss,
    accuracy_table,
    average_ranks,
    classifiers_of,
    complete_rows,
    join_published,
    runs_of,
    wilcoxon_holm,
    win_draw_loss,
)
from .report_text import (
    NOTHING,
    accuracy_rows,
    comparison_table,
    coverage,
    markdown_table,
    number,
)

__all__ = [
    "WinDrawLoss",
    "accuracy_table",
    "average_ranks",
    "join_published",
    "load_published",
    "load_results",
    "wilcoxon_holm",
    "win_draw_loss",
    "write_report",
]

_REFERENCE = "mug"
_ERROR_LENGTH = 200


def write_report(
    results_path: str | PathLike[str],
    published: PathLikes | None = None,
    output: str | PathLike[str] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> str:
    r"""Write a benchmark's report in Markdown.

    The method ``mug`` is the reference that is compared with all others; without it,
    the method whose first run comes first is.

    Parameters
    ----------
    results_path : str or path-like
        The benchmark's ``results.csv``.
    published : str, path-like or sequence of these, default=None
        CSV files of published accuracies, with the columns dataset, method, accuracy
        and source. Each is compared with the reference, and its data sets form a group
        named after the file.
    output : str or path-like, default=None
        Folder to write ``report.md`` and its pictures to, made if it does not exist.
        If None, nothing is written and no picture is drawn.
    groups : mapping of str to sequence of str, default=None
        Groups of data sets by name; each group's mean accuracy is reported too.

    Returns
    -------
    report : str
        The report, with links to the pictures if ``output`` is given.

    Raises
    ------
    FileNotFoundError
        If one of the files does not exist.
    ValueError
        If one of the files is empty, lacks a column or is malformed, or if two groups
        have the same name.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from mug_sklearn.benchmark import write_report
    >>> from mug_sklearn.benchmark.report_reading import RESULT_COLUMNS
    >>> run = {"dataset": "Coffee", "method": "mug", "classifier": "svm"}
    >>> run |= {"accuracy": "0.9", "seed": "0"}
    >>> values = [run.get(column, "") for column in RESULT_COLUMNS]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "results.csv"
    ...     _ = path.write_text(f"{','.join(RESULT_COLUMNS)}\n{','.join(values)}\n")
    ...     report = write_report(path)
    >>> print(report.splitlines()[0])
    # Benchmark report
    """
    results = load_results(results_path)
    files = as_paths(published) if published is not None else []
    names = [*(groups or {}), *(path.stem for path in files)]
    if len(set(names)) < len(names):
        raise ValueError(
            "groups and published files must have different names; "
            f"found {listed(names)}."
        )
    figures = {path.stem: load_published(path) for path in files}
    all_groups = dict(groups or {}) | {
        name: figure["dataset"].unique().tolist() for name, figure in figures.items()
    }
    folder = None if output is None else Path(output)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    reference = _reference_of(results)
    lines = ["# Benchmark report", *_overview(results, reference)]
    lines += _classifier_comparison(results, reference)
    for classifier in classifiers_of(results):
        lines += _classifier_section(
            results, classifier, reference, figures, all_groups, folder
        )
    lines += _failures(results)
    if figures:
        lines += _sources(figures, sorted(results["dataset"].unique()))
    report = "\n\n".join(lines) + "\n"
    if folder is not None:
        (folder / "report.md").write_text(report, encoding="utf-8")
    return report


def _reference_of(results: pd.DataFrame) -> str:
    """The method that all others are compared with."""
    methods = results["method"].unique()
    return _REFERENCE if _REFERENCE in methods else str(methods[0])


def _overview(results: pd.DataFrame, reference: str) -> list[str]:
    """Paragraphs on how many runs there are, their seeds, machines and versions."""
    failed = results["error"] != ""
    finished = sorted(results.loc[results["finished"] != "", "finished"])
    text = (
        f"{len(results)} runs, of which {failed.sum()} failed, of "
        f"{results['method'].nunique()} methods on {results['dataset'].nunique()} "
        f"data sets. Reference method: {reference}."
    )
    if finished:
        text += f" Finished between {finished[0]} and {finished[-1]}."
    rows = []
    for method, runs in results.groupby("method", sort=False):
        ran = (_values(runs, name) for name in ("seed", "resample", "classifier"))
        rows.append([method, *ran, len(runs), int((runs["error"] != "").sum())])
    header = ["method", "seeds", "resamples", "classifiers", "runs", "failed"]
    lines = [text, markdown_table(header, rows)]
    for column in ("machine", "versions"):
        counts = results.loc[results[column] != "", column].value_counts()
        told = [f"- {value} ({count} runs)" for value, count in counts.items()]
        lines.append(f"{column.capitalize()}:\n\n" + ("\n".join(told) or NOTHING))
    return lines


def _values(runs: pd.DataFrame, column: str) -> str:
    """Distinct values of a column, numbers in numeric order."""
    values = set(runs[column]) - {""}
    return ", ".join(sorted(values, key=lambda v: (len(v), v))) or NOTHING


def _classifier_comparison(results: pd.DataFrame, reference: str) -> list[str]:
    """Paragraphs on the reference's mean accuracy under each classifier."""
    runs = results[(results["method"] == reference) & (results["error"] == "")]
    if runs.empty:
        return [f"{reference} has no successful run."]
    table = runs.pivot_table(index="dataset", columns="classifier", values="accuracy")
    table = table.reindex(index=sorted(results["dataset"].unique()))
    common = complete_rows(table)
    ranks = average_ranks(table)
    rows = []
    for name in runs["classifier"].unique():
        means = (table[name].mean(), common[name].mean())
        row = [name, int(table[name].count()), *map(number, means)]
        rows.append([*row, number(ranks[name], 2)])
    header = ["classifier", "data sets", "mean accuracy", "mean on common data sets"]
    return [
        f"## {reference} under each classifier",
        coverage(table, "classifiers"),
        markdown_table([*header, "average rank"], rows),
    ]


def _classifier_section(
    results: pd.DataFrame,
    classifier: str,
    reference: str,
    published: Mapping[str, pd.DataFrame],
    groups: Mapping[str, Sequence[str]],
    folder: Path | None,
) -> list[str]:
    """Paragraphs with all tables and pictures of one classifier."""
    table = accuracy_table(results, classifier)
    runs = runs_of(results, classifier)
    summary = _summary(table, runs)
    lines = [f"## Classifier: {classifier}", "### Summary", coverage(table)]
    lines += [_summary_table(table, summary, groups)]
    if reference in table.columns:
        lines.append(f"### {reference} against each method")
        lines.append(comparison_table(table, reference))
        for name, figures in published.items():
            lines += published_lines(table, reference, name, figures)
    lines += ["### Accuracy by data set", _dataset_table(table, runs)]
    lines += ["### Missing", _missing(table, runs)]
    if folder is not None:
        tables = {"": table}
        if reference in table.columns:
            tables |= {
                name: published_table(table, reference, figures)
                for name, figures in published.items()
            }
        lines.append("### Pictures")
        # Matplotlib takes long to load, and no process that runs methods needs it.
        from .report_figures import draw_pictures

        lines += draw_pictures(tables, summary, classifier, reference, folder)
    return lines


def _summary(table: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Accuracy, rank, time and size of every method, on the data sets that all have."""
    common = complete_rows(table)
    kept = runs[runs["dataset"].isin(common.index) & (runs["error"] == "")]
    by_method = kept.groupby("method")
    return pd.DataFrame(
        {
            "accuracy": common.mean(),
            "rank": average_ranks(table),
            "fit": by_method["fit_seconds"].median(),
            "transform": by_method["transform_seconds"].median(),
            "classify": by_method["classifier_seconds"].median(),
            "memory": by_method["peak_memory_mb"].max(),
            "narrowest": by_method["embedding_width"].min(),
            "widest": by_method["embedding_width"].max(),
        },
        index=table.columns,
    )


def _summary_table(
    table: pd.DataFrame, summary: pd.DataFrame, groups: Mapping[str, Sequence[str]]
) -> str:
    """The summary in Markdown, with each group's mean accuracy."""
    common = complete_rows(table)
    members = {name: common[common.index.isin(sets)] for name, sets in groups.items()}
    rows = []
    for method, row in summary.iterrows():
        low, high = number(row["narrowest"], 0), number(row["widest"], 0)
        rows.append(
            [
                method,
                int(table[method].count()),
                number(table[method].mean()),
                number(row["accuracy"]),
                number(row["rank"], 2),
                *(number(part.mean().get(method)) for part in members.values()),
                number(row["fit"], 2),
                number(row["transform"], 2),
                number(row["classify"], 2),
                number(row["memory"], 0),
                low if low == high else f"{low} to {high}",
            ]
        )
    header = ["method", "own data sets", "mean on own"]
    header += [f"mean on all's {len(common)}", "average rank"]
    header += [f"mean on {name} ({len(part)})" for name, part in members.items()]
    header += ["median fit s", "median transform s", "median classifier s"]
    header += ["peak memory MB", "width"]
    return markdown_table(header, rows)


def _dataset_table(table: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Every data set's accuracies, with the standard deviation over seeds."""
    by_seed = runs.groupby(["dataset", "method", "seed"])["accuracy"].mean()
    spread = by_seed.groupby(["dataset", "method"]).std().unstack()
    spread = spread.reindex(index=table.index, columns=table.columns)
    return markdown_table(["data set", *table.columns], accuracy_rows(table, spread))


def _missing(table: pd.DataFrame, runs: pd.DataFrame) -> str:
    """What each method lacks: whole data sets, or some of their resamples and seeds."""
    succeeded = runs[runs["error"] == ""]
    resamples = succeeded.groupby("dataset")["resample"].agg(set)
    seeds = succeeded.groupby("method")["seed"].agg(set)
    done = succeeded.groupby(["method", "dataset"]).size()
    lines = []
    for method in table.columns:
        absent = table.index[table[method].isna()]
        if len(absent):
            lines.append(f"- {method}: {', '.join(absent)}")
        for dataset in table.index.difference(absent):
            expected = len(resamples[dataset]) * len(seeds[method])
            if done[method, dataset] < expected:
                count = f"{done[method, dataset]} of {expected} runs"
                lines.append(f"- {method} on {dataset}: only {count}")
    return "\n".join(lines) or "Nothing: every method has every data set."


def _failures(results: pd.DataFrame) -> list[str]:
    """Paragraphs that list every failed run with its error."""
    failed = results[results["error"] != ""]
    if failed.empty:
        return ["## Failures", "None."]
    columns = ["dataset", "method", "resample", "seed", "classifier", "error"]
    rows = failed[columns].to_numpy().tolist()
    for row in rows:
        row[-1] = " ".join(row[-1].split())[:_ERROR_LENGTH]
    return ["## Failures", markdown_table(columns, rows)]


def _sources(published: Mapping[str, pd.DataFrame], datasets: list[str]) -> list[str]:
    """Paragraphs on the published figures: sources, contradictions and gaps."""
    lines = ["## Sources of the published accuracies"]
    for name, figures in published.items():
        lines += source_lines(name, figures, datasets)
    known = set().union(*(figures["dataset"] for figures in published.values()))
    without = [dataset for dataset in datasets if dataset not in known]
    if without:
        lines.append(f"Data sets without published accuracies: {', '.join(without)}.")
    return lines
