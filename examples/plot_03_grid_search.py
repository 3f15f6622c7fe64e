"""
Grid search over the granularity, with a cache
==============================================

`MUGTransformer` is a pipeline step like any other: `GridSearchCV` varies its
parameters, ``Pipeline(memory=...)`` keeps fitted encoders so that none is fitted
twice, and `FrozenEstimator` leaves a fitted one alone while the classifier is tuned.

The fits here are shortened, ``max_epochs=3``, because there are seven of them.
"""

# %%
# Search over encoder and classifier
# ----------------------------------
# Three granularities, two values of C and two folds make twelve fits of the pipeline,
# but only six different encoders: the classifier's parameter does not change them.
# ``memory`` finds them again; a seventh is fitted on the whole training set. With None
# as ``random_state`` the cache gives back the same random fit each time, too, but only
# an integer repeats it without the cache.

import time
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from mug_sklearn import MUGTransformer
from mug_sklearn.datasets import load_dataset

data = load_dataset("ItalyPowerDemand")
grid = {"mug__granularity": ["multi", "fine", "coarse"], "svc__C": [1.0, 10.0]}
mug = MUGTransformer(max_epochs=3, random_state=0)


def timed_search(folder):
    """Run the grid search with a cache in `folder`; give it and its seconds."""
    pipeline = Pipeline([("mug", mug), ("svc", SVC())], memory=folder)
    search = GridSearchCV(pipeline, grid, cv=2)
    started = time.perf_counter()
    search.fit(data.X_train, data.y_train)
    return search, time.perf_counter() - started


with TemporaryDirectory() as folder:
    search, seconds = timed_search(folder)
    _, seconds_again = timed_search(folder)
print(f"first search:           {seconds:.1f} s")
print(f"again, from the cache:  {seconds_again:.1f} s")

# %%
# What came out
# -------------
# The validation folds hold 33 or 34 series each, so one series more or less is 0.03.
# The test set has 1,029.

results = search.cv_results_
for parameters, mean in zip(results["params"], results["mean_test_score"], strict=True):
    print(f"{mean:.3f}  {parameters}")
print("chosen:", search.best_params_)
print(f"test accuracy: {search.score(data.X_test, data.y_test):.3f}")

fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for place, C in zip((-0.2, 0.2), grid["svc__C"], strict=True):
    scores = results["mean_test_score"][results["param_svc__C"] == C]
    ax.bar(np.arange(len(scores)) + place, scores, width=0.4, label=f"C = {C:g}")
ax.set_xticks(np.arange(3), grid["mug__granularity"])
ax.set(xlabel="granularity", ylabel="mean validation accuracy")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))

# %%
# Tune only the classifier
# ------------------------
# `FrozenEstimator` takes a fitted encoder: fitting the pipeline, or a clone of it, does
# not fit the encoder again. It has seen the series of the validation folds, and their
# labels only as far as they chose its granularity above. So this measures how well the
# classifier does where the series to be labelled are known beforehand; fit the encoder
# inside the folds, as above, to measure what to expect on series that it has never
# seen.

encoder = search.best_estimator_["mug"]
pipeline = Pipeline([("mug", FrozenEstimator(encoder)), ("svc", SVC())])
frozen = GridSearchCV(pipeline, {"svc__C": [0.1, 1.0, 10.0, 100.0]}, cv=5)
started = time.perf_counter()
frozen.fit(data.X_train, data.y_train)
print(f"20 fits, none of the encoder: {time.perf_counter() - started:.1f} s")
print("chosen:", frozen.best_params_)
print(f"test accuracy: {frozen.score(data.X_test, data.y_test):.3f}")

plt.show()
