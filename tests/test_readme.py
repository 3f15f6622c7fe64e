"""What the README promises."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_first_example_prints_what_it_shows(capsys):
    code, shown = re.search(
        r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL
    ).groups()
    exec(code, {})
    assert float(capsys.readouterr().out) == pytest.approx(float(shown), abs=0.01)


def test_links_lead_to_files():
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", README)
    local = [link for link in links if "://" not in link]
    assert len(local) > 8
    assert [link for link in local if not (ROOT / link).exists()] == []


def test_files_that_contributing_names_are_there():
    names = re.findall(r"`((?:mug_sklearn|tests|examples)/[\w/.]+)`", CONTRIBUTING)
    assert len(names) > 8
    assert [name for name in names if not (ROOT / name).exists()] == []
