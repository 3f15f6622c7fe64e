"""
In sktime's benchmark harness
=============================

`PanelClassifierAdapter` turns any scikit-learn pipeline of panels into an sktime
classifier. So MUG takes part in sktime's `ClassificationBenchmark` beside sktime's own
classifiers, on the archive's split, and gives the same result as plain scikit-learn.
"""

# %%
# The task
# --------
# `archive_task` joins training and test series in the form that the harness takes, and
# gives a splitter that separates them again as the archive does.

import warnings
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sktime.benchmarking.classification import ClassificationBenchmark
from sktime.classification.distance_based import KNeighborsTimeSeriesClassifier
from sktime.classification.dummy import DummyClassifier

from mug_sklearn import MUGTransformer
from mug_sklearn.adapters.sktime import PanelClassifierAdapter
from mug_sklearn.benchmark import Method, load_results, run_benchmark
from mug_sklearn.benchmark.sktime_harness import archive_task
from mug_sklearn.datasets import load_dataset

data = load_dataset("UnitTest")
X, y, splits = archive_task(data)
print(f"{len(X)} series of shape {X[0].shape}, {splits.get_n_splits()} split")

# %%
# The benchmark
# -------------
# Two epochs are enough here. The harness keeps its results in a file, here in a
# temporary folder. It also computes standard deviations over the splits, and numpy
# warns that one split has none; that warning is suppressed.

pipeline = make_pipeline(MUGTransformer(max_epochs=2, random_state=0), SVC())
classifiers = {
    "most frequent class": DummyClassifier(),
    "1-NN, Euclidean": KNeighborsTimeSeriesClassifier(distance="euclidean"),
    "MUG + SVC": PanelClassifierAdapter(pipeline),
}
benchmark = ClassificationBenchmark()
for name, classifier in classifiers.items():
    benchmark.add_estimator(classifier, estimator_id=name)
benchmark.add_task((X, y), splits, [accuracy_score], task_id="UnitTest")
with TemporaryDirectory() as folder, warnings.catch_warnings():
    warnings.simplefilter("ignore", RuntimeWarning)
    table = benchmark.run(output_file=f"{folder}/results.csv")
accuracy = table.set_index("model_id")["accuracy_score_fold_0_test"]
print(accuracy.to_string(float_format="{:.4f}".format))

# %%
# The same elsewhere
# ------------------
# The same accuracy in scikit-learn with the same splitter, by hand on the two parts,
# and from this package's own benchmark, which keeps its results in a file, too.

by_splitter = cross_val_score(pipeline, X, y, cv=splits)[0]
by_hand = clone(pipeline).fit(data.X_train, data.y_train)
by_hand = by_hand.score(data.X_test, data.y_test)
method = Method(lambda seed: MUGTransformer(max_epochs=2, random_state=seed))
with TemporaryDirectory() as folder:
    results = f"{folder}/results.csv"
    sources = {"UnitTest": "UnitTest"}
    run_benchmark(
        sources, {"MUG": method}, results, seeds=1, classifiers=["svc"], verbose=False
    )
    by_benchmark = load_results(results)["accuracy"].item()
print(f"sktime's harness: {accuracy['MUG + SVC']:.4f}")
print(f"cross_val_score:  {by_splitter:.4f}")
print(f"fit and score:    {by_hand:.4f}")
print(f"run_benchmark:    {by_benchmark:.4f}")
others = [by_splitter, by_hand, by_benchmark]
print("equal:", np.allclose(others, accuracy["MUG + SVC"]))
