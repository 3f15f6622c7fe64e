"""Threads inside and outside a computation on one."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from threadpoolctl import threadpool_info

from mug_sklearn.device import one_cpu_thread

from .conftest import small_mug


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_one_thread_inside_as_many_outside():
    with one_cpu_thread() as n_outside:
        assert (n_outside, torch.get_num_threads()) == (3, 1)
        with one_cpu_thread() as n_outside_of_the_inner:
            assert n_outside_of_the_inner == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("three_threads")
def test_the_setting_is_back_after_an_error():
    with pytest.raises(KeyError), one_cpu_thread():
        raise KeyError
    assert torch.get_num_threads() == 3


def blas_threads():
    """Threads that numpy's and scipy's products may use."""
    return {p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}


def test_products_of_numpy_and_scipy_have_one_thread_too():
    before = blas_threads()
    with one_cpu_thread(), one_cpu_thread():
        assert blas_threads() == {1}
    assert blas_threads() == before


def test_products_have_one_thread_in_every_thread():
    def inside():
        with one_cpu_thread():
            return blas_threads()

    inside()
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(inside).result() == {1}


@pytest.mark.usefixtures("three_threads")
def test_concurrent_callers_leave_the_setting_as_it_was():
    second_is_inside, first_is_out = Event(), Event()
    before = blas_threads()

    def enter_second():
        with one_cpu_thread() as n_outside:
            second_is_inside.set()
            first_is_out.wait()
        return n_outside, torch.get_num_threads()

    with ThreadPoolExecutor(1) as threads:
        with one_cpu_thread():
            second = threads.submit(enter_second)
            second_is_inside.wait()
        first_is_out.set()
        assert second.result() == (3, 3)
    assert torch.get_num_threads() == 3
    assert blas_threads() == before


@pytest.mark.usefixtures("three_threads")
def test_more_threads_embed_the_same(ragged):
    mug = small_mug().fit(ragged)
    many = [series + shift for shift in np.arange(20) for series in ragged]
    on_three = mug.transform(many)
    with one_cpu_thread():
        on_one = mug.transform(many)
    assert_array_equal(on_three, on_one)
    assert torch.get_num_threads() == 3
