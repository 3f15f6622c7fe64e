"""Panels that are read from a store batch by batch."""

import ctypes
import mmap
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mug_sklearn._input_forms import read_panel
from mug_sklearn._panel import StoredSeries
from mug_sklearn._reservoir import Reservoir

from .conftest import small_mug


class Store:
    """The least that a store offers: a shape, a dtype and slices of rows."""

    def __init__(self, array):
        self.array = array
        self.shape, self.dtype = array.shape, array.dtype
        self.most_rows = 0

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        self.most_rows = max(self.most_rows, len(self.array[rows]))
        return self.array[rows].tolist()  # not even an array


@pytest.fixture(params=[(30, 25), (30, 2, 25)], ids=["2-D", "3-D"])
def array(request):
    X = np.random.default_rng(0).standard_normal(request.param).cumsum(axis=-1)
    X[3, ..., 5:9] = np.nan
    X[4, ..., 15:] = np.nan
    return X


def as_memory_map(array, folder):
    np.save(folder / "X.npy", array)
    return np.load(folder / "X.npy", mmap_mode="r")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_memory_map_gives_what_its_array_gives(array, dtype, tmp_path):
    array = array.astype(dtype)
    mapped = as_memory_map(array, tmp_path)
    assert_array_equal(
        small_mug().fit_transform(mapped), small_mug().fit_transform(array)
    )


def test_a_memory_map_is_left_where_it_is(array, tmp_path):
    panel = read_panel(small_mug(), as_memory_map(array, tmp_path), reset=True)
    assert isinstance(panel.series, StoredSeries)


@pytest.mark.skipif(sys.platform != "linux", reason="locks memory as Linux does")
def test_a_memory_map_may_be_locked_in_memory(array, tmp_path):
    mapped = as_memory_map(array, tmp_path)
    start = mapped.ctypes.data // mmap.PAGESIZE * mmap.PAGESIZE
    if ctypes.CDLL(None).mlock(ctypes.c_void_p(start), ctypes.c_size_t(mapped.nbytes)):
        pytest.skip("no memory may be locked here")
    assert_array_equal(
        small_mug().fit_transform(mapped), small_mug().fit_transform(array)
    )


def test_changes_to_a_private_memory_map_stay(array, tmp_path):
    np.save(tmp_path / "X.npy", array)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="c")
    mapped[0] = array[0] = 7 * array[1]
    embedding = small_mug().fit_transform(mapped)
    assert_array_equal(mapped, array)
    assert_array_equal(embedding, small_mug().fit_transform(array))


def test_a_stream_of_stores_gives_what_their_arrays_give(array):
    stored, plain = (small_mug().partial_fit(X) for X in (Store(array), array))
    assert_array_equal(stored.transform(array), plain.transform(array))


def test_a_stream_of_stores_of_which_none_enters_the_sample(array):
    mug = small_mug().partial_fit(array)
    mug._reservoir = Reservoir(mug._reservoir.series[:2], 30, np.zeros(2), 1e-9)
    mug.partial_fit(Store(array[:3]))
    assert mug.n_series_seen_ == 33
    assert len(mug._reservoir.series) == 2


def test_any_store_gives_what_its_array_gives(array):
    fitted = small_mug().fit(array)
    stored = small_mug().fit(Store(array))
    assert_array_equal(stored.transform(Store(array)), fitted.transform(array))
    assert stored.n_features_in_ == fitted.n_features_in_


class MaskedStore(Store):
    """Gives rows with a mask, as netCDF4's variables do."""

    def __init__(self, array, beneath):
        super().__init__(array)
        self.beneath = beneath

    def __getitem__(self, rows):
        part = self.array[rows]
        mask = np.isnan(part)
        return np.ma.masked_array(np.where(mask, self.beneath, part), mask)


@pytest.mark.parametrize("beneath", [99.0, np.inf])
def test_what_a_store_masks_is_missing(array, beneath):
    array[0, ..., 3] = np.nan
    expected = small_mug().fit_transform(array)
    masked = MaskedStore(array, beneath)
    assert_array_equal(small_mug().fit_transform(masked), expected)


class IteratedStore(Store):
    """Goes through its rows by itself, as PyTables' arrays do."""

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration


def test_a_store_may_be_an_iterator(array):
    expected = small_mug().fit_transform(array)
    assert_array_equal(small_mug().fit_transform(IteratedStore(array)), expected)


def test_what_dask_masks_is_missing(array):
    dask = pytest.importorskip("dask.array")
    expected = small_mug().fit_transform(array)
    masked = np.ma.masked_array(np.nan_to_num(array, nan=99.0), np.isnan(array))
    for chunks in (array.shape, (7, *array.shape[1:])):
        lazy = dask.from_array(masked, chunks=chunks)
        assert_array_equal(small_mug().fit_transform(lazy), expected)
    series = [dask.from_array(one, chunks=one.shape) for one in masked]
    assert_array_equal(small_mug().fit_transform(series), expected)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((0, 5), "0 sample.* is required"),
        ((0, 2, 5), "0 sample.* is required"),
        ((5, 0), "0 feature.* is required"),
        ((5, 0, 30), "without empty dimensions"),
        ((5, 2, 0), "without empty dimensions"),
    ],
)
def test_an_empty_store_is_refused_by_its_shape(shape, message):
    with pytest.raises(ValueError, match=message):
        small_mug().fit(Store(np.empty(shape)))


def test_an_array_of_unknown_sizes_is_refused_until_they_are_known(array):
    dask = pytest.importorskip("dask.array")
    lazy = dask.from_array(array, chunks=(7, *array.shape[1:]))
    chosen = lazy[dask.from_array(np.arange(len(array)) % 2 == 0, chunks=7)]
    mug = small_mug().fit(array)
    for method in (mug.fit, mug.transform, mug.partial_fit):
        with pytest.raises(ValueError, match=r"^X has shape \(nan, .*compute_chunk"):
            method(chosen)
    assert_array_equal(
        mug.transform(chosen.compute_chunk_sizes()), mug.transform(array[::2])
    )


def test_a_memory_map_of_one_dimension_is_refused_as_its_array(tmp_path):
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        small_mug().fit(as_memory_map(np.ones(5), tmp_path))


def test_an_integer_store(tmp_path):
    X = np.random.default_rng(0).integers(0, 100, (10, 20))
    mapped = as_memory_map(X, tmp_path)
    assert_array_equal(small_mug().fit_transform(mapped), small_mug().fit_transform(X))


def test_a_store_is_never_read_whole(monkeypatch):
    monkeypatch.setattr("mug_sklearn._panel.CHUNK_VALUES", 200)
    store = Store(np.random.default_rng(0).standard_normal((600, 20)))
    small_mug(batch_size=64).fit(store).transform(store)
    # No more than a batch of inference.
    assert store.most_rows <= 256


def test_infinity_deep_inside_a_store_is_refused(array, tmp_path):
    array[20, ..., 3] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        small_mug().fit(as_memory_map(array, tmp_path))


def test_a_store_must_fit_the_fitted_panel(array, tmp_path):
    mug = small_mug().fit(array)
    other = array[..., :20] if array.ndim == 2 else array[:, :1]
    with pytest.raises(ValueError, match=r"features|timepoints|channels"):
        mug.transform(as_memory_map(other, tmp_path))
