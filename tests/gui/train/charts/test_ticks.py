"""Axes and figures in words."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gui.train.charts import ticks


@settings(deadline=None)
@given(st.floats(-1e9, 1e9), st.floats(1e-9, 1e9), st.integers(2, 12))
def test_ticks_are_round_inside_and_in_order(low: float, width: float, most: int) -> None:
    assume(width > 1e-9 * abs(low))  # nearer than that, numbers cannot be told apart
    high = low + width
    found = [value for value, _ in ticks.linear(low, high, most)]
    assert found == sorted(set(found))
    assert len(found) <= most + 1
    assert all(low - 1e-6 * width <= value <= high + 1e-6 * width for value in found)


@settings(deadline=None)
@given(st.floats(0, 1e6), st.floats(2, 1e6), st.integers(2, 12))
def test_steps_are_whole(low: float, width: float, most: int) -> None:
    assert all(value == round(value) for value, _ in ticks.linear(low, low + width, most, "count", whole=True))


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (1.0, 1.0), (0.0, math.inf), (1e300, 1e300), (-1e300, 1e300)])
def test_strange_ranges_have_few_ticks_or_none(low: float, high: float) -> None:
    assert len(ticks.linear(low, high, 5)) <= 6


def test_ticks_of_different_places_have_different_words() -> None:
    for low, high in ((0, 1), (0, 0.003), (0.4999, 0.5001), (0, 3e-6), (0, 5e7)):
        texts = [text for _, text in ticks.linear(low, high, 5)]
        assert len(set(texts)) == len(texts), texts


def test_shares_and_bytes() -> None:
    assert [text for _, text in ticks.linear(0, 1, 3, "share")] == ["0 %", "50 %", "100 %"]
    assert [text for _, text in ticks.linear(0, 2.1e9, 3, "memory")] == ["0", "1 GB", "2 GB"]


def test_powers_of_ten() -> None:
    assert ticks.powers(-2.5, 1.2, 6) == [(-2.0, "0.01"), (-1.0, "0.1"), (0.0, "1"), (1.0, "10")]
    assert [text for _, text in ticks.powers(-6, -5, 6)] == ["1e-6", "1e-5"]


def test_less_than_a_power_of_ten_has_round_numbers() -> None:
    found = ticks.powers(math.log10(0.2), math.log10(0.9), 4)
    assert [text for _, text in found] == ["0.2", "0.4", "0.6", "0.8"]
    assert found[0][0] == pytest.approx(math.log10(0.2))


def test_times() -> None:
    assert ticks.times(0, 200, 4) == [(0, "0 s"), (60, "1 min"), (120, "2 min"), (180, "3 min")]
    assert [text for _, text in ticks.times(0, 9000, 4)] == ["0 s", "1 h", "2 h"]
    assert ticks.times(0, 9000, 6)[1] == (1800, "30 min")
    assert [text for _, text in ticks.times(5400, 5460, 3)] == ["1:30:00", "1:30:30", "1:31:00"]
    assert ticks.clock(5400, 60) == "1:30 h"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.8234, "plain", "0.823"),
        (12.345, "plain", "12.3"),
        (1234.5, "plain", "1,235"),
        (3e-6, "rate", "3e-6"),
        (2.13e-7, "rate", "2.13e-7"),
        (0.0, "plain", "0"),
        (0.0625, "share", "6.3 %"),
        (187.5, "count", "187.5"),
        (512.0, "count", "512"),
        (2e9, "memory", "2.0 GB"),
        (500.0, "speed", "500 tokens/s"),
        (math.inf, "plain", "∞"),
        (math.nan, "plain", "none"),
        (-1.5e8, "plain", "-1.5e8"),
    ],
)
def test_a_figure_in_words(value: float, unit: ticks.Unit, text: str) -> None:
    assert ticks.figure(value, unit) == text
