"""Files in, files out: every form, exit codes, and nothing half written."""

import os
import runpy
import subprocess
import sys
import warnings
from io import BytesIO, TextIOWrapper
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import mug_sklearn.cli.embed
from mug_sklearn import MUGTransformer
from mug_sklearn.__main__ import main
from mug_sklearn._series_files import read_series_file
from mug_sklearn.cli.embedding_files import write_embedding
from mug_sklearn.nn.network import MUGNetwork

from ..conftest import small_mug

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="/dev and /proc")
QUICK = ["--max-epochs", "0", "--quiet"]


@pytest.fixture
def gappy(table):
    """Gaps, and two series that end early."""
    table[0, 4:7] = np.nan
    table[3, 20:] = np.nan
    table[8, 28:] = np.nan
    return table


@ON_LINUX
def test_a_full_disk_is_an_error_of_the_write():
    parts = [np.ones((3, 2), dtype=np.float32)]
    with pytest.raises(OSError, match="No space left"):
        write_embedding(Path("/dev/full"), ".npy", (3, 2), ["a", "b"], parts)


def embedding_of(X):
    return MUGTransformer(max_epochs=0, random_state=0).fit_transform(X)


def embed(source, *options):
    assert main(["embed", source, "out.npz", *QUICK, *options]) == 0
    return np.load("out.npz")["embedding"]


def write_csv(X, path, header):
    lines = [",".join("" if np.isnan(x) else repr(float(x)) for x in row) for row in X]
    names = [",".join(f"t{i}" for i in range(X.shape[1]))] if header else []
    path.write_text("\n".join([*names, *lines]) + "\n")


def write_ts(X, path):
    header = ["@problemName P", "@timeStamps false", "@missing true"]
    header += ["@univariate true", "@classLabel false", "@data"]
    lines = [",".join("?" if np.isnan(x) else repr(float(x)) for x in row) for row in X]
    path.write_text("\n".join([*header, *lines]) + "\n")


