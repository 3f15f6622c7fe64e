"""Gaps that must be told, pages by hand, and pictures that leave pyplot alone."""

import re
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from matplotlib.text import Text

from mug_sklearn.benchmark.report import (
    accuracy_table,
    join_published,
    load_published,
    load_results,
    write_report,
)
from mug_sklearn.benchmark.report_figures import (
    draw_critical_difference,
    draw_pictures,
    draw_scatter_grid,
    draw_time_accuracy,
)
from mug_sklearn.benchmark.report_reading import RESULT_COLUMNS
from mug_sklearn.benchmark.report_tables import classifiers_of

mpl.use("Agg")

NAN = np.nan


def run(dataset, method, accuracy, seed=0, classifier="svm", resample=0, **others):
    return {
        "dataset": dataset,
        "resample": resample,
        "method": method,
        "seed": seed,
        "classifier": classifier,
        "accuracy": accuracy,
        "fit_seconds": 2.0,
        "transform_seconds": 0.5,
        "peak_memory_mb": 100,
        "embedding_width": 64,
        "finished": "2026-01-01T10:00:00",
        "versions": "numpy 2.4",
        "machine": "a box",
    } | others


def failure(dataset, method, error="TimeoutError: 600 s", **others):
    return run(dataset, method, "", error=error, **others)


@pytest.fixture
def write(tmp_path):
    def _write(runs):
        path = tmp_path / "results.csv"
        pd.DataFrame(runs).reindex(columns=RESULT_COLUMNS).to_csv(path, index=False)
        return path

    return _write


@pytest.fixture
def published(tmp_path):
    path = tmp_path / "ucr.csv"
    path.write_text(
        "dataset,method,accuracy,source\n"
        "A,TS2Vec,0.8,paper\n"
        "B,TS2Vec,0.7,paper\n"
        "C,TS2Vec,0.6,paper\n"
        "A,ROCKET,0.95,archive\n"
        "A,DTW,0.5,paper\n"
        "A,DTW,0.6,archive\n"
        "B,DTW,0.5,paper\n"
        "Z,DTW,0.4,paper\n"
        "Y,DTW,0.4,paper\n"
        "W,DTW,0.4,paper\n"
    )
    return path


# Four data sets; `ed` knows only 1-NN, `raw` failed on D.
RUNS = [
    *(run("A", "mug", accuracy, seed) for seed, accuracy in enumerate((0.8, 0.9))),
    *(run("B", "mug", accuracy, seed) for seed, accuracy in enumerate((0.7, 0.7))),
    *(run("C", "mug", accuracy, seed) for seed, accuracy in enumerate((0.5, 0.6))),
    *(run("D", "mug", accuracy, seed) for seed, accuracy in enumerate((0.9, 1.0))),
    *(run(d, "mug", 0.6, classifier="logistic") for d in "ABCD"),
    *(run(d, "raw", a, "") for d, a in zip("ABC", (0.6, 0.7, 0.8), strict=True)),
    failure("D", "raw", seed=""),
    *(run(d, "ed", 0.4, "", "own", embedding_width="") for d in "ABCD"),
]


def test_accuracy_is_the_mean_over_seeds_and_resamples(write):
    runs = [run("A", "mug", a, s, resample=r) for a, s, r in [(0.2, 0, 0), (0.6, 1, 1)]]
    table = accuracy_table(load_results(write(runs)), "svm")
    assert table.loc["A", "mug"] == pytest.approx(0.4)


def test_the_spread_is_that_of_the_seeds_means(write):
    accuracies = {(0, 0): 0.2, (0, 1): 0.4, (1, 0): 0.4, (1, 1): 0.8}
    runs = [run("A", "mug", a, s, resample=r) for (s, r), a in accuracies.items()]
    # Of 0.3 and 0.6.
    assert "| A | **0.450** ± 0.212 |" in write_report(write(runs))


def test_what_the_summary_takes_of_times_memory_and_widths(write):
    names = ["seed", "fit_seconds", "transform_seconds", "classifier_seconds"]
    names += ["peak_memory_mb", "embedding_width"]
    measured = [
        run("A", "mug", 0.9, **dict(zip(names, values, strict=True)))
        for values in (
            (0, 1.0, 0.1, 10.0, 100, 16),
            (1, 2.0, 0.2, 20.0, 300, 8),
            (2, 9.0, 0.9, 90.0, 200, 12),
        )
    ]
    apart = dict.fromkeys(names[1:], 1000)
    # Neither a failure nor a data set that another method lacks counts.
    measured += [failure("A", "mug", seed=3, **apart), run("B", "mug", 0.9, **apart)]
    report = write_report(write([*measured, run("A", "ed", 0.5)]))
    header = "median fit s | median transform s | median classifier s | peak memory MB"
    assert f"{header} | width |" in report
    row = next(line for line in report.splitlines() if line.startswith("| mug | 2 |"))
    assert row.endswith("| 2.00 | 0.20 | 20.00 | 300 | 8 to 16 |")


