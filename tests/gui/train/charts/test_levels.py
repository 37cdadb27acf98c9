"""Extremes of many figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gui.train.charts.levels import Levels

sizes = st.lists(st.integers(1, 700), min_size=1, max_size=5)


def filled(pieces: list[int], seed: int) -> tuple[Levels, np.ndarray]:
    """Figures with some gaps, added in pieces."""
    random = np.random.default_rng(seed)
    figures = random.normal(size=sum(pieces))
    figures[random.random(len(figures)) < 0.2] = math.nan
    levels = Levels()
    for piece in np.split(figures, np.cumsum(pieces)[:-1]):
        levels.extend(piece)
    return levels, figures


@settings(deadline=None)
@given(sizes, st.integers(0, 5), st.data())
def test_no_peak_is_lost(pieces: list[int], seed: int, data: st.DataObject) -> None:
    levels, figures = filled(pieces, seed)
    start = data.draw(st.integers(0, len(figures) - 1))
    stop = data.draw(st.integers(start + 1, len(figures)))
    bins = data.draw(st.integers(1, 500))
    window = levels.window(start, stop, bins)
    for index, (low, high) in enumerate(zip(window.lows, window.highs, strict=True)):
        first = window.first + index * window.bucket
        part = figures[first : first + window.bucket]
        assert (low, high) == pytest.approx((np.fmin.reduce(part), np.fmax.reduce(part)), nan_ok=True)
    assert window.first <= start
    assert window.first + len(window.lows) * window.bucket >= stop


@settings(deadline=None)
@given(sizes, st.integers(0, 3))
def test_the_figures_themselves_stay(pieces: list[int], seed: int) -> None:
    levels, figures = filled(pieces, seed)
    assert levels.values == pytest.approx(figures, nan_ok=True)


def test_a_hundred_thousand_become_some_hundred() -> None:
    levels, _ = filled([100_000], 0)
    assert 300 <= len(levels.window(0, 100_000, 300).lows) <= 601


def test_few_are_shown_one_by_one() -> None:
    levels, figures = filled([100_000], 0)
    window = levels.window(50_000, 50_300, 300)
    assert window.bucket == 1
    assert window.lows == pytest.approx(figures[50_000:50_300], nan_ok=True)


def test_after_clearing_nothing_of_before_is_left() -> None:
    levels, _ = filled([5000], 0)
    levels.clear()
    levels.extend(np.arange(1000.0))
    window = levels.window(0, 1000, 100)
    assert len(levels) == 1000
    assert (window.lows.min(), window.highs.max()) == (0, 999)