class TestInputs:
    def test_arrays(self, gappy, panel):
        np.save("a.npy", gappy)
        np.savez("b.npz", other=panel, X=gappy)
        np.savez("c.npz", only=gappy)
        np.savez("d.npz", first=panel, second=gappy)
        np.save("e.npy", panel)
        expected = embedding_of(gappy)
        assert_array_equal(embed("a.npy"), expected)
        assert_array_equal(embed("b.npz"), expected)
        assert_array_equal(embed("b.npz", "--array", "other"), embedding_of(panel))
        assert_array_equal(embed("c.npz"), expected)
        assert_array_equal(embed("d.npz", "--array", "second"), expected)
        assert_array_equal(embed("e.npy"), embedding_of(panel))

    def test_an_array_is_read_in_pieces(self, table, tmp_path):
        np.save("a.npy", table)
        assert isinstance(read_series_file(tmp_path / "a.npy"), np.memmap)

    @pytest.mark.parametrize("header", [True, False])
    def test_csv(self, gappy, tmp_path, header):
        write_csv(gappy, tmp_path / "a.csv", header)
        assert_array_equal(embed("a.csv"), embedding_of(gappy))

    def test_rows_of_a_csv_may_end_early(self, gappy, tmp_path):
        write_csv(gappy[::-1], tmp_path / "a.csv", header=False)
        short = [line.rstrip(",") for line in (tmp_path / "a.csv").read_text().split()]
        assert len({line.count(",") for line in short}) == 3
        (tmp_path / "a.csv").write_text("\n".join(short))
        assert_array_equal(embed("a.csv"), embedding_of(gappy[::-1]))

    @pytest.mark.parametrize("missing", ["NA", "nan", " "])
    def test_a_first_row_with_a_gap_is_no_line_of_names(self, table, tmp_path, missing):
        table[0, 4] = np.nan
        write_csv(table, tmp_path / "a.csv", header=False)
        text = (tmp_path / "a.csv").read_text().replace(",,", f",{missing},", 1)
        (tmp_path / "a.csv").write_text(text)
        assert_array_equal(embed("a.csv"), embedding_of(table))

    def test_a_line_of_names_may_be_shorter_than_the_series(self, table, tmp_path):
        write_csv(table, tmp_path / "a.csv", header=False)
        text = "first,second\n" + (tmp_path / "a.csv").read_text()
        (tmp_path / "a.csv").write_text(text)
        assert_array_equal(embed("a.csv"), embedding_of(table))

    @pytest.mark.parametrize(
        "text",
        [
            "1,2,3\n4,5,6\n7,8,9\n10,11,12",
            "5,0.5\n3,1.5\n5,2.5",
            "5.0,0.5\n3.0,1.5\n4.0,2.5",
            "5,0.5\n-3,1.5\n4,2.5",
            "3,-1,-2\n5,-4,-1\n8,-3,-9",
            "1,2,3\n-1,-2,-3\n-4,-1,-2",
            "72,71.5,3\n80,81,2.5\n65,66,1.5",
            "0,,1,2\n3.5,4,5,6\n2.5,1,1,1",
            ",1,2\n3,4,5\n6,7,8",
            "1,2,3\n1.5,2.5,4\n2.5,0.5,1",
            "1,2\n0.5,1.5",
            "1,2,3",
            "5,0.5\n3,1.5",
            "5\n3\n7",
            "1,5\n2,9\n3,7",
            "NA,NA,NA\n1,0.5,1.5\n2,2.5,0.5",
        ],
    )
    def test_whole_values_are_timepoints(self, tmp_path, text):
        (tmp_path / "a.csv").write_text(text)
        rows = [row.split(",") for row in text.split()]
        numbers = [[cell.replace("NA", "") or "nan" for cell in row] for row in rows]
        assert_array_equal(read_series_file(tmp_path / "a.csv"), np.float64(numbers))

    @pytest.mark.parametrize("names", ["a,b,c", "NA,b,c"])
    def test_a_named_column_of_whole_values_is_a_timepoint(self, tmp_path, names):
        (tmp_path / "a.csv").write_text(f"{names}\n3,0.5,1.5\n1,2.5,0.5\n7,1.5,2.5")
        X = np.array([[3, 0.5, 1.5], [1, 2.5, 0.5], [7, 1.5, 2.5]])
        message = "first column of 'a.csv', 3, 1, 7 and so on, holds whole numbers besi"
        with pytest.warns(UserWarning, match=message):
            assert_array_equal(embed("a.csv"), embedding_of(X))

    @pytest.mark.parametrize(
        ("text", "ends"),
        [
            ("1,0.5,1.5,2.5\n2,0.5,2.5,1.5\n1,0.5,0.5,0.5", {"first"}),
            ("a,b,c,d\n1,0.5,1.5,2.5\n2,0.5,2.5,1.5\n1,0.5,0.5,0.5", {"first"}),
            ("0.5,1.5,-1\n2.5,0.5,1\n1.5,2.5,1", {"last"}),
            ("a,b,c\n0.5,1.5,1\n2.5,0.5,2\n1.5,2.5,1", {"last"}),
            ("7,0.5,1.5,1\n9,2.5,0.5,2\n7,1.5,2.5,1", {"first", "last"}),
            ("0.5,1.5,1\n2.5,0.5,2\n1.5,2", set()),  # no column
            ("0,0.5,1.5\n0,2.5,0.5", set()),  # equal for all
            ("1,0.5,3\n2,2.5,0.5\n1,1.5,2.5", set()),  # not the only whole numbers
            ("1,2,3,4\n2,2,3,4\n1,2,3,4", set()),
            ("3,5\n1,4\n1,6", set()),  # beside no decimals
            ("a,b,c\n3,0.5,1.5\n4,2.5,0.5", {"first"}),  # two may count by chance
            ("0.5,1.5,1,\n2.5,0.5,2,\n1.5,2.5,1,", {"last"}),  # commas after the last
            ("a,b,c\n0.5,1.5,1\n2.5,0.5,\n1.5,2.5,3", {"last"}),  # a label missing
            ("1,0.5,1.5\n,2.5,0.5\n3,1.5,2.5", {"first"}),
            (",\n,\n0.5,\n,", set()),
            (",0.5,1.5,1\n,0.6,1.5,2\n,0.7,1.5,2", {"last"}),
            ("x,a,b,y\n,0.5,1.5,1\n,0.6,1.5,2\n,0.7,1.5,2", {"last"}),
            ("x,a,b,c\n4,0.5,0.6\n2,0.7,0.8\n3,.4,.5", {"first"}),
            ("x,a,b,c\n4,0.5,0.6,\n2,0.7,0.8,\n3,.4,.5,", {"first"}),
            ("1.5,2.5\n1.5,2.5,3\n2.5,3.5,4", set()),  # a row ends early: no column
            ("a,b\n1.5,2.5\n1.5,2.5,3\n2.5,3.5,4", set()),
        ],
    )
    def test_what_may_be_labels_is_warned_of(self, tmp_path, text, ends):
        (tmp_path / "a.csv").write_text(text)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            read_series_file(tmp_path / "a.csv")
        messages = [str(one.message) for one in caught]
        assert len(messages) == len(ends)
        assert all(any(f"The {end} column" in one for one in messages) for end in ends)

    @pytest.mark.parametrize(
        ("labels", "place", "end"),
        [
            ([1, 2, 1], 0, "first"),
            ([1, 1, 2], 3, "last"),
            (pd.array([1, None, 2], dtype="Int64"), 3, "last"),
        ],
    )
    def test_labels_in_parquet_are_warned_of(self, tmp_path, labels, place, end):
        frame = pd.DataFrame({"a": [0.5] * 3, "b": [1.0] * 3, "c": [2.0] * 3})
        frame.insert(2, "empty", pd.array([None] * 3, dtype="Int64"))
        frame.insert(place and 4, "label", labels)
        frame.to_parquet(tmp_path / "a.parquet")
        with pytest.warns(UserWarning, match=f"The {end} column of 'a.parquet'"):
            read_series_file(tmp_path / "a.parquet")

    @pytest.mark.parametrize(
        "names", ["a", "a,b,c", "a,b,c,d,e,f", '"a\n1",b', "\n\na"]
    )
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_names_need_not_be_as_many_as_values(self, tmp_path, names, end):
        rows = ["1.5,2.5", "", "2.5,0.5,1.5,3.5", "0.5"]
        text = end.join([names, *rows])
        (tmp_path / "a.csv").write_text(text, newline="")
        X = read_series_file(tmp_path / "a.csv")
        assert_array_equal(X[:, :2], [[1.5, 2.5], [2.5, 0.5], [0.5, np.nan]])
        assert_array_equal(X[:, 2:4], [[np.nan] * 2, [1.5, 3.5], [np.nan] * 2])
        assert X.shape[1] == max(4, names.count(",") + 1)

    @pytest.mark.parametrize("blank", ["", "  ", "\t"])
    def test_blank_lines_hide_nothing(self, tmp_path, blank):
        path = tmp_path / "a.csv"
        path.write_text(f"{blank}\na,b\n{blank}\n1.5,2.5\n{blank}\n")
        assert_array_equal(read_series_file(path), [[1.5, 2.5]])
        path.write_text(f"0,1.5\n1,2.5\n{blank}\n2,0.5\n")
        with pytest.raises(ValueError, match="its first column, 0, 1 and so on, num"):
            read_series_file(path)
        path.write_text(f"1.5,2.5,1\n2.5,0.5,2\n{blank}\n0.5,1.5,1\n")
        with pytest.warns(UserWarning, match="The last column of 'a.csv', 1, 2, 1"):
            read_series_file(path)

    @pytest.mark.parametrize("space", ["\f", "\v", "\xa0", '" "'])
    def test_a_line_with_another_space_hides_no_series(self, tmp_path, space):
        path = tmp_path / "a.csv"
        path.write_text(f"{space}\n0.5,1.5\n2.5,3.5\n", encoding="utf-8")
        assert_array_equal(read_series_file(path), [[0.5, 1.5], [2.5, 3.5]])

    def test_a_mark_of_a_spreadsheet_is_no_part_of_the_first_cell(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("1.5,2.5\n3.5,4.5\n", encoding="utf-8-sig")
        assert_array_equal(read_series_file(path), [[1.5, 2.5], [3.5, 4.5]])
        path.write_text("0,1,2\n0.5,1.5,2.5\n", encoding="utf-8-sig")
        with pytest.raises(ValueError, match="its first line counts 0, …, 2, as"):
            read_series_file(path)

    def test_every_digit_of_a_table_counts(self, tmp_path):
        X = np.random.default_rng(0).normal(size=(40, 30))
        pd.DataFrame(X).to_csv(tmp_path / "a.csv", header=False, index=False)
        assert_array_equal(read_series_file(tmp_path / "a.csv"), X)
        pd.DataFrame(X).add_prefix("t").to_parquet(tmp_path / "a.parquet")
        assert_array_equal(read_series_file(tmp_path / "a.parquet"), X)
        pd.DataFrame({"series": list(X)}).to_parquet(tmp_path / "b.parquet")
        assert_array_equal(read_series_file(tmp_path / "b.parquet"), X)

    def test_a_first_series_without_values(self, tmp_path):
        (tmp_path / "a.csv").write_text(",NA,\n3.5,0.5,1.5\n1.5,2.5,0.5")
        X = np.array([[np.nan] * 3, [3.5, 0.5, 1.5], [1.5, 2.5, 0.5]])
        with pytest.warns(UserWarning, match="no observed value"):
            assert_array_equal(embed("a.csv"), embedding_of(X))

    def test_parquet_of_columns(self, gappy):
        frame = pd.DataFrame(gappy, columns=[f"t{i}" for i in range(30)])
        frame.to_parquet("a.parquet")
        assert_array_equal(embed("a.parquet"), embedding_of(gappy))

    def test_parquet_of_lists(self, ragged):
        series = [one[0] for one in ragged]
        pd.DataFrame({"series": series}).to_parquet("a.parquet")
        assert_array_equal(embed("a.parquet"), embedding_of(series))

    def test_ts(self, gappy, tmp_path):
        write_ts(gappy, tmp_path / "a.ts")
        assert_allclose(embed("a.ts"), embedding_of(gappy[:, None]), atol=1e-6)

    def test_ts_of_unequal_lengths_channels_and_labels(self, ragged, tmp_path):
        header = "@problemName P\n@timeStamps false\n@univariate false\n"
        header += "@equalLength false\n@classLabel true a b\n@data\n"
        rows = [
            ":".join(",".join(map(repr, map(float, one))) for one in series) + ":a"
            for series in ragged
        ]
        (tmp_path / "a.ts").write_text(header + "\n".join(rows) + "\n")
        assert_array_equal(embed("a.ts"), embedding_of(ragged))


class TestOutputs:
    def test_every_format_holds_the_same(self, table):
        np.save("a.npy", table)
        for name in ("out.npz", "out.npy", "out.parquet"):
            assert main(["embed", "a.npy", name, *QUICK]) == 0
        expected = embedding_of(table)
        assert_array_equal(np.load("out.npz")["embedding"], expected)
        assert_array_equal(np.load("out.npy"), expected)
        frame = pd.read_parquet("out.parquet")
        assert_array_equal(frame.to_numpy(), expected)
        assert list(frame) == [f"mugtransformer{i}" for i in range(11)]

    def test_booleans_are_numbers(self, table):
        for name, write in (("a.npy", np.save), ("a.npz", np.savez)):
            write(name, table > 0)
            assert_array_equal(embed(name), embedding_of((table > 0).astype(float)))

    @pytest.mark.parametrize("name", ["out.npz", "out.npy", "out.parquet"])
    def test_many_series_go_bit_by_bit(self, table, name, monkeypatch):
        np.save("a.npy", table)
        assert main(["embed", "a.npy", name, *QUICK]) == 0
        whole = _content(name)
        monkeypatch.setattr(mug_sklearn.cli.embed, "CHUNK_SERIES", 5)
        assert main(["embed", "a.npy", name, *QUICK]) == 0
        assert_array_equal(_content(name), whole)

    def test_what_is_printed(self, table, capfd):
        np.save("a.npy", table)
        assert main(["embed", "a.npy", "out.npz", "--max-epochs", "1"]) == 0
        out, err = capfd.readouterr()
        assert out.startswith("embedded 12 series in 11 features, ")
        assert out.endswith(" s: out.npz\n")
        assert "MUGTransformer" in err
        assert "embed: 100%" in err
        assert main(["embed", "a.npy", "out.npz", *QUICK]) == 0
        assert capfd.readouterr() == ("", "")

    def test_a_program_without_a_console_prints_nothing(self, table, monkeypatch):
        np.save("a.npy", table)
        for stream in ("stdout", "stderr"):
            monkeypatch.setattr(sys, stream, None)
        assert main(["embed", "a.npy", "out.npz", "--max-epochs", "0"]) == 0


def contents_of(folder):
    return {
        path.name: path.is_file() and path.read_bytes() for path in folder.iterdir()
    }


def _content(name):
    if name.endswith("npz"):
        return np.load(name)["embedding"]
    return np.load(name) if name.endswith("npy") else pd.read_parquet(name).to_numpy()


class TestModel:
    def test_fitted_once_for_many_files(self, panel, ragged):
        np.save("train.npy", panel)
        fit = ["fit", "train.npy", "--save", "model", "--granularity", "coarse"]
        assert main([*fit, "--max-epochs", "1", "--random-state", "3"]) == 0
        mug = MUGTransformer("coarse", max_epochs=1, random_state=3).fit(panel)
        loaded = MUGTransformer.load("model")
        assert_array_equal(loaded.transform(ragged), mug.transform(ragged))
        np.save("new.npy", panel[:4])
        embed_new = ["embed", "new.npy", "out.npy", "--model", "model", "--quiet"]
        assert main(embed_new) == 0
        assert_array_equal(np.load("out.npy"), mug.transform(panel[:4]))

    def test_the_array_and_the_device_that_were_named_are_taken(self, panel):
        np.savez("a.npz", X=panel[::-1], mine=panel)
        options = ["--array", "mine", "--device", "cpu"]
        assert main(["fit", "a.npz", "--save", "model", *QUICK, *options]) == 0
        loaded = MUGTransformer.load("model")
        assert loaded.device == "cpu"
        expected = embedding_of(panel)
        assert_array_equal(loaded.transform(panel), expected)
        options += ["--model", "model", "--quiet"]
        assert main(["embed", "a.npz", "out.npy", *options]) == 0
        assert_array_equal(np.load("out.npy"), expected)

    @pytest.mark.parametrize("name", ["new.csv", "new.npy"])
    def test_series_of_another_length(self, table, tmp_path, name):
        np.save("train.npy", table)
        assert main(["fit", "train.npy", "--save", "model", *QUICK]) == 0
        np.save("new.npy", table[:, :25])
        write_csv(table[:, :25], tmp_path / "new.csv", header=False)
        assert main(["embed", name, "out.npy", "--model", "model", "--quiet"]) == 0
        mug = MUGTransformer.load("model")
        assert_array_equal(np.load("out.npy"), mug.transform(table[:, None, :25]))

    def test_it_computes_where_it_is_told_to(self, panel, monkeypatch):
        np.save("a.npy", panel)
        assert main(["fit", "a.npy", "--save", "model", *QUICK]) == 0
        places = []
        monkeypatch.setattr(
            MUGTransformer, "to", lambda mug, device: places.append(device) or mug
        )
        options = ["--model", "model", "--quiet", "--device", "cpu:0"]
        assert main(["embed", "a.npy", "out.npy", *options]) == 0
        assert places == ["cpu:0"]

    def test_settings_of_a_fit_are_refused_beside_it(self, panel, capsys):
        np.save("a.npy", panel)
        assert main(["fit", "a.npy", "--save", "model", *QUICK]) == 0
        assert main(["embed", "a.npy", "out.npy", "--model", "model", *QUICK]) == 2
        assert "--max-epochs: not with --model" in capsys.readouterr().err


def test_a_file_whose_embedding_overflows_is_named(table, capfd):
    mug = small_mug(max_epochs=0).fit(table)
    with torch.no_grad():
        mug.network_.fine.embed.weight.fill_(1e38)
    mug.save("model")
    np.save("a.npy", table)
    assert main(["embed", "a.npy", "o.npy", "--model", "model", "--quiet"]) == 2
    assert "error: 'a.npy': The embedding of series 0 of X" in capfd.readouterr().err


def test_rows_are_counted_in_the_whole_file(table, monkeypatch, capfd):
    monkeypatch.setattr(mug_sklearn.cli.embed, "CHUNK_SERIES", 5)
    np.save("train.npy", table)
    assert main(["fit", "train.npy", "--save", "model", *QUICK]) == 0
    table[7] = np.nan
    np.save("a.npy", table)
    with pytest.warns(UserWarning, match="1 of 12 series .*: 7. They") as caught:
        assert main(["embed", "a.npy", "o.npy", "--model", "model", "--quiet"]) == 0
    assert len(caught) == 1
    pd.DataFrame({"x": [*table[:9], table[9] + np.inf]}).to_parquet("b.parquet")
    assert main(["embed", "b.parquet", "o.npy", "--model", "model", "--quiet"]) == 2
    assert "series 9 of X contains infinity" in capfd.readouterr().err


def test_what_transform_warns_of_is_said_once(table, monkeypatch):
    monkeypatch.setattr(mug_sklearn.cli.embed, "CHUNK_SERIES", 5)
    panel = np.stack((table, np.zeros_like(table)), axis=1)
    np.save("train.npy", panel)
    assert main(["fit", "train.npy", "--save", "model", *QUICK]) == 0
    np.save("later.npy", panel + 1)
    with pytest.warns(UserWarning, match="channels of X held no two diff") as caught:
        assert main(["embed", "later.npy", "o.npy", "--model", "model", "--quiet"]) == 0
    assert len(caught) == 1
    assert_array_equal(
        np.load("o.npy"), MUGTransformer.load("model").transform(panel + 1)
    )


def test_what_the_fit_warns_of_is_not_said_again(table):
    table[7] = np.nan
    np.save("a.npy", table)
    with pytest.warns(UserWarning, match="no observed value") as caught:
        assert main(["embed", "a.npy", "o.npy", *QUICK]) == 0
    assert len(caught) == 1


class TestRefused:
    @pytest.fixture(autouse=True)
    def some_files(self, tmp_path, table, panel):
        np.save("a.npy", table)
        np.save("three.npy", np.zeros((3, 3, 20)))
        np.savez("two.npz", p=table, q=table)
        np.save("text.npy", np.array([["a", "b"]]))
        np.save("one.npy", np.arange(5.0))
        (tmp_path / "bad.csv").write_text("1,2\n3,x\n")
        (tmp_path / "two_lines.csv").write_text('"a\n1",b\n\n3,x\n')
        (tmp_path / "word.csv").write_text("1,x\n3,4\n")
        (tmp_path / "empty.csv").write_text("")
        # Not nul.csv, which is a device on Windows.
        (tmp_path / "with_nul.csv").write_text("1,2\n3,\x004\n")
        (tmp_path / "blank.csv").write_text("  \n")
        (tmp_path / "truth.csv").write_text("True,False\nFalse,True\n")
        np.save("infinite.npy", np.where(table == table[3, 3], np.inf, table))
        (tmp_path / "bad.npz").write_bytes(b"no archive")
        (tmp_path / "bad.npy").write_bytes(b"no array")
        np.savez_compressed("damaged.npz", X=np.ones((12, 30)))
        content = bytearray((tmp_path / "damaged.npz").read_bytes())
        content[70] ^= 0xFF
        (tmp_path / "damaged.npz").write_bytes(content)
        for name, size in (("negative", -1), ("vast", 2**70)):
            header = {"descr": "<f8", "fortran_order": False, "shape": (size, 3)}
            with open(f"{name}.npy", "wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
                file.write(bytes(80))
        np.savez("encrypted.npz", X=np.ones((12, 30)))
        content = bytearray((tmp_path / "encrypted.npz").read_bytes())
        for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            content[content.index(signature) + flags] |= 1
        (tmp_path / "encrypted.npz").write_bytes(content)
        with ZipFile("foreign.npz", "w") as archive:
            archive.writestr("X", "1,2,3")
        (tmp_path / "archive.npy").write_bytes((tmp_path / "two.npz").read_bytes())
        (tmp_path / "long.csv").write_text("1,2\n" + '"' + "3" * 200_000 + '",4\n')
        frame = pd.DataFrame(table)
        frame.to_csv("counted.csv")
        frame.to_csv("columns.csv", index=False)
        frame.add_prefix("t").to_csv("index.csv")
        split = frame.sample(frac=1, random_state=0)
        split.add_prefix("t").to_csv("split.csv")
        split.to_csv("rows.csv", header=False)
        split[:3].to_csv("three_rows.csv", header=False)
        frame.add_prefix("t").to_csv("labelled.csv", index_label="id")
        (tmp_path / "one_line.csv").write_text("a;b;c\n")
        days = np.arange(4).astype("datetime64[s]").reshape(2, 2)
        pd.DataFrame({"when": list(days)}).to_parquet("dates.parquet")
        pd.DataFrame({"x": [[1.5, 2.5], None]}).to_parquet("absent.parquet")
        if os.name == "posix":
            (tmp_path / "loop.npz").symlink_to("loop.npz")
        pd.DataFrame(table[:4, :2]).to_csv("default.csv")
        whole = frame.round().astype(int)
        whole.to_csv("whole.csv", header=False)
        whole.to_csv("whole_columns.csv", index=False)
        from1 = frame.rename(columns=lambda number: number + 1)
        from1.to_csv("from1.csv", index=False)
        from1.to_csv("indexed_from1.csv")
        (tmp_path / "bad.parquet").write_bytes(b"no parquet")
        (tmp_path / "bad.ts").write_text("no ts")
        (tmp_path / "bad.model").write_text("no model")
        # As damaged as what is not told by a ValueError.
        frame.add_prefix("t").to_parquet("cut.parquet")
        np.savez("cut.npz", X=table)
        np.save("cut.npy", table)
        for name in ("cut.parquet", "cut.npz", "cut.npy"):
            content = (tmp_path / name).read_bytes()
            cut = content[:60] + content[90:]
            if name == "cut.npy":
                cut = content.replace(b"(", b"((", 1)
            (tmp_path / name).write_bytes(cut)
        pd.DataFrame({"x": [1.0], "name": ["a"]}).to_parquet("named.parquet")
        pd.DataFrame(index=range(3)).to_parquet("nothing.parquet")
        (tmp_path / "folder.npz").mkdir()
        small_mug(max_epochs=0).fit(panel).save("model")
        small_mug(max_epochs=0).fit(table).save("model.npy")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("embed none.npy out.npz", "there is no file 'none.npy'"),
            ("embed a.npy out.csv", "'out.csv': accepted are .npz, .npy, .parquet"),
            ("embed a.npy no/out.npz", "no folder 'no' for OUT"),
            ("embed a.npy folder.npz", "OUT is a folder"),
            ("embed a.npy a.npy", "OUT is IN"),
            ("embed bad.model out.npz", "'bad.model': accepted are .npz, .npy, .csv"),
            ("embed two.npz out.npz", "it holds p, q, and no X; name one by --array"),
            ("embed two.npz out.npz --array r", "it holds p, q, and no 'r'"),
            ("embed two.npz out.npz --array=", "it holds p, q, and no ''"),
            ("embed damaged.npz out.npz", "cannot read 'damaged.npz'"),
            ("embed negative.npy out.npz", "cannot read 'negative.npy'"),
            ("embed vast.npy out.npz", "cannot read 'vast.npy'"),
            ("embed encrypted.npz out.npz", "cannot read 'encrypted.npz'"),
            ("embed foreign.npz out.npz", "its member 'X' is no array"),
            ("embed archive.npy out.npz", "it is an archive of arrays"),
            ("embed long.csv out.npz", "cannot read 'long.csv'"),
            ("embed with_nul.csv out.npz", "line 2 holds a NUL character"),
            ("embed counted.csv out.npz", "its first line counts 0, …, 29, as"),
            ("embed columns.csv out.npz", "its first line counts 0, …, 29, as"),
            ("embed whole_columns.csv out.npz", "its first line counts 0, …, 29, as"),
            ("embed from1.csv out.npz", "its first line counts 1, …, 30, as"),
            ("embed indexed_from1.csv out.npz", "its first line counts 1, …, 30, as"),
            ("embed index.csv out.npz", "its first column has no name, as"),
            ("embed split.csv out.npz", "its first column has no name, as"),
            ("embed rows.csv out.npz", "and so on, numbers the series, as"),
            ("embed three_rows.csv out.npz", "and so on, numbers the series, as"),
            ("embed labelled.csv out.npz", "its first column, 0, 1 and so on, numbers"),
            ("embed one_line.csv out.npz", "it holds only a line without numbers"),
            ("embed dates.parquet out.npz", "its column holds dates or durations"),
            ("embed absent.parquet out.npz", "its column holds something other than"),
            ("embed folder.npz out.npz", "'folder.npz' is not a regular file"),
            ("embed loop.npz out.npz", "there is no file 'loop.npz'"),
            ("embed default.csv out.npz", "its first line counts 0, …, 1, as"),
            ("embed whole.csv out.npz", "its first column, 0, 1 and so on, numbers"),
            ("embed a.npy out.npz --array r", "'a.npy' is no .npz file"),
            ("embed text.npy out.npz", "accepted are numbers of shape"),
            ("embed one.npy out.npz", r"it has shape (5,)"),
            ("embed a.npy model.npy --model model.npy", "OUT is --model"),
            (
                "embed bad.csv out.npz",
                "cannot read 'bad.csv': line 2: could not convert",
            ),
            ("embed two_lines.csv out.npz", "line 4: could not convert"),
            ("embed word.csv out.npz", "'x'; accepted are numbers, empty cells"),
            ("embed blank.csv out.npz", "cannot read 'blank.csv'"),
            ("embed truth.csv out.npz", "its first line, True, False and so on, may"),
            ("embed infinite.npy out.npz", "'infinite.npy': Input X contains inf"),
            ("embed infinite.npy out.npz --model model.npy", "'infinite.npy': Input"),
            ("embed empty.csv out.npz", "it is empty"),
            ("embed bad.npz out.npz", "'bad.npz': it is no file that numpy.save"),
            ("embed bad.npy out.npz", "'bad.npy': it is no file that numpy.save"),
            ("embed bad.parquet out.npz", "cannot read 'bad.parquet'"),
            ("embed cut.parquet out.npz", "cannot read 'cut.parquet'"),
            ("embed cut.npz out.npz", "cannot read 'cut.npz'"),
            ("embed cut.npy out.npz", "cannot read 'cut.npy'"),
            ("embed named.parquet out.npz", "not numeric: name"),
            (
                "embed nothing.parquet out.npz",
                "cannot read 'nothing.parquet': it has sh",
            ),
            ("embed bad.ts out.npz", "error: cannot read bad.ts as a .ts file"),
            ("embed a.npy out.npz --model none", "there is no file 'none'"),
            ("embed a.npy out.npz --model bad.model", "not a complete file of"),
            ("embed three.npy out.npz --model model", "'three.npy': X has 3 channels"),
            ("embed a.npy out.npz --device quantum", "error: device='quantum'"),
            ("fit a.npy --save other --device quantum", "error: device='quantum'"),
            ("fit a.npy --save a.npy", "--save is IN, 'a.npy'"),
            ("fit a.npy --save no/model", "no folder 'no' for --save"),
            pytest.param(*("fit a.npy --save /proc/x", "be written"), marks=ON_LINUX),
            ("fit none.npy --save other", "there is no file 'none.npy'"),
            ("fit infinite.npy --save other", "'infinite.npy': Input X contains inf"),
        ],
    )
    def test_with_a_message_and_2(self, tmp_path, capfd, arguments, message):
        before = contents_of(tmp_path)
        assert main([*arguments.split(), "--quiet"]) == 2
        out, err = capfd.readouterr()
        assert out == ""
        assert err.startswith("mug_sklearn: error: ")
        assert message in err
        assert "Traceback" not in err
        assert contents_of(tmp_path) == before

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
    def test_a_pipe_is_no_place_for_a_model(self, tmp_path, capfd):
        os.mkfifo("pipe")
        assert main(["fit", "a.npy", "--save", "pipe", *QUICK]) == 2
        assert "--save is no file, 'pipe'" in capfd.readouterr().err
        assert (tmp_path / "pipe").is_fifo()

    def test_an_archive_that_announces_more_than_memory_holds(self, capfd):
        header = {"descr": "<f8", "fortran_order": False, "shape": (2**42, 9)}
        with ZipFile("large.npz", "w") as archive, archive.open("X.npy", "w") as file:
            np.lib.format.write_array_header_1_0(file, header)
        assert main(["embed", "large.npz", "out.npz", *QUICK]) == 2
        err = capfd.readouterr().err
        assert err.startswith("mug_sklearn: error: memory does not suffice. ")
        assert "Traceback" not in err

    @pytest.mark.parametrize("is_shortage", [True, False])
    def test_torchs_shortage_of_memory_alone(self, is_shortage, monkeypatch, capfd):
        def fit(mug, X):
            torch.empty(2**60 if is_shortage else -1)

        monkeypatch.setattr(MUGTransformer, "fit", fit)
        arguments = ["embed", "a.npy", "out.npz", *QUICK]
        if is_shortage:
            assert main(arguments) == 2
            assert ": memory does not suffice. " in capfd.readouterr().err
        else:
            with pytest.raises(RuntimeError, match="negative"):
                main(arguments)

    def test_parquet_without_pyarrow(self, monkeypatch, capfd):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        assert main(["embed", "a.npy", "out.parquet", *QUICK]) == 2
        assert 'pip install "mug_sklearn[parquet]"' in capfd.readouterr().err

    @pytest.mark.parametrize("arguments", [["embed"], ["fit", "a.npy"]])
    def test_arguments_that_are_missing(self, arguments):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2


