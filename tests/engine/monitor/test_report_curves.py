"""Lines with fewer points, calm lines and round numbers."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.monitor import report_curves
from engine.monitor.report_curves import Curve

numbers = st.floats(-1e6, 1e6) | st.just(math.nan)


@given(st.lists(numbers, min_size=1, max_size=300), st.integers(2, 80))
def test_a_thinned_line_keeps_its_heights_and_its_order(values: list[float], points: int) -> None:
    y = np.array(values)
    x = np.arange(len(y), dtype=np.float64)
    few_x, few_y = report_curves.thinned(x, y, points)
    assert len(few_x) == len(few_y) <= max(points, 2)
    assert list(few_x) == sorted(set(few_x))
    for place, value in zip(few_x, few_y, strict=True):
        np.testing.assert_equal(y[int(place)], value)
    if np.isfinite(y).any():
        assert np.nanmax(few_y) == np.nanmax(y)
        assert np.nanmin(few_y) == np.nanmin(y)


@given(st.lists(numbers, min_size=1, max_size=60), st.integers(1, 20))
def test_a_calm_line_is_the_mean_around_each_point(values: list[float], window: int) -> None:
    y = np.array(values)
    calm = report_curves.smoothed(y, window)
    for place in range(len(y)):
        around = y[max(0, place - window // 2) : place + (window + 1) // 2]
        around = around[np.isfinite(around)]
        expected = around.mean() if len(around) else math.nan
        np.testing.assert_allclose(calm[place], expected, rtol=1e-6, atol=1e-6)


@given(st.floats(-1e9, 1e9), st.floats(1e-9, 1e9), st.integers(2, 8))
def test_round_numbers_lie_within_and_are_few(low: float, width: float, most: int) -> None:
    high = low + width
    if high - low < 1e-6 * abs(low):
        return
    found = report_curves.ticks(low, high, most)
    assert len(found) <= most + 1
    slack = 1e-6 * (high - low)
    assert all(low - slack <= value <= high + slack for value in found)
    assert found == sorted(set(found))


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=120),
    st.booleans(),
    st.booleans(),
)
def test_any_figures_make_a_sound_drawing(values: list[float], percent: bool, sharp: bool) -> None:
    y = np.array(values)
    x = np.arange(1.0, len(y) + 1)
    curve = Curve("<a> & b", "about", x, y, y - 1, y + 1, percent=percent, sharp=sharp, marks=(1.0, 5.0))
    if curve.empty:
        return
    drawn = ElementTree.fromstring(report_curves.figure(curve))  # noqa: S314
    for path in drawn.iter("{http://www.w3.org/2000/svg}path"):
        found = [float(number) for number in re.findall(r"-?\d+\.?\d*", path.get("d", ""))]
        assert all(math.isfinite(number) for number in found)
        assert not re.search("nan|inf", path.get("d", ""))


@pytest.mark.parametrize(
    ("value", "percent", "expected"),
    [(0.43, True, "43.0\xa0%"), (0.02134, False, "0.0213"), (3e-7, False, "3e-07"), (12345.6, False, "12,346")],
)
def test_figures_as_they_are_read(value: float, percent: bool, expected: str) -> None:
    assert report_curves.text(value, percent) == expected


def test_a_line_with_a_hole_is_drawn_in_two() -> None:
    y = np.array([1.0, 2.0, math.nan, 3.0, 4.0])
    curve = Curve("t", "a", np.arange(5.0), y, sharp=True)
    drawn = report_curves.figure(curve)
    (line,) = re.findall(r'class="bold" d="([^"]*)"', drawn)
    assert line.count("M") == 2
    assert drawn.count("<circle") == 4
