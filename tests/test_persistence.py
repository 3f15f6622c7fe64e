"""save and load: everything comes back, and nothing else is accepted."""

import contextlib
import json
import os
import pickle
import re
import struct
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from safetensors import safe_open
from sklearn.exceptions import NotFittedError

from mug_sklearn import MUGTransformer, __version__
from mug_sklearn.persistence import FORMAT, checksum, read_state, write_state

from .conftest import small_mug


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


class Named(MUGTransformer):
    """A subclass as users write them."""


class Gained(MUGTransformer):
    """One that cannot be made without an argument, and leaves most to the method."""

    def __init__(self, gain, max_epochs=0):
        super().__init__(max_epochs=max_epochs, d_model=8, random_state=0)
        self.gain = gain


def test_a_subclass_with_an_argument_comes_back(panel, path):
    mug = Gained(2.0).fit(panel)
    mug.save(path)
    loaded = Gained.load(path)
    assert loaded.get_params() == {"gain": 2.0, "max_epochs": 0}
    assert_array_equal(loaded.transform(panel), mug.transform(panel))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"granularity": "fine"},
        {"granularity": "coarse", "segment_lengths": (3, 0.5)},
        {"segment_lengths": [4, 0.25], "embedding_dim": None, "random_state": None},
        {"readout": "cross", "fine_fusion": "max", "fusion": "concat"},
        {"readout": "robust"},
        {"precision": "float32", "n_random_shapelets": np.int64(8)},
    ],
)
def test_everything_comes_back(panel, path, parameters):
    mug = small_mug(**parameters).fit(panel)
    mug.save(path)
    loaded = MUGTransformer.load(path)
    assert loaded.get_params() == mug.get_params()
    assert vars(loaded).keys() == vars(mug).keys()
    assert loaded.history_ == mug.history_
    assert loaded.config_ == mug.config_
    assert_array_equal(loaded.transform(panel), mug.transform(panel))


def test_training_goes_on_from_a_file(panel, path):
    mug = small_mug(warm_start=True).fit(panel)
    mug.save(path)
    loaded = MUGTransformer.load(path)
    assert_array_equal(
        loaded.fit(panel).transform(panel), mug.fit(panel).transform(panel)
    )


def test_a_stream_goes_on_from_a_file(panel, path):
    mug = small_mug().partial_fit(panel)
    mug.save(path)
    loaded = MUGTransformer.load(path)
    for estimator in (mug, loaded):
        estimator.partial_fit(panel[::-1])
    assert loaded.n_series_seen_ == 24
    assert_array_equal(loaded.transform(panel), mug.transform(panel))


def test_column_names_and_widths_are_checked_as_before(table, path):
    frame = pd.DataFrame(table).add_prefix("t")
    small_mug().fit(frame).save(path)
    loaded = MUGTransformer.load(path)
    assert_array_equal(loaded.feature_names_in_, frame.columns)
    with pytest.raises(ValueError, match="feature names should match"):
        loaded.transform(frame.add_prefix("other"))
    with pytest.raises(ValueError, match="expecting 30 features"):
        loaded.transform(table[:, :-1])


def test_the_class_is_the_one_that_loads(panel, path):
    small_mug().fit(panel).save(path)
    assert type(Named.load(path)) is Named


def test_the_file_is_safetensors_with_versions(panel, path):
    small_mug().fit(panel).save(path)
    with safe_open(path, framework="np") as file:
        header = json.loads(file.metadata()["mug_sklearn"])
        assert "network_.fine.embed.weight" in file.keys()  # noqa: SIM118
    assert header["format"] == FORMAT
    assert set(header["versions"]) == {"mug_sklearn", "torch", "numpy"}


