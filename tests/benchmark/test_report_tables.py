"""Ranks, counts and tests on tables small enough to do by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from mug_sklearn.benchmark.report import (
    WinDrawLoss,
    average_ranks,
    wilcoxon_holm,
    win_draw_loss,
)

NAN = np.nan


def test_ranks_share_ties_and_need_complete_rows():
    table = pd.DataFrame(
        {"a": [0.9, 0.8, 0.1], "b": [0.9, 0.6, NAN], "c": [0.5, 0.7, 0.9], "d": NAN}
    )
    # 1.5, 1.5, 3 and 1, 3, 2; the third row is incomplete and d has nothing.
    ranks = average_ranks(table).tolist()
    assert ranks == pytest.approx([1.25, 2.25, 2.5, NAN], nan_ok=True)


def test_ranks_without_a_complete_row_are_nan():
    ranks = average_ranks(pd.DataFrame({"a": [0.9, NAN], "b": [NAN, 0.8]}))
    assert ranks.isna().all()


def test_noise_is_a_draw():
    # One series of a hundred thousand is no noise.
    table = pd.DataFrame({"a": [0.1 + 0.2, 0.5, NAN], "b": [0.3, 0.50001, 0.7]})
    assert win_draw_loss(table, "a", "b") == WinDrawLoss(wins=0, draws=1, losses=1)
    assert average_ranks(table).tolist() == [1.75, 1.25]
    with pytest.raises(ValueError, match=r"no method 'c'.*'a', 'b'"):
        win_draw_loss(table, "a", "c")


def test_holm_by_hand():
    n = np.arange(1, 9) / 100
    signs = {
        "all": np.ones(8),  # p = 2 / 2**8
        "most": np.where(n <= 0.01, -1, 1),  # p = 4 / 2**8
        "half": np.where(np.arange(8) % 2, 1, -1),
        "equal": np.zeros(8),
    }
    table = pd.DataFrame({"mug": 0.5} | {k: 0.5 - s * n for k, s in signs.items()})
    table["absent"] = NAN
    tests = wilcoxon_holm(table, "mug")
    half = wilcoxon(n * signs["half"]).pvalue
    assert tests["p"].tolist() == pytest.approx(
        [2 / 256, 4 / 256, half, 1.0, NAN], nan_ok=True
    )
    # Four comparisons could be made: times 4, 3, 2 and 1, at most 1.
    expected = [8 / 256, 12 / 256, min(2 * half, 1), 1.0, NAN]
    assert tests["p_holm"].tolist() == pytest.approx(expected, nan_ok=True)
    assert tests["n_datasets"].tolist() == [8, 8, 8, 8, 0]


def test_data_sets_without_a_difference_are_left_out_of_the_test():
    n = np.array([1, 2, -3, 4, 5, 6, 7, 8]) / 100
    equal = np.zeros(3)
    table = pd.DataFrame({"mug": 0.5, "a": 0.5 - np.concatenate((n, equal))})
    tests = wilcoxon_holm(table, "mug")
    # The negative ranks add up to 3 or less in 5 of the 2**8 cases.
    assert tests["p"].item() == pytest.approx(10 / 256)
    assert tests["n_datasets"].item() == 11


def test_holm_never_decreases():
    n = np.arange(1, 6) / 100
    table = pd.DataFrame({"mug": 0.5, "a": 0.5 - n, "b": 0.5 - n})
    table["c"] = 0.5 - n * [-1, 1, 1, 1, 1]  # 0.125, times one is less than 3 / 16
    assert wilcoxon_holm(table, "mug")["p_holm"].tolist() == [3 / 16] * 3
