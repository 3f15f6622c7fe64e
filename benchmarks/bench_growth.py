"""How time grows with series, timepoints and channels."""

import pytest

from .conftest import fitted, random_walks

N_SERIES = (64, 256, 1024)
N_TIMEPOINTS = (1_000, 3_000, 10_000, 30_000, 100_000)
N_CHANNELS = (10, 32, 100, 320, 1_000)


def panel_of(axis, size):
    if axis == "n_series":
        return random_walks(size, 1, 150)
    if axis == "n_timepoints":
        return random_walks(4, 1, size)
    return random_walks(4, size, 100)


CASES = [
    (axis, size)
    for axis, sizes in (
        ("n_series", N_SERIES),
        ("n_timepoints", N_TIMEPOINTS),
        ("n_channels", N_CHANNELS),
    )
    for size in sizes
]


@pytest.mark.parametrize(("axis", "size"), CASES)
def test_fit(measure, axis, size):
    X = panel_of(axis, size)
    # Eight series a step: one pass over n series takes n / 8 steps.
    settings = {"batch_size": min(8, len(X)), "early_stopping": False}
    measure(lambda: fitted(X, **settings), rounds=3, axis=axis, size=size)


@pytest.mark.parametrize(("axis", "size"), CASES)
def test_transform(measure, axis, size):
    X = panel_of(axis, size)
    mug = fitted(X)
    measure(lambda: mug.transform(X), rounds=3, axis=axis, size=size)
