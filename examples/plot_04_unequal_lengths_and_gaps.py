"""
Unequal lengths and missing values
==================================

Series of unequal length go in as a list of arrays, and NaN is a missing value. Both are
masked inside the network: nothing is cut, padded or filled in beforehand. This example
cuts values out of JapaneseVowels and measures what that costs.

To be quick, the fits are shortened to one epoch.
"""

# %%
# Series of unequal length
# ------------------------
# Nine speakers, 12 channels, 7 to 29 timepoints.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from mug_sklearn import MUGTransformer
from mug_sklearn.datasets import load_dataset

data = load_dataset("JapaneseVowels")
lengths = [one.shape[1] for one in [*data.X_train, *data.X_test]]
print(f"{len(data.X_train)} training series, first two:", end=" ")
print(data.X_train[0].shape, data.X_train[1].shape)
print(f"lengths from {min(lengths)} to {max(lengths)}")

mug = MUGTransformer(max_epochs=1, random_state=0)
model = make_pipeline(mug, SVC())
model.fit(data.X_train, data.y_train)
complete = model.score(data.X_test, data.y_test)
print(f"test accuracy: {complete:.3f}")

# %%
# Cut values out
# --------------
# This is done in two ways: single values at random, and one block of neighbouring
# timepoints in every channel, each at its own place.


def without_values(series, share, rng):
    """Replace a share of all values by NaN, each on its own."""
    return np.where(rng.random(series.shape) < share, np.nan, series)


def without_block(series, share, rng):
    """Replace a run of timepoints by NaN, in each channel at its own place."""
    series = series.copy()
    length = round(share * series.shape[1])
    for channel in series:
        start = rng.integers(series.shape[1] - length + 1)
        channel[start : start + length] = np.nan
    return series


rng = np.random.default_rng(0)
plt.style.use("tableau-colorblind10")
fig, axes = plt.subplots(3, sharex=True, layout="constrained")
shown = {
    "complete": data.X_test[0],
    "half of the values missing": without_values(data.X_test[0], 0.5, rng),
    "half of each channel missing in a block": without_block(data.X_test[0], 0.5, rng),
}
for ax, (title, series) in zip(axes, shown.items(), strict=True):
    ax.plot(series[:4].T, ".-")
    ax.set(title=title, ylabel="value")
axes[-1].set_xlabel("timepoint (4 of 12 channels)")

# %%
# Gaps in the test series only
# ----------------------------
# The model above was fitted on complete series. The comparison fills the gaps by linear
# interpolation first, and gives the filled series to the same model.


def interpolated(series):
    """Fill the gaps of each channel; a channel without any value becomes 0."""
    filled = np.zeros_like(series)
    time = np.arange(series.shape[1])
    for row, channel in zip(filled, series, strict=True):
        known = np.isfinite(channel)
        if known.any():
            row[:] = np.interp(time, time[known], channel[known])
    return filled


shares = (0.0, 0.1, 0.3, 0.5)
fig, axes = plt.subplots(1, 2, sharey=True, figsize=(8, 3.5), layout="constrained")
print("share missing                  " + "".join(f"{share:>7.1f}" for share in shares))
for ax, cut in zip(axes, (without_values, without_block), strict=True):
    masked, filled = [complete], [complete]
    for share in shares[1:]:
        X = [cut(series, share, rng) for series in data.X_test]
        masked.append(model.score(X, data.y_test))
        filled.append(model.score([interpolated(one) for one in X], data.y_test))
    for name, scores in (("NaN as it is", masked), ("interpolated", filled)):
        line = "".join(f"{score:>7.3f}" for score in scores)
        print(f"{cut.__name__:<15} {name:<15}{line}")
        ax.plot(shares, scores, "o-", label=name)
    ax.set(title=cut.__name__.replace("_", " "), xlabel="share missing in the test set")
axes[0].set_ylabel("test accuracy")
axes[0].legend()

# %%
# A tenth missing costs next to nothing. With half missing, interpolation is ahead:
# these series are smooth, so a straight line is a good guess of what is missing, and
# masking makes no guess. A block is harder to fill than single values, because the
# values beside it tell less about it. Where you know that your series are smooth and
# the gaps short, fill them; where a guess would be an invention, leave NaN.

# %%
# Gaps in the training series too
# -------------------------------
# Where you expect gaps, you can train with gaps: encoder and classifier then learn from
# series like those that they will meet. Here that regains up to half of what is lost.

X_train = [without_values(series, 0.5, rng) for series in data.X_train]
X_test = [without_values(series, 0.5, rng) for series in data.X_test]
with_gaps = clone(model).fit(X_train, data.y_train)
print("half of the test values missing")
print(f"trained on complete series:    {model.score(X_test, data.y_test):.3f}")
print(f"trained with half missing too: {with_gaps.score(X_test, data.y_test):.3f}")

plt.show()
