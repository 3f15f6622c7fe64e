"""
Quickstart: embed time series and classify them
===============================================

`MUGTransformer` learns, without labels, to turn each time series into one vector. Here
it feeds a support vector machine in a scikit-learn pipeline.
"""

# %%
# The data
# --------
# GunPoint records the hand of a person who either draws a gun or only points with a
# finger: 50 training and 150 test series of 150 timepoints. It comes with sktime, so
# nothing is downloaded. Series are arrays of shape (n_series, n_channels,
# n_timepoints); 2-D arrays and lists of series of unequal length work as well.

import matplotlib.pyplot as plt
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from mug_sklearn import MUGTransformer
from mug_sklearn.datasets import load_dataset
from mug_sklearn.plotting import plot_embedding

data = load_dataset("GunPoint")
print("training series:", data.X_train.shape)
print("test series:    ", data.X_test.shape)

fig, axes = plt.subplots(2, sharex=True, layout="constrained")
for ax, label, motion in zip(axes, ("1", "2"), ("gun", "point"), strict=True):
    ax.plot(data.X_train[data.y_train == label, 0].T, color="#2A85C4", alpha=0.3)
    ax.set(title=f"class {label}: {motion}", ylabel="hand, standardised")
axes[-1].set_xlabel("timepoint")

# %%
# Fit and predict
# ---------------
# The transformer sees the training series only, and no labels; the classifier sees the
# vectors and the labels. No scaler is needed between the two. For comparison, the same
# classifier is fitted on the raw values.

model = make_pipeline(MUGTransformer(random_state=0), SVC())
model.fit(data.X_train, data.y_train)
raw = SVC().fit(data.X_train[:, 0], data.y_train)
print(f"accuracy on MUG's embedding: {model.score(data.X_test, data.y_test):.3f}")
print(f"accuracy on raw values:      {raw.score(data.X_test[:, 0], data.y_test):.3f}")

# %%
# Look at the embedding
# ---------------------
# ``model[:-1]`` is the pipeline without its classifier. The embedding has one row per
# series; the map shows its first two principal components. These show only part of the
# variance, so classes that overlap here may still be separate in the whole space.

embedding = model[:-1].transform(data.X_test)
print("embedding:", embedding.shape, embedding.dtype)
plot_embedding(embedding, data.y_test)

plt.show()
