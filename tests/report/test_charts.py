import re

import matplotlib
import numpy as np
import pytest

from metagan.report.charts import (
    Axis,
    Line,
    axis_of,
    dot_chart,
    line_chart,
    smooth,
    thin,
    whole_axis,
)
from metagan.report.values import Estimate
from tests.report.pages import Page


def texts(chart) -> list[str]:
    """Words drawn in a chart, without those that a pointer brings up."""
    return re.findall(r"<text[^>]*>([^<]*)", chart.svg)


def marks(chart) -> list[tuple[str, str, float]]:
    """(text, sign, place from the left) of every mark."""
    found = re.findall(r'<circle class="(\w+)" cx="([\d.]+)"[^>]*><title>(.*?)</title>', chart.svg)
    return [(text, sign, float(x)) for sign, x, text in found]


def test_ticks_are_round_and_inside_of_the_axis():
    assert list(Axis(0.13, 0.92).ticks()) == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert list(Axis(-3.0, 7.0).ticks()) == pytest.approx([0.0, 5.0])
    assert list(Axis(0.02, 300.0, is_log=True).ticks()) == pytest.approx([0.1, 1, 10, 100])
    assert list(Axis(2.0, 9.0, is_log=True).ticks().values()) == ["2", "4", "6", "8"]
    assert list(Axis(0.13, 0.92).ticks().values()) == ["0.2", "0.4", "0.6", "0.8"]
    assert list(whole_axis(0.5, 1.5).ticks().values()) == ["1"]
    assert list(whole_axis(0, 8000).ticks().values()) == ["0", "2,000", "4,000", "6,000", "8,000"]


def test_smoothing_keeps_a_constant_and_averages_a_neighbourhood():
    assert smooth(np.full(50, 3.0)) == pytest.approx([3.0] * 50)
    assert smooth(np.arange(5.0)) == pytest.approx([0.5, 1, 2, 3, 3.5])


def test_smoothing_leaves_gaps_and_is_not_poisoned_by_them():
    np.testing.assert_array_equal(smooth(np.array([1.0, np.nan, 3.0])), [1.0, np.nan, 3.0])


def test_lines_do_not_cross_a_change_of_algorithm():
    lines = [Line("loss", [(float(i), 0.0 if i < 50 else 10.0) for i in range(100)])]
    whole = line_chart("Loss", lines, x_name="step")
    parts = line_chart("Loss", lines, x_name="step", changes=[(50.0, "b")])
    # Every value and the moving average of each part, and the line that marks the change.
    assert parts.svg.count("<path") == whole.svg.count("<path") + 2 + 1
    assert [text for text in texts(parts) if "b" in text] == ["b\u00a0"]


def test_a_value_alone_is_a_dot():
    line = [Line("spread", [(40.0, 0.5), (80.0, 0.25)])]
    assert marks(line_chart("spread", line, x_name="outer step")) == []
    chart = line_chart("spread", line, x_name="outer step", changes=[(60.0, "b")])
    assert [text for text, _, _ in marks(chart)] == ["spread: 0.500 at 40", "spread: 0.250 at 80"]


def test_thinning_keeps_the_extremes_and_bounds_the_number_of_points():
    y = np.random.default_rng(0).standard_normal(100_000)
    kept_x, kept_y = thin(np.arange(100_000.0), y)
    assert len(kept_x) <= 240
    assert (kept_y.min(), kept_y.max()) == (y.min(), y.max())
    assert (np.diff(kept_x) > 0).all()


def test_a_wide_range_of_positive_values_gets_a_logarithmic_axis_with_a_tick():
    axis = axis_of([3.0, 900.0, 2000.0])
    assert axis.is_log
    assert not axis.is_cut
    assert list(axis.ticks()) == pytest.approx([10, 100, 1000])


def test_one_wild_value_does_not_flatten_a_curve_and_is_told():
    values = [1 + 0.01 * (i % 7) for i in range(300)] + [-40.0]
    axis = axis_of(values)
    assert axis.is_cut
    assert axis.low > 0.9
    chart = line_chart("Loss", [Line("loss", list(enumerate(values)))], x_name="outer step")
    assert "outside of the frame" in chart.more