@pytest.mark.parametrize(("n", "p"), [(11, "<0.001"), (9, "0.004")])
def test_a_small_p_is_no_zero(write, n, p):
    runs = [
        run(f"{i:02}", name, 0.5 + i * gain)
        for i in range(1, n + 1)
        for name, gain in (("mug", 0.02), ("ed", 0.01))
    ]
    # Wins only: 2 / 2**n.
    mean = f"{0.01 * (n + 1) / 2:+.3f}"
    report = write_report(write(runs))
    assert f"| ed | {n} | {n} / 0 / 0 | {mean} | {p} | {p} |" in report


def test_accuracies_that_differ_by_rounding_are_all_the_best(write):
    # The mean of the seeds is 0.7000000000000001.
    seeds = [run("A", "mug", a, seed) for seed, a in enumerate((0.7, 0.8, 0.6))]
    report = write_report(write([*seeds, run("A", "raw", 0.7)]))
    assert "| A | **0.700** ± 0.100 | **0.700** |" in report


def test_one_nn_methods_are_in_every_table(write):
    results = load_results(write(RUNS))
    assert classifiers_of(results) == ["svm", "logistic"]
    svm, logistic = (accuracy_table(results, c) for c in ("svm", "logistic"))
    assert list(svm) == ["mug", "raw", "ed"]
    assert list(logistic) == ["mug", "ed"]
    assert logistic["ed"].eq(0.4).all()


def test_one_nn_has_a_table_where_there_is_nothing_else(write):
    results = load_results(write([run("A", "ed", 0.5, "", "own")]))
    assert classifiers_of(results) == ["own"]
    assert accuracy_table(results, "own").loc["A"].tolist() == [0.5]


def test_unknown_classifier_is_named(write):
    results = load_results(write(RUNS))
    with pytest.raises(ValueError, match="'tree'; the results have 'svm', 'logistic'"):
        accuracy_table(results, "tree")


def test_the_last_row_of_a_run_counts(write):
    runs = [failure("A", "mug"), run("A", "mug", 0.9), run("B", "mug", 0.5)]
    results = load_results(write([*runs, run("B", "mug", 0.6)]))
    assert results[["dataset", "accuracy"]].values.tolist() == [["A", 0.9], ["B", 0.6]]


def test_the_last_success_counts_however_often_a_run_was_repeated(write):
    accuracies = np.arange(1, 51) / 100
    repeated = [run("A", "mug", accuracy) for accuracy in accuracies]
    repeated[1::3] = [failure("A", "mug")] * 17
    results = load_results(write(repeated))
    assert results["accuracy"].tolist() == [0.49]


def test_rows_are_numbered_anew_where_some_are_left_out(write):
    runs = [run("A", "mug", 0.9), run("A", "mug", 0.8), run("B", "mug", 0.5)]
    assert load_results(write(runs)).index.tolist() == [0, 1]


def test_a_table_has_its_data_sets_sorted_and_its_methods_as_they_appear(write):
    runs = [run(dataset, "raw", 0.5) for dataset in "CAB"] + [run("B", "mug", 0.6)]
    table = accuracy_table(load_results(write(runs)), "svm")
    assert table.index.tolist() == ["A", "B", "C"]
    assert table.columns.tolist() == ["raw", "mug"]


def test_a_success_counts_whatever_fails_after_it(write):
    # Another run that writes to the same file; nothing would ever be run again.
    runs = [run("A", "mug", 0.9), run("B", "mug", 0.5), failure("A", "mug")]
    results = load_results(write(runs))
    assert results[["dataset", "accuracy"]].values.tolist() == [["A", 0.9], ["B", 0.5]]


@pytest.mark.parametrize("accuracy", ["", "nan"])
def test_a_run_without_accuracy_or_error_is_a_failure(write, accuracy):
    results = load_results(write([run("A", "mug", accuracy)]))
    assert "neither" in results["error"].item()


def test_a_failed_run_has_no_accuracy(write):
    failed = run("A", "mug", 0.9, balanced_accuracy=0.9, error="MemoryError: ")
    results = load_results(write([failed, run("B", "mug", 0.5)]))
    assert results["accuracy"].tolist() == pytest.approx([NAN, 0.5], nan_ok=True)
    assert results["balanced_accuracy"].isna().all()


@pytest.mark.parametrize("cut", [3, 30, 60, -7])  # the last: one column is lacking
def test_a_torn_last_line_is_left_out(write, cut):
    path = write(
        [run("A", "mug", 0.9), failure("B", "mug", error="two\nlines, quoted")]
    )
    lines = path.read_text().split("\n", 2)
    path.write_text("\n".join(lines[:2]) + "\n" + lines[2][:cut])
    assert load_results(path)["dataset"].tolist() == ["A"]


