"""Loading by name and by path, and what cannot be loaded."""

import os
import socket
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import sktime

from mug_sklearn.datasets import bundled_names, find_datasets, load_dataset, read_ts

BUNDLE = Path(sktime.__path__[0]) / "datasets" / "data"


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "X_train": rng.normal(size=(4, 2, 9)).astype(np.float32),
        "y_train": np.array(["a", "b", "a", "b"]),
        "X_test": rng.normal(size=(3, 2, 9)).astype(np.float32),
        "y_test": np.array(["b", "a", "b"]),
    }


def write_ts(path, series, labels, header="@classLabel true a b"):
    lines = ["@problemName x", "@timeStamps false", "@univariate false", header]
    lines += ["@data"]
    for channels, label in zip(series, labels, strict=True):
        cells = [",".join(map(str, channel)) for channel in channels]
        lines.append(":".join([*cells, label]))
    path.write_text("\n".join(lines))


def write_pair(folder, name, series=(((1, 1, 1), (1, 1, 1)),)):
    """Both parts of a data set, which hold the same one series of class a."""
    folder.mkdir(exist_ok=True)
    for part in ("TRAIN", "TEST"):
        write_ts(folder / f"{name}_{part}.ts", series, ["a"])


@pytest.mark.parametrize("name", bundled_names())
def test_every_bundled_set_loads(name):
    data = load_dataset(name)
    assert data.name == name
    for X, y in ((data.X_train, data.y_train), (data.X_test, data.y_test)):
        assert len(X) == len(y) > 0
        assert y.dtype.kind == "U"
        assert all(series.ndim == 2 for series in X)
        assert all(series.dtype.kind == "f" for series in X)
    assert set(data.y_test) <= set(data.y_train)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("BasicMotions", (40, 6, 100)),
        ("GunPoint", (50, 1, 150)),
        ("ACSF1", (100, 1, 1460)),
    ],
)
def test_equal_lengths_give_one_array(name, shape):
    assert load_dataset(name).X_train.shape == shape


@pytest.mark.parametrize(("name", "n_channels"), [("JapaneseVowels", 12), ("PLAID", 1)])
def test_unequal_lengths_give_a_list(name, n_channels):
    X = load_dataset(name).X_train
    assert isinstance(X, list)
    assert {series.shape[0] for series in X} == {n_channels}
    assert len({series.shape[1] for series in X}) > 1


def test_names_of_bundled_sets_are_sorted():
    assert bundled_names() == sorted(bundled_names())


def test_regression_sets_are_not_offered():
    assert not {"Tecator", "Covid3Month"} & set(bundled_names())
    with pytest.raises(ValueError, match="no data set 'Tecator'"):
        load_dataset("Tecator")
    with pytest.raises(ValueError, match="no class labels"):
        load_dataset(BUNDLE / "Tecator")