@pytest.mark.parametrize("values", [[2.0], [0.0, 0.0], [1e30, -1e30], [1e-30, 1e30], [None, 5.0]])
def test_any_values_give_a_chart_of_finite_numbers(values):
    chart = line_chart(
        "Loss",
        [Line("loss", list(enumerate(values)))],
        x_name="outer step",
        changes=[(0.5, "reptile")],
    )
    assert Page(chart.svg).all("svg")
    assert not re.search(r"\b(nan|inf)\b", chart.svg)


def test_without_any_value_there_is_no_chart():
    assert line_chart("Loss", [Line("loss", [(1.0, None)])], x_name="outer step") is None
    assert line_chart("Loss", [], x_name="outer step") is None
    assert dot_chart("Gain", [("a", "left out")], unit="%") is None


def test_a_chart_says_what_it_shows_and_names_its_axes():
    lines = [Line("first", [(1.0, 0.25), (9.0, 0.5)]), Line("last", [(1.0, 1.0), (9.0, 0.75)])]
    chart = line_chart("Loss", lines, x_name="outer step")
    [svg] = Page(chart.svg).all("svg")
    assert svg["aria-label"] == (
        "Loss. first: 0.250 at first, 0.500 at last; last: 1.00 at first, 0.750 at last"
    )
    assert {"outer step", "2", "8", "0.4", "1.0"} <= set(texts(chart))
    assert [name for name, _ in chart.legend] == ["first", "last"]


def test_dots_lie_in_the_order_of_their_values_and_tell_them():
    rows = [
        ("5 shots", ""),
        ("a", Estimate(0.05, 0.0, 0.1, 3)),
        ("b", Estimate(0.1, None, None, 1)),
    ]
    chart = dot_chart("Gain", rows, unit="%")
    (told, _, middle), (other, _, right) = marks(chart)
    assert (told, other) == ("a: +5.0 [0.0, +10.0]", "b: +10.0")
    # One whisker, from the end of a's interval at 0 to that at 10, where b is.
    line = r'd="M ([\d.]+) [\d.]+ L ([\d.]+) [\d.]+ ?" style="[^"]*accent'
    [(low, high)] = re.findall(line, chart.svg)
    assert middle == pytest.approx((float(low) + float(high)) / 2, abs=0.1)
    assert right == pytest.approx(float(high), abs=0.1)
    assert texts(chart)[:2] == ["0", "+5"]


def test_differences_have_zero_on_their_axis_and_signs():
    rows = [("a", Estimate(0.05, 0.04, 0.06, 3)), ("b", "left out")]
    chart = dot_chart("Gain", rows, unit="points")
    assert {"0", "+2", "\u00a0left out"} <= set(texts(chart))
    assert [text for text, _, _ in marks(chart)] == ["a: +5.0 [+4.0, +6.0]"]


def test_colours_are_those_of_the_style_sheet_and_parts_have_no_names():
    chart = line_chart("Loss", [Line("loss", [(0.0, 1.0), (1.0, 2.0)])], x_name="step")
    assert set(re.findall(r"(?:stroke|fill): ([^;\"]+)", chart.svg)) <= {
        "none", "var(--accent)", "var(--muted)", "var(--rule)", "var(--strong-rule)",
    }  # fmt: skip
    assert not re.search(r"<g|\bid=|clip-path|url\(|font-family", chart.svg)


def test_a_chart_is_the_same_whatever_a_user_has_set_for_charts_of_their_own():
    lines = [Line("loss", [(0.0, 1.0), (1.0, 2.0)])]
    chart = line_chart("Loss", lines, x_name="step")
    own = {"font.size": 20, "axes.grid": True, "svg.fonttype": "path", "xtick.labelsize": 30}
    with matplotlib.rc_context(own):
        assert line_chart("Loss", lines, x_name="step") == chart


def test_words_of_formulas_tags_and_other_scripts_stay_as_they_are():
    changes = [(0.5, "$x^2$ <b> \u5b57\u202e")]
    chart = line_chart("L", [Line("l", [(0.0, 1.0), (1.0, 2.0)])], x_name="s", changes=changes)
    assert "\u00a0$x^2$ &lt;b&gt; \u5b57\ufffd" in texts(chart)