def test_a_name_in_another_encoding_is_refused(write):
    path = write([run("A", "mug", 0.9), run("Café", "mug", 0.8)])
    whole = path.read_bytes()
    path.write_bytes(path.read_text(encoding="utf-8").encode("cp1252"))
    with pytest.raises(ValueError, match=r"not text in UTF-8: .* the dataset 'Caf.'"):
        load_results(path)
    # Cut within a letter, it is a torn line.
    path.write_bytes(whole[: whole.index("é".encode()) + 1])
    assert load_results(path)["dataset"].tolist() == ["A"]


@pytest.mark.parametrize("column", ["seed", "machine"])
def test_a_quote_without_an_end_takes_no_runs_away(write, column):
    runs = [run(name, "mug", 0.9, **{column: "there"}) for name in "ABC"]
    path = write(runs)
    path.write_text(path.read_text().replace("there", '"there', 1))
    with pytest.raises(ValueError, match="quote without an end before 'B,"):
        load_results(path)


def test_a_last_line_that_is_too_long_is_not_taken_for_a_torn_one(write):
    path = write([run("A", "mug", 0.9), run("B", "mug", 0.8)])
    path.write_text(path.read_text().rstrip() + ",more\n")
    n_columns = len(RESULT_COLUMNS)
    with pytest.raises(ValueError, match=f"{n_columns + 1} fields in line 3, but"):
        load_results(path)


def test_what_is_no_number_is_named_by_its_own_line(write):
    runs = [run(dataset, "mug", 0.9) for dataset in "ABC"]
    runs[1]["fit_seconds"] = "long"
    with pytest.raises(ValueError, match="'long' in column 'fit_seconds' of line 3"):
        load_results(write(runs))


def test_accuracies_are_shares_from_zero_to_one(write):
    runs = [run(dataset, "mug", a) for dataset, a in zip("AB", (0, 1), strict=True)]
    assert load_results(write(runs))["accuracy"].tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"accuracy -0\.1 for 'mug' on 'C'"):
        load_results(write([*runs, run("C", "mug", -0.1)]))


def test_a_short_line_in_the_middle_is_an_error(write):
    path = write([run("A", "mug", 0.9)])
    header, row = path.read_text().splitlines()
    path.write_text(f"{header}\nA,0,mug\n{row}\n")
    with pytest.raises(ValueError, match="3 fields in line 2"):
        load_results(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds nothing, but must have"),
        ("dataset,score\nA,1\n", "'dataset', 'score'.*lacks 'resample', 'method'"),
        (",".join(RESULT_COLUMNS) + "\n", "holds no run"),
        (
            ",".join(RESULT_COLUMNS) + "\nA,0,mug,0,svm,high" + "," * 12 + "\n",
            "'high' in column 'accuracy' of line 2",
        ),
        (
            ",".join(RESULT_COLUMNS) + "\nA,0,mug,0,svm,0.5,0.5,inf" + "," * 10 + "\n",
            "'inf' in column 'fit_seconds' of line 2",
        ),
        (
            ",".join(RESULT_COLUMNS) + "\nA,0,mug,0,svm,90" + "," * 12 + "\n",
            "has the accuracy 90 for 'mug' on 'A'; accepted are shares",
        ),
        (",".join([*RESULT_COLUMNS, "error"]) + "\n", "several columns 'error'"),
    ],
)
def test_a_wrong_file_is_described(tmp_path, text, message):
    path = tmp_path / "results.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_results(path)


def test_a_published_file_needs_its_accuracies(tmp_path):
    path = tmp_path / "ucr.csv"
    path.write_text("dataset,method,accuracy,source\nA,DTW,,paper\n")
    with pytest.raises(ValueError, match="no accuracy for 'DTW' on 'A'"):
        load_published(path)
    path.write_text("dataset,method,accuracy,source\nA,ED,0.5,paper\nB,ED,,paper\n")
    with pytest.raises(ValueError, match="no accuracy for 'ED' on 'B'"):
        load_published(path)


def test_a_source_may_hold_as_many_commas_as_a_line(tmp_path):
    path = tmp_path / "ucr.csv"
    source = "Yue, Wang, Duan, Yang"
    path.write_text(f'dataset,method,accuracy,source\nA,TS2Vec,0.8,"{source}"\n')
    assert load_published(path)["source"].tolist() == [source]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("A,TS2Vec,90.5,paper", "has the accuracy 90.5 for 'TS2Vec' on 'A'"),
        ("A,TS2Vec,0.9", "has 3 fields in line 2"),
        ("A,TS2Vec,0.9," + "x" * 200_000, "line 2: field larger than"),
    ],
)
def test_published_figures_that_cannot_be_right(tmp_path, row, message):
    path = tmp_path / "ucr.csv"
    path.write_text(f"dataset,method,accuracy,source\n{row}\n")
    with pytest.raises(ValueError, match=message):
        load_published(path)


