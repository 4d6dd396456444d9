import math
import re

import numpy as np
import pytest

from metagan.report.axes import Scale, path_data, pieces, smooth, thin, ticks, vertical_scale
from metagan.report.charts import Dot, Line, Mark, dot_chart, line_chart, stacked_bar
from metagan.report.values import Estimate


def test_ticks_are_round_and_inside_of_the_axis():
    assert ticks(Scale(0.13, 0.92)) == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert ticks(Scale(-3.0, 7.0)) == pytest.approx([0.0, 5.0])
    assert ticks(Scale(0.02, 300.0, log=True)) == pytest.approx([0.1, 1, 10, 100])


def test_smoothing_keeps_a_constant_and_averages_a_neighbourhood():
    constant = [(float(i), 3.0) for i in range(50)]
    assert [y for _, y in smooth(constant)] == pytest.approx([3.0] * 50)
    line = [(float(i), float(i)) for i in range(5)]
    assert [y for _, y in smooth(line)] == pytest.approx([0.5, 1, 2, 3, 3.5])


def test_smoothing_leaves_gaps_and_is_not_poisoned_by_them():
    points = [(0.0, 1.0), (1.0, None), (2.0, 3.0)]
    assert smooth(points) == [(0.0, 1.0), (1.0, None), (2.0, 3.0)]


def test_lines_do_not_cross_a_change_of_algorithm():
    points = [(float(i), 0.0 if i < 50 else 10.0) for i in range(100)]
    left, right = pieces(points, [50.0])
    assert {y for _, y in smooth(left)} == {0.0}
    assert {y for _, y in smooth(right)} == {10.0}
    chart = line_chart("Loss", [Line("loss", points)], x_name="step", marks=[Mark(50.0, "b")])
    assert chart.count("<path") == 4


def test_thinning_keeps_the_extremes_and_bounds_the_number_of_points():
    rng = np.random.default_rng(0)
    points = [(float(i), float(y)) for i, y in enumerate(rng.standard_normal(100_000))]
    kept = thin(points)
    assert len(kept) <= 240
    assert min(y for _, y in kept) == min(y for _, y in points)
    assert max(y for _, y in kept) == max(y for _, y in points)
    assert [x for x, _ in kept] == sorted(x for x, _ in kept)


def test_a_path_breaks_where_there_is_no_value():
    points = [(0.0, 0.0), (1.0, None), (2.0, 1.0), (3.0, 0.5)]
    assert path_data(points, Scale(0, 4), Scale(0, 1)) == "M0 1000M500 0L750 500"


def test_a_wide_range_of_positive_values_gets_a_logarithmic_axis_with_a_tick():
    scale, is_cut = vertical_scale([3.0, 900.0, 2000.0])
    assert scale.log
    assert not is_cut
    assert ticks(scale) == pytest.approx([10, 100, 1000])


def test_one_wild_value_does_not_flatten_a_curve_and_is_told():
    values = [1 + 0.01 * (i % 7) for i in range(300)] + [-40.0]
    scale, is_cut = vertical_scale(values)
    assert is_cut
    assert scale.low > 0.9
    line = Line("loss", list(enumerate(values)))
    assert "outside of the frame" in line_chart("Loss", [line], x_name="outer step")


@pytest.mark.parametrize("values", [[2.0], [0.0, 0.0], [1e30, -1e30], [1e-30, 1e30], [None, 5.0]])
def test_any_values_give_a_chart_of_finite_numbers(values):
    chart = line_chart(
        "Loss",
        [Line("loss", list(enumerate(values)))],
        x_name="outer step",
        marks=[Mark(0.5, "reptile")],
    )
    assert chart.startswith("<figure")
    assert not re.search(r"\b(nan|inf)\b", chart)


def test_without_any_value_there_is_no_chart():
    assert line_chart("Loss", [Line("loss", [(1.0, None)])], x_name="outer step") == ""
    assert line_chart("Loss", [], x_name="outer step") == ""
    assert dot_chart("Gain", [("", [Dot("a", None)])], unit="%") == ""
    assert stacked_bar("Time", [("a", 0.0, "0 s")]) == ""


def test_dots_lie_where_their_values_are_on_the_axis():
    chart = dot_chart("Gain", [("", [Dot("a", Estimate(0.05, 0.0, 0.1, 3))])], unit="%")
    middle = float(re.search(r'cx="([\d.]+)%"', chart)[1])
    low, high = (float(end) for end in re.search(r'x1="([\d.]+)%" x2="([\d.]+)%" y1="12.8"',
                                                  chart).groups())  # fmt: skip
    assert middle == pytest.approx(50, abs=0.01)
    assert low == pytest.approx(100 * 0.06 / 1.12, abs=0.01)
    assert high == pytest.approx(100 - low, abs=0.01)


def test_differences_have_zero_on_their_axis():
    chart = dot_chart(
        "Gain", [("", [Dot("a", Estimate(0.05, 0.04, 0.06, 3))])], unit="points", signed=True
    )
    assert 'class="axis"' in chart
    assert "+5.0 [+4.0, +6.0]" in chart


def test_the_parts_of_a_bar_add_up_to_its_width():
    bar = stacked_bar("Time", [("a", 1.0, "1 s"), ("b", 2.0, "2 s"), ("c", 5.0, "5 s")])
    widths = [float(width) for width in re.findall(r"width:([\d.]+)%", bar)]
    assert math.fsum(widths) == pytest.approx(100)
    assert widths[0] == pytest.approx(12.5)
