"""
Streams and alarms
==================

A machine sends windows of its vibration, chunk by chunk. `partial_fit` learns from them
and keeps a sample only, a detector of novelties learns what is normal, and windows that
neither has seen set the threshold, so that the rate of false alarms is chosen before
the first fault.
"""

# %%
# A machine, simulated
# --------------------
# Speed and load change from window to window, and a window begins anywhere in a turn.
# A worn bearing adds impacts in a rhythm of their own, each of which rings for a while.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.svm import OneClassSVM

from mug_sklearn import MUGTransformer

N_TIMEPOINTS = 128
rng = np.random.default_rng(0)


def vibration(n_windows, wear=0.0):
    """Windows of shape (n_windows, 128); `wear` is the height of the impacts."""
    t = np.arange(N_TIMEPOINTS)
    speed = rng.uniform(0.9, 1.1, (n_windows, 1))
    load = rng.uniform(0.7, 1.3, (n_windows, 1))
    turn = (0.03 * speed * t + rng.random((n_windows, 1))) % 1
    teeth = (0.11 * speed * t + rng.random((n_windows, 1))) % 1
    X = load * (np.sin(2 * np.pi * turn) + 0.5 * np.sin(2 * np.pi * teeth))
    between_impacts = 37 / speed
    since_impact = (t + between_impacts * rng.random((n_windows, 1))) % between_impacts
    ringing = np.exp(-since_impact / 4) * np.sin(2 * np.pi * 0.3 * since_impact)
    noise = 0.2 * rng.standard_normal(X.shape)
    return X + np.reshape(wear, (-1, 1)) * ringing + noise


fig, axes = plt.subplots(2, sharex=True, layout="constrained")
for ax, wear in zip(axes, (0.0, 1.0), strict=True):
    ax.plot(vibration(3, wear).T)
    ax.set(title=f"three windows, wear {wear:.0f}", ylabel="vibration")
axes[-1].set_xlabel("timepoint")

# %%
# Learn from the stream
# ---------------------
# Each call trains on its chunk alone, and then fits shapelets and readout anew, on a
# sample of all windows so far. The embedding changes with each call: what is to be
# compared must be embedded after the last one.

mug = MUGTransformer(max_epochs=2, random_state=0)
for _ in range(3):
    mug.partial_fit(vibration(200))
print(f"{mug.n_series_seen_} windows seen")

# %%
# What is normal, and when to sound the alarm
# -------------------------------------------
# The detector learns from 300 windows. Its scores of 400 others set the threshold: the
# score that one in a hundred of them reaches. Scores of the windows that the detector
# was fitted on would not do, as they are lower than those of new ones.

FALSE_ALARMS = 0.01
learnt, held_out = vibration(300), vibration(400)


def one_class(vectors, new_vectors):
    """Scores of a one-class SVM, the higher the less like `vectors`."""
    return -OneClassSVM(nu=0.1).fit(vectors).score_samples(new_vectors)


def distance_to_mean(vectors, new_vectors):
    """Mahalanobis distances to the mean, with a shrunken covariance."""
    return LedoitWolf().fit(vectors).mahalanobis(new_vectors)


def spectrum(X):
    """Logarithm of the amplitude at each frequency."""
    return np.log(0.1 + np.abs(np.fft.rfft(X * np.hanning(N_TIMEPOINTS))))


# %%
# The bearing wears
# -----------------
# 500 normal windows, then 500 of a wear that grows from 0 to 1.5.

wear = np.linspace(0, 1.5, 500)
watched = np.concatenate((vibration(500), vibration(500, wear)))
inputs = {"MUG": mug.transform, "raw values": np.asarray, "spectrum": spectrum}
detectors = {"one-class SVM": one_class, "distance to mean": distance_to_mean}
print(f"{'':<27} false alarms, alarms by fifths of the wear")
fig, (shown, rates) = plt.subplots(2, figsize=(6.4, 6), layout="constrained")
for name, vectors_of in inputs.items():
    normal, others, new = map(vectors_of, (learnt, held_out, watched))
    for detector, scores_of in detectors.items():
        scores = scores_of(normal, np.concatenate((others, new)))
        held_out_scores, watched_scores = np.split(scores, [len(others)])
        threshold = np.quantile(held_out_scores, 1 - FALSE_ALARMS, method="higher")
        alarm = watched_scores > threshold
        by_wear = alarm[500:].reshape(5, 100).mean(axis=1)
        found = " ".join(f"{rate:.2f}" for rate in by_wear)
        print(f"{name:<10} {detector:<16} {alarm[:500].mean():.3f}   {found}")
        fifths = wear.reshape(5, 100).mean(axis=1)
        rates.plot(fifths, by_wear, "o-", label=f"{name}, {detector}")
        if (name, detector) == ("MUG", "one-class SVM"):
            shown.plot(watched_scores, ".", markersize=3)
            shown.axhline(threshold, color="gray", label="threshold")
            shown.axvline(500, color="gray", ls="--", label="wear begins")
shown.set(title="MUG, one-class SVM", xlabel="window", ylabel="score")
shown.legend()
rates.set(xlabel="wear", ylabel="share of windows with an alarm")
rates.legend(fontsize="small")

# %%
# What to make of it
# ------------------
# One false alarm in a hundred windows was asked for, and all come near it: 400 held-out
# windows leave that much to chance. How much is found depends on input and detector
# together. The one-class SVM finds most in the embedding, and hardly anything in raw
# values. Those need the distance to the mean, which then finds a little more, at more
# false alarms: here the normal windows are sums of two waves and noise, of which a
# covariance says much. So try both, on a few faults that you know. The threshold needs
# none of them.

plt.show()
