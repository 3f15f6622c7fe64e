"""Regression on three bundled data sets: MUG beside aeon's transformers.

Writes `regression.csv` beside this file; takes some minutes on one core::

    OMP_NUM_THREADS=1 python docs/benchmarks/regression.py
"""

from pathlib import Path

import aeon.datasets
import numpy as np
import pandas as pd
from aeon.transformations.collection.convolution_based import (
    HydraTransformer,
    MiniRocket,
    MultiRocket,
)
from sklearn.linear_model import RidgeCV
from sklearn.metrics import root_mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sktime.datasets import load_covid_3month, load_tecator

from mug_sklearn import MUGTransformer

AEON = Path(aeon.datasets.__file__).parent / "data"


def tecator(split):
    """Spectra, and fat in percent."""
    return load_tecator(split, return_type="numpy3d")


def covid(split):
    """Daily cases, and the share of deaths."""
    X, y = load_covid_3month(split)
    return np.stack([series.to_numpy() for series in X.iloc[:, 0]])[:, None], y


def cardano(split):
    """Sentiment on the news and trade in a currency by hour, and the next change."""
    path = AEON / "CardanoSentiment" / f"CardanoSentiment_{split.upper()}.ts"
    return aeon.datasets.load_from_ts_file(str(path))


def flattened(X):
    """The values of all channels side by side."""
    return X.reshape(len(X), -1)


METHODS = {
    "raw values": lambda seed: FunctionTransformer(flattened),
    "MUG": lambda seed: MUGTransformer(random_state=seed),
    "MUG untrained": lambda seed: MUGTransformer(max_epochs=0, random_state=seed),
    "MiniRocket": lambda seed: MiniRocket(random_state=seed),
    "MultiRocket": lambda seed: MultiRocket(random_state=seed),
    "Hydra": lambda seed: HydraTransformer(random_state=seed, output_type="numpy"),
}


def main():
    """Root mean squared errors of a ridge regression on each method's features."""
    rows = []
    loaders = {"Tecator": tecator, "Covid3Month": covid, "CardanoSentiment": cardano}
    for name, load in loaders.items():
        (X_train, y_train), (X_test, y_test) = load("train"), load("test")
        y_train, y_test = y_train.astype(float), y_test.astype(float)
        for method, build in METHODS.items():
            for seed in range(3):
                transformer = build(seed).fit(X_train)
                ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-6, 6, 25)))
                ridge.fit(transformer.transform(X_train), y_train)
                predicted = ridge.predict(transformer.transform(X_test))
                error = root_mean_squared_error(y_test, predicted)
                rows.append((name, method, seed, round(error, 6)))
    table = pd.DataFrame(rows, columns=["dataset", "method", "seed", "error"])
    table.to_csv(Path(__file__).with_suffix(".csv"), index=False)
    means = table.pivot_table(index="method", columns="dataset", values="error")
    print(means.loc[list(METHODS), list(loaders)].round(4).to_string())


if __name__ == "__main__":
    main()
