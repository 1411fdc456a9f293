"""Charts: axes are drawn in full, and points stand where their values say."""

import numpy as np
import pytest

from facemask.report import charts


def test_an_axis_has_ticks_at_both_ends():
    chart = charts.Chart("", "", "", (0, 1), (0, 1))
    left, top, right, bottom = chart.frame
    assert [(tick.at, tick.text) for tick in (chart.x_ticks[0], chart.x_ticks[-1])] == [
        (left, "0"),
        (right, "1"),
    ]
    assert [(tick.at, tick.text) for tick in (chart.y_ticks[0], chart.y_ticks[-1])] == [
        (bottom, "0"),
        (top, "1"),
    ]


def test_curves_start_at_nought_and_nothing_is_cut_off():
    chart = charts.curves("", "", {"one": ([1, 2, 3], [0.5, 7.3, np.nan], "s0"), "two": ([1], [0.1], "s1")})
    assert chart.x == (0, 3)
    assert chart.y[0] == 0
    assert chart.y[1] >= 7.3
    points = [tuple(map(float, pair.split(","))) for pair in chart.lines[0].points.split()]
    assert len(points) == 2
    assert points[1] == pytest.approx((chart.across(2), chart.up(7.3)), abs=0.06)


@pytest.mark.parametrize(
    ("values", "least"), [([3.0, 21], 21), ([0.07], 0.07), ([], 1), ([0.0], 1), ([np.nan], 1)]
)
def test_an_axis_ends_above_all_values(values, least):
    assert least <= charts.above(values) <= 1.5 * least


def test_a_histogram_starts_and_ends_at_nought():
    chart = charts.Chart("", "", "", (0, 2), (0, 1))
    chart.steps(np.array([0.0, 1, 2]), np.array([0.25, 0.75]), "s0", "")
    heights = [float(pair.split(",")[1]) for pair in chart.lines[0].points.split()]
    assert heights[0] == heights[-1] == chart.up(0)
    assert min(heights) == pytest.approx(chart.up(0.75))
