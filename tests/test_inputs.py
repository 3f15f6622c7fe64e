"""Every accepted input form, every refused one, and what missing values mean."""

import warnings
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from mug_sklearn import MUGTransformer
from mug_sklearn._input_forms import is_list_of_series
from mug_sklearn.nn.bank import MARGIN

from .conftest import small_mug

LISTS = pa.list_(pa.float64())


def assert_close(actual, expected):
    assert_allclose(actual, expected, rtol=0, atol=1e-5)


def assert_each_is_embedded_alone_as_together(mug, X):
    for series, expected in zip(X, mug.transform(X), strict=True):
        assert_array_equal(mug.transform([series])[0], expected)


class TestForms:
    def test_univariate_forms_are_equal(self, table):
        expected = small_mug().fit_transform(table)
        assert expected.shape == (12, 8)
        assert expected.dtype == np.float32
        forms = {
            "cube": table[:, None, :],
            "list of (T,)": list(table),
            "list of (1, T)": [one[None] for one in table],
            "nested lists": table.tolist(),
            "list of Series": [pd.Series(one) for one in table],
            "list of tuples and arrays": [tuple(table[0]), *table[1:]],
            "DataFrame": pd.DataFrame(table),
            "tensor": torch.from_numpy(table),
            "negated tensor": torch._neg_view(torch.from_numpy(-table)),
            "float32": table.astype(np.float32),
            "Fortran order": np.asfortranarray(table),
            "objects": table.astype(object),
        }
        for form in forms.values():
            assert_close(small_mug().fit_transform(form), expected)

    def test_multivariate_forms_are_equal(self, panel):
        expected = small_mug().fit_transform(panel)
        forms = [
            list(panel),
            tuple(panel),
            torch.from_numpy(panel),
            [*panel[:6], *map(torch.from_numpy, panel[6:])],
        ]
        for form in forms:
            assert_close(small_mug().fit_transform(form), expected)

    @pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "float16", "bool"])
    def test_narrow_dtypes(self, panel, dtype):
        narrow = (10 * np.abs(panel)).astype(dtype)
        expected = small_mug().fit_transform(narrow.astype(np.float64))
        assert_close(small_mug().fit_transform(narrow), expected)
        gaps = panel > 0.9
        expected = small_mug().fit_transform(np.where(gaps, np.nan, narrow))
        masked = np.ma.array(narrow, mask=gaps)
        assert_close(small_mug().fit_transform(masked), expected)

    def test_no_form_costs_digits(self, table):
        # As prices or times in seconds have them; float32 would leave none.
        X = 1.7e9 + table
        expected = small_mug(max_epochs=0).fit_transform(X)
        for form in (
            list(X),
            X.tolist(),
            pd.DataFrame(X),
            torch.from_numpy(X),
            list(torch.from_numpy(X)),
            X.astype(object),
            pl.Series(X.tolist()),
            np.ma.array(X, mask=np.zeros(X.shape, bool)),
        ):
            assert_close(small_mug(max_epochs=0).fit_transform(form), expected)

    def test_bfloat16_tensor(self, panel):
        narrow = torch.from_numpy(panel).bfloat16()
        expected = small_mug().fit_transform(narrow.float().numpy())
        assert_close(small_mug().fit_transform(narrow), expected)

    def test_fitted_on_one_form_takes_the_others(self, table):
        mug = small_mug().fit(table)
        expected = mug.transform(table)
        assert_close(mug.transform(table[:, None, :]), expected)
        assert_close(mug.transform(list(table)), expected)
        mug = small_mug().fit(list(table))
        assert_close(mug.transform(table), expected)

    def test_nullable_pandas(self, table):
        frame = pd.DataFrame(table).convert_dtypes()
        frame.iloc[2, 3] = pd.NA
        gappy = table.copy()
        gappy[2, 3] = np.nan
        assert_close(small_mug().fit_transform(frame), small_mug().fit_transform(gappy))

    def test_ragged_nested_lists_of_channels(self, ragged):
        expected = small_mug().fit_transform(ragged)
        for nested in ([one.tolist() for one in ragged], [[*one] for one in ragged]):
            assert_array_equal(small_mug().fit_transform(nested), expected)

    def test_ragged_nested_lists(self):
        ragged = [[1.0, 2, 3, 1], [2, 1], [3.0]]
        expected = small_mug().fit_transform([np.array(one) for one in ragged])
        assert_close(small_mug().fit_transform(ragged), expected)

    def test_objects_that_are_series(self, ragged):
        expected = small_mug().fit_transform(ragged)
        array = np.empty(len(ragged), dtype=object)
        array[:] = ragged
        for form in (array, pd.Series(ragged)):
            mug = small_mug().fit(form)
            assert_array_equal(mug.transform(form), expected)

    def test_another_length_than_at_fit(self, panel):
        mug = small_mug().fit(panel)
        longer = np.concatenate((panel, panel, panel), axis=2)
        assert np.isfinite(mug.transform(longer)).all()
        assert np.isfinite(mug.transform(panel[:, :, :1])).all()

    def test_feature_names(self, table):
        frame = pd.DataFrame(table, columns=[f"t{i}" for i in range(30)])
        mug = small_mug().fit(frame)
        assert_array_equal(mug.feature_names_in_, frame.columns)
        mug.fit(list(table))
        assert not hasattr(mug, "feature_names_in_")

    def test_attributes(self, panel, table):
        mug = small_mug()
        shorter = [series[:, :20] for series in panel]
        for X, expected in (
            (panel, (2, 2, 30)),
            (table, (30, 1, 30)),
            (shorter, (2, 2, 20)),
        ):
            mug.fit(X)
            found = (mug.n_features_in_, mug.n_channels_in_, mug.n_timepoints_in_)
            assert found == expected

    @pytest.mark.parametrize("granularity", ["multi", "fine", "coarse"])
    def test_alone_as_in_a_batch(self, ragged, granularity):
        mug = small_mug(granularity=granularity, embedding_dim=None).fit(ragged)
        assert_each_is_embedded_alone_as_together(mug, ragged)

    @pytest.mark.parametrize(("d_model", "n_heads"), [(2, 1), (5, 1), (6, 1), (33, 3)])
    def test_alone_as_in_a_batch_at_odd_widths(self, panel, d_model, n_heads):
        # Thirty-five timepoints of such widths fill no whole cache lines.
        odd = np.concatenate((panel, panel[:, :, :5]), axis=2)
        mug = small_mug(d_model=d_model, n_heads=n_heads, embedding_dim=None).fit(odd)
        assert_each_is_embedded_alone_as_together(mug, odd)

    def test_alone_as_in_a_batch_of_series_with_as_many_patches(self, panel):
        lengths = [22, 28, 23, 25, 24, 27, 26, 22, 28, 23, 25, 30]
        ragged = [one[:, :size] for one, size in zip(panel, lengths, strict=True)]
        mug = small_mug(patch_length=7, embedding_dim=None).fit(ragged)
        assert_each_is_embedded_alone_as_together(mug, ragged)

    def test_alone_as_in_a_batch_at_default_size(self, ragged):
        mug = MUGTransformer(max_epochs=3, device="cpu", random_state=0).fit(ragged)
        assert_each_is_embedded_alone_as_together(mug, ragged)

    def test_nested_lists_are_read_alike_whatever_their_lengths(self, ragged):
        # As they come from JSON: those of one batch may happen to be equal.
        nested = [series.tolist() for series in ragged]
        mug = small_mug().fit(nested)
        together = mug.transform(ragged)
        for one, expected in zip(nested, together, strict=True):
            assert_array_equal(mug.transform([one])[0], expected)

    def test_nested_rows_after_a_fit_on_lists(self):
        rows = np.random.default_rng(0).normal(size=(9, 30)).tolist()
        mug = small_mug().fit([row[i % 3 :] for i, row in enumerate(rows)])
        cut = [row[:20] for row in rows]
        assert_array_equal(mug.transform(cut), mug.transform(np.array(cut)[:, None]))

    def test_nested_channels_after_a_fit_on_a_table(self):
        table = np.random.default_rng(0).normal(size=(9, 30))
        mug = small_mug().fit(table)
        other = table[:, None, :20]
        assert_array_equal(mug.transform(other.tolist()), mug.transform(other))

    def test_series_in_the_cells_of_a_column(self, panel):
        series = panel[:, :1]
        column = pd.Series(series[:, 0].tolist())
        expected = small_mug().fit_transform(series)
        assert_close(small_mug().fit_transform(column), expected)

    @pytest.mark.parametrize(
        "as_column",
        [
            pl.Series,
            pa.array,
            lambda series: pa.chunked_array([series]),
            lambda series: pd.Series(series, dtype=pd.ArrowDtype(LISTS)),
        ],
        ids=["polars", "pyarrow", "pyarrow, in chunks", "pandas of pyarrow"],
    )
    @pytest.mark.parametrize("lengths", ["equal", "unequal"])
    def test_a_column_of_lists_holds_series(self, table, ragged, as_column, lengths):
        series = list(table) if lengths == "equal" else [one[0] for one in ragged]
        column = as_column([one.tolist() for one in series])
        expected = small_mug().fit_transform(series)
        assert_close(small_mug().fit_transform(column), expected)

    @pytest.mark.parametrize("as_column", [pl.Series, pa.array, pd.Series])
    @pytest.mark.parametrize("lengths", ["equal", "unequal"])
    def test_a_column_of_lists_of_channels(self, panel, ragged, as_column, lengths):
        series = list(panel) if lengths == "equal" else ragged
        column = as_column([one.tolist() for one in series])
        expected = small_mug().fit_transform(series)
        assert_close(small_mug().fit_transform(column), expected)

    @pytest.mark.parametrize(
        "as_series", [pl.Series, pa.array, pd.Series, lambda x: pa.chunked_array([x])]
    )
    def test_a_list_of_columns_holds_series(self, table, ragged, as_series):
        for series in (list(table), [one[0] for one in ragged]):
            columns = [as_series(one) for one in series]
            expected = small_mug().fit(series).transform(series[:1])
            assert_close(small_mug().fit(columns).transform(columns[:1]), expected)

    def test_what_only_becomes_an_array_is_one(self, panel, table):
        class Bare:
            def __init__(self, array):
                self.array = array

            def __array__(self, dtype=None, copy=None):
                return self.array

        for X in (panel, table):
            expected = small_mug().fit_transform(X)
            assert_close(small_mug().fit_transform(Bare(X)), expected)
        mug = small_mug().fit(table)
        cube = table[:, None, :20]
        assert_close(mug.transform(Bare(cube)), mug.transform(cube))

    def test_a_table_of_pyarrow_is_one(self):
        table = pd.DataFrame(np.random.default_rng(0).normal(size=(9, 30)))
        table.columns = [f"t{column}" for column in table]
        expected = small_mug().fit_transform(table)
        assert_close(small_mug().fit_transform(pa.Table.from_pandas(table)), expected)

    def test_a_table_is_as_wide_as_the_longest_series_or_its_padding(self, table):
        padded = np.pad(table, ((0, 0), (0, 5)), constant_values=np.nan)
        for X in (padded[:, None], list(padded)):
            mug = small_mug().fit(X)
            assert_close(mug.transform(table), mug.transform(padded))
            with pytest.raises(
                ValueError, match=r"has 31 timepoints, .* of 30, padded to 35\."
            ):
                mug.transform(padded[:, :31])

    def test_the_padding_is_that_of_the_widest_series(self, table):
        padded = np.pad(table, ((0, 0), (0, 5)), constant_values=np.nan)
        mug = small_mug(max_epochs=0).fit([table[0], *padded[1:]])
        assert_close(mug.transform(padded), mug.transform(table))