def test_no_metadata_of_an_installation_is_needed(panel, path, monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.Distribution.from_name", missing)
    small_mug(max_epochs=0).fit(panel).save(path)
    with pytest.raises(
        ValueError, match=f"of mug_sklearn than {re.escape(__version__)}"
    ):
        Gained.load(path)


def test_unfitted(path):
    with pytest.raises(NotFittedError):
        small_mug().save(path)
    assert not path.exists()


def test_a_failed_save_leaves_the_file_alone(panel, path):
    mug = small_mug().fit(panel)
    mug.save(path)
    before = path.read_bytes()
    mug.random_state = np.random.RandomState(0)
    with pytest.raises(ValueError, match=r"random_state=RandomState.* cannot be saved"):
        mug.save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_what_is_no_file_is_not_replaced(panel, tmp_path):
    mug = MUGTransformer(max_epochs=0, random_state=0).fit(panel)
    # Not /dev/null: whoever may replace it would, if this test failed.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(ValueError, match=f"{path}' is not a regular file"):
            mug.save(path)
    assert list(tmp_path.iterdir()) == [pipe]
    assert pipe.is_fifo()


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_new_file_has_the_usual_permissions_and_one_replaced_its_own(panel, path):
    mug = small_mug(max_epochs=0).fit(panel)
    usual = path.with_name("usual")
    usual.touch()
    mug.save(path)
    assert path.stat().st_mode == usual.stat().st_mode
    for mode in (0o600, 0o640, 0o444):
        path.chmod(mode)
        mug.save(path)
        assert path.stat().st_mode & 0o777 == mode
    assert sorted(path.parent.iterdir()) == [path, usual]


@pytest.mark.skipif(os.name != "posix", reason="links need a privilege")
def test_a_link_stays_one(panel, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "model")
    mug = MUGTransformer(max_epochs=0, random_state=0).fit(panel)
    mug.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    loaded = MUGTransformer.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(panel), mug.transform(panel))


def test_a_missing_folder_is_named(panel, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere' for 'model'"):
        small_mug().fit(panel).save(tmp_path / "nowhere" / "model")


def test_a_missing_file_is_named(path):
    with pytest.raises(FileNotFoundError, match="model"):
        MUGTransformer.load(path)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        MUGTransformer.load(tmp_path)


OTHER_ARRAYS = {"x": np.zeros(2)}


def header_of(state, file_format=FORMAT):
    content = {"format": file_format, "state": state}
    content["checksum"] = checksum(state, OTHER_ARRAYS)
    return {"mug_sklearn": json.dumps(content)}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "no entry 'mug_sklearn'"),
        ({"mug_sklearn": "{"}, "not a complete file"),
        ({"mug_sklearn": "[]"}, f"its format is None, and {FORMAT} is accepted"),
        (header_of({"dict": {}}, 2), f"its format is 2, and {FORMAT} is accepted"),
        (header_of([]), "its state is of type list"),
        (header_of({"eval": "1"}), "'eval'"),
        (header_of({"dict": []}), "not a complete file"),
        (header_of({"array": "absent"}), "absent"),
        (header_of({"MUGConfig": {"dict": {"depth": 3}}}), "depth"),
        (
            header_of({"dict": {}}),
            "lacks .*batch_size, .*it was saved by another version",
        ),
    ],
)
def test_other_files_are_refused(path, metadata, message):
    safetensors.numpy.save_file(OTHER_ARRAYS, path, metadata=metadata)
    with pytest.raises(ValueError, match=message) as caught:
        MUGTransformer.load(path)
    assert "model.safetensors" in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("no memory"),
        RuntimeError("CUDA out of memory"),
        OSError("Input/output error"),
        UserWarning("turned into an error by the user"),
    ],
    ids=repr,
)
def test_a_failing_machine_is_not_taken_for_another_file(
    panel, path, monkeypatch, error
):
    def failing(*arguments):
        raise error

    small_mug(max_epochs=0).fit(panel).save(path)
    monkeypatch.setattr("mug_sklearn._estimator.network_from_arrays", failing)
    with pytest.raises(type(error), match=str(error)) as caught:
        MUGTransformer.load(path)
    assert caught.value is error


def test_a_file_that_may_not_be_read_is_told(panel, path, monkeypatch):
    def refused(*arguments, **settings):
        raise PermissionError("not yours")

    small_mug(max_epochs=0).fit(panel).save(path)
    monkeypatch.setattr(type(path), "open", refused)  # the superuser may read all
    with pytest.raises(PermissionError, match="not yours"):
        MUGTransformer.load(path)


def test_endless_nesting_is_refused(path):
    nested = "[" * 10**5 + "]" * 10**5
    metadata = {"mug_sklearn": f'{{"format": {FORMAT}, "state": {nested}}}'}
    safetensors.numpy.save_file(OTHER_ARRAYS, path, metadata=metadata)
    with pytest.raises(ValueError, match="not a complete file"):
        MUGTransformer.load(path)


