"""Confidence intervals and pass@k, against brute force and published figures."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.grpo.statistics import mean, pass_at_k, pass_curve, wilson_interval


def test_wilson_interval_of_published_examples() -> None:
    # Newcombe 1998 (Stat. Med. 17:857), table I, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(1, 3000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_wilson_interval_holds_the_share_and_mirrors(trials: tuple[int, int]) -> None:
    right, count = trials
    low, high = wilson_interval(right, count)
    assert 0.0 <= low <= right / count <= high <= 1.0
    assert low < high
    mirrored = wilson_interval(count - right, count)
    assert (low, high) == pytest.approx((1 - mirrored[1], 1 - mirrored[0]), abs=1e-12)


def test_wilson_interval_narrows_with_more_trials() -> None:
    widths = [high - low for low, high in (wilson_interval(count // 2, count) for count in (10, 100, 1000))]
    assert widths == sorted(widths, reverse=True)
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("right", "count"), [(-1, 3), (4, 3), (0, -1)])
def test_what_is_no_share_is_refused(right: int, count: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson_interval(right, count)


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_all_draws_with_a_right_one(case: tuple[int, int, int]) -> None:
    right, samples, k = case
    draws = list(itertools.combinations([True] * right + [False] * (samples - right), k))
    assert pass_at_k(right, samples, k) == pytest.approx(mean([float(any(draw)) for draw in draws]), abs=1e-12)


@pytest.mark.parametrize(("right", "samples", "k"), [(3, 2, 1), (-1, 2, 1), (1, 2, 3), (1, 2, 0)])
def test_pass_at_k_beyond_the_samples_is_refused(right: int, samples: int, k: int) -> None:
    with pytest.raises(ValueError, match="cannot be told"):
        pass_at_k(right, samples, k)


def test_pass_curve_rises_from_the_mean_share_to_the_share_with_any() -> None:
    curve = pass_curve([0, 3, 6], 6)
    assert [k for k, _ in curve] == [1, 2, 4, 6]
    shares = [share for _, share in curve]
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx(0.5)
    assert shares[-1] == pytest.approx(2 / 3)
    assert [k for k, _ in pass_curve([1], 8)] == [1, 2, 4, 8]
    assert pass_curve([1, 0], 1) == ((1, 0.5),)
    assert pass_curve([], 2) == ((1, 0.0), (2, 0.0))
