"""Attention to keys that lie in several arrays, keeping no score for the gradient. Knows arrays alone.

The gradient computes the shares again from the scores and their logarithmic sum (FlashAttention, arXiv 2205.14135,
algorithm 4 of its appendix): kept, they would be the largest part of an update's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import mlx.core as mx

from engine.exponentials import exp

BLOCK = 128
"""Queries of a prompt that meet their keys at once on the CPU."""

Rearrange = Callable[[mx.array], mx.array]


def _unchanged(array: mx.array) -> mx.array:
    return array


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys and values (batch, kv heads, time, width), and which of them each query sees (True), None for all.

    `gather` brings an array from the queries' order of rows (rows, kv heads, queries, any) into that of these keys
    (batch, kv heads, more queries, any); `scatter` brings it back.
    """

    keys: mx.array
    values: mx.array
    seen: mx.array | None = None
    gather: Rearrange = _unchanged
    scatter: Rearrange = _unchanged

    def scores(self, queries: mx.array) -> mx.array:
        """Products of queries and keys in float32, -inf for keys that are not seen, in the order of the keys."""
        found = (self.gather(queries) @ self.keys.swapaxes(-1, -2)).astype(mx.float32)
        return found if self.seen is None else found + mx.where(self.seen, 0.0, -mx.inf)


def attend(queries: mx.array, parts: Sequence[Keys]) -> mx.array:
    """What queries (rows, heads, time, width), scaled already, gather from all parts; the same shape.

    Every query must see at least one key.
    """
    kv_heads = parts[0].keys.shape[1]
    if queries.shape[2] == 1:
        return _attend(queries, kv_heads, parts)[0].swapaxes(1, 2)

    def with_arrays(arrays: Sequence[mx.array]) -> list[Keys]:
        pairs = zip(arrays[::2], arrays[1::2], parts, strict=True)
        return [Keys(keys, values, part.seen, part.gather, part.scatter) for keys, values, part in pairs]

    @mx.custom_function
    def found(queries: mx.array, *arrays: mx.array) -> tuple[mx.array, mx.array]:
        return _attend(queries, kv_heads, with_arrays(arrays))

    @found.vjp
    def _(primals: Any, cotangents: Any, outputs: Any) -> tuple[mx.array, ...]:
        queries, *arrays = primals
        return _gradients(queries, kv_heads, with_arrays(arrays), cotangents[0], *outputs)

    both: Any = found(queries, *(array for part in parts for array in (part.keys, part.values)))
    return both[0].swapaxes(1, 2)  # type: ignore[no-any-return]


def _by_kv_head(array: mx.array, kv_heads: int) -> mx.array:
    """(rows, heads, time, any) as (rows, kv heads, heads of each x time, any)."""
    return array.reshape(array.shape[0], kv_heads, -1, array.shape[-1])


def _attend(queries: mx.array, kv_heads: int, parts: Sequence[Keys]) -> tuple[mx.array, mx.array]:
    """The result, and the logarithm of the sum of the exponentials of each query's scores.

    The result is (rows, time, heads, width), as the next layer wants it: one array is kept for both. The logarithms
    are (rows, kv heads, queries, 1).
    """
    rows, heads, count, _ = queries.shape
    grouped = _by_kv_head(queries, kv_heads)
    scores = [part.scores(grouped) for part in parts]
    tops = [part.scatter(each.max(axis=-1, keepdims=True)) for part, each in zip(parts, scores, strict=True)]
    highest = reduce(mx.maximum, tops)
    powers = [exp(each - part.gather(highest)) for part, each in zip(parts, scores, strict=True)]
    sums = [part.scatter(each.sum(axis=-1, keepdims=True)) for part, each in zip(parts, powers, strict=True)]
    taken = [
        part.scatter(each.astype(part.values.dtype) @ part.values) for part, each in zip(parts, powers, strict=True)
    ]
    whole = reduce(mx.add, sums)
    result = reduce(mx.add, taken) / whole.astype(queries.dtype)
    return mx.contiguous(result.reshape(rows, heads, count, -1).swapaxes(1, 2)), mx.log(whole) + highest


def _gradients(
    queries: mx.array, kv_heads: int, parts: Sequence[Keys], slope: mx.array, output: mx.array, log_sum: mx.array
) -> tuple[mx.array, ...]:
    """Of the queries, and of keys and values of each part."""
    common = (slope * output).astype(mx.float32).sum(axis=-1, keepdims=True)
    common, slope = (_by_kv_head(array.swapaxes(1, 2), kv_heads) for array in (common, slope))
    grouped = _by_kv_head(queries, kv_heads)
    of_queries, of_arrays = [], []
    for part in parts:
        kind = part.values.dtype
        shares = exp(part.scores(grouped) - part.gather(log_sum))
        slopes = part.gather(slope)
        of_shares = (slopes @ part.values.swapaxes(-1, -2)).astype(mx.float32)
        of_scores = (shares * (of_shares - part.gather(common))).astype(kind)
        of_queries.append(part.scatter(of_scores @ part.keys))
        of_arrays += [of_scores.swapaxes(-1, -2) @ part.gather(grouped), shares.astype(kind).swapaxes(-1, -2) @ slopes]
    return reduce(mx.add, of_queries).reshape(queries.shape), *of_arrays


def causal(queries: mx.array, keys: mx.array, values: mx.array, scale: float) -> mx.array:
    """Attention of the last tokens to all before them and themselves, a block of queries at a time.

    MLX's own on the CPU computes every score, those of later tokens too.

    Args:
        queries: (rows, heads, time, width).
        keys, values: (rows, kv heads, at least time, width).
    """
    count, known = queries.shape[2], keys.shape[2]
    repeats = queries.shape[1] // keys.shape[1]
    queries = queries * scale
    found = []
    for start in range(0, count, BLOCK):
        block = queries[..., start : start + BLOCK, :]
        length = block.shape[2]
        end = known - count + start + length
        seen = mx.arange(end) <= mx.arange(end - length, end)[:, None]
        part = Keys(keys[..., :end, :], values[..., :end, :], mx.concatenate([seen] * repeats, axis=0))
        found.append(attend(block, [part]))
    return mx.concatenate(found, axis=2)
