"""Draws README.md's picture: ``python docs/images/embedding.py``."""

from pathlib import Path

import matplotlib.pyplot as plt

from mug_sklearn import MUGTransformer
from mug_sklearn.datasets import load_dataset
from mug_sklearn.plotting import plot_embedding

data = load_dataset("BasicMotions")
mug = MUGTransformer(random_state=0).fit(data.X_train)
maps = {
    "raw values": data.X_test.reshape(len(data.X_test), -1),
    "embedded by MUG": mug.transform(data.X_test),
}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
for ax, (title, vectors) in zip(axes, maps.items(), strict=True):
    plot_embedding(vectors, data.y_test, ax=ax).set_title(title)
axes[0].get_legend().remove()
figure.savefig(Path(__file__).with_suffix(".png"), dpi=100)
