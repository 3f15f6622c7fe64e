"""What the plots show; how they look is for the eye."""

from functools import partial
from importlib.util import find_spec
from itertools import pairwise

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn import config_context
from sklearn.exceptions import NotFittedError
from sklearn.manifold import TSNE
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mug_sklearn import MUGTransformer
from mug_sklearn.plotting import (
    EmbeddingDisplay,
    LossCurveDisplay,
    plot_embedding,
    plot_loss_curve,
)

from ..conftest import small_mug

mpl.use("Agg")

HISTORY = [
    {"epoch": 1, "n_steps": 2, "loss": 1.1, "retrieval": 0.7},
    {"epoch": 2, "n_steps": 2, "loss": 0.8, "retrieval": 0.5},
]


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture
def embedding():
    return np.random.default_rng(0).normal(size=(30, 5))


def drawn_points(ax):
    return np.concatenate([marks.get_offsets() for marks in ax.collections])


def test_embedding_is_the_principal_plane(ax, embedding):
    assert plot_embedding(embedding, ax=ax) is ax
    points = drawn_points(ax)
    assert points.shape == (30, 2)
    left, singular, _ = np.linalg.svd(embedding - embedding.mean(axis=0))
    expected = left[:, :2] * singular[:2]
    np.testing.assert_allclose(np.abs(points), np.abs(expected))
    shares = singular**2 / np.sum(singular**2)
    assert ax.get_xlabel() == f"principal component 1 ({shares[0]:.0%})"
    assert ax.get_ylabel() == f"principal component 2 ({shares[1]:.0%})"
    assert ax.get_legend() is None


def test_embedding_groups_by_class(ax, embedding):
    y = np.arange(30) % 3
    plot_embedding(embedding, y, ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0", "1", "2"]
    assert ax.get_legend().get_title().get_text() == "class"
    together = Figure().subplots()
    plot_embedding(embedding, ax=together)
    looks = [tuple(mark.get_facecolor()[0]) for mark in ax.get_legend().legend_handles]
    for label, (marks, look) in enumerate(zip(ax.collections, looks, strict=True)):
        expected = drawn_points(together)[y == label]
        np.testing.assert_array_equal(marks.get_offsets(), expected)
        assert tuple(marks.get_facecolor()[0]) == look


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["10", "2", "1"], ["1", "2", "10"]),
        (["0.5", "-1", "3"], ["-1", "0.5", "3"]),
        (["run10", "run2", "1"], ["1", "run10", "run2"]),
    ],
)
def test_classes_named_by_numbers_are_in_their_order(ax, embedding, labels, expected):
    plot_embedding(embedding, y=labels * 10, ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == expected


def test_what_is_no_axes_is_refused_before_any_work(embedding):
    message = r"ax is a int; accepted are matplotlib's Axes\."
    for draw in (
        partial(EmbeddingDisplay.from_estimator, SVC(), None),
        partial(plot_embedding, np.full((3, 2), np.nan)),
        EmbeddingDisplay(embedding[:, :2]).plot,
        LossCurveDisplay(HISTORY).plot,
    ):
        with pytest.raises(TypeError, match=message):
            draw(ax=3)


def test_names_of_classes_are_no_formulas(ax, embedding):
    names = [r"$\nothing$", "$b_$", "c"]
    plot_embedding(embedding, names * 10, ax=ax)
    ax.figure.draw_without_rendering()  # the canvas of a bare figure draws nothing
    assert [text.get_text() for text in ax.get_legend().get_texts()] == names


def test_thirty_classes_are_told_apart(ax, embedding):
    plot_embedding(embedding, [f"class {i}" for i in range(30)], ax=ax)
    looks = {
        (tuple(marks.get_facecolor()[0]), marks.get_paths()[0].vertices.tobytes())
        for marks in ax.collections
    }
    assert len(looks) == 30
    # Colours are easier to tell apart than markers: six classes need no more.
    colours = {tuple(marks.get_facecolor()[0]) for marks in ax.collections[:6]}
    assert len(colours) == 6


@pytest.mark.parametrize("shape", [(1, 5), (1, 1), (6, 1), (2, 2)])
def test_embedding_of_few_series_or_one_feature(ax, shape):
    plot_embedding(np.arange(np.prod(shape), dtype=float).reshape(shape), ax=ax)
    points = drawn_points(ax)
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points).all()


def test_rounding_is_no_component(ax, embedding):
    plot_embedding(embedding[:2], ax=ax)
    assert ax.get_ylabel() == "principal component 2 (0%)"
    assert not drawn_points(ax)[:, 1].any()


def test_equal_embeddings_lie_on_one_point(ax):
    plot_embedding(np.tile([1.0, 2.0, 3.0], (5, 1)), ax=ax)
    assert not drawn_points(ax).any()
    assert ax.get_xlabel() == "principal component 1 (0%)"


