"""Embeddings with few labels or none, on folders of data sets: MUG beside its peers.

Each method is fitted on all training series without labels. Then k-means clusters the
test series; a nearest neighbour is asked for the class of each test series; and a
logistic regression learns from three labelled training series of each class. Appends
to `without_labels.csv` beside this file what is not there yet; takes some hours on one
core::

    OMP_NUM_THREADS=1 python docs/benchmarks/without_labels.py DATA [DATA ...]
"""

import csv
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from mug_sklearn.benchmark.methods import METHODS
from mug_sklearn.benchmark.report import (
    average_ranks,
    wilcoxon_holm,
    win_draw_loss,
)
from mug_sklearn.datasets import find_datasets, load_dataset

NAMES = ("mug", "mug-untrained", "raw", "catch22", "minirocket", "hydra")
SEEDS = range(3)
LABELS_PER_CLASS = 3
DRAWS = 5
RESULTS = Path(__file__).with_suffix(".csv")
COUNTS = ("wins of mug", "draws", "losses")
TASKS = ("rand_index", "nearest_neighbour", "few_labels")


def rand_index(vectors, y, seed):
    """Adjusted Rand index of k-means with as many clusters as there are classes."""
    k_means = KMeans(len(np.unique(y)), n_init=10, random_state=seed)
    return adjusted_rand_score(y, k_means.fit_predict(vectors))


def with_few_labels(train, y_train, test, y_test, seed):
    """Mean accuracy over draws of labelled series, the same ones for all methods."""
    rng = np.random.default_rng(seed)
    accuracies = []
    for _ in range(DRAWS):
        order = rng.permutation(len(y_train))
        rows = np.concatenate(
            [order[y_train[order] == c][:LABELS_PER_CLASS] for c in np.unique(y_train)]
        )
        model = LogisticRegression(max_iter=1000).fit(train[rows], y_train[rows])
        accuracies.append(model.score(test, y_test))
    return np.mean(accuracies)


def scores(data, method, seed):
    """The figures of one method on one data set, by task."""
    model = METHODS[method].make(seed).fit(data.X_train)
    # MUG's features have variance 1; all others' get it, so that scale decides nothing.
    scaler = StandardScaler()
    train = scaler.fit_transform(model.transform(data.X_train))
    test = scaler.transform(model.transform(data.X_test))
    y_train, y_test = data.y_train, data.y_test
    nearest = KNeighborsClassifier(1).fit(train, y_train)
    figures = (
        rand_index(test, y_test, seed),
        nearest.score(test, y_test),
        with_few_labels(train, y_train, test, y_test, seed),
    )
    return dict(zip(TASKS, (round(figure, 6) for figure in figures), strict=True))


def report(table):
    """Means over seeds and data sets, and MUG's wins and losses, by task."""
    for task in TASKS:
        means = table.pivot_table(index="dataset", columns="method", values=task)
        means = means[list(NAMES)].round(6)  # the figures are no more precise
        summary = pd.DataFrame({"mean": means.mean(), "rank": average_ranks(means)})
        counts = {other: win_draw_loss(means, "mug", other) for other in NAMES[1:]}
        summary = summary.join(pd.DataFrame.from_dict(counts, "index", columns=COUNTS))
        summary["p"] = wilcoxon_holm(means, "mug")["p"]
        print(f"\n{task}, {len(means)} data sets")
        print(summary.round(4).to_string())


def main(folders):
    """Run what is missing, then print a summary."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    columns = ("dataset", "method", "seed", *TASKS)
    if not RESULTS.exists():
        RESULTS.write_text(",".join(columns) + "\n")
    found = pd.read_csv(RESULTS)
    done = set(found[["dataset", "method", "seed"]].itertuples(index=False, name=None))
    paths = {n: path for folder in folders for n, path in find_datasets(folder).items()}
    for name, path in paths.items():
        data = load_dataset(path)
        for method in NAMES:
            for seed in SEEDS:
                if (name, method, seed) in done:
                    continue
                figures = scores(data, method, seed)
                with RESULTS.open("a", newline="") as file:
                    row = {"dataset": name, "method": method, "seed": seed} | figures
                    csv.DictWriter(file, columns, lineterminator="\n").writerow(row)
    report(pd.read_csv(RESULTS))


if __name__ == "__main__":
    main(sys.argv[1:])
