"""Devices: their names and precision, threads, shortage of memory."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Lock, local
from typing import Any

import torch
from threadpoolctl import OpenBLASController, get_cached_controller


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn the `device` parameter into a device.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes the first of CUDA, XPU, MPS and CPU that is available; anything
        else is a torch device name such as "cpu" or "cuda:1".

    Raises
    ------
    ValueError
        If torch does not know the name, or the device is not available.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if str(device) == "cpu":
        return torch.device("cpu")  # without asking drivers, which may be broken
    available = [name for name in ("cuda", "xpu", "mps") if _is_available(name)]
    if device == "auto":
        return torch.device(available[0] if available else "cpu")
    accepted = f"'auto', 'cpu'{''.join(f', {name!r}' for name in available)}"
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(
            f"device={device!r} is no torch device; accepted here: {accepted}."
        ) from None
    counts = {"cpu": 1} | {
        name: getattr(torch, name).device_count() for name in available
    }
    # torch may turn an index that is too large into a negative one.
    if not 0 <= (resolved.index or 0) < counts.get(resolved.type, 0):
        raise ValueError(
            f"device={device!r} is not available; accepted here: {accepted}."
        )
    return resolved


def trains_in_half_precision(device: torch.device, precision: str) -> bool:
    """Whether a network is trained in bfloat16 on `device`."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type != "cuda":
        return False
    # torch looks at the current device, for which -1 stands.
    with torch.cuda.device(-1 if device.index is None else device.index):
        return torch.cuda.is_bf16_supported(including_emulation=False)


def double_precision_device(device: torch.device) -> torch.device:
    """Device to compute on in double precision, for tensors on `device`.

    That is the CPU if `device` may lack it, as Apple's and some of Intel's devices do.
    """
    return device if device.type in {"cpu", "cuda"} else torch.device("cpu")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that a device, or the CPU, ran out of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # torch raises plain runtime errors on the CPU and on Apple's devices, and passes on
    # those of libraries.
    shortages = (
        "can't allocate memory",
        "not enough memory",  # Windows
        "out of memory",
        "Invalid buffer size",  # Apple
        "could not create a primitive",  # oneDNN
        "bad_alloc",
        "STATUS_ALLOC_FAILED",  # cuBLAS, cuDNN
        "ERROR_OUT_OF_DEVICE_MEMORY",  # Intel
        "ERROR_OUT_OF_HOST_MEMORY",
    )
    return any(shortage in str(error) for shortage in shortages)


def _is_available(name: str) -> bool:
    if name == "mps":
        return torch.backends.mps.is_available()
    return bool(getattr(torch, name).is_available())


# Libraries behind numpy's and scipy's matrix products, and their numbers of threads.
_Threads = Sequence[tuple[Any, int]]
# What sets a precision of torch's matrix products, to the full one and to another.
_Precisions = Sequence[tuple[Callable[[str], None], str, str]]


class _Inside:
    """Whether this thread is in `repeatable_arithmetic`, and how many threads are."""

    this_thread = local()
    n_in_all = 0
    n_threads_outside = 1
    products_outside: _Threads = ()
    precisions_outside: _Precisions = ()
    lock = Lock()


def _product_threads() -> _Threads:
    libraries = get_cached_controller().select(user_api="blas").lib_controllers
    return [(library, library.num_threads) for library in libraries]


def _lowered_precisions() -> _Precisions:
    """Settings by which a caller lets torch multiply in less than single precision."""
    of_all: _Precisions = []
    try:
        precision = torch.get_float32_matmul_precision()
        if precision != "highest":
            of_all = [(torch.set_float32_matmul_precision, "highest", precision)]
    except RuntimeError:  # single backends differ, as they may since torch 2.9
        pass
    backends: Iterator[Any] = (
        getattr(backend, operation, None)
        for backend in (torch.backends.cuda, torch.backends.mkldnn)
        for operation in ("matmul", "conv")
    )
    of_each = [
        (partial(_set_precision, backend), "ieee", backend.fp32_precision)
        for backend in backends
        if hasattr(backend, "fp32_precision")
    ]
    is_lowered = any(outside not in ("none", "ieee") for _, _, outside in of_each)
    return [*of_all, *of_each] if of_all or is_lowered else []