class TestMissing:
    def test_trailing_nan_change_nothing(self, panel):
        padded = np.concatenate((panel, np.full((12, 2, 11), np.nan)), axis=2)
        assert_close(
            small_mug().fit_transform(padded), small_mug().fit_transform(panel)
        )

    def test_list_equals_padded_array(self, ragged, padded):
        assert_close(
            small_mug().fit_transform(padded), small_mug().fit_transform(ragged)
        )

    def test_a_missing_value_is_not_zero_and_not_the_mean(self, panel):
        mug = small_mug(embedding_dim=None).fit(panel)
        gappy, filled = panel.copy(), panel.copy()
        gappy[:, :, 10:15] = np.nan
        filled[:, :, 10:15] = mug.location_[:, None]
        assert np.abs(mug.transform(gappy) - mug.transform(filled)).max() > 1e-2

    def test_gaps_anywhere(self, panel):
        rng = np.random.default_rng(0)
        gappy = np.where(rng.random(panel.shape) < 0.4, np.nan, panel)
        mug = small_mug().fit(gappy)
        embedding = mug.transform(gappy)
        assert np.isfinite(embedding).all()
        assert_close(mug.transform(gappy[3:4]), embedding[3:4])

    def test_masked_values_are_missing(self, panel):
        gappy = panel.round().astype(np.float32)
        gappy[::2, :, 3:9] = np.nan
        expected = small_mug().fit_transform(gappy)
        mask = np.isnan(gappy)
        whole = np.where(mask, 99, gappy).astype(np.int64)
        for form in (
            np.ma.array(whole, mask=mask),
            np.ma.array(whole.astype(np.float32), mask=mask),
            np.ma.array(whole.astype(object), mask=mask),
            np.ma.array(np.where(mask, "NA", whole.astype(str)), mask=mask),
            [np.ma.array(one, mask=m) for one, m in zip(whole, mask, strict=True)],
            [
                [np.ma.array(c, mask=m) for c, m in zip(*both, strict=True)]
                for both in zip(whole, mask, strict=True)
            ],
        ):
            assert_close(small_mug().fit_transform(form), expected)

    def test_statistics_leave_gaps_out(self, panel):
        gappy = panel * [[2.0], [5.0]] + [[1e6], [-3.0]]
        gappy[::3, 0, 5:9] = np.nan
        mug = small_mug(max_epochs=0).fit(gappy)
        assert_allclose(mug.location_, np.nanmean(gappy, axis=(0, 2)))
        assert_allclose(mug.scale_, np.nanstd(gappy, axis=(0, 2)))

    def test_thresholds_leave_gaps_out(self, table):
        table[:, 5:25] = np.nan
        for scale in small_mug(max_epochs=0).fit(table).network_.bank.scales:
            # Inside the gap, all patterns respond with zero.
            assert ((scale.thresholds - MARGIN).abs() > 1e-6).all()