def test_published_figures_from_a_spreadsheet(published):
    expected = load_published(published)
    published.write_text(published.read_text() + "\n", encoding="utf-8-sig")
    pd.testing.assert_frame_equal(load_published(published), expected)
    published.write_text(published.read_text("utf-8-sig") + "A,É,1,é", "latin-1")
    assert len(load_published(published)) == len(expected) + 1


def test_published_columns(published):
    table = pd.DataFrame({"mug": [0.9, 0.7, 0.5]}, index=["A", "B", "X"])
    figures = load_published(published)
    joined = join_published(table, figures)
    assert list(joined) == ["mug", "TS2Vec (published)", "DTW (published)"]
    # The first of two figures counts, and no figure is NaN.
    assert joined["DTW (published)"].tolist() == pytest.approx(
        [0.5, 0.5, NAN], nan_ok=True
    )
    chosen = join_published(table, figures, ["ROCKET"])
    assert list(chosen) == ["mug", "ROCKET (published)"]
    with pytest.raises(ValueError, match="for 'HC2', only for 'TS2Vec', 'ROCKET'"):
        join_published(table, figures, ["HC2"])


def test_published_methods_are_all_joined_if_none_is_usual():
    figures = pd.DataFrame({"dataset": ["A"], "method": ["HC2"], "accuracy": [0.9]})
    table = pd.DataFrame({"mug": [0.9]}, index=["A"])
    assert list(join_published(table, figures)) == ["mug", "HC2 (published)"]


def section(report, start, end="\n#"):
    return report[report.index(start) :].split(end, 1)[0]


def test_report_tells_every_data_set_and_every_gap(write):
    report = write_report(write(RUNS), groups={"easy": ["A", "D"], "none": ["Q"]})
    svm = section(report, "## Classifier: svm", "## Classifier: logistic")
    by_dataset = section(svm, "### Accuracy by data set")
    assert "| data set | mug | raw | ed |\n| --- | ---: | ---: | ---: |" in by_dataset
    for row in (
        "| A | **0.850** ± 0.071 | 0.600 | 0.400 |",
        "| B | **0.700** ± 0.000 | **0.700** | 0.400 |",
        "| C | 0.550 ± 0.071 | **0.800** | 0.400 |",
        "| D | **0.950** ± 0.071 | – | 0.400 |",
    ):
        assert row in by_dataset
    # On A, B and C, which all three have: 1, 1.5, 2 and 2, 1.5, 1 and 3, 3, 3.
    assert "3 of 4 data sets" in svm
    assert "Left out: D (no raw)." in svm
    summary = section(svm, "### Summary")
    assert "mean on easy (1) | mean on none (0)" in summary
    assert "| mug | 4 | 0.762 | 0.700 | 1.50 | 0.850 | – | 2.00 | 0.50 |" in summary
    assert "| raw | 3 | 0.700 | 0.700 | 1.50 |" in summary
    assert "| ed | 4 | 0.400 | 0.400 | 3.00 |" in summary
    assert "| raw | 3 | 1 / 1 / 1 | +0.000 |" in svm
    # Four wins of four: 2 / 2**4, and by Holm twice that.
    assert "| ed | 4 | 4 / 0 / 0 | +0.363 | 0.125 | 0.250 |" in svm
    assert "- raw: D" in section(svm, "### Missing")
    assert "TimeoutError: 600 s" in section(report, "## Failures")
    classifiers = section(report, "## mug under each classifier")
    assert "| svm | 4 | 0.762 | 0.762 | 1.25 |" in classifiers
    assert "| logistic | 4 | 0.600 | 0.600 | 1.75 |" in classifiers
    for told in (
        "| mug | 0, 1 |",
        "a box (",
        "numpy 2.4 (",
        "20 runs, of which 1 failed",
    ):
        assert told in report


def test_report_tells_missing_seeds(write):
    first = "2025-12-31T10:00:00"
    report = write_report(write([*RUNS, run("A", "mug", 0.9, seed=2, finished=first)]))
    missing = section(report, "### Missing")
    assert "- mug on B: only 2 of 3 runs" in missing
    assert "mug on A" not in missing
    assert f"Finished between {first} and 2026-01-01T10:00:00." in report


def test_report_tells_missing_resamples(write):
    runs = [run("A", "mug", 0.9, resample=resample) for resample in (0, 1)]
    report = write_report(write([*runs, run("A", "raw", 0.6)]))
    missing = section(report, "### Missing")
    assert "- raw on A: only 1 of 2 runs" in missing
    assert "mug" not in missing


