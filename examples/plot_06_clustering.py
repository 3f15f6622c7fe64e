"""
Clustering
==========

k-means needs vectors in which near means alike. This example clusters the embedding
and the raw values of two data sets and compares the clusters with the true classes.
"""

# %%
# Clusters against classes
# ------------------------
# The adjusted Rand index is 1 where clusters and classes are the same, and about 0
# where they have nothing to do with each other. The number of clusters is given. The
# encoder learns from the training series, in five epochs to be quick; the test series
# are clustered.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.svm import SVC

from mug_sklearn import MUGTransformer
from mug_sklearn.datasets import load_dataset
from mug_sklearn.plotting import plot_embedding


def rand_indices(vectors, y):
    """Adjusted Rand indices of k-means from ten random states."""
    n_clusters = len(np.unique(y))
    return np.array(
        [
            adjusted_rand_score(
                y, KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(vectors)
            )
            for seed in range(10)
        ]
    )


embeddings = {}
for name in ("BasicMotions", "ItalyPowerDemand"):
    data = load_dataset(name)
    mug = MUGTransformer(max_epochs=5, random_state=0).fit(data.X_train)
    embeddings[name] = mug.transform(data.X_test)
    vectors = {
        "MUG": embeddings[name],
        "raw values": data.X_test.reshape(len(data.X_test), -1),
    }
    for method, values in vectors.items():
        scores = rand_indices(values, data.y_test)
        print(f"{name:<17} {method:<11} {scores.mean():z.3f} ± {scores.std():.3f}")

# %%
# Why one works and the other does not
# ------------------------------------
# In BasicMotions, someone wears a motion sensor: walking, running, standing, playing
# badminton. The movements are periodic and start anywhere, so that the raw values of
# two walks have little in common at any one timepoint. The embedding depends less on
# where a pattern starts, and the classes are its clusters.

data = load_dataset("BasicMotions")
plot_embedding(embeddings["BasicMotions"], data.y_test)

# %%
# In ItalyPowerDemand, the classes are days of winter and of summer. k-means cuts the
# days in two by the largest difference between them, which is a different one: both
# clusters hold days of both classes. No representation can know which difference is
# asked for. With labels it is another matter: a classifier on the same vectors is right
# on more than nine days in ten.

data = load_dataset("ItalyPowerDemand")
classifier = SVC().fit(mug.transform(data.X_train), data.y_train)
accuracy = classifier.score(embeddings["ItalyPowerDemand"], data.y_test)
print(f"with the labels of the training days, SVC() is right on {accuracy:.1%}")

days = data.X_test[:, 0]
clusters = KMeans(2, n_init=10, random_state=0).fit_predict(
    embeddings["ItalyPowerDemand"]
)
fig, axes = plt.subplots(1, 2, sharey=True, figsize=(8, 3.5), layout="constrained")
groupings = {"class": data.y_test, "k-means cluster": clusters}
for ax, (grouping, groups) in zip(axes, groupings.items(), strict=True):
    for group in np.unique(groups):
        ax.plot(days[groups == group].mean(axis=0), ".-", label=group)
    ax.legend(title=grouping)
    ax.set(xlabel="hour", title=f"mean day of each {grouping}")
axes[0].set_ylabel("demand, standardised")

plt.show()
