"""
How MUG works, step by step
===========================

This example follows a series through a fitted `MUGTransformer`, with a picture of each
step. *Paper* is what the authors of MUG describe
(`arXiv:2312.07248 <https://arxiv.org/abs/2312.07248>`_), *ours* what this package adds.
"""

# %%
# 0. A panel of series
# --------------------
# GunPoint: a hand that draws a gun or points a finger, 150 timepoints. The transformer
# sees no labels. Each channel is standardised over the training set (ours).

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import rankdata
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mug_sklearn import MUGTransformer
from mug_sklearn.datasets import load_dataset
from mug_sklearn.plotting import (
    plot_cross_attention,
    plot_embedding,
    plot_loss_curve,
    plot_shapelets,
)

data = load_dataset("GunPoint")
mug = MUGTransformer(random_state=0).fit(data.X_train)
tokens = mug.transform_granularities(data.X_test)
for name, (vectors, _, spans) in tokens.items():
    n_series, n_tokens, width = vectors.shape
    print(f"{name:<7}{n_series} x {n_tokens} tokens of {width} features; ", end="")
    print(f"the first covers timepoints {spans[0, 0]} to {spans[0, 1] - 1}")

# %%
# 1. Fine-grained encoder
# -----------------------
# *Paper*: a transformer (TST) reads the timestamps. Its pretext task is to fill in
# values that were hidden from it. *Ours*: a series longer than 64 timepoints is cut
# into patches, here of three timepoints, so that each token is one patch.


def plot_tokens(ax, name, series=0):
    """Draw the tokens of one series as a heat map over its timepoints."""
    vectors, _, spans = tokens[name]
    ax.imshow(
        vectors[series].T,
        aspect="auto",
        origin="lower",
        extent=(spans[0, 0], spans[-1, 1], 0, vectors.shape[2]),
        cmap="RdBu",
        vmin=-3,
        vmax=3,
    )
    ax.set(title=f"{name} tokens, red is -3 and blue is 3", ylabel="feature")


fig, axes = plt.subplots(2, sharex=True, layout="constrained")
axes[0].plot(data.X_test[0, 0])
axes[0].set(title="first test series", ylabel="value")
plot_tokens(axes[1], "fine")
axes[1].set_xlabel("timepoint")

# %%
# 2. Coarse-grained encoder
# -------------------------
# *Paper*: segments of several lengths slide over the series, and a dilated causal
# convolutional network gives each a vector (ShapeNet). A triplet loss draws segments of
# one cluster together. The bars are the segments; one bar is one coarse token. *Ours*:
# the network runs once over the whole series, not once for each segment.

spans = tokens["coarse"].spans
fig, ax = plt.subplots(layout="constrained")
ax.barh(np.arange(len(spans)), spans[:, 1] - spans[:, 0], left=spans[:, 0])
ax.set(xlabel="timepoint", ylabel="segment", title="segments of a series")

# %%
# *Paper*: typical segments, which are near the centre of a cluster and unlike the
# others, become shapelets. A series is described by how near it comes to each of them.
# The picture shows one of each length, on the test series that matches it best. *Ours*:
# beside them stands a bank of random shapelets, which are drawn and not learnt; on many
# data sets they do most of the work. What is dotted lies beyond the end of the series.

plot_shapelets(mug, data.X_test, n_shapelets=3)

# %%
# 3. Fine-grained fusion
# ----------------------
# *Paper*: the timestamps attend to each other, and each takes up what it finds.

fig, axes = plt.subplots(2, sharex=True, layout="constrained")
plot_tokens(axes[0], "fine")
plot_tokens(axes[1], "fused")
axes[1].set_xlabel("timepoint")

# %%
# 4. Cross-granularity transformer
# --------------------------------
# *Paper*: each fused timestamp asks the segments. The timestamp is the query, the
# segments are keys and values; then Add & Norm, feed-forward, Add & Norm. The results
# are the "multi" tokens. The picture shows which segments the timestamps drew on.

plot_cross_attention(mug, data.X_test, series=0)

# %%
# 5. Retrieval
# ------------
# *Paper*: the mean of the fused tokens is a query, the mean of the multi tokens a key.
# Each query must find the key of its own series among those of the batch; the score is
# Spearman's rank correlation. *Ours*: in training, query and key come from two
# augmented views of a series. Here they come from the series as it is, which is easier.


def pooled(representation):
    """Mean token of each series."""
    vectors, mask, _ = representation
    return vectors.sum(axis=1) / mask.sum(axis=1, keepdims=True)


def spearman(queries, keys):
    """Spearman correlation of each query with each key."""
    ranks = [rankdata(part, axis=1) for part in (queries, keys)]
    return np.corrcoef(*ranks)[: len(queries), len(queries) :]


def share_found(scores, batch_size):
    """Share of queries whose own key scores highest, among batches of keys."""
    found = []
    for start in range(0, len(scores) - batch_size + 1, batch_size):
        batch = scores[start : start + batch_size, start : start + batch_size]
        found.extend(batch.argmax(axis=1) == np.arange(batch_size))
    return np.mean(found)


untrained = MUGTransformer(max_epochs=0, random_state=0).fit(data.X_train)
untrained_tokens = untrained.transform_granularities(data.X_test)
fig, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
stages = {"before training": untrained_tokens, "after training": tokens}
for ax, (stage, found) in zip(axes, stages.items(), strict=True):
    scores = spearman(pooled(found["fused"]), pooled(found["multi"]))
    print(f"{stage}: own series found among 8: {share_found(scores, 8):.0%}, ", end="")
    print(f"among {len(scores)}: {share_found(scores, len(scores)):.0%}")
    image = ax.imshow(scores[:30, :30], cmap="viridis")
    fig.colorbar(image, ax=ax, shrink=0.6, label="Spearman correlation")
    ax.set(title=stage, xlabel="key of series", ylabel="query of series")

# %%
# Chance is one in 8, the size of a batch in training, and one in 150. After training
# the scores spread far wider: series that move alike have similar keys, and those that
# do not score below zero. Among similar series, a series' own key stands out only a
# little, and with another random state the untrained network may find as many.

# %%
# 6. Loss
# -------
# *Paper*: binary cross-entropy of these scores, trained jointly with the pretext tasks
# of the two encoders. *Ours*: the weights between the terms, and a retrieval of single
# tokens (after TS2Vec).

plot_loss_curve(mug)

# %%
# 7. Embedding
# ------------
# *Paper*: the multi tokens are the representation. *Ours*: `transform` joins pooled
# tokens of all granularities with the features of the shapelets and of the bank, and
# rotates them onto their principal axes. ``readout="cross"`` keeps to the pooled multi
# tokens.

embedding = mug.transform(data.X_test)
plot_embedding(embedding, data.y_test)

# %%
# The test accuracy of `SVC()` shows what each part knows of the classes. Of the mean
# tokens, only the coarse one knows much. The whole embedding is ahead of them all, and
# so is that of the untrained network, whose shapelets and bank need no training: on
# this data set, they make the difference. The benchmark shows where training pays.

train_tokens = mug.transform_granularities(data.X_train)
inputs = {
    f"mean {name} token": (pooled(train_tokens[name]), pooled(tokens[name]))
    for name in tokens
}
for name, estimator in {"": mug, ", untrained": untrained}.items():
    vectors = estimator.transform(data.X_train), estimator.transform(data.X_test)
    inputs[f"whole embedding{name}"] = vectors
for name, (train, test) in inputs.items():
    classifier = make_pipeline(StandardScaler(), SVC()).fit(train, data.y_train)
    print(f"{name:<27}{classifier.score(test, data.y_test):.3f}")

plt.show()