class TestDegenerate:
    @pytest.mark.filterwarnings("ignore:The embedding is const")
    def test_a_list_of_one_series(self, ragged):
        assert small_mug(max_epochs=0).fit(ragged[:1]).n_features_in_ == 2

    @pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 40), (6, 1, 1), (3, 2, 2)])
    def test_tiny_panels(self, shape):
        X = np.random.default_rng(0).normal(size=shape)
        for granularity in ("multi", "fine", "coarse"):
            mug = small_mug(granularity=granularity)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.filterwarnings("ignore", "The embedding is const")
                embedding = mug.fit_transform(X)
            assert embedding.shape[0] == shape[0]
            assert np.isfinite(embedding).all()

    def test_constant_series(self):
        mug = small_mug()
        assert np.isfinite(mug.fit_transform(np.full((5, 1, 20), 7.0))).all()
        assert np.isfinite(mug.transform(np.full((2, 1, 20), 1e30))).all()

    def test_one_series_without_values(self, panel):
        panel[4] = np.nan
        with pytest.warns(UserWarning, match="1 of 12 series of X hold no observed"):
            mug = small_mug().fit(panel)
        with pytest.warns(UserWarning, match="series of X"):
            embedding = mug.transform(panel)
        assert np.isfinite(embedding).all()
        with pytest.warns(UserWarning, match="series of X"):
            assert_close(mug.transform(panel[4:5]), embedding[4:5])

    def test_series_without_values_are_not_trained_on(self, panel):
        empty = np.full((5, *panel.shape[1:]), np.nan)
        mug, same = small_mug(max_epochs=3), small_mug(max_epochs=3)
        joined = np.concatenate((empty[:3], panel, empty[3:]))
        message = r"5 of 17 series of X hold no observed .*: 0, 1, 2, 15, 16\. They"
        with pytest.warns(UserWarning, match=message):
            mug.fit(joined)
        assert mug.history_ == same.fit(panel).history_
        assert_close(mug.transform(panel), same.transform(panel))

    def test_of_many_series_without_values_five_are_named(self, panel):
        panel[:6] = np.nan
        with pytest.warns(UserWarning, match=r": 0, 1, 2, 3, 4, \.\.\.\. They"):
            small_mug(max_epochs=0).fit(panel)

    def test_warnings_name_the_callers_line(self, panel):
        panel[4] = np.nan
        mug = small_mug().fit(panel)
        calls = [
            lambda: small_mug().fit(panel),
            lambda: mug.transform(panel),
            lambda: mug.transform_granularities(panel),
            lambda: make_pipeline(small_mug()).fit_transform(panel),
            lambda: GridSearchCV(make_pipeline(small_mug(), SVC()), {}, cv=2).fit(
                panel, [0, 1] * 6
            ),
        ]
        for call in calls:
            with pytest.warns(UserWarning, match="hold no observed") as caught:
                call()
            assert {warning.filename for warning in caught} == {__file__}

    def test_a_channel_without_values(self, panel):
        panel[:, 1] = np.nan
        with pytest.warns(UserWarning, match="1 of 2 channels of X hold no observed"):
            embedding = small_mug().fit_transform(panel)
        assert np.isfinite(embedding).all()

    @pytest.mark.filterwarnings("ignore:.*hold no observed")
    @pytest.mark.parametrize("silent", [np.nan, 7.0, 0.1])
    def test_a_channel_that_varies_only_after_fit(self, panel, silent, tmp_path):
        varying = panel.copy()
        panel[:, 1] = silent
        mug = small_mug().fit(panel)
        mug.save(tmp_path / "model.mug")
        other_level = panel.copy()
        other_level[3, 1] = 8.0
        for fitted in (mug, MUGTransformer.load(tmp_path / "model.mug")):
            for X in (varying, other_level):
                for call in (fitted.transform, fitted.transform_granularities):
                    message = "1 of 2 channels of X held no two different .*: 1. There"
                    with pytest.warns(UserWarning, match=message) as caught:
                        call(X)
                    assert [one.filename for one in caught] == [__file__]
            with warnings.catch_warnings():
                warnings.filterwarnings("error", ".*held no two different")
                fitted.transform(panel)
                fitted.transform(panel.astype(np.float32))

    def test_nothing_but_missing_values(self):
        X = np.full((3, 2, 5), np.nan)
        with pytest.warns(UserWarning, match="hold no observed") as caught:
            assert np.isfinite(small_mug().fit_transform(X)).all()
        assert not any("to be transposed" in str(one.message) for one in caught)

    @pytest.mark.parametrize("n_series", [1, 7])
    @pytest.mark.parametrize("embedding_dim", [8, None])
    def test_a_constant_embedding_is_told(self, panel, n_series, embedding_dim):
        same = np.repeat(panel[:1], n_series, axis=0)
        with pytest.warns(UserWarning, match="needs several series that differ"):
            mug = small_mug(embedding_dim=embedding_dim).fit(same)
        assert_allclose(mug.transform(same), 0, atol=1e-6)

    def test_timepoints_before_channels_are_told(self, table):
        for X in (table[:, :, None], list(table[:, :, None])):
            with pytest.warns(UserWarning, match=r"30 channels and one timepoint"):
                small_mug().fit(X)

        with pytest.warns(UserWarning, match=r"30 channels and 3 timepoints"):
            small_mug().fit(np.stack([table[:, :30]] * 3, axis=2))

    def test_usual_series_give_no_warning(self, panel):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            small_mug().fit(panel).transform(panel)
            small_mug().fit(panel[:, :1, :1])
            small_mug().fit(np.tile(panel[:, :, :2], (1, 9, 1)))  # 18 channels

    @pytest.mark.parametrize("factor", [1e-200, 1e200])
    def test_extreme_magnitudes(self, panel, factor):
        expected = small_mug().fit_transform(panel)
        assert_close(small_mug().fit_transform(panel * factor), expected)

    def test_far_outside_the_training_range(self, panel):
        assert np.isfinite(small_mug().fit(panel).transform(panel * 1e300)).all()