def test_embedding_and_labels_must_agree(ax, embedding):
    message = "y has 2 labels, but embedding has 30 series"
    with pytest.raises(ValueError, match=message):
        plot_embedding(embedding, [0, 1], ax=ax)


def test_what_is_no_embedding(ax, panel):
    for other, shape in ((panel, r"\(12, 2, 30\)"), (panel[0, 0], r"\(30,\)")):
        message = rf"embedding has shape {shape}; accepted is \(n_series, n_features\)"
        with pytest.raises(ValueError, match=message):
            plot_embedding(other, ax=ax)
    with pytest.raises(TypeError, match="embedding is a MUGTransformer; accepted is"):
        plot_embedding(MUGTransformer(), ax=ax)


def test_loss_curve_has_one_line_a_term(ax):
    history = [HISTORY[0], HISTORY[1] | {"token_retrieval": 0.3}]
    assert plot_loss_curve(history, ax=ax) is ax
    lines = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    assert set(lines) == {"loss", "retrieval", "token retrieval"}
    assert len({line.get_color() for line in ax.get_lines()}) == 3
    widths = {line.get_label(): line.get_linewidth() for line in ax.get_lines()}
    assert widths.pop("loss") > max(widths.values())
    np.testing.assert_array_equal(lines["loss"], [1.1, 0.8])
    assert {tuple(line.get_xdata()) for line in ax.get_lines()} == {(1, 2)}
    np.testing.assert_array_equal(lines["token retrieval"], [np.nan, 0.3])
    shown = (ax.get_title(), ax.get_xlabel(), ax.get_ylabel())
    assert shown == ("Training loss", "epoch", "loss")


def test_loss_curve_may_have_more_terms_than_colours(ax):
    terms = {"loss": 1.0} | {f"term {i}": 0.1 * i for i in range(8)}
    plot_loss_curve([{"epoch": 1} | terms, {"epoch": 2} | terms], ax=ax)
    assert [line.get_label() for line in ax.get_lines()] == list(terms)


def test_loss_curve_of_an_estimator(ax):
    estimator = MUGTransformer()
    with pytest.raises(NotFittedError):
        plot_loss_curve(estimator, ax=ax)
    estimator.history_ = HISTORY
    plot_loss_curve(estimator, ax=ax)
    assert len(ax.get_lines()) == 2


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (None, "None was given, and a fitted MUGTransformer or its history_"),
        ([1.1, 0.8], r"holds 1\.1, and a dict for each epoch"),
        ([{"loss": 1.1}], r"holds {'loss': 1\.1}, and .* number as 'epoch'"),
        ([{"epoch": 1}], r"holds {'epoch': 1}, and .* and its 'loss'"),
        (pd.DataFrame(HISTORY), "holds 'epoch', and a dict for each epoch"),
        (
            make_pipeline(MUGTransformer(), SVC()),
            r"a Pipeline was.*pipeline\[0\]",
        ),
    ],
)
def test_loss_curve_of_something_else(ax, what, message):
    with pytest.raises(TypeError, match=message):
        plot_loss_curve(what, ax=ax)


def test_map_of_a_pipeline(panel, ax):
    y = [0, 1] * 6
    pipeline = make_pipeline(small_mug(), StandardScaler(), SVC()).fit(panel, y)
    display = EmbeddingDisplay.from_estimator(pipeline[:-1], panel, y, ax=ax)
    assert display.points.shape == (12, 2)
    with pytest.raises(TypeError, match=r"Pipeline has no transform.*pipeline\[:-1\]"):
        EmbeddingDisplay.from_estimator(pipeline, panel, y, ax=ax)


def test_loss_curve_of_one_epoch_shows_points(ax):
    plot_loss_curve(HISTORY[:1], ax=ax)
    assert {line.get_marker() for line in ax.get_lines()} == {"o"}
    first, last = ax.get_xlim()
    assert [tick for tick in ax.get_xticks() if first <= tick <= last] == [1]


def test_numbers_of_epochs_do_not_overlap():
    ax = Figure(figsize=(2.5, 2)).subplots()
    plot_loss_curve([{"epoch": epoch, "loss": 1.0} for epoch in range(2000)], ax=ax)
    ax.figure.draw_without_rendering()
    numbers = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert all(one.x1 < other.x0 for one, other in pairwise(numbers))


def test_loss_curve_without_training(ax):
    with pytest.raises(ValueError, match="holds no epoch"):
        plot_loss_curve([], ax=ax)


