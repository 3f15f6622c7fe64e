"""What the README and other pages promise."""

import re
from pathlib import Path

import pytest

from mug_sklearn import _fitting, _reservoir, _settings
from mug_sklearn._inference import ACCELERATOR_BATCH, CPU_BATCH
from mug_sklearn._input_forms import MANY_PATCHES
from mug_sklearn.nn import bank

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


@pytest.mark.parametrize(
    ("file", "said", "number", "meant"),
    [
        ("how_mug_works", "averaged down to at most 16", _settings.SEGMENT_POINTS, 16),
        (
            "how_mug_works",
            "most 256 training series",
            _fitting.DISCOVERY_SERIES,
            256,
        ),
        ("how_mug_works", "or a million values", _fitting.SAMPLE_VALUES, 2**20),
        ("how_mug_works", "at most 32 training", _fitting.CALIBRATION_SERIES, 32),
        ("how_mug_works", "a sample of 2,048 if", _fitting.READOUT_SERIES, 2048),
        ("how_mug_works", "sums of up to six", bank.MAX_MIXED_CHANNELS, 6),
        ("guide/training", "up to 512 of them or", _reservoir.MOST_SERIES, 512),
        ("guide/training", "or 4.2 million values", _reservoir.MOST_VALUES, 2**22),
        ("guide/memory_and_speed", "from 1,024 tokens on", MANY_PATCHES, 1024),
        (
            "guide/memory_and_speed",
            "256 series, at most 65",
            CPU_BATCH,
            (2**16, 256),
        ),
        ("performance", "(2,048, or 2,097,152,", ACCELERATOR_BATCH, (2**21, 2048)),
    ],
)
def test_numbers_in_the_documentation_are_those_of_the_code(file, said, number, meant):
    text = (ROOT / "docs" / f"{file}.md").read_text(encoding="utf-8")
    assert said in " ".join(text.split())
    assert number == meant
