"""Which part of the runs is shown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gui.train.charts.span import Span


@pytest.fixture
def span() -> Span:
    """A thousand steps."""
    span = Span()
    span.reach(0, 1000)
    return span


def test_all_is_shown_and_what_comes(span: Span) -> None:
    assert span.view[0] <= 0
    assert span.view[1] >= 1000
    span.reach(0, 2000)
    assert span.view[1] >= 2000
    assert not span.zoomed


def test_a_part_that_is_chosen_stays(span: Span) -> None:
    span.show(200, 300)
    span.reach(0, 2000)
    assert span.view == (200, 300)
    span.fit()
    assert span.view[1] >= 2000


def test_a_part_that_reaches_to_the_end_moves_along(span: Span) -> None:
    span.show(900, span.whole[1])
    width = span.view[1] - span.view[0]
    span.reach(0, 1500)
    assert span.view[1] == span.whole[1]
    assert span.view[1] - span.view[0] == pytest.approx(width)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(-10, 1010), st.floats(-500, 500)), max_size=20))
def test_hands_never_leave_what_there_is(moves: list[tuple[float, float, float]]) -> None:
    span = Span()
    span.reach(0, 1000)
    for factor, centre, distance in moves:
        span.zoom(factor, centre)
        span.pan(distance)
        (left, right), (least, most) = span.view, span.whole
        assert least - 1e-6 <= left < right <= most + 1e-6
        assert right - left >= 1.999


def test_zooming_keeps_what_is_under_the_mouse(span: Span) -> None:
    span.zoom(0.5, 400)
    left, right = span.view
    whole = span.whole
    assert (400 - left) / (right - left) == pytest.approx((400 - whole[0]) / (whole[1] - whole[0]))
    span.zoom(4, 400)
    assert not span.zoomed


def test_another_axis_shows_all(span: Span) -> None:
    span.show(200, 300)
    span.point(250)
    span.count("elapsed")
    assert not span.zoomed
    assert span.cursor is None