REFUSED = {
    "one dimension": (np.zeros(5), ValueError, "Expected 2D array, got 1D array"),
    "four dimensions": (np.zeros((2, 2, 2, 2)), ValueError, r"shape \(2, 2, 2, 2\)"),
    "no series": (np.zeros((0, 5)), ValueError, "0 sample"),
    "no timepoints": (np.zeros((3, 0)), ValueError, "0 feature"),
    "no timepoints, 3-D": (np.zeros((3, 2, 0)), ValueError, r"shape \(3, 2, 0\)"),
    "empty list": ([], ValueError, "X holds no series; at least one is required"),
    "empty series": ([np.zeros(3), np.zeros(0)], ValueError, "series 1 of X is empty"),
    "infinite": (np.full((2, 3), np.inf), ValueError, "infinity"),
    "infinite series": (
        [np.zeros(3), np.full(2, -np.inf)],
        ValueError,
        "series 1 of X",
    ),
    "list of DataFrames": (
        [pd.DataFrame(np.zeros((20, 3)))] * 2,
        ValueError,
        r"series 0 of X is a DataFrame, .* adapters",
    ),
    "dictionary of series": (
        {"a": np.zeros(3), "b": np.zeros(3)},
        TypeError,
        "X is of type dict; accepted are .* a list of its values",
    ),
    "generator of series": (
        (np.zeros(3) for _ in range(2)),
        TypeError,
        "X is of type generator; accepted are .* a list of what it yields",
    ),
    "strings": (np.array([["a", "b"]]), ValueError, "could not convert"),
    "object": (np.array([[1, {}]], dtype=object), TypeError, "argument must be"),
    "array of strings": (np.array(["a", "b"], dtype=object), ValueError, "could not"),
    "nested DataFrame": (
        pd.DataFrame({"channel": [pd.Series([1.0, 2.0]), pd.Series([3.0])]}),
        ValueError,
        r"shape \(2, 1\) with a series in each cell; accepted .* adapters",
    ),
    "frame of lists": (
        pl.DataFrame({"x": [[1.0, 2.0, 3.0], [4.0, 5.0]]}),
        ValueError,
        r"shape \(2, 1\) with a series in each cell",
    ),
    "frame of one column of series, as of a list of names": (
        pd.DataFrame({"recording": [np.ones(3), np.ones(4)]}),
        ValueError,
        "single column of series; ColumnTransformer gives one for a plain name, not",
    ),
    "nested array": (
        np.array([[np.zeros(3)], [np.zeros(2)], [None]], dtype=object)[:2],
        ValueError,
        r"shape \(2, 1\) with a series in each cell",
    ),
    "object series": ([np.array([None, 1]), np.zeros(2)], ValueError, "dtype object"),
    "3-D series": ([np.zeros((1, 2, 3))], ValueError, "series 0 of X has 3 dimensions"),
    "timepoints first": (
        [np.zeros((20, 1)), np.zeros((12, 1))],
        ValueError,
        "series 0 has 20; .*is each array to be transposed?",
    ),
    "mixed channels": (
        [np.zeros((2, 4)), np.zeros((3, 4))],
        ValueError,
        r"series 1 of X has 3 channels, but series 0 has 2; .* same channels\.$",
    ),
    "mixed channels, as many as timepoints": (
        [np.zeros((2, 3)), np.zeros((3, 3))],
        ValueError,
        r"same channels\.$",
    ),
    "mixed channels and lengths": (
        [np.zeros((2, 2)), np.zeros((5, 9))],
        ValueError,
        r"same channels\.$",
    ),
    "no channels": (
        [np.zeros((0, 5))],
        ValueError,
        r"series 0 of X is empty, with shape \(0, 5\)",
    ),
    "frame without rows": (pd.DataFrame(np.zeros((0, 3))), ValueError, "0 sample"),
    "none among series": (
        [np.zeros(3), None],
        ValueError,
        r"series 1 of X is None; accepted are arrays of shape \(n_timepoints,\)",
    ),
    "number among series": ([[1.0, 2.0], 3.0], ValueError, r"series 1 of X is 3\.0"),
    "channels of unlike lengths": (
        [[[1.0, 2.0], [1.0]], [[1.0, 2.0], [3.0, 4.0]]],
        ValueError,
        "series 0 of X is a list whose items have unlike shapes",
    ),
    "dates": (np.zeros((2, 3), "M8[s]"), ValueError, "X holds dates or durations"),
    "durations among series": (
        [np.zeros(3), np.zeros(3, "m8[s]")],
        ValueError,
        "series 1 of X holds dates or durations",
    ),
    "nested list of dates": (
        [[np.datetime64("2026-01-01")] * 3] * 2,
        ValueError,
        "X holds dates or durations",
    ),
    "dict among series": ([np.zeros(3), {}], ValueError, r"series 1 of X is \{\}"),
    "sparse tensor among series": (
        [torch.zeros(3), torch.zeros(3).to_sparse()],
        ValueError,
        r"series 1 of X is a torch tensor of layout torch\.sparse_coo",
    ),
    "ranges of unlike lengths": (
        [range(3), range(4)],
        ValueError,
        "X is a list whose items have unlike shapes; accepted are rows of one length",
    ),
    "one series of pandas": (pd.Series([1.0, 2.0]), ValueError, "Expected 2D array"),
    "empty column": (pd.Series([], dtype=object), ValueError, "X holds no series"),
    "empty column of polars": (pl.Series([]), ValueError, "X holds no series"),
    "dates of a time zone among series": (
        [np.zeros(2), pd.Series(pd.to_datetime(["2026-01-01"] * 2, utc=True))],
        ValueError,
        "series 1 of X holds dates or durations",
    ),
    "frame of polars with a column of series": (
        pl.DataFrame({"age": [1.0, 2.0], "series": [[1.0], [2.0, 3.0]]}),
        ValueError,
        "a series in each cell",
    ),
    "sparse, of one dimension": (csr_array(np.ones(3)), TypeError, "[Ss]parse"),
    "frame of polars with a date": (
        pl.DataFrame({"a": [1.0, 2.0], "day": [date(2026, 1, 1), date(2026, 1, 2)]}),
        ValueError,
        "X holds dates or durations",
    ),
    "frame of polars with a duration": (
        pl.DataFrame({"a": [1.0, 2.0], "time": [timedelta(1), timedelta(2)]}),
        ValueError,
        "X holds dates or durations",
    ),
    "table of pyarrow with a date": (
        pa.table({"a": [1.0, 2.0], "day": [date(2026, 1, 1), date(2026, 1, 2)]}),
        ValueError,
        "X holds dates or durations",
    ),
    "table of pyarrow with a date and time": (
        pa.table({"a": [1.0, 2.0], "when": [datetime(2026, 1, 1, 12)] * 2}),
        ValueError,
        "X holds dates or durations",
    ),
    "objects with a date": (
        np.array([[np.datetime64("2026-01-01"), 1.0]] * 2, dtype=object),
        ValueError,
        "X holds dates or durations",
    ),
    "frame with a column of series": (
        pd.DataFrame({"age": [1.0, 2.0], "series": [np.ones(3), np.ones(4)]}),
        ValueError,
        "a series in each cell",
    ),
    "DataFrame of dates": (
        pd.DataFrame({"a": [1.0, 2.0], "b": pd.to_datetime(["2026-01-01"] * 2)}),
        ValueError,
        "X holds dates or durations",
    ),
    "lazy frame of polars": (
        pl.LazyFrame({"a": [1.0, 2.0]}),
        TypeError,
        r"of type LazyFrame, which holds no values yet; .* such as X\.collect\(\)",
    ),
    "sparse tensor": (
        torch.eye(3).to_sparse(),
        ValueError,
        r"layout torch\.sparse_coo .* dense tensors of numbers are accepted",
    ),
    "sparse": (csr_array(np.eye(3)), TypeError, "[Ss]parse"),
    "complex": (np.zeros((2, 3), dtype=complex), ValueError, "[Cc]omplex"),
}


