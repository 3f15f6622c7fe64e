"""
Regression
==========

Predict a number from a series: the fat in a piece of meat from its spectrum, and how
fast an oscillation fades. A ridge regression on the embedding does as well as what
chemists do by hand, and far better than one on raw values. On a third data set nothing
helps.
"""

# %%
# Three tasks
# -----------
# - Tecator, which comes with sktime: the absorbance of minced meat at 100 wavelengths,
#   and its fat in percent.
# - Oscillations of random frequency, phase and height that fade at different rates,
#   simulated: the target is the logarithm of the time in which they fall to 1/e.
# - Covid3Month, which comes with sktime, too: the daily cases of 84 days in a country,
#   and the share of the cases that die.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sktime.datasets import load_covid_3month, load_tecator

from mug_sklearn import MUGTransformer


def tecator(split):
    """Spectra of shape (n, 100), and fat in percent."""
    X, y = load_tecator(split, return_type="numpy3d")
    return X[:, 0], np.asarray(y, dtype=float)


def oscillations(split, n_series=200, n_timepoints=120):
    """Fading oscillations with noise, and the logarithm of their decay times."""
    rng = np.random.default_rng(("train", "test").index(split))
    t = np.arange(n_timepoints)
    decay = np.exp(rng.uniform(np.log(5), np.log(80), (n_series, 1)))
    frequency = rng.uniform(0.03, 0.12, (n_series, 1))
    phase = rng.uniform(0, 2 * np.pi, (n_series, 1))
    height = np.exp(0.3 * rng.standard_normal((n_series, 1)))
    X = height * np.exp(-t / decay) * np.sin(2 * np.pi * frequency * t + phase)
    noise = 0.1 * rng.standard_normal(X.shape)
    return X + noise, np.log(decay[:, 0])


def covid(split):
    """Daily cases of shape (n, 84), and the share of deaths."""
    X, y = load_covid_3month(split)
    return np.stack([series.to_numpy() for series in X.iloc[:, 0]]), y.astype(float)


tasks = {"Tecator": tecator, "oscillations": oscillations, "Covid3Month": covid}
fig, axes = plt.subplots(1, 3, figsize=(9, 3.5), layout="constrained")
for ax, (name, load) in zip(axes, tasks.items(), strict=True):
    X, y = load("train")
    order = np.argsort(y)
    for i in order[[0, len(y) // 2, -1]]:
        ax.plot(X[i], label=f"{y[i]:.2f}")
    ax.set(title=name, xlabel="wavelength" if name == "Tecator" else "timepoint")
    ax.legend(title="target", loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)
axes[2].set_yscale("symlog")

# %%
# Ridge regression on the embedding
# ---------------------------------
# Its features have variance 1, so that they need no scaling. A ridge on the raw values
# is the first thing to compare with. For spectra there is a better one: chemists take
# second differences, bring each series to mean 0 and variance 1, and use partial least
# squares. The figures are the share of the test targets' variance that is explained,
# R², and the root mean squared error.

ALPHAS = np.logspace(-6, 3, 19)


def of_a_chemist(X):
    """Second differences, each series with mean 0 and variance 1."""
    second = np.diff(X, n=2)
    return (second - second.mean(axis=1, keepdims=True)) / second.std(
        axis=1, keepdims=True
    )


def predictions(X_train, y_train, X_test):
    """Predictions for the test series by each method, by its name."""
    # Two epochs, to be quick.
    on_embedding = make_pipeline(
        MUGTransformer(max_epochs=2, random_state=0), RidgeCV(ALPHAS)
    )
    on_raw_values = make_pipeline(StandardScaler(), RidgeCV(ALPHAS))
    n_components = {"n_components": range(1, 21)}
    least_squares = GridSearchCV(PLSRegression(scale=False), n_components, cv=10)
    least_squares.fit(of_a_chemist(X_train), y_train)
    return {
        "MUG, ridge": on_embedding.fit(X_train, y_train).predict(X_test),
        "raw values, ridge": on_raw_values.fit(X_train, y_train).predict(X_test),
        "2nd differences, PLS": least_squares.predict(of_a_chemist(X_test)).ravel(),
        "mean": np.full(len(X_test), y_train.mean()),
    }


fig, axes = plt.subplots(1, 3, figsize=(9, 3.5), layout="constrained")
for ax, (name, load) in zip(axes, tasks.items(), strict=True):
    X_train, y_train = load("train")
    X_test, y_test = load("test")
    print(f"{name}: {len(X_train)} series for training, {len(X_test)} for the test")
    found = predictions(X_train, y_train, X_test)
    for method, predicted in found.items():
        error = np.sqrt(np.mean((predicted - y_test) ** 2))
        explained = r2_score(y_test, predicted)
        print(f"   {method:<21} R² {explained:6.3f}   error {error:.3f}")
    for method in ("raw values, ridge", "MUG, ridge"):
        ax.plot(y_test, found[method], ".", label=method)
    ends = [y_test.min(), y_test.max()]
    ax.plot(ends, ends, color="gray", lw=1)
    ax.set(title=name, xlabel="target")
axes[0].set_ylabel("predicted")
axes[0].legend()

# %%
# What to make of it
# ------------------
# The embedding is made of shapes: how a spectrum bends, how strongly, and how often a
# series swings. From these the fat follows nearly exactly, without a word about
# differences or scaling, as it does from what chemists know. How fast an oscillation
# fades does not depend on any single value, since its phase is random, and a linear
# model of the values learns nothing. The deaths of Covid3Month hang on more than the
# course of the cases: no method does much better than the mean. As with classifiers,
# compare with something simple before you believe in any of them.

plt.show()
