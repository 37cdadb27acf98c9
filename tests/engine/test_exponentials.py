"""Functions made of exponentials against NumPy in float64 and against MLX's own."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import exponentials


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-80, 80, width=32), min_size=1, max_size=40))
def test_exponentials_are_exact_to_their_argument_times_an_ulp(values: list[float]) -> None:
    wanted = np.exp(np.array(values, np.float64))
    found = np.array(exponentials.exp(mx.array(values, mx.float32)), np.float64)
    assert np.all(np.abs(found / wanted - 1) <= 1e-7 * (2 + np.abs(values)))


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16])
def test_nothing_is_left_of_minus_infinity_and_types_stay(dtype: mx.Dtype) -> None:
    found = exponentials.exp(mx.array([-mx.inf, 0.0], dtype))
    assert found.dtype == dtype
    assert found.tolist() == [0.0, 1.0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 40))
def test_log_shares_and_their_gradient(seed: int, spread: float) -> None:
    drawn = np.random.default_rng(seed)
    logits = (drawn.normal(size=(5, 30)) * spread).astype(np.float32)
    chosen, weights = drawn.integers(0, 30, 5), drawn.normal(size=5)

    def weighted(array: mx.array) -> mx.array:
        shares: Any = exponentials.log_shares(array, mx.array(chosen))
        return (shares * mx.array(weights, mx.float32)).sum()

    exact = logits.astype(np.float64)
    highest = exact.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(exact - highest).sum(axis=-1, keepdims=True)) + highest
    shares: Any = exponentials.log_shares(mx.array(logits), mx.array(chosen))
    np.testing.assert_allclose(np.array(shares), (exact - log_sum)[np.arange(5), chosen], rtol=1e-5, atol=1e-5)
    slopes = -np.exp(exact - log_sum) * weights[:, None]
    slopes[np.arange(5), chosen] += weights
    np.testing.assert_allclose(np.array(mx.grad(weighted)(mx.array(logits))), slopes, rtol=1e-4, atol=1e-5)


def test_swiglu_is_silu_times_up_and_so_are_its_gradients() -> None:
    gate, up, slope = (mx.random.normal((7, 33), key=mx.random.key(number)) * 4 for number in range(3))

    def ours(gate: mx.array, up: mx.array) -> mx.array:
        found: Any = exponentials.swiglu(gate, up)
        return (found * slope).sum()

    def plain(gate: mx.array, up: mx.array) -> mx.array:
        return (gate * mx.sigmoid(gate) * up * slope).sum()

    for found, wanted in zip(mx.grad(ours, (0, 1))(gate, up), mx.grad(plain, (0, 1))(gate, up), strict=True):
        np.testing.assert_allclose(np.array(found), np.array(wanted), rtol=1e-5, atol=1e-5)
    assert float(ours(gate, up).item()) == pytest.approx(float(plain(gate, up).item()), rel=1e-5)  # type: ignore[arg-type]


def test_swiglu_of_far_gates_is_finite() -> None:
    far = mx.array([-1e4, -200.0, 200.0, 1e4])
    found: Any = exponentials.swiglu(far, mx.ones(4))
    np.testing.assert_allclose(np.array(found), [0.0, 0.0, 200.0, 1e4], atol=1e-20)
    slopes = mx.grad(lambda gate: exponentials.swiglu(gate, mx.ones(4)).sum())(far)
    np.testing.assert_allclose(np.array(slopes), [0.0, 0.0, 1.0, 1.0], atol=1e-6)
