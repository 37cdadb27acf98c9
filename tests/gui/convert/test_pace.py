"""Speed and time left."""

from __future__ import annotations

import pytest

from gui.convert.pace import Pace


def fed(*steps: tuple[float, float]) -> Pace:
    pace = Pace()
    for done, now in steps:
        pace.feed(done, now)
    return pace


def test_nothing_is_said_in_the_first_second() -> None:
    assert fed((0, 10.0), (500, 10.5)).speed == 0
    assert fed((0, 10.0), (500, 10.5)).left(1000) is None


def test_an_even_pace_is_told_exactly() -> None:
    pace = fed(*((100.0 * second, 10.0 + second) for second in range(8)))
    assert pace.speed == pytest.approx(100)
    assert pace.left(1000) == pytest.approx(3.0)


def test_a_new_pace_is_followed_within_some_seconds() -> None:
    slow = [(10.0 * second, float(second)) for second in range(20)]
    fast = [(190 + 1000.0 * second, 19.0 + second) for second in range(1, 20)]
    pace = fed(*slow, *fast)
    assert 900 < pace.speed <= 1000


def test_one_hiccup_does_not_make_the_time_left_jump() -> None:
    steps = [(100.0 * second, float(second)) for second in range(30)]
    before, after = fed(*steps), fed(*steps, (2900.0, 30.0))
    assert before.speed * 0.8 < after.speed < before.speed


def test_a_count_that_starts_anew_forgets_the_old_pace() -> None:
    assert fed((0, 0.0), (1000, 2.0), (0, 3.0), (10, 3.5)).speed == 0


def test_two_counts_at_one_time_divide_by_nothing() -> None:
    assert fed((0, 1.0), (5, 1.0), (10, 3.0)).speed == pytest.approx(5)


def test_what_is_past_its_total_has_no_time_left() -> None:
    assert fed((0, 0.0), (2000, 2.0)).left(1000) == 0