def test_report_without_mug_compares_the_first(write):
    report = write_report(write([run("A", "z", 0.9), run("A", "a", 0.8)]))
    assert "Reference method: z." in report
    assert "### z against each method" in report


def test_seeds_are_in_numeric_order(write):
    report = write_report(write([run("A", "mug", 0.9, seed) for seed in (10, 2)]))
    assert "| mug | 2, 10 | 0 | svm | 2 | 0 |" in report


def test_classifiers_are_compared_where_all_have_an_accuracy(write):
    runs = [run("A", "raw", 0.5), run("A", "mug", 0.9), run("B", "mug", 0.5)]
    runs += [run("A", "mug", 0.8, classifier="ridge"), run("C", "raw", 0.5)]
    report = write_report(write(runs))
    assert "Reference method: mug." in report  # though it is not the first
    classifiers = section(report, "## mug under each classifier")
    assert "over the 1 of 3 data sets for which all classifiers have" in classifiers
    assert "Left out: B (no ridge); C (no ridge, svm)." in classifiers
    assert "| svm | 2 | 0.700 | 0.900 | 1.00 |" in classifiers
    assert "| ridge | 1 | 0.800 | 0.800 | 2.00 |" in classifiers
    assert "- mug: B, C" in section(report, "## Classifier: ridge", "\n## ")


def test_a_loss_that_rounds_to_nothing_has_no_minus(write):
    report = write_report(write([run("A", "mug", 0.5), run("A", "raw", 0.5001)]))
    assert "| raw | 1 | 0 / 0 / 1 | +0.000 |" in report


def test_report_of_failures_only(write, tmp_path):
    failures = (
        failure("A", "mug", error="a | b\nc"),
        failure("A", "ed", error="e" * 999),
    )
    report = write_report(write(failures), output=tmp_path / "out")
    assert f" {'e' * 200} |" in report
    assert "mug has no successful run" in report
    assert "0 of 1 data sets" in report
    assert "have an accuracy. Methods without any accuracy: mug, ed.\n" in report
    assert "a \\| b c |" in report


def test_report_with_published(write, published):
    report = write_report(write(RUNS), published)
    part = section(report, "### mug and published accuracies: ucr")
    # Of A, B and C, DTW lacks C; mug .85, .7 against .8, .7 and .5, .5.
    assert "Of the file's 6 data sets 3 were run." in part
    assert "2 of 3 data sets" in part
    assert "Left out: C (no DTW (published))." in part
    assert "| mug | 0.775 | 1.25 |" in part
    assert "| TS2Vec (published) | 0.750 | 1.75 |" in part
    assert "| TS2Vec (published) | 3 | 1 / 1 / 1 | +0.000 |" in part
    assert "| ROCKET (published) | 1 | 0.950 | 0.850 | 0 / 0 / 1 | -0.100 |" in part
    assert "| data set | mug | TS2Vec (published) | DTW (published) |" in part
    assert "| A | **0.850** | 0.800 | 0.500 |" in part
    assert part.index("| A |") < part.index("| B |") < part.index("| C |")
    assert "| C | 0.550 | **0.600** | – |" in part
    assert "mean on ucr (3)" in report
    sources = section(report, "## Sources of the published accuracies", "\x00")
    assert (
        "| source | methods |\n| --- | --- |\n"
        "| paper | TS2Vec, DTW |\n| archive | ROCKET, DTW |"
    ) in sources
    assert "DTW on A (0.500, 0.600)" in sources
    assert "not run: W, Y, Z." in sources
    assert "without published accuracies: D." in sources


def test_published_figures_of_other_sets_or_methods(write, tmp_path):
    header = "dataset,method,accuracy,source\n"
    (tmp_path / "far.csv").write_text(header + "Z,DTW,0.4,paper\n")
    (tmp_path / "new.csv").write_text(header + "A,HC2,0.9,paper\n")
    files = [tmp_path / "far.csv", tmp_path / "new.csv"]
    report = write_report(write([run("A", "mug", 0.8)]), files)
    assert section(report, "### mug and published accuracies: far").endswith(
        "There is nothing to compare.\n"
    )
    # They are all in the first table, so no second one repeats them.
    assert "| HC2 (published) | 1 | 0 / 0 / 1 |" in report
    ranks = "| HC2 (published) | 0.900 | 1.00 |\n| mug | 0.800 | 2.00 |"
    assert ranks in report  # the best comes first
    assert "Further published methods" not in report


def test_published_figures_are_compared_as_printed(write, tmp_path):
    path = tmp_path / "ucr.csv"
    path.write_text(
        "dataset,method,accuracy,source\n"
        "A,TNC,0.667,paper\n"
        "A,TNC,0.66667,archive\n"
        "A,ROCKET,0.667,archive\n"
    )
    report = write_report(write([run("A", "mug", 2 / 3)]), path)
    assert "| TNC (published) | 1 | 0 / 1 / 0 |" in report
    assert "| ROCKET (published) | 1 | 0.667 | 0.667 | 0 / 1 / 0 | +0.000 |" in report
    assert "Given more than once" not in report


