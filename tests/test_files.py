"""Replacing a user's file, all or nothing, whatever interrupts it."""

import errno
import os
from pathlib import Path

import pytest

from mug_sklearn._files import replaced_file

from .conftest import small_mug


def test_an_interrupt_before_the_temporary_file_leaves_all_as_it_was(
    tmp_path, monkeypatch
):
    path = tmp_path / "model"
    path.write_text("before")

    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "touch", interrupted)
    with pytest.raises(KeyboardInterrupt), replaced_file(path):
        raise AssertionError("nothing was there to write to")
    assert [one.name for one in tmp_path.iterdir()] == ["model"]
    assert path.read_text() == "before"


def test_an_interrupt_just_after_the_replacement_stays_one(tmp_path, monkeypatch):
    path = tmp_path / "model"
    replace = os.replace

    def interrupted_late(source, target):
        replace(source, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted_late)
    with pytest.raises(KeyboardInterrupt), replaced_file(path) as temporary:
        temporary.write_text("after")
    assert [one.name for one in tmp_path.iterdir()] == ["model"]
    assert path.read_text() == "after"


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_what_cannot_be_written_is_named_and_leaves_the_file_as_it_was(tmp_path, panel):
    resource = pytest.importorskip("resource")
    mug = small_mug(max_epochs=0).fit(panel)
    path = tmp_path / "model"
    path.write_text("before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match=r"model' is not written: .*File too large"):
            mug.save(path)
        with (
            pytest.raises(OSError, match="model' is not written: File") as caught,
            replaced_file(path) as temporary,
        ):
            temporary.write_bytes(bytes(2000))
        assert caught.value.errno == errno.EFBIG
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [one.name for one in tmp_path.iterdir()] == ["model"]
    assert path.read_text() == "before"


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_link_to_itself_is_replaced(tmp_path):
    path = tmp_path / "model"
    path.symlink_to(path)
    with replaced_file(path) as temporary:
        temporary.write_text("after")
    assert path.read_text() == "after"


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_nobody_else_reads_a_file_while_it_is_written(tmp_path):
    path = tmp_path / "model"
    for mode in (0o600, 0o640):
        path.touch()
        path.chmod(mode)
        with replaced_file(path) as temporary:
            assert temporary.stat().st_mode & 0o777 == 0o600
            temporary.write_text("after")
        assert path.stat().st_mode & 0o777 == mode