def test_unknown_name_lists_the_bundled_ones_and_opens_no_connection(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    # A real name of the archives, which sktime's own loaders would download.
    with pytest.raises(ValueError, match=r"'Coffee'.*BasicMotions.*GunPoint.*\.npz"):
        load_dataset("Coffee")


@pytest.mark.parametrize("form", [str, Path])
def test_npz(tmp_path, arrays, form):
    path = tmp_path / "Mine.npz"
    np.savez(path, **arrays)
    data = load_dataset(form(path))
    assert data.name == "Mine"
    for key, array in arrays.items():
        np.testing.assert_array_equal(getattr(data, key), array)
    assert data.X_train.dtype == np.float32


def test_npz_of_one_channel_and_whole_numbers(tmp_path, arrays):
    arrays["X_train"] = np.arange(36).reshape(4, 9)
    arrays["X_test"] = arrays["X_test"][:, 0]
    np.savez(tmp_path / "x.npz", **arrays)
    X = load_dataset(tmp_path / "x.npz").X_train
    assert X.shape == (4, 1, 9)
    assert X.dtype == np.float64


def test_labels_may_be_whole_numbers_in_one_part_and_floats_in_the_other(
    tmp_path, arrays
):
    arrays |= {"y_train": np.arange(4), "y_test": np.arange(3.0)}
    np.savez(tmp_path / "x.npz", **arrays)
    np.testing.assert_array_equal(load_dataset(tmp_path / "x.npz").y_test, [0, 1, 2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": None}, r"holds the arrays \[.*expected X_train, y_train"),
        ({"y_train": np.array(["a"])}, r"y_train .* shape \(1,\).*the 4 series"),
        ({"y_train": np.array([["a"]] * 4)}, r"y_train .* shape \(4, 1\)"),
        ({"X_test": np.zeros(3)}, r"X_test .* shape \(3,\)"),
        ({"X_train": np.zeros((0, 9))}, r"X_train .* shape \(0, 9\).*none of them 0"),
        ({"X_test": np.array([["a"]] * 3)}, "X_test .* dtype <U1"),
        ({"X_test": np.ones((3, 2, 9), dtype=bool)}, "X_test .* dtype bool"),
        ({"X_test": np.ones((3, 2, 9), dtype=complex)}, "X_test .* dtype complex128"),
        ({"X_train": np.array([{}], dtype=object)}, "cannot read"),
        ({"X_test": np.full((3, 2, 9), np.inf)}, "X_test .* holds infinity"),
        (
            {"y_train": np.arange(4.0), "y_test": np.array([0.0, np.nan, 1.0])},
            "y_test .* missing labels",
        ),
        (
            {"y_train": np.arange(4.0), "y_test": np.array([0.0, np.inf, 1.0])},
            "y_test .* infinite or",
        ),
        ({"X_test": np.zeros((3, 5, 9))}, r"have \d and 5 channels"),
        ({"y_test": np.arange(3)}, "have dtypes <U1 and int64; expected labels of one"),
    ],
)
def test_npz_with_other_content(tmp_path, arrays, changes, message):
    content = {k: v for k, v in (arrays | changes).items() if v is not None}
    np.savez(tmp_path / "x.npz", **content)
    with pytest.raises(ValueError, match=message):
        load_dataset(tmp_path / "x.npz")


def test_an_npz_that_is_not_there_is_no_damaged_one(tmp_path):
    with pytest.raises(ValueError, match=r"no data set .*x\.npz': neither"):
        load_dataset(tmp_path / "x.npz")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut short"])
def test_damaged_npz(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot read .*x\.npz as a \.npz file"):
        load_dataset(path)


def test_npz_with_a_damaged_or_foreign_member(tmp_path, arrays):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, **arrays)
    content = bytearray(path.read_bytes())
    content[80] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot read .*x\.npz as a \.npz file"):
        load_dataset(path)
    np.savez(path, **{key: arrays[key] for key in arrays if key != "y_test"})
    with ZipFile(path, "a") as archive:
        archive.writestr("y_test", "a,b,a")
    with pytest.raises(ValueError, match=r"y_test in .*x\.npz is no array"):
        load_dataset(path)


def test_single_array_under_npz_suffix(tmp_path):
    path = tmp_path / "x.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    message = r"cannot read .*x\.npz as a \.npz file: it is no archive"
    with pytest.raises(ValueError, match=message):
        load_dataset(path)


def test_ts_pair_by_folder_and_by_file(tmp_path):
    folder = tmp_path / "Pair"
    folder.mkdir()
    train = [np.ones((2, 3)), np.zeros((2, 5))]
    write_ts(folder / "Pair_TRAIN.ts", train, ["a", "b"])
    write_ts(folder / "Pair_TEST.ts", [np.full((2, 4), 7.0)], ["b"])
    for path in (folder, folder / "Pair_TRAIN.ts"):
        data = load_dataset(path)
        assert data.name == "Pair"
        for found, expected in zip(data.X_train, train, strict=True):
            np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(data.X_test, np.full((1, 2, 4), 7.0))
        assert list(data.y_train) == ["a", "b"]
        assert list(data.y_test) == ["b"]


def test_the_folder_one_is_in_has_its_own_name(tmp_path, monkeypatch):
    folder = tmp_path / "Here"
    write_pair(folder, "Here")
    monkeypatch.chdir(folder)
    assert load_dataset(".").name == "Here"


def test_a_bundled_name_wins_over_a_folder_unless_it_is_a_path(tmp_path, monkeypatch):
    write_pair(tmp_path / "GunPoint", "GunPoint")
    monkeypatch.chdir(tmp_path)
    assert load_dataset("GunPoint").X_train.shape == (50, 1, 150)
    assert load_dataset(Path("GunPoint")).X_train.shape == (1, 2, 3)


def test_ts_pair_of_other_channels(tmp_path):
    write_ts(tmp_path / "Pair_TRAIN.ts", [np.ones((2, 3))], ["a"])
    write_ts(tmp_path / "Pair_TEST.ts", [np.ones((3, 3))], ["a"])
    with pytest.raises(ValueError, match="have 2 and 3 channels; expected the same"):
        load_dataset(tmp_path / "Pair_TRAIN.ts")


def test_missing_values_in_ts_are_nan(tmp_path):
    write_pair(tmp_path, "Gap", [[[0.1, "?", 3]]])
    X = load_dataset(tmp_path / "Gap_TRAIN.ts").X_train
    np.testing.assert_array_equal(X, [[[0.1, np.nan, 3]]])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_a_ts_file_is_read_in_the_encodings_that_archives_have(tmp_path, encoding):
    path = tmp_path / "x.ts"
    write_ts(path, [[[1, 2, 3]]], ["é"], "@classLabel true é")
    path.write_text("# 1990 \u2013 1995\n" + path.read_text(), encoding=encoding)
    X, y = read_ts(path)
    np.testing.assert_array_equal(X, [[[1, 2, 3]]])
    assert list(y) == ["é"]


def test_a_ts_file_whose_first_line_has_a_mark_of_its_encoding(tmp_path):
    path = tmp_path / "x.ts"
    path.write_text(
        "@classLabel true a b\n@problemName x\n@timeStamps false\n"
        "@univariate true\n@data\n1,2,3:a",
        encoding="utf-8-sig",
    )
    assert list(read_ts(path)[1]) == ["a"]


def test_channels_of_unequal_length_within_a_series_are_told_of(tmp_path):
    path = tmp_path / "x.ts"
    write_ts(path, [[[1, 2], [3, 4]], [[1, 2, 3, 4], [5, 6]]], ["a", "b"])
    with pytest.raises(ValueError, match=r"channels of series 2 have 2 to 4 timepoi"):
        read_ts(path)


def test_a_ts_file_without_labels_has_none(tmp_path):
    header = "@problemName x\n@timeStamps false\n@univariate true\n"
    path = tmp_path / "x.ts"
    path.write_text(header + "@classLabel false\n@data\n1,2,3\n4,5,6\n")
    X, y = read_ts(path)
    np.testing.assert_array_equal(X, [[[1, 2, 3]], [[4, 5, 6]]])
    assert y is None


def test_a_ts_file_by_any_kind_of_path(tmp_path):
    write_pair(tmp_path, "One")
    for entry in os.scandir(tmp_path):
        assert read_ts(entry)[0].shape == (1, 2, 3)


def test_ts_pair_lacking_a_part(tmp_path):
    write_ts(tmp_path / "Half_TRAIN.ts", [np.ones((1, 3))], ["a"])
    with pytest.raises(ValueError, match=r"lacks Half_TEST\.ts"):
        load_dataset(tmp_path / "Half_TRAIN.ts")
    with pytest.raises(ValueError, match=r"lacks .*_TRAIN\.ts and .*_TEST\.ts"):
        load_dataset(tmp_path)


def test_malformed_ts(tmp_path):
    write_pair(tmp_path, "Bad", [[["one", "two"]]])
    with pytest.raises(ValueError, match=r"cannot read .*Bad_TRAIN\.ts as a \.ts file"):
        load_dataset(tmp_path / "Bad_TRAIN.ts")


def test_the_line_of_what_is_no_number_in_a_ts_file(tmp_path):
    path = tmp_path / "bad.ts"
    write_ts(path, [[["1", "2"]], [["3", "B"]]], ["b", "a"], "@classLabel true a b")
    with pytest.raises(ValueError, match=r"bad\.ts .*: line 7: .*'b'"):
        read_ts(path)


def test_the_line_of_what_is_no_number_in_a_later_channel(tmp_path):
    path = tmp_path / "bad.ts"
    write_ts(path, [[["1", "2"], ["3", "4"]], [["5", "6"], ["7", "oops"]]], ["a", "b"])
    with pytest.raises(ValueError, match=r"bad\.ts .*: line 7: .*'oops'"):
        read_ts(path)


def test_the_line_of_an_empty_value_in_a_ts_file(tmp_path):
    path = tmp_path / "bad.ts"
    write_ts(path, [[["1", "2"]], [["3", ""]]], ["a", "b"])
    path.write_text("# header\n\n" + path.read_text())
    with pytest.raises(ValueError, match=r"bad\.ts .*: line 9: .*''"):
        read_ts(path)


def test_the_line_of_what_is_no_number_in_a_ts_file_without_labels(tmp_path):
    path = tmp_path / "bad.ts"
    # Where labels would be is a channel like the others.
    write_ts(path, [[[1, 2]], [[3, 4]]], ["5,6", "x,8"], "@classLabel false")
    with pytest.raises(ValueError, match=r"bad\.ts .*: line 7: .*'x'"):
        read_ts(path)


def test_file_of_another_kind(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1,2,3")
    with pytest.raises(ValueError, match=r"cannot read .*x\.csv.*expected a bundled"):
        load_dataset(path)


def test_data_sets_of_a_folder_are_found(tmp_path, arrays):
    (tmp_path / "ucr").mkdir()
    np.savez(tmp_path / "ucr" / "Mine.npz", **arrays)
    for name in ("notes.txt", "._Flat_TRAIN.ts", "._Mine.npz"):
        (tmp_path / name).touch()
    write_pair(tmp_path / "Pair", "Pair")
    write_pair(tmp_path, "Flat")
    found = find_datasets(tmp_path)
    assert list(found) == ["Flat", "Mine", "Pair"]
    assert [load_dataset(path).name for path in found.values()] == list(found)


def test_copies_beside_an_archive_set_are_no_further_sets(tmp_path, arrays):
    for name in ("Mine", "Mine_eq", "Mine_nmv", "Other_eq"):
        np.savez(tmp_path / f"{name}.npz", **arrays)
    assert list(find_datasets(tmp_path)) == ["Mine", "Other_eq"]


def test_folders_without_a_clear_answer(tmp_path, arrays):
    assert find_datasets(None) == find_datasets(tmp_path) == {}
    with pytest.raises(ValueError, match="no folder 'nowhere'"):
        find_datasets("nowhere")
    (tmp_path / "sub").mkdir()
    for folder in (tmp_path, tmp_path / "sub"):
        np.savez(folder / "Twice.npz", **arrays)
    with pytest.raises(ValueError, match=r"two data sets 'Twice': .* and .*Twice\.npz"):
        find_datasets(tmp_path)
