"""What the README and other pages promise."""

import re
from pathlib import Path

import numpy as np
import pytest

from mug_sklearn import _fitting, _reservoir, _settings
from mug_sklearn._inference import ACCELERATOR_BATCH, CPU_BATCH
from mug_sklearn._input_forms import MANY_PATCHES
from mug_sklearn.benchmark import protocol, report_figures
from mug_sklearn.nn import bank, readout
from mug_sklearn.pretraining import discovery, objectives, trainer, views

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


HOW, COST = "docs/how_mug_works.md", "docs/guide/memory_and_speed.md"


@pytest.mark.parametrize(
    ("file", "said", "number", "meant"),
    [
        (HOW, "averaged down to at most 16", _settings.SEGMENT_POINTS, 16),
        (HOW, "most 256 training series", _fitting.DISCOVERY_SERIES, 256),
        (HOW, "or a million values", _fitting.SAMPLE_VALUES, 2**20),
        (HOW, "at most 32 training", _fitting.CALIBRATION_SERIES, 32),
        (HOW, "a sample of 2,048 if", _fitting.READOUT_SERIES, 2048),
        (HOW, "32 training series are described", _fitting.CALIBRATION_SERIES, 32),
        (HOW, "0.03 + 0.97", readout.UNRELIABLE_SHARE, 0.03),
        (HOW, "raised to the power of 0.8", 1 - 2 * readout.WHITENING, 0.8),
        (HOW, "more than 2,048 timepoints", bank.SPLIT_TIMEPOINTS, 2048),
        (HOW, "smoothing is $3.2 / d$", objectives.RANK_SMOOTHING, 3.2),
        (HOW, "temperature 0.1", objectives.INFONCE_TEMPERATURE, 0.1),
        (HOW, "margin 0.5", objectives.TRIPLET_MARGIN, 0.5),
        (HOW, "weight decay of 0.0001", trainer.WEIGHT_DECAY, 1e-4),
        (HOW, "clipped to a norm of 4", trainer.GRADIENT_CLIP, 4),
        (HOW, "warm-up over a tenth of", trainer.WARM_UP_SHARE, 0.1),
        (HOW, "of standard deviation 0.1", views.SCALING, 0.1),
        (HOW, "a little noise (0.05)", views.JITTER, 0.05),
        (bank.__file__, "at most 2,048 timepoints", bank.SPLIT_TIMEPOINTS, 2048),
        (HOW, "sums of up to six", bank.MAX_MIXED_CHANNELS, 6),
        ("docs/guide/training.md", "up to 512 of", _reservoir.MOST_SERIES, 512),
        ("docs/guide/training.md", "4.2 million", _reservoir.MOST_VALUES, 2**22),
        (COST, "above 1,024 tokens", MANY_PATCHES, 1024),
        (COST, "256 series, at most 65,536", CPU_BATCH, (2**16, 256)),
        (
            "docs/performance.md",
            "or 2,097,152, on",
            ACCELERATOR_BATCH,
            (2**21, 2048),
        ),
        (discovery.__file__, "At most 2,048 segments", discovery.MAX_CANDIDATES, 2048),
        (protocol.__file__, "sample of 10,000 is", protocol.MOST_SERIES, 10_000),
        (protocol.__file__, "1e4 and infinity", protocol.GRID[-2:], (1e4, np.inf)),
        (report_figures.__file__, "not tell apart at 5 %", report_figures._ALPHA, 0.05),
        (protocol.__file__, "SVC(max_iter=100_000)", protocol.MAX_ITER, 100_000),
    ],
)
def test_numbers_that_are_told_are_those_of_the_code(file, said, number, meant):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert said in " ".join(text.split())
    assert number == meant
