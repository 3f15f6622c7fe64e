"""Replacing a user's file, all or nothing, whatever interrupts it."""

import os
from pathlib import Path

import pytest

from mug_sklearn._files import replaced_file


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