def test_group_names_must_differ(write, published):
    with pytest.raises(ValueError, match="different names; found 'ucr', 'ucr'"):
        write_report(write(RUNS), published, groups={"ucr": ["A"]})


@pytest.fixture
def callers_figures():
    """Two figures of the caller, of which the first is the current one."""
    numbers = [plt.figure().number for _ in range(2)]
    plt.figure(numbers[0])
    backend, size = mpl.get_backend(), mpl.rcParams["font.size"]
    yield
    assert plt.get_fignums() == numbers
    assert plt.gcf().number == numbers[0]
    assert not any(plt.figure(number).axes for number in numbers)
    assert (mpl.get_backend(), mpl.rcParams["font.size"]) == (backend, size)
    for number in numbers:
        plt.close(number)


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("callers_figures")
def test_report_writes_its_pictures(write, published, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "aeon.visualisation", None)
    folder = tmp_path / "new" / "report"
    report = write_report(write(RUNS), published, folder)
    assert (folder / "report.md").read_text(encoding="utf-8") == report
    stems = ["scatter_svm", "scatter_svm_ucr", "scatter_logistic", "time_logistic"]
    for stem in [*stems, "time_svm", "scatter_logistic_ucr"]:
        assert is_png(folder / f"{stem}.png")
        assert f"({stem}.png)" in report
    assert "### Pictures" in report
    assert "Average ranks: left out, as aeon is not installed." in report
    assert "Average ranks, published: ucr: left out, as aeon is" in report
    title = "Accuracy, pair by pair, published: ucr"
    assert f"**{title}**\n\n![{title}](scatter_svm_ucr.png)" in report
    assert "each point is a data set" in report
    assert "found 2 methods" in section(report, "## Classifier: logistic", "\n## ")


def test_pictures_of_a_file_are_of_its_methods(write, published, tmp_path, kept):
    write_report(
        write([run("A", "mug", 0.9), run("A", "raw", 0.6)]), published, tmp_path
    )
    shown = [
        [panel.get_title().splitlines()[0] for panel in figure.axes if panel.axison]
        for figure in kept
        if figure.get_supylabel()
    ]
    assert shown == [["raw"], ["TS2Vec (published)", "DTW (published)"]]


def test_pictures_do_not_overwrite_each_other(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "aeon.visualisation", None)
    table = pd.DataFrame({"mug": [0.9, 0.8], "ed": [0.7, 0.6]})
    tables = dict.fromkeys(("", "ucr", "UCR", "u c r", "u_c_r"), table)
    summary = pd.DataFrame({"accuracy": table.mean(), "fit": [1.0, 2.0]})
    lines = draw_pictures(tables, summary, "svm", "mug", tmp_path)
    linked = set(re.findall(r"\((scatter_.*)\)", "\n".join(lines)))
    # On some systems, names that differ in case are of one file.
    assert len({name.lower() for name in linked}) == len(tables)
    assert linked < {path.name for path in tmp_path.iterdir()}
    assert all(re.fullmatch(r"[\w.]+", name) for name in linked)  # links of Markdown


def test_nothing_is_written_without_output(write, tmp_path):
    path = write(RUNS)
    before = set(tmp_path.rglob("*"))
    assert "Pictures" not in write_report(path)
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("callers_figures")
def test_critical_difference_diagram(tmp_path):
    pytest.importorskip("aeon.visualisation")
    draws = np.random.default_rng(0).uniform(size=(15, 4))
    table = pd.DataFrame(draws, columns=["mug", "a", "b", "c"])
    table.loc[0, "a"] = NAN
    draw_critical_difference(table, tmp_path / "ranks.png", reference="mug")
    assert is_png(tmp_path / "ranks.png")


@pytest.mark.filterwarnings("error")
def test_a_diagram_with_equal_methods_warns_of_nothing(tmp_path):
    pytest.importorskip("aeon.visualisation")
    equal = [0.8, 0.7, 0.6]
    table = pd.DataFrame({"mug": [0.9, 0.8, 0.7], "a": equal, "b": equal})
    draw_critical_difference(table, tmp_path / "ranks.png")
    assert is_png(tmp_path / "ranks.png")


def test_a_diagram_may_have_a_data_set_on_which_all_are_equal(tmp_path):
    pytest.importorskip("aeon.visualisation")
    table = pd.DataFrame({"mug": [0.9, 0.5], "a": [0.8, 0.5], "b": [0.7, 0.5]})
    draw_critical_difference(table, tmp_path / "ranks.png")
    assert is_png(tmp_path / "ranks.png")


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"a": [0.1, 0.2], "b": [0.3, 0.2]}),
        pd.DataFrame({"a": [0.1, NAN], "b": [NAN, 0.2], "c": [0.1, 0.2]}),
        pd.DataFrame({"a": [0.1, 0.2], "b": [0.1, 0.2], "c": [0.1, 0.2]}),
    ],
    ids=["two methods", "nothing in common", "all equal"],
)
def test_no_diagram_of_nothing(table, tmp_path):
    with pytest.raises(ValueError, match="needs three methods"):
        draw_critical_difference(table, tmp_path / "ranks.png")


