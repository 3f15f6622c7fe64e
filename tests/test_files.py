"""Replacing a user's file, all or nothing, whatever interrupts it."""

import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mug_sklearn._files import check_replaceable, replaced_file

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
        with pytest.raises(OSError, match=r"^'.*model' is not written: .*File too"):
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


def test_a_drive_without_permissions_is_written_to(tmp_path, monkeypatch):
    def refused(path, mode):  # as Linux does on a FAT drive
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "chmod", refused)
    path = tmp_path / "model"
    for content in ("new", "replaced"):
        with replaced_file(path) as temporary:
            temporary.write_text(content)
        assert path.read_text() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o644, 0o444])
def test_a_file_that_windows_does_not_replace_stays(tmp_path, monkeypatch, mode):
    unlink = Path.unlink

    def denied(source, target):  # the target is read-only, or open elsewhere
        raise PermissionError(errno.EACCES, "Access is denied", source, None, target)

    def unlink_as_on_windows(path, missing_ok=False):
        if not path.stat().st_mode & 0o200:
            raise PermissionError(errno.EACCES, "Access is denied", str(path))
        unlink(path, missing_ok)

    path = tmp_path / "model"
    path.write_text("before")
    path.chmod(mode)
    monkeypatch.setattr(os, "replace", lambda *paths: denied(*map(str, paths)))
    monkeypatch.setattr(Path, "unlink", unlink_as_on_windows)
    with (
        pytest.raises(PermissionError, match="model' is not written: Access is denied"),
        replaced_file(path) as temporary,
    ):
        temporary.write_text("after")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "before"


def test_a_read_only_file_is_refused_on_windows_alone(tmp_path, monkeypatch):
    def read_only(path, mode):  # the superuser may open it all the same
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    path = tmp_path / "model"
    path.touch()
    monkeypatch.setattr(Path, "open", read_only)
    monkeypatch.setattr(sys, "platform", "linux")
    check_replaceable(path, "--save", {})
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ValueError, match=r"--save cannot be written, .*Permission"):
        check_replaceable(path, "--save", {})


def test_a_folder_that_is_not_written_to_is_told_at_once(tmp_path, monkeypatch):
    def refused(path, *arguments, **settings):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    # As on Windows, where tempfile, if asked, takes any refusal for a name in use.
    windows = {"name": "nt", "open": refused, "access": lambda *_: True}
    windows |= {"O_TEMPORARY": 0}
    monkeypatch.setattr("tempfile._os", SimpleNamespace(**vars(os) | windows))
    monkeypatch.setattr("tempfile.TMP_MAX", 10)  # which has ten digits there
    monkeypatch.setattr(Path, "touch", refused)
    with pytest.raises(ValueError, match=r"--save cannot be written, .*Permission"):
        check_replaceable(tmp_path / "model", "--save", {})
