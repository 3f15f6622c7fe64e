"""What the plots show; how they look is for the eye."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.exceptions import NotFittedError

from mug_sklearn import MUGTransformer
from mug_sklearn.plotting import plot_embedding, plot_loss_curve

mpl.use("Agg")

HISTORY = [
    {"epoch": 1, "n_steps": 2, "loss": 1.1, "retrieval": 0.7, "seconds": 0.1},
    {"epoch": 2, "n_steps": 2, "loss": 0.8, "retrieval": 0.5, "seconds": 0.1},
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
    assert ax.get_legend() is None


def test_embedding_groups_by_class(ax, embedding):
    y = np.arange(30) % 3
    plot_embedding(embedding, y, ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0", "1", "2"]
    assert [len(marks.get_offsets()) for marks in ax.collections] == [10, 10, 10]


def test_thirty_classes_are_told_apart(ax, embedding):
    plot_embedding(embedding, [f"class {i}" for i in range(30)], ax=ax)
    looks = {
        (tuple(marks.get_facecolor()[0]), marks.get_paths()[0].vertices.tobytes())
        for marks in ax.collections
    }
    assert len(looks) == 30


@pytest.mark.parametrize("shape", [(1, 5), (1, 1), (6, 1), (2, 2)])
def test_embedding_of_few_series_or_one_feature(ax, shape):
    plot_embedding(np.arange(np.prod(shape), dtype=float).reshape(shape), ax=ax)
    points = drawn_points(ax)
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points).all()


def test_equal_embeddings_lie_on_one_point(ax):
    plot_embedding(np.ones((5, 3)), ax=ax)
    assert not drawn_points(ax).any()


def test_embedding_and_labels_must_agree(ax, embedding):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        plot_embedding(embedding, [0, 1], ax=ax)


def test_loss_curve_has_one_line_a_term(ax):
    history = [HISTORY[0], HISTORY[1] | {"reconstruction": 0.3}]
    assert plot_loss_curve(history, ax=ax) is ax
    lines = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    assert set(lines) == {"loss", "retrieval", "reconstruction"}
    np.testing.assert_array_equal(lines["loss"], [1.1, 0.8])
    np.testing.assert_array_equal(lines["reconstruction"], [np.nan, 0.3])


def test_loss_curve_of_an_estimator(ax):
    estimator = MUGTransformer()
    with pytest.raises(NotFittedError):
        plot_loss_curve(estimator, ax=ax)
    estimator.history_ = HISTORY
    plot_loss_curve(estimator, ax=ax)
    assert len(ax.get_lines()) == 2


def test_loss_curve_of_one_epoch_shows_points(ax):
    plot_loss_curve(HISTORY[:1], ax=ax)
    assert {line.get_marker() for line in ax.get_lines()} == {"o"}


def test_loss_curve_without_training(ax):
    with pytest.raises(ValueError, match="holds no epoch"):
        plot_loss_curve([], ax=ax)