class TestRefused:
    @pytest.mark.parametrize("name", REFUSED)
    def test_at_fit_and_transform(self, name, table):
        X, error, message = REFUSED[name]
        with pytest.raises(error, match=message):
            small_mug().fit(X)
        with pytest.raises(error, match=message):
            small_mug().fit(table).transform(X)

    def test_another_number_of_channels(self, panel, table):
        mug = small_mug().fit(panel)
        for X in (panel[:, :1], list(panel[:, :1]), table):
            with pytest.raises(ValueError, match=r"1 channels.*fitted.*2 channels\.$"):
                mug.transform(X)

    def test_a_single_series_of_several_channels(self, panel):
        mug = small_mug().fit(panel)
        with pytest.raises(ValueError, match=r"channels. A single series .* \[X\]"):
            mug.transform(panel[3])
        assert_close(mug.transform([panel[3]]), mug.transform(panel)[3:4])

    def test_a_table_of_another_width(self, table):
        for X in (table[:, :29], table[:, :29].tolist()):
            with pytest.raises(ValueError, match=r"X has 29 features.*a 3-D array"):
                small_mug().fit(table).transform(X)
        message = r"X has 29 timepoints.*fitted on series of 30\. For"
        with pytest.raises(ValueError, match=message):
            small_mug().fit(list(table)).transform(table[:, :29])

    def test_infinity_in_a_table_is_not_taken_for_another_width(self, table):
        mug = small_mug(max_epochs=0).fit(table)
        with pytest.raises(ValueError, match="infinity") as caught:
            mug.transform(np.full_like(table, np.inf))
        assert "another length" not in str(caught.value)

    def test_unfitted(self, panel):
        with pytest.raises(NotFittedError):
            small_mug().transform(panel)
        with pytest.raises(NotFittedError):
            small_mug().transform_granularities(panel)
        with pytest.raises(NotFittedError):
            small_mug().to("cpu")
        with pytest.raises(NotFittedError):
            small_mug().resume(panel)


class TestCallersData:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_read_only_input_survives(self, panel, dtype):
        panel = panel.astype(dtype)
        panel[0, 0, :4] = np.nan
        before = panel.copy()
        panel.flags.writeable = False
        mug = small_mug().fit(panel)
        mug.transform(panel)
        mug.transform_granularities(list(panel))
        assert_array_equal(panel, before)


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        ([np.zeros(3), np.zeros(2)], True),
        ((np.zeros((2, 3)),), True),
        ([[1, 2], [3]], True),
        ([[1, 2, 3], np.zeros(2)], True),
        ([[1, 2], np.zeros(2)], True),
        ([[1, 2], 3], True),  # refused with the position of the 3
        (pd.Series([[1, 2], [3, 4]]), True),
        (pd.Series([1, 2], dtype=object), False),
        ([[1, 2], [3, 4]], False),
        ([np.float64(1), np.float64(2)], False),
        (np.zeros((2, 2)), False),
        ([], False),
        ([[], []], False),
    ],
)
def test_what_a_list_of_series_is(X, expected):
    assert is_list_of_series(X) is expected
