"""
Anomaly detection
=================

Fit encoder and detector on normal series only, then score new ones: here with an
isolation forest, the local outlier factor and the distance to the nearest normal
series. What is best depends on the data; on one of the two data sets the raw values
win.
"""

# %%
# What counts as normal
# ---------------------
# Classification sets serve as a test bed: one class is taken as abnormal and is left
# out of training.
#
# - BasicMotions: walking, running and standing are normal, badminton is not.
# - ItalyPowerDemand: winter days are normal, summer days are not.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from mug_sklearn import MUGTransformer
from mug_sklearn.datasets import load_dataset


def normal_and_mixed(name, abnormal, n_normal):
    """Split a data set: normal series to learn from, and a mixture to score."""
    data = load_dataset(name)
    X = np.concatenate((data.X_train, data.X_test))
    is_abnormal = np.concatenate((data.y_train, data.y_test)) == abnormal
    rng = np.random.default_rng(0)
    normal = rng.permutation(np.flatnonzero(~is_abnormal))
    learnt, held_out = normal[:n_normal], normal[n_normal : 2 * n_normal]
    # A fifth as many abnormal series as normal ones.
    odd = rng.permutation(np.flatnonzero(is_abnormal))[: n_normal // 5]
    scored = np.concatenate((held_out, odd))
    return X[learnt], X[scored], is_abnormal[scored]


def nearest_distance(learnt, scored):
    """Distance of each row to its nearest neighbour among the normal ones."""
    neighbours = NearestNeighbors(n_neighbors=1).fit(learnt)
    return neighbours.kneighbors(scored)[0][:, 0]


def anomaly_scores(learnt, scored):
    """Scores of three detectors, the higher the more abnormal."""
    forest = IsolationForest(random_state=0).fit(learnt)
    factor = LocalOutlierFactor(n_neighbors=10, novelty=True).fit(learnt)
    return {
        "isolation forest": -forest.score_samples(scored),
        "local outlier factor": -factor.score_samples(scored),
        "nearest neighbour": nearest_distance(learnt, scored),
    }


# %%
# Area under the ROC curve
# ------------------------
# The chance that an abnormal series gets a higher score than a normal one: 0.5 is
# guessing, 1 is perfect. The encoders are trained for three epochs, to be quick.

fig, axes = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained")
tasks = {"BasicMotions": ("badminton", 30), "ItalyPowerDemand": ("2", 200)}
for ax, (name, (abnormal, n_normal)) in zip(axes, tasks.items(), strict=True):
    learnt, scored, is_abnormal = normal_and_mixed(name, abnormal, n_normal)
    print(f"{name}: {len(learnt)} normal series to learn from, ", end="")
    print(f"{len(scored)} to score, {is_abnormal.sum()} of them abnormal")
    mug = MUGTransformer(max_epochs=3, random_state=0).fit(learnt)
    inputs = {
        "MUG": (mug.transform(learnt), mug.transform(scored)),
        "raw values": (
            learnt.reshape(len(learnt), -1),
            scored.reshape(len(scored), -1),
        ),
    }
    for method, (normal_vectors, scored_vectors) in inputs.items():
        scores = anomaly_scores(normal_vectors, scored_vectors)
        for detector, score in scores.items():
            area = roc_auc_score(is_abnormal, score)
            print(f"   {method:<11} {detector:<21} {area:.3f}")
        if method == "MUG":
            distance = scores["nearest neighbour"]
            parts = [distance[~is_abnormal], distance[is_abnormal]]
            ax.hist(parts, bins=20, density=True, label=["normal", "abnormal"])
    ax.set(title=name, xlabel="distance to the nearest normal series (MUG)")
axes[0].set_ylabel("density")
axes[0].legend()

# %%
# How to read this
# ----------------
# The motions are periodic and start anywhere, so two recordings of walking may differ
# at every timepoint. There the embedding is far ahead with two of the three detectors;
# the local outlier factor finds little among so few series, on either input. The days
# are aligned by the clock and 24 values long: there the raw values win with all three
# detectors, most narrowly with the local outlier factor. So try both inputs and more
# than one detector, on a few abnormal series that you know.

plt.show()
