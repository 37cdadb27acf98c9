"""Attention over parts and in blocks against MLX's attention in one piece, with gradients."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from engine.grpo.attention import BLOCK, Keys, attend, causal


def normal(seed: int, *shape: int) -> mx.array:
    return mx.random.normal(shape, key=mx.random.key(seed))


def close(found: Any, wanted: Any, tolerance: float = 1e-4) -> None:
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(np.array(one), np.array(other), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("repeats", [1, 2])
def test_two_parts_are_one_longer_part(count: int, repeats: int) -> None:
    queries = normal(0, 2, 3 * repeats, count, 8)
    arrays = [normal(number, 2, 3, time, 8) for number, time in ((1, 5), (2, 5), (3, 4), (4, 4))]
    weights = normal(5, *queries.shape)
    seen = mx.array(np.random.default_rng(0).random((count * repeats, 5)) < 0.6)

    def parts(queries: mx.array, *arrays: mx.array) -> mx.array:
        first, second = Keys(arrays[0], arrays[1], seen), Keys(arrays[2], arrays[3])
        return (attend(queries, [first, second]) * weights).sum()

    def whole(queries: mx.array, *arrays: mx.array) -> mx.array:
        keys, values = (mx.concatenate([arrays[0 + at], arrays[2 + at]], axis=2) for at in (0, 1))
        mask = mx.concatenate([seen, mx.ones((count * repeats, 4), mx.bool_)], axis=-1)
        grouped = queries.reshape(2, 3, repeats * count, 8)
        found = mx.fast.scaled_dot_product_attention(grouped, keys, values, scale=1.0, mask=mask)
        return (found.reshape(queries.shape) * weights).sum()

    every = tuple(range(5))
    ours, theirs = (mx.value_and_grad(function, every)(queries, *arrays) for function in (parts, whole))
    assert float(ours[0].item()) == pytest.approx(float(theirs[0].item()), rel=1e-4)
    close(ours[1], theirs[1])


@pytest.mark.parametrize("count", [1, 7, BLOCK, BLOCK + 1, 2 * BLOCK + 5])
@pytest.mark.parametrize("before", [0, 9])
def test_blocks_are_causal_attention(count: int, before: int) -> None:
    queries = normal(0, 2, 4, count, 8)
    keys, values = normal(1, 2, 2, before + count, 8), normal(2, 2, 2, before + count, 8)
    weights = normal(3, *queries.shape)

    def blocks(*arrays: mx.array) -> mx.array:
        return (causal(*arrays, 0.3) * weights).sum()

    def whole(*arrays: mx.array) -> mx.array:
        return (mx.fast.scaled_dot_product_attention(*arrays, scale=0.3, mask="causal") * weights).sum()

    np.testing.assert_allclose(
        np.array(causal(queries, keys, values, 0.3)),
        np.array(mx.fast.scaled_dot_product_attention(queries, keys, values, scale=0.3, mask="causal")),
        rtol=1e-5,
        atol=1e-5,
    )
    close(mx.grad(blocks, (0, 1, 2))(queries, keys, values), mx.grad(whole, (0, 1, 2))(queries, keys, values))


def test_sixteen_bits_stay_sixteen_bits() -> None:
    queries, keys, values = (normal(number, 2, 2, 6, 8).astype(mx.bfloat16) for number in range(3))
    found = causal(queries, keys, values, 0.3)
    wanted = mx.fast.scaled_dot_product_attention(queries, keys, values, scale=0.3, mask="causal")
    assert found.dtype == mx.bfloat16
    assert mx.abs(found.astype(mx.float32) - wanted.astype(mx.float32)).max().item() < 0.05  # type: ignore[operator]
    slopes = mx.grad(lambda array: causal(array, keys, values, 0.3).astype(mx.float32).sum())(queries)
    assert slopes.dtype == mx.bfloat16


def test_scores_are_not_kept_for_the_gradient() -> None:
    queries, keys, values = normal(0, 1, 8, 1024, 16), normal(1, 1, 8, 1024, 16), normal(2, 1, 8, 1024, 16)

    def layers(array: mx.array) -> mx.array:
        for _ in range(4):
            array = causal(array, keys, values, 0.25)
        return array.sum()

    mx.eval(queries, keys, values)
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    mx.eval(mx.grad(layers)(queries))
    scores = 4 * 8 * 1024 * 1024 * 4
    assert mx.get_peak_memory() - before < scores / 2
