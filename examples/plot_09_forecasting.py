"""
Forecasting from timestamp-level embeddings
===========================================

`transform_granularities` gives one vector for each timepoint. A ridge regression from
the last vector to the next values is a forecaster. On a chaotic series it beats a ridge
on the raw values; on a seasonal one it loses to it.
"""

# %%
# Two series
# ----------
# The Mackey-Glass equation is a standard test of nonlinear forecasting. The other
# series is the sum of a daily rhythm of slowly changing height, a weekly one and noise.
# Both are generated here.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mug_sklearn import MUGTransformer

N_TIMEPOINTS, WINDOW, HORIZON = 2000, 32, 12
rng = np.random.default_rng(0)


def mackey_glass():
    """Mackey-Glass series with a delay of 17, observed with noise."""
    values = list(0.9 + 0.1 * rng.random(18))
    for _ in range(500 + N_TIMEPOINTS):
        delayed = values[-18]
        values.append(0.9 * values[-1] + 0.2 * delayed / (1 + delayed**10))
    return np.array(values[-N_TIMEPOINTS:]) + 0.05 * rng.standard_normal(N_TIMEPOINTS)


def seasonal():
    """Daily and weekly rhythm of hourly values, with noise."""
    hour = np.arange(N_TIMEPOINTS)
    height = 1 + 0.5 * np.sin(2 * np.pi * hour / 400)
    daily = height * np.sin(2 * np.pi * hour / 24)
    weekly = 0.5 * np.sin(2 * np.pi * hour / 168)
    return daily + weekly + 0.2 * rng.standard_normal(N_TIMEPOINTS)


all_series = {"Mackey-Glass": mackey_glass(), "seasonal": seasonal()}
fig, axes = plt.subplots(2, layout="constrained")
for ax, (name, series) in zip(axes, all_series.items(), strict=True):
    ax.plot(series[:400])
    ax.set(title=name, ylabel="value")
axes[-1].set_xlabel("timepoint")

# %%
# Windows that end at the forecast's origin
# -----------------------------------------
# A window holds the 32 values up to the origin; the 12 values after it are to be
# forecast. The network reads a window in both directions, but it reads nothing beyond
# the origin. The first 1,400 timepoints are for training: encoder and ridge see no
# window, and no value to be forecast, from the rest.


def windows_and_targets(series):
    """All windows with what follows them, (n, WINDOW) and (n, HORIZON)."""
    both = np.lib.stride_tricks.sliding_window_view(series, WINDOW + HORIZON)
    return both[:, :WINDOW], both[:, WINDOW:]


def forecasts(past, target, new_past):
    """Forecasts for `new_past` by each method, by its name."""
    # To be quick: one epoch, every fourth window, single precision.
    mug = MUGTransformer(max_epochs=1, precision="float32", random_state=0)
    mug.fit(past[::4])
    tokens = mug.transform_granularities(past)
    new_tokens = mug.transform_granularities(new_past)
    found = {"last value": np.repeat(new_past[:, -1:], HORIZON, axis=1)}
    found["value of 24 timepoints ago"] = new_past[:, -24 : HORIZON - 24]
    nearest = KNeighborsRegressor(5).fit(past, target)
    found["5 nearest windows"] = nearest.predict(new_past)
    inputs = {
        "ridge on raw values": (past, new_past),
        "ridge on last fine token": (
            tokens["fine"].tokens[:, -1],
            new_tokens["fine"].tokens[:, -1],
        ),
        "ridge on last multi token": (
            tokens["multi"].tokens[:, -1],
            new_tokens["multi"].tokens[:, -1],
        ),
    }
    for name, (features, new_features) in inputs.items():
        ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13)))
        found[name] = ridge.fit(features, target).predict(new_features)
    return found


# %%
# Root mean squared errors
# ------------------------
# The last "fine" token comes from the fine-grained encoder; the last "multi" token has
# also drawn on the segments of the window. On the left is the first test window, in
# which noise and chance decide who comes closer; on the right are the errors over all
# test windows, by the number of timepoints ahead.

fig, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained")
for (ax, errors), (name, series) in zip(axes, all_series.items(), strict=True):
    past, target = windows_and_targets(series[:1400])
    new_past, new_target = windows_and_targets(series[1400:])
    print(f"{name}: {len(past)} windows for training, {len(new_past)} for the test")
    found = forecasts(past, target, new_past)
    for method, forecast in found.items():
        error = np.sqrt(np.mean((forecast - new_target) ** 2))
        print(f"   {method:<27} {error:.3f}")
    ax.plot(np.arange(-WINDOW, 0), new_past[0], color="gray", label="window")
    ax.plot(new_target[0], color="gray", ls="--", label="what followed")
    for method in ("ridge on raw values", "ridge on last multi token"):
        ax.plot(found[method][0], ".-", label=method)
        error = np.sqrt(np.mean((found[method] - new_target) ** 2, axis=0))
        errors.plot(np.arange(1, HORIZON + 1), error, ".-")
    ax.set(title=f"{name}, first test window", ylabel="value")
    errors.set(title=f"{name}, all test windows", ylabel="root mean squared error")
    errors.set_ylim(bottom=0)
axes[1, 0].set_xlabel("timepoints from the origin")
axes[1, 1].set_xlabel("timepoints ahead")
fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)

# %%
# What to make of it
# ------------------
# The Mackey-Glass series is not linear, and a linear model of its raw values falls
# short. A linear model of the last multi token does much better: the network's features
# are nonlinear. So are nearest neighbours, which do better still without any training.
# The seasonal series is a linear function of its own past except for the noise, which
# alone makes an error of 0.2. There the ridge on raw values has all that it needs, and
# the last token tells it less. MUG is not trained to forecast; its tokens are worth a
# try where a linear model of the past values is not enough.

plt.show()