@pytest.mark.parametrize("name", ["out.npz", "out.npy", "out.parquet"])
def test_an_interruption_leaves_the_file_as_it_was(
    table, name, tmp_path, monkeypatch, capfd
):
    np.save("a.npy", table)
    (tmp_path / name).write_text("earlier")
    pooled_blocks = MUGNetwork.pooled_blocks
    sizes = []

    def interrupted(self, values, *args, **kwargs):
        sizes.append(len(values))
        if sizes[-2:] == [5, 5]:  # in the second chunk
            raise KeyboardInterrupt
        return pooled_blocks(self, values, *args, **kwargs)

    monkeypatch.setattr(MUGNetwork, "pooled_blocks", interrupted)
    monkeypatch.setattr(mug_sklearn.cli.embed, "CHUNK_SERIES", 5)
    assert main(["embed", "a.npy", name, *QUICK]) == 130
    assert capfd.readouterr().err == "mug_sklearn: interrupted\n"
    assert (tmp_path / name).read_text() == "earlier"
    assert {path.name for path in tmp_path.iterdir()} == {"a.npy", name}


@pytest.mark.parametrize("command", ["embed", "fit"])
def test_help_shows_examples(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert f"python -m mug_sklearn {command} " in text
    assert ".parquet" in text


def test_help_of_the_module_as_a_program():
    command = [sys.executable, "-m", "mug_sklearn", "embed", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "examples:" in done.stdout
    assert "python -m mug_sklearn embed series.csv embedding.npz" in done.stdout
    assert done.stderr == ""


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for command in ("fit", "embed", "demo", "benchmark"):
        assert f"\n    {command}" in text


def test_a_name_that_the_output_cannot_show_fails_no_command(table, monkeypatch):
    small_mug(max_epochs=0).fit(table).save("модель")
    np.save("a.npy", table)
    # As on Windows, where a pipe has the encoding of the region.
    output = TextIOWrapper(BytesIO(), encoding="cp1252")
    arguments = ["embed", "a.npy", "вектор.npz", "--model", "модель"]
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(sys, "argv", ["mug_sklearn", *arguments])
    monkeypatch.delitem(sys.modules, "mug_sklearn.__main__")
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module("mug_sklearn", run_name="__main__")
    assert stopped.value.code == 0
    output.seek(0)
    assert "embedded 12 series in 8 features" in output.read()
    assert Path("вектор.npz").is_file()