@pytest.mark.usefixtures("callers_figures")
def test_pictures_of_nothing_are_errors(tmp_path):
    with pytest.raises(ValueError, match="no other method"):
        draw_scatter_grid(pd.DataFrame({"a": [0.5]}), tmp_path / "a", reference="a")
    with pytest.raises(ValueError, match="no method has both"):
        draw_time_accuracy(pd.Series({"a": 1.0}), pd.Series({"b": 1.0}), tmp_path / "b")


@pytest.fixture
def kept(monkeypatch):
    """Figures that were to be saved."""
    kept = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: kept.append(figure))
    return kept


def test_what_the_diagram_of_ranks_shows(tmp_path, kept):
    pytest.importorskip("aeon.visualisation")
    n = np.arange(1, 16)
    # Negative ranks of 25 in all: one-sided, p is 0.024, more than 0.05 / 3.
    c = 0.5 - np.where(np.isin(n, (10, 15)), -n, n) / 1000
    table = pd.DataFrame({"c": c, "b": 0.5, "mug": 0.8, "a": 0.7})
    draw_critical_difference(table, tmp_path / "ranks.png", reference="mug")
    (ax,) = kept[0].axes
    texts = [text.get_text() for text in ax.texts]
    ranks = {name: texts[texts.index(name) - 1] for name in table}
    expected = {"mug": "1.0000", "a": "2.0000", "b": "3.1333", "c": "3.8667"}
    assert ranks == expected
    coloured = {text.get_text() for text in ax.texts if text.get_color() == "#D55E00"}
    assert coloured == {"1.0000", "mug"}
    (bar,) = (line for line in ax.get_lines() if line.get_linewidth() == 2.5)
    lines = [line.get_xdata() for line in ax.get_lines()]
    stems = sorted(line[0] for line in lines if len(line) == 3)
    first, last = sorted(bar.get_xdata())
    assert [first <= x <= last for x in stems] == [True, True, False, False]


def test_the_reference_is_above_the_line_where_it_is_better(tmp_path, kept):
    table = pd.DataFrame({"mug": [0.9, 0.8, 0.15], "ed": [0.7, 0.6, 0.2]})
    draw_scatter_grid(table, tmp_path / "scatter.png", reference="mug")
    (figure,) = kept
    (panel,) = figure.axes
    points = panel.collections[0].get_offsets()
    np.testing.assert_allclose(points, [[0.7, 0.9], [0.6, 0.8], [0.2, 0.15]])
    assert panel.get_xlim() == panel.get_ylim() == pytest.approx((0.08, 1.02))
    assert panel.get_aspect() == 1
    (line,) = panel.get_lines()
    assert list(line.get_xdata()) == list(line.get_ydata())
    labels = figure.get_supxlabel(), figure.get_supylabel()
    assert labels == ("accuracy of the other method", "accuracy of mug")
    assert panel.get_title() == "ed\nwins 2, losses 1, draws 0"
    assert not panel.texts  # a text inside of the axes would cover points


def test_pairs_are_drawn_from_zero_on_if_need_be(tmp_path, kept):
    table = pd.DataFrame({"mug": [0.9, 0.0], "ed": [0.7, 0.6]})
    draw_scatter_grid(table, tmp_path / "scatter.png", reference="mug")
    assert kept[0].axes[0].get_ylim() == pytest.approx((0, 1.02))


def test_each_pair_has_a_panel_with_the_data_sets_of_both(tmp_path, kept):
    table = pd.DataFrame({"mug": [0.9, 0.8, NAN], "a": [0.7, NAN, 0.6]})
    table = table.assign(b=[0.4, 0.5, 0.6], c=[NAN, NAN, 0.5], d=0.1, e=0.2, f=0.3)
    draw_scatter_grid(table, tmp_path / "scatter.png", reference="mug")
    panels = [panel for panel in kept[0].axes if panel.axison]
    names = [panel.get_title().splitlines()[0] for panel in panels]
    offsets = [panel.collections[0].get_offsets().tolist() for panel in panels]
    points = dict(zip(names, offsets, strict=True))
    assert list(points) == ["a", "b", "d", "e", "f"]
    assert points["a"] == [[0.7, 0.9]]
    assert points["b"] == [[0.4, 0.9], [0.5, 0.8]]
    places = [panel.get_subplotspec() for panel in panels]
    assert [(p.rowspan.start, p.colspan.start) for p in places] == [
        *((0, column) for column in range(4)),
        (1, 0),
    ]