def test_real_numbers_are_a_colour_scale(ax, embedding):
    y = embedding[:, 0] + 0.5
    plot_embedding(embedding, y, ax=ax)
    (marks,) = ax.collections
    np.testing.assert_array_equal(marks.get_array(), y)
    assert (marks.get_sizes() > 10).all()  # square points
    # The ends of the scale are dark and light.
    assert marks.get_linewidths() > 0
    (edge,) = marks.get_edgecolors()
    np.testing.assert_allclose(edge[:3], 0.5)
    _, scale = ax.figure.axes
    assert (ax.get_title(), scale.get_ylabel()) == ("Embedding", "y")


def test_more_numbers_than_marks_are_a_colour_scale(ax):
    plot_embedding(np.eye(49), np.arange(49), ax=ax)
    (marks,) = ax.collections
    np.testing.assert_array_equal(marks.get_array(), np.arange(49))
    unsigned = Figure().subplots()
    plot_embedding(np.eye(49), np.arange(49, dtype=np.uint8), ax=unsigned)
    assert len(unsigned.collections) == 1
    with_marks = Figure().subplots()
    plot_embedding(np.eye(48), np.arange(48), ax=with_marks)
    assert len(with_marks.collections) == 48


def test_more_classes_than_marks_are_refused_before_anything_is_drawn():
    before = plt.get_fignums()
    # Before a map is computed, too, for which a package may be lacking.
    for method in ("pca", "umap"):
        with pytest.raises(ValueError, match="y has 60 classes; at most 48 are"):
            plot_embedding(np.eye(60), [f"class {i}" for i in range(60)], method=method)
    assert plt.get_fignums() == before


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (pd.Series([True, False, True], dtype="boolean"), ["False", "True"]),
        (pd.Series([1, 3, 2], dtype="Int64"), ["1", "2", "3"]),
        (np.array(["a", 1, True], dtype=object), ["1", "True", "a"]),
        ([False, True, True], ["False", "True"]),
        (np.array([True, 2, False], dtype=object), ["2", "False", "True"]),
        ([True, 2, False], ["2", "False", "True"]),
    ],
)
def test_labels_are_shown_as_they_are(ax, labels, names):
    plot_embedding(np.eye(3), labels, ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == names


def test_pairs_are_no_labels(ax):
    with pytest.raises(ValueError, match="1d array"):
        plot_embedding(np.eye(4), pd.Series([(1, 2), (3, 4)] * 2), ax=ax)


def test_infinite_labels_are_refused(ax):
    with pytest.raises(ValueError, match="y has infinite values"):
        plot_embedding(np.eye(3), [0.5, 1.0, np.inf], ax=ax)


@pytest.mark.parametrize("draw", ["embedding", "loss curve"])
@pytest.mark.parametrize("is_tight", [False, True])
def test_a_legend_stays_in_a_figure_without_room_beside_the_axes(draw, is_tight):
    ax = Figure().subplots()
    if is_tight:
        ax.figure.tight_layout()
    if draw == "embedding":
        plot_embedding(np.eye(3), ["one", "two", "three"], ax=ax)
    else:
        plot_loss_curve(HISTORY, ax=ax)
    ax.figure.draw_without_rendering()
    assert ax.get_legend().get_window_extent().x1 <= ax.figure.bbox.x1


@pytest.mark.parametrize("shape", [(4, 5), (5, 5), (40, 5), (40, 1)])
def test_tsne_is_repeatable(shape):
    embedding = np.random.default_rng(0).normal(size=shape)
    maps = []
    for _ in range(2):
        ax = Figure().subplots()
        plot_embedding(embedding, method="tsne", random_state=0, ax=ax)
        maps.append(drawn_points(ax))
    assert ax.get_xlabel() == "t-SNE 1"
    np.testing.assert_array_equal(*maps)


def test_tsne_is_scikit_learns_with_a_third_of_the_series_as_perplexity(ax):
    embedding = np.random.default_rng(0).normal(size=(12, 5))
    plot_embedding(embedding, method="tsne", random_state=0, ax=ax)
    expected = TSNE(perplexity=4, random_state=0).fit_transform(embedding)
    np.testing.assert_array_equal(drawn_points(ax), expected)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_tsne_where_scikit_learn_gives_frames(ax, container):
    embedding = np.random.default_rng(0).normal(size=(12, 5))
    with config_context(transform_output=container):
        plot_embedding(embedding, method="tsne", random_state=0, ax=ax)
    assert len(drawn_points(ax)) == 12


@pytest.mark.parametrize("shape", [(8, 1), (8, 3)])
def test_tsne_of_one_feature_and_of_equal_series(shape):
    apart, equal = Figure().subplots(2)
    embedding = np.arange(np.prod(shape), dtype=float).reshape(shape)
    plot_embedding(embedding, method="tsne", random_state=0, ax=apart)
    points = drawn_points(apart)
    assert np.isfinite(points).all()
    assert len(np.unique(points, axis=0)) == 8
    plot_embedding(np.ones(shape), method="tsne", ax=equal)
    assert not drawn_points(equal).any()


@pytest.mark.parametrize("n_features", [1, 5])
def test_the_global_random_state_stays(ax, embedding, n_features):
    before = np.random.get_state()[1:3]  # noqa: NPY002
    plot_embedding(embedding[:, :n_features], method="tsne", ax=ax)
    after = np.random.get_state()[1:3]  # noqa: NPY002
    np.testing.assert_array_equal(before[0], after[0])
    assert before[1] == after[1]


@pytest.mark.parametrize(
    "labels", [["a", "b", None], [0, 1, np.nan], ["a", "b", np.nan]]
)
def test_missing_labels_are_refused_before_anything_is_drawn(embedding, labels):
    before = plt.get_fignums()
    with pytest.raises(ValueError, match="y has missing labels"):
        plot_embedding(embedding, labels * 10)
    assert plt.get_fignums() == before


def test_every_class_is_in_the_legend_whatever_its_name(ax, embedding):
    plot_embedding(embedding, ["_hidden", "", "b"] * 10, ax=ax)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["", "_hidden", "b"]


def test_long_class_names_widen_the_figure_and_stay_inside(embedding):
    y = [f"a rather long name of class {i}" for i in range(30)]
    ax, without = plot_embedding(embedding, y), plot_embedding(embedding)
    for drawn in (ax, without):
        drawn.figure.draw_without_rendering()
        plt.close(drawn.figure)
    legend = ax.get_legend().get_window_extent()
    assert ax.get_window_extent().x1 <= legend.x0
    assert legend.x1 <= ax.figure.bbox.x1
    assert legend.y0 >= 0
    # The axes are as wide as without a legend.
    width = without.get_window_extent().width
    assert ax.get_window_extent().width == pytest.approx(width, abs=20)


def test_a_legend_higher_than_the_figure_makes_it_higher(embedding):
    with mpl.rc_context({"font.size": 20}):
        ax = plot_embedding(embedding, np.arange(30))
        ax.figure.draw_without_rendering()
    plt.close(ax.figure)
    legend = ax.get_legend().get_window_extent()
    assert 0 <= legend.y0 < legend.y1 <= ax.figure.bbox.y1


def test_a_figure_that_was_given_keeps_its_width(embedding):
    figure = Figure(layout="constrained")
    width = figure.get_figwidth()
    one, other = figure.subplots(2)
    plot_embedding(embedding, ["one", "two", "three"] * 10, ax=one)
    plot_loss_curve(HISTORY, ax=other)
    assert figure.get_figwidth() == width


def test_a_legend_of_losses_widens_the_figure():
    ax = plot_loss_curve(HISTORY)
    ax.figure.draw_without_rendering()
    plt.close(ax.figure)
    legend = ax.get_legend().get_window_extent()
    assert ax.get_window_extent().x1 <= legend.x0 < legend.x1 <= ax.figure.bbox.x1
    assert ax.figure.get_figwidth() > mpl.rcParams["figure.figsize"][0]


def test_other_maps_are_refused(ax, embedding):
    with pytest.raises(ValueError, match="method='map'; accepted are pca, tsne, umap"):
        plot_embedding(embedding, method="map", ax=ax)
    with pytest.raises(ValueError, match="has 3 series; method='tsne' needs at least"):
        plot_embedding(embedding[:3], method="tsne", ax=ax)


@pytest.mark.skipif(find_spec("umap") is not None, reason="umap-learn is installed")
def test_umap_says_what_it_needs(ax, embedding):
    with pytest.raises(ImportError, match="pip install umap-learn"):
        plot_embedding(embedding, method="umap", ax=ax)


@pytest.mark.skipif(find_spec("umap") is None, reason="needs umap-learn")
def test_umap(ax, embedding):
    plot_embedding(embedding, method="umap", random_state=0, ax=ax)
    assert drawn_points(ax).shape == (30, 2)


def test_displays_of_an_estimator(ax, panel):
    mug = small_mug().fit(panel)
    y = np.repeat([0, 1], 6)
    display = EmbeddingDisplay.from_estimator(mug, panel, y, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    other = Figure().subplots()
    plot_embedding(mug.transform(panel), y, ax=other)
    np.testing.assert_allclose(drawn_points(ax), drawn_points(other))
    # Of one feature, t-SNE starts from a random map.
    line = small_mug(embedding_dim=1).fit(panel)
    maps = [
        EmbeddingDisplay.from_estimator(
            line, panel, method="tsne", random_state=0, ax=Figure().subplots()
        )
        for _ in range(2)
    ]
    np.testing.assert_array_equal(maps[0].points, maps[1].points)
    losses = LossCurveDisplay.from_estimator(mug, ax=Figure().subplots())
    assert losses.history is mug.history_
