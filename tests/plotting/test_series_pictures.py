"""Attention, shapelets and neighbours: that the pictures show what they say."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from mug_sklearn.plotting import (
    CrossAttentionDisplay,
    NeighborsDisplay,
    ShapeletsDisplay,
    plot_cross_attention,
    plot_neighbors,
    plot_shapelets,
)

from ..conftest import small_mug

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


@pytest.fixture
def mug(panel):
    return small_mug().fit(panel)


def axes(number):
    return Figure().subplots(number)


def test_titles_in_large_letters_stay_in_the_figure(panel, mug):
    with mpl.rc_context({"font.size": 20}):
        y = ["a long name of a class"] * 12
        for drawn in (
            plot_cross_attention(mug, panel),
            plot_shapelets(mug, panel),
            plot_neighbors(mug, panel, panel[0], y=y),
        ):
            figure = drawn[0].figure
            figure.draw_without_rendering()
            for ax in drawn:
                title = ax.title.get_window_extent()
                assert figure.bbox.x0 <= title.x0
                assert title.x1 <= figure.bbox.x1


def test_a_figure_is_no_axes(panel, mug):
    with pytest.raises(TypeError, match="ax holds a Figure; accepted are"):
        plot_shapelets(mug, panel, ax=Figure())


class TestCrossAttention:
    def test_weights_are_those_of_the_transformer(self, panel, mug):
        panel[3, :, 10:20] = np.nan
        display = CrossAttentionDisplay.from_estimator(mug, panel, series=3)
        tokens = mug.transform_granularities(panel)
        is_token, is_segment = (tokens[name].mask[3] for name in ("multi", "coarse"))
        assert not is_token.all()
        assert_array_equal(display.token_spans, tokens["multi"].spans[is_token])
        within = np.minimum(display.segment_spans, 30)
        assert_array_equal(within, tokens["coarse"].spans[is_segment])
        assert_allclose(display.weights.sum(axis=1), 1, rtol=1e-6)
        # Slow and obvious: each head's softmax of scaled products, averaged.
        attention = mug.network_.fusion.attention.float()
        fused = tokens["fused"].tokens[3][is_token]
        coarse = tokens["coarse"].tokens[3][is_segment]
        query = fused @ attention.query.weight.detach().numpy().T
        query += attention.query.bias.detach().numpy()
        key = coarse @ attention.key_value.weight.detach().numpy()[:8].T
        key += attention.key_value.bias.detach().numpy()[:8]
        expected = np.zeros_like(display.weights)
        for head in (slice(0, 4), slice(4, 8)):
            score = np.exp(query[:, head] @ key[:, head].T / 2)
            expected += score / score.sum(axis=1, keepdims=True) / 2
        assert_allclose(display.weights, expected, rtol=1e-4)

    def test_the_series_is_in_the_callers_units(self, panel, mug):
        display = CrossAttentionDisplay.from_estimator(mug, panel, series=5)
        assert_array_equal(display.values, panel[5])
        lines = [line.get_ydata() for line in display.ax_[0].get_lines()]
        assert any(np.array_equal(line, panel[5, 1]) for line in lines)

    def test_the_row_may_be_an_integer_of_numpy(self, panel, mug):
        row = np.argmax(panel[:, 0, 0])
        display = CrossAttentionDisplay.from_estimator(mug, panel, series=row)
        assert_array_equal(display.values, panel[row])

    def test_only_what_a_short_series_has(self, ragged):
        mug = small_mug().fit(ragged)
        display = CrossAttentionDisplay.from_estimator(mug, ragged, series=1)
        assert display.values.shape == (2, 7)
        assert display.token_spans[-1, 0] < 7
        assert len(display.segment_spans) == display.weights.shape[1]
        assert (display.segment_spans[:, 0] < 7).all()
        assert_allclose(display.weights.sum(axis=1), 1, rtol=1e-6)

    def test_the_last_patch_ends_with_the_series(self, ragged):
        mug = small_mug(patch_length=4).fit(ragged)
        display = CrossAttentionDisplay.from_estimator(mug, ragged, series=1)
        assert display.token_spans.tolist() == [[0, 4], [4, 7]]

    def test_a_series_of_one_timepoint(self, ragged):
        _, below = plot_cross_attention(small_mug().fit(ragged), ragged, series=4)
        (ends,) = {tuple(line.get_xdata()) for line in below.get_lines()} - {(0, 1)}
        assert ends == (-0.5, 0.5)  # the whole cell; (0, 1) are lines between lengths
        first, last = below.get_xlim()
        assert [tick for tick in below.get_xticks() if first <= tick <= last] == [0]

    def test_gaps_stay_gaps(self, panel, mug):
        gappy = panel.copy()
        gappy[0, 0, [1, 3, 5, 6, 7, 28]] = np.nan
        above, _ = plot_cross_attention(mug, gappy)
        line = above.get_lines()[0].get_ydata()
        assert_array_equal(np.flatnonzero(np.isnan(line)), [1, 3, 5, 6, 7, 28])
        # These stand alone, between two gaps or between a gap and an end.
        alone = above.get_lines()[1]
        assert_array_equal(alone.get_xdata(), [0, 2, 4, 29])
        assert alone.get_color() == above.get_lines()[0].get_color()
        assert alone.get_markersize() > above.get_lines()[0].get_linewidth()

    def test_no_weight_is_drawn_into_a_gap(self, panel, mug):
        panel[2, :, 10:20] = np.nan
        display = CrossAttentionDisplay.from_estimator(mug, panel, series=2)
        mesh = display.ax_[1].collections[0]
        edges = mesh.get_coordinates()[0, :, 0]
        in_gap = (edges[:-1] >= 9.5) & (edges[1:] <= 19.5)
        drawn = ~np.ma.getmaskarray(np.ma.masked_invalid(mesh.get_array()))
        drawn = drawn.reshape(-1, len(edges) - 1).any(axis=0)
        assert in_gap.any()
        assert_array_equal(drawn, ~in_gap)
        assert (np.diff(edges)[drawn] == 1).all()

    def test_rows_are_segments_shorter_ones_first(self, panel, mug):
        display = CrossAttentionDisplay.from_estimator(mug, panel, series=2)
        display.weights = display.weights[:, ::-1]
        display.segment_spans = display.segment_spans[::-1]
        below, spans = display.plot().ax_[1], display.segment_spans.tolist()
        order = sorted(range(len(spans)), key=lambda s: (np.diff(spans[s]), spans[s]))
        drawn = below.collections[0].get_array().reshape(len(spans), -1)
        assert_array_equal(drawn, display.weights[:, order].T)
        lines = [line.get_xydata().tolist() for line in below.get_lines()]
        ends = {row: (first, last) for (first, row), (last, _) in lines}
        for row, (start, stop) in enumerate(spans[segment] for segment in order):
            assert ends[row] == (start - 0.5, min(stop, 30) - 0.5)
        assert below.yaxis_inverted()
        boundaries = [line for line in lines if line[0][1] % 1]
        lengths = np.array([np.diff(spans[segment])[0] for segment in order])
        expected = np.flatnonzero(np.diff(lengths)) + 0.5
        assert_array_equal([first[1] for first, _ in boundaries], expected)
        for row, label in zip(below.get_yticks(), below.get_yticklabels(), strict=True):
            start, stop = spans[order[round(row)]]
            assert label.get_text() == str(stop - start)

    @pytest.mark.parametrize("layout", [None, "constrained"])
    def test_series_and_weights_have_one_time_axis(self, panel, mug, layout):
        figure = Figure(layout=layout)
        above, below = plot_cross_attention(mug, panel, ax=figure.subplots(2))
        figure.draw_without_rendering()
        for timepoint in (0, 17):
            place, below_it = (
                ax.transData.transform((timepoint, 0))[0] for ax in (above, below)
            )
            assert place == pytest.approx(below_it, abs=0.5)

    def test_series_and_weights_may_be_in_two_figures(self, panel, mug):
        given = [Figure().subplots(), Figure().subplots()]
        drawn = plot_cross_attention(mug, panel, ax=given)
        assert [ax.get_xlim() for ax in drawn] == [(-0.5, 29.5)] * 2

    def test_a_gap_is_no_weight_on_any_background(self, panel, mug):
        colours = []
        for style in ("default", "dark_background"):
            with plt.style.context(style):
                below = plot_cross_attention(mug, panel)[1]
                colours.append(below.get_facecolor())
        assert colours[0] == colours[1]
        nothing = below.collections[0].to_rgba(0)
        assert np.abs(np.subtract(nothing, colours[0])).max() > 0.2

    def test_the_darker_a_cell_the_more_it_weighs(self, panel, mug):
        above, below = plot_cross_attention(mug, panel)
        mesh = below.collections[0]
        scale = mesh.to_rgba(np.linspace(0, mesh.get_array().max(), 9))[:, :3]
        assert (np.diff(scale.sum(axis=1)) < 0).all()
        assert_allclose(scale[0], 1, atol=0.05)  # no weight is white
        assert above.get_title() == "Which segments the timestamps drew on"
        assert (above.get_ylabel(), below.get_ylabel(), below.get_xlabel()) == (
            "value",
            "segments, by length",
            "timepoint",
        )
        assert above.figure.axes[2].get_ylabel() == "attention weight"

    def test_the_legend_names_channels_only(self, panel, mug):
        above, below = axes(2)
        above.axhline(0, label="zero")
        with mpl.rc_context({"lines.linestyle": "--"}):
            plot_cross_attention(mug, panel, ax=(above, below))
        texts = [text.get_text() for text in above.get_legend().get_texts()]
        assert texts == ["channel 0", "channel 1"]

    def test_axes_that_were_given(self, panel, mug):
        given = axes(2)
        assert_array_equal(plot_cross_attention(mug, panel, ax=given), given)
        with pytest.raises(ValueError, match="ax holds 3 Axes; this picture needs 2"):
            plot_cross_attention(mug, panel, ax=axes(3))
        for other in (given[1].figure, None):
            message = rf"ax holds a {type(other).__name__}; accepted .*'s Axes\."
            with pytest.raises(TypeError, match=message):
                plot_cross_attention(mug, panel, ax=[given[0], other])

    def test_the_title_stays_in_the_figure_above_a_factor_of_the_values(self, panel):
        panel *= 1e-9
        above, _ = plot_cross_attention(small_mug().fit(panel), panel)
        above.figure.draw_without_rendering()
        assert above.yaxis.get_offset_text().get_text()
        assert above.title.get_window_extent().y1 <= above.figure.bbox.y1

    @pytest.mark.parametrize(
        "parameters",
        [{"granularity": "fine"}, {"fusion": "concat"}, {"fine_fusion": "max"}],
        ids=str,
    )
    def test_an_estimator_without_it(self, panel, parameters):
        (name,) = parameters
        with pytest.raises(ValueError, match=f"fitted with {name}="):
            plot_cross_attention(small_mug(**parameters).fit(panel), panel)

    @pytest.mark.parametrize("series", [-1, 12, 1.0])
    def test_a_row_that_is_not_there(self, panel, mug, series):
        with pytest.raises(ValueError, match=r"series=.*row numbers of X, 0 to 11"):
            plot_cross_attention(mug, panel, series=series)


class TestShapelets:
    @pytest.mark.parametrize("form", ["panel", "ragged"])
    def test_each_lies_where_a_series_matches_it_best(self, form, request):
        X = request.getfixturevalue(form)
        mug = small_mug().fit(X)
        display = ShapeletsDisplay.from_estimator(mug, X, n_shapelets=4)
        for shapelet in display.shapelets:
            # On training series it finds where it comes from.
            assert shapelet.distance == pytest.approx(0, abs=1e-5)
            assert_array_equal(shapelet.series, X[shapelet.row])
            whole = shapelet.timepoints == shapelet.timepoints.round()
            for time, value in zip(
                shapelet.timepoints[whole].astype(int),
                shapelet.values[:, whole].T,
                strict=True,
            ):
                if np.isfinite(value).all():
                    assert_allclose(value, shapelet.series[:, time], atol=1e-4)

    @pytest.mark.parametrize("n_timepoints", [30, 25, 5])
    def test_what_is_compared_with_nothing_is_dotted(self, panel, n_timepoints):
        mug = small_mug(segment_lengths=(0.2, 0.8)).fit(panel)
        gappy = panel[:2, :, :n_timepoints] + 0.3
        gappy[:, 0, 3:6] = np.nan
        display = ShapeletsDisplay.from_estimator(mug, gappy, n_shapelets=4)
        for shapelet, ax in zip(display.shapelets, display.ax_, strict=True):
            (pooling,) = np.unique(np.diff(shapelet.timepoints)).astype(int)
            expected = np.zeros_like(shapelet.compared)
            for place, middle in enumerate(shapelet.timepoints):
                start = round(middle - (pooling - 1) / 2)
                part = shapelet.series[:, start : start + pooling]
                expected[:, place] = np.isfinite(part).any(axis=1)
            expected &= np.isfinite(shapelet.values)
            assert_array_equal(shapelet.compared, expected)
            lines = ax.get_lines()
            thick = [line for line in lines if line.get_linewidth() == 2.5]
            drawn = np.isfinite([line.get_ydata() for line in thick[::2]])
            assert_array_equal(drawn, expected)
            dotted = [line for line in lines if line.get_linestyle() == ":"]
            assert len(dotted) >= 2
            assert_array_equal(dotted[0].get_xdata(), shapelet.timepoints)

    def test_the_best_of_each_length_come_first(self, panel, mug):
        display = ShapeletsDisplay.from_estimator(mug, panel, n_shapelets=6)
        lengths = [shapelet.length for shapelet in display.shapelets]
        assert lengths == [6, 12, 18, 6, 12, 18]
        for number, shapelet in enumerate(display.shapelets):
            rank, place = divmod(number, 3)
            stored = mug.network_.shapelets[place]  # best first
            best = stored.values[rank].numpy() * mug.scale_[:, None]
            best += mug.location_[:, None]
            known = stored.observed[rank].numpy()
            assert_allclose(shapelet.values[known], best[known], rtol=1e-5)

    def test_a_shapelet_with_gaps(self, panel):
        gappy = panel.copy()
        gappy[:, 0, 1::2] = np.nan
        # A seed whose best shapelet does not run past the end of its series.
        mug = small_mug(random_state=1).fit(gappy)
        display = ShapeletsDisplay.from_estimator(mug, gappy, n_shapelets=np.int64(1))
        (drawn,), (shapelet,) = display.ax_, display.shapelets
        thick = [line for line in drawn.get_lines() if line.get_linewidth() == 2.5]
        # No two values of channel 0 are neighbours: only points can show them.
        alone = [line for line in thick if line.get_marker() == "."]
        known = np.isfinite(shapelet.values[0])
        assert known.sum() == 3
        assert_array_equal(alone[0].get_xdata(), shapelet.timepoints[known])
        assert len(alone[1].get_xdata()) == 0
        points = [line for line in drawn.get_lines() if line.get_marker() == "."]
        assert {point.get_linestyle() for point in points} == {"None"}
        # Where the shapelet has no value, a series without gaps has nothing to match.
        display = ShapeletsDisplay.from_estimator(mug, panel, n_shapelets=1)
        assert_array_equal(display.shapelets[0].compared[0], known)

    def test_repeated_ones_are_left_out(self, panel):
        mug = small_mug(n_shapelets=30, segment_lengths=(1.0,)).fit(panel[:4])
        stored = mug.network_.shapelets[0].values.numpy()
        n_different = len(np.unique(stored, axis=0))
        assert n_different < len(stored) == 30
        message = f"n_shapelets=30; accepted are 1 to {n_different},"
        with pytest.raises(ValueError, match=message):
            plot_shapelets(mug, panel, n_shapelets=30)

    def test_those_that_differ_in_their_gaps_alone_are_different(self, panel):
        panel[:] = 1.0
        for row, series in enumerate(panel):
            series[0, row : row + 3] = np.nan
        mug = small_mug(segment_lengths=(0.2,)).fit(panel)
        (stored,) = mug.network_.shapelets
        values, observed = stored.values.numpy(), stored.observed.numpy()
        both = np.concatenate((values, observed), axis=1)
        n_different = len(np.unique(both, axis=0))
        assert n_different > len(np.unique(values, axis=0))
        with pytest.raises(ValueError, match=f"are 1 to {n_different},"):
            plot_shapelets(mug, panel, n_shapelets=30)

    def test_axes_are_counted_before_matches_are_looked_for(self, panel, mug):
        nothing = np.full_like(panel, np.nan)
        with pytest.raises(ValueError, match="ax holds 2 Axes; this picture needs 3"):
            plot_shapelets(mug, nothing, ax=axes(2))

    def test_other_series_than_the_training_ones(self, panel, mug):
        given = axes(2)
        display = ShapeletsDisplay.from_estimator(
            mug, panel[::-1] + 0.2, n_shapelets=2, ax=given
        )
        assert_array_equal(display.ax_, given)
        assert any(shapelet.row > 0 for shapelet in display.shapelets)
        for shapelet, ax in zip(display.shapelets, given, strict=True):
            assert ax.get_title() == (
                f"{shapelet.length} timepoints, on series {shapelet.row}, "
                f"distance {shapelet.distance:.3f}"
            )

    def test_a_series_without_values_matches_nothing(self, panel, mug):
        panel[3] = np.nan
        with pytest.warns(UserWarning, match="no observed value"):
            mug.transform(panel)
        display = ShapeletsDisplay.from_estimator(mug, panel + 0.3)
        assert all(s.row != 3 and s.distance > 0 for s in display.shapelets)
        with pytest.raises(ValueError, match="X holds no series with a value"):
            plot_shapelets(mug, np.full_like(panel, np.nan))

    def test_a_series_without_the_channels_of_a_shapelet_is_no_match(self, panel):
        panel[1:, 0] = np.nan
        mug = small_mug().fit(panel)
        display = ShapeletsDisplay.from_estimator(mug, panel, n_shapelets=1)
        assert np.isnan(display.shapelets[0].values[0]).all()
        panel[0, 1] = np.nan
        with pytest.raises(ValueError, match="in a channel that a shapelet has"):
            plot_shapelets(mug, panel[:1], n_shapelets=1)

    def test_an_estimator_without_any(self, panel):
        mug = small_mug(granularity="fine").fit(panel)
        with pytest.raises(ValueError, match="granularity='fine', which has no shap"):
            plot_shapelets(mug, panel)

    def test_a_channel_has_one_colour(self, panel, mug):
        drawn = plot_shapelets(mug, panel + 0.3)
        legend = drawn[0].get_legend()
        colours = [line.get_color() for line in legend.get_lines()]
        assert len(set(colours)) == 2
        # Faint, dotted and thick, each with its points.
        for ax in drawn:
            found = [line.get_color() for line in ax.get_lines()]
            assert found == np.repeat(colours, 2).tolist() * 3
            assert ax.get_ylabel() == "value"
        assert [ax.get_xlabel() for ax in drawn] == ["", "", "timepoint"]
        assert {line.get_alpha() for line in legend.get_lines()} == {1}


class TestNeighbors:
    def test_times_and_values_have_one_scale(self, panel, mug):
        drawn = plot_neighbors(mug, panel * [[[1.0], [20.0]]], panel[0, :, :20])
        assert len({ax.get_xlim() for ax in drawn}) == 1
        assert len({ax.get_ylim() for ax in drawn}) == 1
        assert {ax.get_ylabel() for ax in drawn} == {"value"}
        assert [ax.get_xlabel() for ax in drawn] == ["", "", "", "", "timepoint"]

    def test_a_figure_grows_with_the_number_of_neighbours(self, panel, mug):
        drawn = plot_neighbors(mug, panel, panel[0], n_neighbors=12)
        figure = drawn[0].figure
        figure.draw_without_rendering()
        heights = [ax.get_window_extent().height for ax in drawn]
        assert min(heights) > figure.dpi
        beside = drawn[0].get_legend().get_window_extent()
        assert drawn[0].get_window_extent().x1 <= beside.x0

    def test_long_names_of_classes_are_wrapped(self, panel, mug):
        y = ["a rather long name of a class with many words in it" * 2] * 12
        (_, below) = plot_neighbors(mug, panel, panel[0], n_neighbors=1, y=y)
        below.figure.draw_without_rendering()
        title = below.title.get_window_extent()
        assert below.figure.bbox.x0 <= title.x0
        assert title.x1 <= below.figure.bbox.x1

    @pytest.mark.parametrize("n_channels", [1, 2, 6, 7])
    def test_a_legend_tells_channels_while_there_are_colours(self, panel, n_channels):
        X = np.resize(np.swapaxes(panel, 0, 1), (n_channels, 12, 30)).swapaxes(0, 1)
        mug = small_mug(max_epochs=0).fit(X)
        legend = plot_neighbors(mug, X, X[0], n_neighbors=1)[0].get_legend()
        assert (legend is not None) == (1 < n_channels <= 6)

    def test_nearest_first_by_the_embedding(self, panel, mug):
        display = NeighborsDisplay.from_estimator(mug, panel, panel[4], n_neighbors=5)
        embedding = mug.transform(panel)
        distance = np.linalg.norm(embedding - embedding[4], axis=1)
        assert_array_equal(display.rows, np.argsort(distance)[:5])
        assert_allclose(display.distances, np.sort(distance)[:5], atol=1e-4)
        assert_array_equal(display.neighbors[1], panel[display.rows[1]])

    def test_what_is_masked_in_a_query_is_missing(self, panel, mug):
        query = np.ma.masked_array(panel[0].copy())
        query[:, :15] = np.ma.masked
        missing = np.where(np.ma.getmaskarray(query), np.nan, panel[0])
        display = NeighborsDisplay.from_estimator(mug, panel, query)
        expected = NeighborsDisplay.from_estimator(mug, panel, missing)
        assert_array_equal(display.distances, expected.distances)
        assert_array_equal(display.query, missing)

    def test_what_is_masked_in_channels_of_a_query_is_missing(self, panel, mug):
        query = [np.ma.masked_greater(channel, 0) for channel in panel[0]]
        display = NeighborsDisplay.from_estimator(mug, panel, query)
        missing = np.where(panel[0] > 0, np.nan, panel[0])
        assert_array_equal(display.query, missing)
        expected = mug.transform(panel[display.rows]) - mug.transform([missing])
        assert_allclose(display.distances, np.linalg.norm(expected, axis=1), rtol=1e-4)

    def test_a_query_may_be_a_row_of_a_table(self, table):
        frame = pd.DataFrame(table)
        mug = small_mug().fit(frame)
        for query in (frame.iloc[2], frame.iloc[[2]]):
            display = NeighborsDisplay.from_estimator(mug, frame, query, n_neighbors=1)
            assert_array_equal(display.query, table[2:3])
            assert display.rows == [2]

    def test_labels_are_no_formulas(self, panel, mug):
        axes = plot_neighbors(mug, panel, panel[0], y=[r"$\nothing$"] * 12)
        axes[0].figure.canvas.draw()
        assert r"class $\nothing$" in axes[1].get_title()

    def test_a_query_may_be_a_tensor_with_gradients(self, panel, mug):
        query = torch.from_numpy(panel[0]).requires_grad_()
        display = NeighborsDisplay.from_estimator(mug, panel, query)
        assert display.rows[0] == 0

    def test_titles_name_row_class_and_distance(self, panel, mug):
        y = np.array([*"abcdefghijkl"])
        display = NeighborsDisplay.from_estimator(
            mug, panel, panel[4], n_neighbors=2, y=y
        )
        for ax, series in zip(display.ax_, panel[[4, *display.rows]], strict=True):
            drawn = [line.get_ydata() for line in ax.get_lines()[::2]]
            assert_array_equal(drawn, series)
        row, distance = display.rows[1], display.distances[1]
        assert [ax.get_title() for ax in display.ax_] == [
            "query",
            "series 4, class e, distance 0",
            f"series {row}, class {y[row]}, distance {distance:.3g}",
        ]

    def test_every_form(self, panel, table, ragged):
        for X in (panel, table, ragged):
            query = X[2]
            display = NeighborsDisplay.from_estimator(
                small_mug().fit(X), X, query, n_neighbors=2
            )
            assert display.rows[0] == 2
            assert_array_equal(display.query, np.atleast_2d(query))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"n_neighbors": 13}, "n_neighbors=13; accepted are 1 to 12"),
            ({"n_neighbors": 0}, "n_neighbors=0"),
            ({"y": [1, 2]}, "y has 2 labels, but X has 12 series"),
            (
                {"query": np.zeros((1, 2, 30))},
                r"query has 3 dimensions, of shape \(1, 2, 30\)",
            ),
            ({"query": np.zeros((3, 30))}, "query has 3 channels"),
            ({"query": np.full((2, 30), np.inf)}, "query contains infinity"),
            ({"query": np.full((2, 30), np.nan)}, "query holds no observed value"),
            ({"query": []}, "query is empty"),
            (
                {"query": [[1.0, 2.0], [1.0]]},
                "query is a list whose items have unlike shapes",
            ),
        ],
    )
    def test_refused(self, panel, mug, change, message):
        arguments = {"query": panel[0], **change}
        with pytest.raises(ValueError, match=message):
            plot_neighbors(mug, panel, **arguments)


@pytest.mark.parametrize(
    "draw",
    [
        plot_cross_attention,
        plot_shapelets,
        lambda mug, X: plot_neighbors(mug, X, X[0]),
    ],
)
def test_without_a_fitted_transformer(panel, draw):
    with pytest.raises(NotFittedError):
        draw(small_mug(), panel)
    with pytest.raises(TypeError, match=r"a Pipeline was given.*is pipeline\[0\]"):
        draw(make_pipeline(small_mug()).fit(panel), panel)
