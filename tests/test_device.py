"""Threads, devices and torch's modes inside and outside a computation."""

import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from threadpoolctl import threadpool_info, threadpool_limits

from mug_sklearn import device
from mug_sklearn._inference import _map_in_order
from mug_sklearn.device import repeatable_arithmetic, resolve_device
from mug_sklearn.nn.network import MUGNetwork

from .conftest import forks, small_mug, succeeds_in_a_fork, torch_threads

tells_backends_apart = pytest.mark.skipif(
    not hasattr(torch.backends, "fp32_precision"),
    reason="torch has one precision for all backends before 2.9",
)
of_each_operation = pytest.mark.parametrize(
    ("backend", "operation"),
    [("cuda", "matmul"), ("mkldnn", "matmul"), ("mkldnn", "conv")],
)


@pytest.mark.parametrize("there", [["cuda", "xpu", "mps"], ["xpu", "mps"], ["mps"], []])
def test_auto_takes_the_first_of_what_is_there(monkeypatch, there):
    monkeypatch.setattr(device, "_is_available", there.__contains__)
    assert resolve_device("auto").type == (there or ["cpu"])[0]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("[enforce fail] DefaultCPUAllocator: can't allocate memory", True),
        ("MPS backend out of memory", True),
        ("could not create a primitive", True),
        ("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes", True),
        ("Invalid buffer size: 15.62 GiB", True),
        ("std::bad_alloc", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling a function", True),
        ("Native API returns: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)", True),
        ("Native API returns: 38 (UR_RESULT_ERROR_OUT_OF_HOST_MEMORY)", True),
        ("shapes do not fit", False),
        ("mat1 and mat2 shapes cannot be multiplied", False),
    ],
)
def test_shortage_of_memory_is_told_from_other_errors(message, expected):
    assert device.is_out_of_memory(RuntimeError(message)) is expected


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_automatic_precision_on_cuda(monkeypatch, has_bfloat16):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has_bfloat16)
    found = device.trains_in_half_precision(torch.device("cuda"), "auto")
    assert found is has_bfloat16


def test_a_cpu_needs_no_other_device(panel, monkeypatch):
    def broken():
        raise RuntimeError("driver too old")

    monkeypatch.setattr(torch.cuda, "is_available", broken)
    small_mug(device="cpu").fit(panel).to("cpu")


@tells_backends_apart
@of_each_operation
def test_a_callers_precision_of_products_has_no_influence_and_stays(
    panel, backend, operation
):
    expected = small_mug().fit_transform(panel)
    setting = getattr(getattr(torch.backends, backend), operation)
    before = setting.fp32_precision
    lowered = {"cuda": "tf32", "mkldnn": "bf16"}[backend]
    try:
        setting.fp32_precision = lowered
        with repeatable_arithmetic(), repeatable_arithmetic():
            assert setting.fp32_precision == "ieee"
        assert_array_equal(small_mug().fit_transform(panel), expected)
        assert setting.fp32_precision == lowered
    finally:
        setting.fp32_precision = before


@tells_backends_apart
@of_each_operation
def test_a_precision_that_was_inherited_is_inherited_afterwards(backend, operation):
    setting = getattr(getattr(torch.backends, backend), operation)
    before = torch.backends.fp32_precision, setting.fp32_precision
    try:
        torch.backends.fp32_precision, setting.fp32_precision = "tf32", "none"
        with repeatable_arithmetic():
            assert setting.fp32_precision == "ieee"
        assert setting.fp32_precision == "tf32"
        torch.backends.fp32_precision = "ieee"
        assert setting.fp32_precision == "ieee"
    finally:
        torch.backends.fp32_precision, setting.fp32_precision = before


def test_a_network_moved_in_inference_mode_can_be_trained(panel):
    mug = small_mug(max_epochs=0).fit(panel)
    with torch.inference_mode():
        mug.to("cpu")
    assert not any(p.is_inference() for p in mug.network_.parameters())


def test_torchs_own_setting_of_products_stays(panel):
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        small_mug(max_epochs=1).fit(panel).transform(panel)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_to_moves_the_network_and_what_needs_no_double_precision(panel, monkeypatch):
    mug = small_mug().fit(panel)
    elsewhere = torch.device("meta")  # a device that is always there, and holds nothing
    monkeypatch.setattr("mug_sklearn._estimator.resolve_device", lambda _: elsewhere)
    mug.to("elsewhere")
    assert {p.device for p in mug.network_.parameters()} == {elsewhere}
    assert mug.readout_.location.device.type == "cpu"


def test_a_network_that_does_not_fit_stays_where_it_was(panel, monkeypatch):
    mug = small_mug().fit(panel)
    before = mug.transform(panel)

    def move_in_part(network, device):
        network.fine.embed.weight = None
        raise RuntimeError("out of memory")

    monkeypatch.setattr(MUGNetwork, "to", move_in_part)
    with pytest.raises(RuntimeError, match="out of memory"):
        mug.to("cpu")
    monkeypatch.undo()
    assert mug.device_ == "cpu"
    assert_array_equal(mug.transform(panel), before)


