"""The moving average against the plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gui.train.charts.smoothing import Average

values = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(math.nan)), max_size=300)
spans = st.floats(1, 1000)


def plain(figures: list[float], span: float) -> list[float]:
    """The definition, figure by figure."""
    keep, mean, count, found = 1 - 1 / span, 0.0, 0, []
    for figure in figures:
        if math.isnan(figure):
            found.append(math.nan)
            continue
        count += 1
        mean = keep * mean + (1 - keep) * figure
        found.append(mean / (1 - keep**count))
    return found


@settings(deadline=None)
@given(values, spans)
def test_it_is_the_plain_loop(figures: list[float], span: float) -> None:
    assert Average(span).extend(np.array(figures)) == pytest.approx(
        plain(figures, span), rel=1e-7, abs=1e-4, nan_ok=True
    )


@settings(deadline=None)
@given(values, spans, st.lists(st.integers(0, 300), max_size=5))
def test_it_is_the_same_in_parts(figures: list[float], span: float, cuts: list[int]) -> None:
    whole, parts = Average(span), Average(span)
    pieces = np.split(np.array(figures), sorted(min(cut, len(figures)) for cut in cuts))
    found = np.concatenate([parts.extend(piece) for piece in pieces])
    assert found == pytest.approx(whole.extend(np.array(figures)), rel=1e-7, abs=1e-4, nan_ok=True)


@settings(deadline=None)
@given(st.floats(-1e300, 1e300), spans, st.integers(1, 5000))
def test_what_never_changes_is_its_own_average(figure: float, span: float, count: int) -> None:
    assert np.allclose(Average(span).extend(np.full(count, figure)), figure, rtol=1e-9, atol=1e-200)


def test_many_figures_take_many_blocks() -> None:
    figures = np.random.default_rng(1).normal(3, 1, 20_000)
    found = Average(3).extend(figures)
    assert found == pytest.approx(plain(figures.tolist(), 3), rel=1e-9)


def test_infinity_is_a_gap() -> None:
    found = Average(2).extend(np.array([1.0, math.inf, -math.inf, 1.0]))
    assert found.tolist()[0] == found.tolist()[3] == 1
    assert np.isnan(found[1:3]).all()


def test_a_span_of_one_changes_nothing() -> None:
    figures = np.array([1.0, math.nan, 1e308, -5.0])
    assert Average(1).extend(figures) == pytest.approx(figures, nan_ok=True)