def test_a_pickle_is_refused(panel, path):
    path.write_bytes(b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(ValueError, match="not a complete file"):
        MUGTransformer.load(path)


def test_weights_of_another_shape_are_refused(panel, path):
    mug = small_mug().fit(panel)
    state = mug.__getstate__()
    state["network_"]["fine.embed.weight"] = np.zeros((2, 2), dtype=np.float32)
    write_state(path, state)
    with pytest.raises(ValueError, match=r"fine\.embed\.weight"):
        MUGTransformer.load(path)


@pytest.mark.parametrize(
    ("name", "content"), [("network_", ()), ("readout_", None), ("config_", None)]
)
def test_parts_of_another_kind_are_refused(panel, path, name, content):
    mug = small_mug().fit(panel)
    write_state(path, mug.__getstate__() | {name: content})
    with pytest.raises(ValueError, match="not a complete file"):
        MUGTransformer.load(path)


def test_a_network_that_cannot_be_is_refused(panel, path):
    state = small_mug().fit(panel).__getstate__()
    state["config_"] = replace(state["config_"], segment_scales=())
    write_state(path, state)
    with pytest.raises(ValueError, match="not a complete file"):
        MUGTransformer.load(path)


@pytest.mark.parametrize("name", ["device_", "_n_features_out", "history_"])
def test_a_missing_part_is_named(panel, path, name):
    state = small_mug().fit(panel).__getstate__()
    del state[name]
    write_state(path, state)
    with pytest.raises(ValueError, match=f"model.safetensors' lacks {name};"):
        MUGTransformer.load(path)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    in_header=st.booleans(),
    share=st.floats(0, 0.999),
    byte=st.sampled_from(b'0"{}[],:tn\x00\xff'),
)
def test_a_damaged_file_is_refused(panel, path, in_header, share, byte):
    if not path.exists():
        small_mug(granularity="fine").fit(panel).save(path)
    damaged = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", damaged[:8])
    header, content = (8, length), (8 + length, len(damaged) - 8 - length)
    start, size = header if in_header else content
    damaged[start + int(share * size)] = byte
    part = path.with_name("part")
    part.write_bytes(damaged)
    # What changes nothing of the estimator, such as a version that is told, may pass.
    with contextlib.suppress(ValueError):
        found = MUGTransformer.load(part).__getstate__()
        expected = MUGTransformer.load(path).__getstate__()
        assert pickle.dumps(found) == pickle.dumps(expected)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(share=st.floats(0, 0.999))
def test_a_truncated_file_is_refused(panel, path, share):
    if not path.exists():
        write_state(path, {"x": np.arange(1000.0)})
    whole = path.read_bytes()
    part = path.with_name("part")
    part.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match="not a complete file"):
        read_state(part)


def test_a_header_that_lies_about_its_length_is_refused(path):
    path.write_bytes(struct.pack("<Q", 2**40) + b"{}")
    with pytest.raises(ValueError, match="not a complete file"):
        read_state(path)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text(max_size=5)
    | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(state=st.dictionaries(st.text(min_size=1, max_size=4), values, max_size=4))
def test_any_state_of_plain_values_comes_back(path, state):
    write_state(path, state)
    assert read_state(path) == state


def test_scalars_of_numpy_come_back_as_pythons(path):
    write_state(path, {"x": [np.int64(3), np.bool_(True), np.str_("a"), np.float32(2)]})
    assert repr(read_state(path)["x"]) == "[3, True, 'a', 2.0]"


def test_keys_that_would_come_back_as_text_are_refused(path):
    with pytest.raises(ValueError, match=r"x\.y=\{1: 2\} cannot be saved"):
        write_state(path, {"x": {"y": {1: 2}}})
    assert not path.exists()


def test_places_with_equal_names_stay_apart(path):
    state = {"a.b": np.zeros(1), "a": {"b": np.ones(1)}}
    write_state(path, state)
    back = read_state(path)
    assert (back["a.b"], back["a"]["b"]) == (0, 1)


@pytest.mark.parametrize(
    "array",
    [
        np.full((), 2.5, dtype=np.float32),
        np.zeros((0, 3)),
        np.arange(6).reshape(2, 3).T,
        np.array([True, False]),
        np.array(["a", "b"], dtype=object),
    ],
)
def test_arrays_come_back(path, array):
    write_state(path, {"x": array})
    back = read_state(path)["x"]
    assert back.dtype == array.dtype
    assert_array_equal(back, array)


def test_the_checksum_is_of_all_that_is_written():
    array = np.arange(6.0)
    states = [
        ({"x": 1}, {"x": array}),
        ({"x": 2}, {"x": array}),
        ({"x": 1}, {"y": array}),
        ({"x": 1}, {"x": array + 1}),
        ({"x": 1}, {"x": array.reshape(2, 3)}),
        ({"x": 1}, {"x": array.view(np.int64)}),
    ]
    assert len({checksum(*state) for state in states}) == len(states)