@pytest.mark.usefixtures("three_threads")
def test_one_thread_inside_as_many_outside():
    with repeatable_arithmetic() as n_outside:
        assert (n_outside, torch.get_num_threads()) == (3, 1)
        with repeatable_arithmetic() as n_outside_of_the_inner:
            assert n_outside_of_the_inner == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("three_threads")
def test_the_setting_is_back_after_an_error():
    with pytest.raises(KeyError), repeatable_arithmetic():
        raise KeyError
    assert torch.get_num_threads() == 3


def blas_threads():
    """Threads that numpy's and scipy's products may use."""
    return {p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}


def test_products_of_numpy_and_scipy_have_one_thread_too():
    before = blas_threads()
    with repeatable_arithmetic(), repeatable_arithmetic():
        assert blas_threads() == {1}
    assert blas_threads() == before


def test_products_have_one_thread_in_every_thread():
    def inside():
        with repeatable_arithmetic():
            return blas_threads()

    inside()
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(inside).result(60) == {1}


@pytest.mark.skipif(
    {
        library.get("threading_layer")
        for library in threadpool_info()
        if library["user_api"] == "blas"
    }
    != {"pthreads"},
    reason="only OpenBLAS with threads of its own lets one thread alone set them",
)
def test_products_that_another_thread_has_limited_get_back_what_it_sets():
    before = blas_threads()
    is_inside, is_limited_no_more = Event(), Event()

    def compute():
        with repeatable_arithmetic():
            is_inside.set()
            assert is_limited_no_more.wait(60)

    with ThreadPoolExecutor(1) as threads:
        with threadpool_limits(max(before) + 1, user_api="blas"):
            computed = threads.submit(compute)
            assert is_inside.wait(60)
        is_limited_no_more.set()
        computed.result(60)
    assert blas_threads() == before


@pytest.mark.usefixtures("three_threads")
def test_concurrent_callers_leave_the_setting_as_it_was():
    second_is_inside, first_is_out = Event(), Event()
    before = blas_threads()

    def enter_second():
        with repeatable_arithmetic() as n_outside:
            second_is_inside.set()
            assert first_is_out.wait(60)
            inside = blas_threads()
        return n_outside, torch.get_num_threads(), inside

    with ThreadPoolExecutor(1) as threads:
        with repeatable_arithmetic():
            second = threads.submit(enter_second)
            assert second_is_inside.wait(60)
        first_is_out.set()
        assert second.result(60) == (3, 3, {1})
    assert torch.get_num_threads() == 3
    assert blas_threads() == before


@pytest.mark.usefixtures("three_threads")
def test_a_new_thread_keeps_to_one_while_others_leave():
    is_inside, others_left = Event(), Event()

    def compute():
        with repeatable_arithmetic():
            is_inside.set()
            assert others_left.wait(60)
            torch.ones(2**20).exp()  # the first computation of this thread
            return torch.get_num_threads()

    with ThreadPoolExecutor(1) as threads:
        with repeatable_arithmetic():
            computed = threads.submit(compute)
            assert is_inside.wait(60)
        others_left.set()
        assert computed.result(60) == 1


@pytest.mark.usefixtures("three_threads")
def test_the_threads_of_a_transform_keep_to_one_while_others_leave():
    is_inside, others_left = Event(), Event()

    def compute(chosen):
        is_inside.set()
        assert others_left.wait(60)
        torch.ones(2**20).exp()
        return torch.get_num_threads()

    def batches():
        yield np.arange(1)
        assert is_inside.wait(60)
        torch.set_num_threads(3)  # as whoever leaves
        others_left.set()
        yield np.arange(1)

    assert list(_map_in_order(compute, batches(), 2)) == [1, 1]


@forks
@pytest.mark.usefixtures("three_threads")
def test_a_process_forked_beside_a_computation_has_the_settings_outside_it():
    is_inside, is_forked = Event(), Event()
    before = blas_threads()
    precision = torch.get_float32_matmul_precision()

    def compute():
        with repeatable_arithmetic():
            is_inside.set()
            assert is_forked.wait(60)

    def all_as_before():
        outside = torch.get_float32_matmul_precision(), blas_threads()
        with repeatable_arithmetic() as n_outside:
            inside = torch.get_float32_matmul_precision(), blas_threads()
        with ThreadPoolExecutor(1) as threads:
            n_of_others = threads.submit(torch.get_num_threads).result(60)
        counts = n_outside, n_of_others, torch.get_num_threads()
        expected = ("medium", before), ("highest", {1}), (3, 3, 3)
        return (outside, inside, counts) == expected

    try:
        torch.set_float32_matmul_precision("medium")
        with ThreadPoolExecutor(1) as threads:
            computed = threads.submit(compute)
            assert is_inside.wait(60)
            succeeds = succeeds_in_a_fork(all_as_before)
            is_forked.set()
            computed.result(60)
    finally:
        torch.set_float32_matmul_precision(precision)
    assert succeeds
    assert blas_threads() == before