def _set_precision(setting: Any, precision: str) -> None:
    setting.fp32_precision = "none"  # as that of all backends
    if setting.fp32_precision != precision:
        setting.fp32_precision = precision


def _set_threads(threads: _Threads) -> None:
    for library, n_threads in threads:
        library.set_num_threads(n_threads)
    # Otherwise only this thread could ever set them again.
    OpenBLASController.clear_controlling_thread()


def use_one_thread() -> None:
    """Let torch compute on one thread in the thread that calls this."""
    # At its first computation, or when it is asked, torch gives a new thread the number
    # that was set last by any thread, whatever the new one has set until then.
    torch.get_num_threads()
    torch.set_num_threads(1)


@contextmanager
def repeatable_arithmetic() -> Iterator[int]:
    """Compute on one CPU thread, in full precision, and restore the settings.

    Sums over several threads round in an order that depends on the number of threads.
    Training amplifies that, so a fit would depend on how many threads a process happens
    to have, such as inside a parallel grid search. So torch gets one thread, and so do
    the matrix products of numpy and of scipy, whose threads get in each other's way.
    Nor does a fit depend on `torch.set_float32_matmul_precision`, which lets products
    round to fewer digits.

    Yields
    ------
    n_threads : int
        Threads that torch was allowed until then; 1 inside another such block.
    """
    if getattr(_Inside.this_thread, "inside", False):
        yield 1
        return
    # torch has one setting for all future threads; only the first to enter sees it
    # unchanged. An interrupt may come anywhere, so changes are noted before being made.
    is_counted = False
    try:
        with _Inside.lock:
            is_first = _Inside.n_in_all == 0
            if is_first:
                _Inside.n_threads_outside = torch.get_num_threads()
                _Inside.products_outside = _product_threads()
                _Inside.precisions_outside = _lowered_precisions()
            is_counted = True
            _Inside.n_in_all += 1
            if is_first:
                before = _Inside.products_outside
                _set_threads([(library, 1) for library, _ in before])
                for set_precision, full, _ in _Inside.precisions_outside:
                    set_precision(full)
                # A library held by another thread did not change: do not restore it.
                _Inside.products_outside = [
                    (library, n) for library, n in before if library.num_threads < n
                ]
            use_one_thread()
        _Inside.this_thread.inside = True
        yield _Inside.n_threads_outside
    finally:
        _Inside.this_thread.inside = False
        if is_counted:
            with _Inside.lock:
                is_last = _Inside.n_in_all == 1
                try:
                    _restore_settings(is_last)
                except BaseException:  # an interrupt, before all was restored
                    _restore_settings(is_last)
                    raise
                finally:
                    _Inside.n_in_all -= 1


def _restore_settings(is_last: bool) -> None:
    """Restore this thread's settings, and those of all if no other one is inside."""
    if is_last:
        _set_threads(_Inside.products_outside)
        for set_precision, _, outside in _Inside.precisions_outside:
            set_precision(outside)
    torch.set_num_threads(_Inside.n_threads_outside)


def _forget_other_threads() -> None:
    """Let a forked process, which has one thread alone, know of no others inside."""
    is_inside = getattr(_Inside.this_thread, "inside", False)
    try:
        if _Inside.n_in_all and not is_inside:
            _restore_settings(is_last=True)
    finally:
        _Inside.n_in_all = int(is_inside)
        _Inside.lock.release()


if hasattr(os, "register_at_fork"):  # not on Windows
    # A fork waits until no thread changes settings: in the new process, nobody would
    # ever release the lock of one that does.
    os.register_at_fork(
        before=_Inside.lock.acquire,
        after_in_parent=_Inside.lock.release,
        after_in_child=_forget_other_threads,
    )


@contextmanager
def usual_modes(device: torch.device, training: bool) -> Iterator[None]:
    """Compute as torch does by default, whatever modes the caller has set.

    Autocast would change the results, and without gradients there is no training.

    Parameters
    ----------
    device : torch.device
        Where the network is.
    training : bool
        Whether gradients are needed inside.
    """
    with ExitStack() as modes:
        modes.enter_context(torch.inference_mode(not training))
        modes.enter_context(torch.set_grad_enabled(training))
        for kind in {device.type, "cpu"}:
            modes.enter_context(torch.autocast(kind, enabled=False))
        yield