def test_long_names_of_methods_stay_in_the_picture_of_pairs(tmp_path, kept):
    names = [f"a long name of a method, such as of pipeline {i}" for i in range(3)]
    table = pd.DataFrame([[0.9, 0.8, 0.7]], columns=names)
    draw_scatter_grid(table, tmp_path / "scatter.png", reference=names[0])
    (figure,) = kept
    figure.draw_without_rendering()
    one, other = (panel.title.get_window_extent() for panel in figure.axes)
    assert 0 <= one.x0 < one.x1 < other.x0 < other.x1 <= figure.bbox.x1
    vertical = figure.get_supylabel()
    assert " ".join(vertical.split()) == f"accuracy of {names[0]}"


def test_names_of_methods_are_no_formulas(tmp_path, kept):
    pytest.importorskip("aeon.visualisation")
    names = ["a$x$b", "cost $5 {a}_$", "$_"]
    table = pd.DataFrame([[0.9, 0.8, 0.7], [0.8, 0.9, 0.7]], columns=names)
    draw_scatter_grid(table, tmp_path / "pairs", reference=names[0])
    draw_time_accuracy(table.mean(), table.mean(), tmp_path / "time")
    draw_critical_difference(table, tmp_path / "ranks", reference=names[0])
    for figure in kept:
        shown = [text.get_text() for text in figure.findobj(Text)]
        for name in names:
            (text,) = {text for text in shown if name in text.replace(r"\$", "$")}
            assert not is_math_text(text)


def test_pictures_are_light_whatever_style_the_caller_has_set(tmp_path, kept):
    pytest.importorskip("aeon.visualisation")
    table = pd.DataFrame({"mug": [0.9, 0.8], "a": [0.8, 0.9], "b": 0.1})
    with plt.style.context("dark_background"):
        draw_scatter_grid(table, tmp_path / "pairs", reference="mug")
        draw_time_accuracy(table.mean(), table.mean(), tmp_path / "time")
        draw_critical_difference(table, tmp_path / "ranks")
    assert [figure.get_facecolor() for figure in kept] == [(1, 1, 1, 1)] * 3


def test_methods_lie_where_their_time_to_fit_and_accuracy_say(write, tmp_path, kept):
    fast = run("A", "raw", 0.6, fit_seconds=0.0)
    write_report(write([run("A", "mug", 0.9), fast]), output=tmp_path)
    (ax,) = (ax for figure in kept for ax in figure.axes if ax.get_xscale() == "log")
    (marks,) = ax.collections
    np.testing.assert_allclose(marks.get_offsets(), [[2.0, 0.9], [0.001, 0.6]])
    colours = [mpl.colors.to_hex(colour) for colour in marks.get_facecolors()]
    assert colours == ["#d55e00", "#0072b2"]
    names = {label.get_text(): label.xy for label in ax.texts}
    assert names == {"mug": (2.0, 0.9), "raw": (0.001, 0.6)}
    assert ax.get_xlabel().startswith("median seconds to fit")
    assert ax.get_ylabel() == "mean accuracy"


def test_names_cover_no_points_and_stay_inside(tmp_path, kept):
    names = ["first method", "b", "a method with a long name"]
    seconds = pd.Series([1.0, 1.04, 3.0], index=names)
    draw_time_accuracy(seconds, seconds * 0 + 0.5, tmp_path / "time.png")
    (ax,) = kept[0].axes
    points = ax.transData.transform(ax.collections[0].get_offsets())
    for label in ax.texts:
        box = label.get_window_extent()
        assert ax.bbox.x0 <= box.x0 < box.x1 <= ax.bbox.x1
        assert not any(box.contains(*point) for point in points)


def test_crowded_labels_do_not_overlap(tmp_path, monkeypatch):
    from mug_sklearn.benchmark import report_figures

    boxes = []
    placed = report_figures._extent_at

    def recorded(label, place, renderer):
        box = placed(label, place, renderer)
        boxes[:] = [pair for pair in boxes if pair[0] is not label] + [(label, box)]
        return box

    monkeypatch.setattr(report_figures, "_extent_at", recorded)
    names = [f"method {i}" for i in range(6)]
    same = pd.Series(0.5, index=names)
    draw_time_accuracy(same, same, tmp_path / "time.png")
    assert len(boxes) == 6
    # A name that is not beside its point has a line to it.
    apart = [label for label, _ in boxes if np.abs(label.get_position()).max() > 7]
    ends = [text.get_position() for text in apart[0].axes.texts if text.arrow_patch]
    assert ends == [label.get_position() for label in apart]
    for index, (_, box) in enumerate(boxes):
        assert not box.count_overlaps([other for _, other in boxes[:index]])