@forks
@pytest.mark.usefixtures("three_threads")
def test_a_process_forked_inside_a_computation_stays_inside():
    before = blas_threads()

    def inside():
        with repeatable_arithmetic() as n_outside:
            return n_outside

    def stays_inside():
        with ThreadPoolExecutor(1) as threads:
            n_for_another_thread = threads.submit(inside).result(60)
        return (inside(), n_for_another_thread, blas_threads()) == (1, 3, {1})

    with repeatable_arithmetic():
        assert succeeds_in_a_fork(stays_inside)
        assert blas_threads() == {1}
    assert blas_threads() == before


@forks
def test_a_process_forked_while_a_thread_changes_settings_does_not_wait(monkeypatch):
    changes = Event()
    set_threads = device._set_threads

    def slowly(threads):
        changes.set()
        time.sleep(0.2)
        set_threads(threads)

    def compute():
        with repeatable_arithmetic():
            return True

    monkeypatch.setattr(device, "_set_threads", slowly)
    with ThreadPoolExecutor(1) as threads:
        computed = threads.submit(compute)
        assert changes.wait(60)
        monkeypatch.undo()
        assert succeeds_in_a_fork(compute, seconds=3)
        assert computed.result(60)


@pytest.mark.usefixtures("three_threads")
def test_more_threads_embed_the_same(ragged):
    mug = small_mug().fit(ragged)
    many = [series + shift for shift in np.arange(20) for series in ragged]
    on_three = mug.transform(many)
    with repeatable_arithmetic():
        on_one = mug.transform(many)
    assert_array_equal(on_three, on_one)
    assert torch.get_num_threads() == 3


def test_an_interrupt_on_the_way_in_changes_no_setting(panel, monkeypatch):
    mug = small_mug().fit(panel)
    before = blas_threads()
    set_threads = device._set_threads

    def interrupted(threads):
        set_threads(threads)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(device, "_set_threads", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mug.transform(panel)
    assert blas_threads() == before
    mug.transform(panel)
    assert blas_threads() == before


@pytest.mark.usefixtures("three_threads")
def test_an_interrupt_on_the_way_out_changes_no_setting(monkeypatch):
    before = blas_threads()

    def interrupted(threads):
        monkeypatch.undo()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), repeatable_arithmetic():
        monkeypatch.setattr(device, "_set_threads", interrupted)
    assert (blas_threads(), torch.get_num_threads()) == (before, 3)
    with repeatable_arithmetic() as n_outside:
        assert n_outside == 3
    assert blas_threads() == before


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(
    "mode",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", torch.bfloat16),
    ],
)
@pytest.mark.parametrize("granularity", ["multi", "fine", "coarse"])
def test_modes_of_the_caller_change_nothing(panel, granularity, mode, n_threads):
    mug = small_mug(granularity=granularity)
    expected = mug.fit_transform(panel)
    with torch_threads(n_threads), mode():
        assert_array_equal(mug.transform(panel), expected)
        again = small_mug(**mug.get_params()).fit_transform(panel)
        assert_array_equal(again, expected)
        assert torch.is_inference_mode_enabled() == (mode is torch.inference_mode)
    assert torch.is_grad_enabled()


def test_training_in_half_precision_learns_inside_autocast(panel):
    mug = small_mug(precision="bfloat16", max_epochs=3)
    losses = mug.fit(panel).loss_curve_
    with torch.autocast("cpu", torch.bfloat16):
        assert mug.fit(panel).loss_curve_ == losses
    # Not so near where autocast casts the weights once for all steps.
    expected = small_mug(max_epochs=3).fit(panel).loss_curve_
    assert losses == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("set_default", "other", "usual"),
    [
        (torch.set_default_dtype, torch.float64, torch.float32),
        (torch.set_default_device, "meta", None),
    ],
)
def test_defaults_of_torch_change_nothing(padded, set_default, other, usual):
    mug = small_mug()
    expected = mug.fit_transform(padded)
    set_default(other)
    try:
        assert_array_equal(mug.transform(padded), expected)
        assert_array_equal(pickle.loads(pickle.dumps(mug)).transform(padded), expected)
        assert_array_equal(small_mug().fit(padded).transform(padded), expected)
    finally:
        set_default(usual)


@pytest.mark.parametrize("name", ["cpu:7", "cuda:99", "quantum", None, "cpu:999"])
def test_devices_that_are_not_there(name):
    with pytest.raises(ValueError, match=r"device=.*accepted here: 'auto', 'cpu'"):
        resolve_device(name)


def test_the_number_of_a_device_is_checked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1").index == 1
    with pytest.raises(ValueError, match="device='cuda:2' is not available"):
        resolve_device("cuda:2")


def test_an_interrupt_leaves_gradients_on(panel, monkeypatch):
    def interrupted(*arguments):
        torch.set_grad_enabled(False)  # as inside torch.no_grad
        raise KeyboardInterrupt

    mug = small_mug(max_epochs=0).fit(panel)
    monkeypatch.setattr("mug_sklearn._estimator.network_from_arrays", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            mug.to("cpu")
        assert torch.is_grad_enabled()
    finally:
        torch.set_grad_enabled(True)
