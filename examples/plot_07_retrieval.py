"""
Similarity search
=================

Given one series, find others like it: nearest neighbours in the embedding. The
example measures how many of the neighbours are of the query's class, compared with
nearest neighbours of the raw values, and looks at two queries.
"""

# %%
# Index and queries
# -----------------
# GunPoint again: its 50 training series are searched, and its 150 test series are the
# queries. Neither the encoder nor the index sees labels.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neighbors import NearestNeighbors

from mug_sklearn import MUGTransformer
from mug_sklearn.datasets import load_dataset
from mug_sklearn.plotting import plot_neighbors

data = load_dataset("GunPoint")
mug = MUGTransformer(random_state=0).fit(data.X_train)

# %%
# Precision at k
# --------------
# The share of the k nearest series that are of the query's class. Each class has half
# of the series, so 0.5 is chance.


def is_right(index_vectors, query_vectors, n_neighbors=10):
    """Whether each neighbour is of its query's class, nearest first."""
    index = NearestNeighbors(n_neighbors=n_neighbors).fit(index_vectors)
    neighbors = index.kneighbors(query_vectors, return_distance=False)
    return data.y_train[neighbors] == data.y_test[:, np.newaxis]


right = {
    "MUG": is_right(mug.transform(data.X_train), mug.transform(data.X_test)),
    "raw values": is_right(data.X_train[:, 0], data.X_test[:, 0]),
}
fig, ax = plt.subplots(layout="constrained")
for method, found in right.items():
    precision = np.cumsum(found.mean(axis=0)) / np.arange(1, found.shape[1] + 1)
    shown = ", ".join(f"{precision[k - 1]:.3f} at {k}" for k in (1, 5, 10))
    print(f"{method:<11} precision {shown}")
    ax.plot(np.arange(1, len(precision) + 1), precision, "o-", label=method)
ax.set(xlabel="k", ylabel="precision at k")
ax.legend()

# %%
# The easiest query
# -----------------
# `plot_neighbors` draws a query above its neighbours.

n_right = right["MUG"][:, :4].sum(axis=1)
easiest = int(n_right.argmax())
print(f"query {easiest}, class {data.y_test[easiest]}")
plot_neighbors(mug, data.X_train, data.X_test[easiest], y=data.y_train)

# %%
# The hardest query
# -----------------
# The query with the fewest neighbours of its own class among its nearest four.

hardest = int(n_right.argmin())
print(f"query {hardest}, class {data.y_test[hardest]}: {n_right[hardest]} of 4 right")
plot_neighbors(mug, data.X_train, data.X_test[hardest], y=data.y_train)

plt.show()
