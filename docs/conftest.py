"""The pages' examples are doctests; each page runs in an empty folder."""

import pytest

# Only pages hold tests: to import a script would run it.
collect_ignore_glob = ["**/*.py", "*.py"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
