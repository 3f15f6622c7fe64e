"""
Heartbeats that look alike at one granularity
=============================================

MUG was made for classes that are easily confused when one looks at the timestamps alone
or at the segments alone. This example makes heartbeats of four such classes and
compares the granularities one by one.
"""

# %%
# Synthetic heartbeats
# --------------------
# A beat of an electrocardiogram is a sequence of waves called P, Q, R, S and T. As in
# the model of McSharry et al. (IEEE Transactions on Biomedical Engineering, 2003), each
# is a Gaussian bump at its own place. Two things may be wrong with a beat:
#
# - **ST depression**: the stretch between S and T lies lower. It is broad and flat.
# - **Late potentials**: a short, quick oscillation just after the QRS complex. Its
#   phase is random, so that it has no value of its own at any one timepoint, and its
#   mean is zero.
#
# That makes four classes: neither, one, the other, both. The height of each wave, the
# height of the whole beat, the heart rate and the beat's place in the window vary from
# beat to beat, and there is noise.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.svm import SVC

from mug_sklearn import MUGTransformer

# Seconds from R, width in seconds, height in millivolt.
WAVES = {
    "P": (-0.200, 0.025, 0.12),
    "Q": (-0.028, 0.010, -0.12),
    "R": (0.0, 0.011, 1.0),
    "S": (0.028, 0.010, -0.22),
    "T": (0.250, 0.050, 0.28),
}
CLASSES = ["normal", "late potentials", "ST depression", "both"]
TIME = np.linspace(-0.4, 0.6, 100)


def heartbeat(has_depression, has_late_potentials, rng):
    """One beat of 100 timepoints in one second."""
    time = TIME - rng.normal(0, 0.01)
    stretch = np.sqrt(rng.normal(1, 0.08))  # a slower heart has later T waves
    beat = np.zeros_like(time)
    for name, (centre, width, height) in WAVES.items():
        if name in "PT":
            centre = centre * stretch
        height = height * rng.normal(1, 0.1)
        beat += height * np.exp(-0.5 * ((time - centre) / width) ** 2)
    if has_depression:
        depth = 0.07 * rng.normal(1, 0.2)
        beat -= depth * np.exp(-0.5 * ((time - 0.13) / 0.05) ** 2)
    if has_late_potentials:
        envelope = np.exp(-0.5 * ((time - 0.07) / 0.015) ** 2)
        phase = rng.uniform(0, 2 * np.pi)
        beat += 0.2 * envelope * np.sin(2 * np.pi * 25 * time + phase)
    return beat * rng.normal(1, 0.12) + 0.02 * rng.standard_normal(len(time))


def heartbeats(n_beats, rng):
    """Beats of the four classes in equal numbers, and their classes."""
    y = np.arange(n_beats) % len(CLASSES)
    return np.stack([heartbeat(one // 2, one % 2, rng) for one in y]), y


rng = np.random.default_rng(0)
X_train, y_train = heartbeats(120, rng)
X_test, y_test = heartbeats(200, rng)

fig, axes = plt.subplots(2, 2, sharex=True, sharey=True, layout="constrained")
for index, ax in enumerate(axes.flat):
    ax.plot(TIME, X_train[y_train == index][:6].T, color="#2A85C4", alpha=0.5)
    ax.set_title(CLASSES[index])
for ax in axes[1]:
    ax.set_xlabel("seconds from R")
for ax in axes[:, 0]:
    ax.set_ylabel("millivolt")

# %%
# One granularity, the other, both
# --------------------------------
# "fine" is the timestamp encoder alone (TST), "coarse" the segment encoder alone
# (ShapeNet), "multi" all of MUG. To the coarse side the package adds a bank of random
# shapelets, which the paper does not have; the last two rows leave it out. To be quick,
# the fits take two epochs and single precision. An SVM and a logistic regression judge
# each embedding; the two rightmost columns say how often the SVM is right about each of
# the two abnormalities.

encoders = {
    "fine": {"granularity": "fine"},
    "coarse": {"granularity": "coarse"},
    "multi": {"granularity": "multi"},
    "coarse, without bank": {"granularity": "coarse", "n_random_shapelets": 0},
    "multi, without bank": {"granularity": "multi", "n_random_shapelets": 0},
}


def embeddings(settings):
    """Embeddings of the training and of the test beats."""
    mug = MUGTransformer(max_epochs=2, precision="float32", random_state=0, **settings)
    mug.fit(X_train)
    return mug.transform(X_train), mug.transform(X_test)


inputs = {"raw values": (X_train, X_test)}
inputs.update((name, embeddings(settings)) for name, settings in encoders.items())
predictions = {}
print(f"{'':<24}{'SVC':>7}{'logistic':>10}{'ST':>7}{'late':>7}")
for name, (train, test) in inputs.items():
    predicted = SVC().fit(train, y_train).predict(test)
    logistic = LogisticRegression(max_iter=5000).fit(train, y_train)
    accuracy = np.mean(predicted == y_test)
    depression = np.mean(predicted // 2 == y_test // 2)
    late = np.mean(predicted % 2 == y_test % 2)
    linear = logistic.score(test, y_test)
    print(f"{name:<24}{accuracy:>7.3f}{linear:>10.3f}{depression:>7.3f}{late:>7.3f}")
    predictions[name] = predicted

# %%
# Who is confused with whom
# -------------------------
# With raw values or the fine encoder alone, the SVM hardly notices the late potentials;
# with the coarse encoder it does, mostly thanks to the random shapelets of the bank.
# Both granularities together are better for it than either alone, with the bank and
# without it. The logistic regression does better on every embedding, and with the bank
# it is at least as good on the coarse granularity alone: the gain of "multi" depends on
# the classifier. These are results for one draw of artificial beats; they say nothing
# about diagnosing real ones.

fig, axes = plt.subplots(1, 3, figsize=(10, 4.7), sharey=True, layout="constrained")
for ax, name in zip(axes, ("fine", "coarse", "multi"), strict=True):
    ConfusionMatrixDisplay.from_predictions(
        y_test,
        predictions[name],
        display_labels=CLASSES,
        xticks_rotation="vertical",
        colorbar=False,
        cmap="Blues",
        im_kw={"vmin": 0, "vmax": 80},  # all 50 beats of a class are still light
        text_kw={"color": "black"},
        ax=ax,
    )
    ax.set_title(name)
    ax.set_ylabel("true class" if ax is axes[0] else "")
    ax.set_xlabel("predicted class")

plt.show()
