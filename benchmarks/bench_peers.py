"""MUG beside MiniRocket and TS2Vec's reference code, all on one thread."""

import sys
import time
import warnings

import numpy as np
import pytest
import torch

from mug_sklearn import MUGTransformer
from mug_sklearn.benchmark.protocol import CLASSIFIERS
from mug_sklearn.datasets import find_datasets, load_dataset

from .conftest import SIZES, fitted, random_walks

# As the floors are given for, and as many as the median test set of the archives' sets
# in docs/benchmarks has.
PANELS = (64, 192)
DATA_SETS = (
    "ArrowHead",
    "BasicMotions",
    "CBF",
    "ECG200",
    "FaceFour",
    "GunPoint",
    "ItalyPowerDemand",
    "Lightning7",
    "OSULeaf",
    "RacketSports",
    "SyntheticControl",
    "Trace",
)


@pytest.mark.parametrize("n_series", PANELS)
@pytest.mark.parametrize("size", SIZES)
def test_transform_mug(measure, size, n_series):
    X = random_walks(n_series, *SIZES[size])
    mug = fitted(X)
    measure(lambda: mug.transform(X), size=size, n_series=n_series)


@pytest.mark.parametrize("n_series", PANELS)
@pytest.mark.parametrize("size", SIZES)
def test_transform_minirocket(measure, size, n_series):
    convolution_based = pytest.importorskip(
        "aeon.transformations.collection.convolution_based"
    )
    # A warm-up round of the measurement compiles its code.
    X = random_walks(n_series, *SIZES[size])
    rocket = convolution_based.MiniRocket(n_jobs=1, random_state=0).fit(X)
    measure(lambda: rocket.transform(X), size=size, n_series=n_series)


class ReferenceTS2Vec:
    """TS2Vec's own code with the settings of its paper, as a transformer.

    Yue et al., "TS2Vec: Towards Universal Representation of Time Series", AAAI 2022,
    https://github.com/yuezhihan/ts2vec
    """

    def __init__(self, folder, random_state=0):
        sys.path.insert(0, folder)
        self.random_state = random_state

    def fit(self, X):
        from ts2vec import TS2Vec

        torch.manual_seed(self.random_state)
        np.random.seed(self.random_state)
        self.location, self.scale = X.mean((0, 2)), X.std((0, 2))
        self.model = TS2Vec(
            input_dims=X.shape[1],
            device="cpu",
            batch_size=8,
            lr=0.001,
            output_dims=320,
            max_train_length=3000,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.model.fit(self._prepared(X))
        return self

    def transform(self, X):
        return self.model.encode(self._prepared(X), encoding_window="full_series")

    def _prepared(self, X):
        return ((X.transpose(0, 2, 1) - self.location) / self.scale).astype(np.float32)


@pytest.mark.parametrize("name", DATA_SETS)
@pytest.mark.parametrize("method", ["mug", "ts2vec"])
def test_fit(benchmark, request, method, name):
    """One fit each: it takes minutes, and another has the same operations."""
    sources = find_datasets(request.config.getoption("data"))
    if name not in sources:
        pytest.skip(f"no data set {name}: give its folder with --data")
    folder = request.config.getoption("ts2vec")
    if folder is None:
        pytest.skip("no reference code: give its folder with --ts2vec")
    data = load_dataset(sources[name])
    embedder: MUGTransformer | ReferenceTS2Vec
    if method == "mug":
        fitted(data.X_train[:2])  # a warm-up
        embedder = MUGTransformer(random_state=0, device="cpu")
    else:
        embedder = ReferenceTS2Vec(folder)
    benchmark.pedantic(embedder.fit, (data.X_train,), rounds=1)
    start = time.perf_counter()
    test = embedder.transform(data.X_test)
    seconds = time.perf_counter() - start
    train = embedder.transform(data.X_train)
    classifier = CLASSIFIERS["svm"]().fit(train, data.y_train)
    benchmark.extra_info.update(
        data_set=name,
        transform_ms_per_series=1e3 * seconds / len(data.X_test),
        accuracy=float(np.mean(classifier.predict(test) == data.y_test)),
    )
