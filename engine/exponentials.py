"""Functions made of exponentials, the way MLX computes them fastest where it runs. Knows arrays alone.

On an x86 CPU MLX's own exponential takes 9 ns a number and its power 3 ns, and exponentials are a third of a training
step there; elsewhere these are MLX's own functions. Gradients need the results only, so that little is kept for them.
"""

from __future__ import annotations

import math
from typing import Any

import mlx.core as mx

from engine import backend


def exp(values: mx.array) -> mx.array:
    """e to these powers, in their type; within 3e-8 * |value| of it where it is computed as a power."""
    return mx.power(math.e, values) if _powers(values) else mx.exp(values)


def _powers(values: mx.array) -> bool:
    return values.dtype == mx.float32 and not backend.has_gpu()


def logsumexp(values: mx.array) -> mx.array:
    """Logarithm of the sum of exponentials over the last axis."""
    highest = values.max(axis=-1, keepdims=True)
    return (mx.log(exp(values - highest).sum(axis=-1, keepdims=True)) + highest)[..., 0]


@mx.custom_function
def log_shares(logits: mx.array, chosen: mx.array) -> mx.array:
    """Logarithms of the softmax over the last axis, of the chosen entries alone.

    Args:
        logits: (count, vocabulary).
        chosen: (count,).
    """
    return mx.take_along_axis(logits, chosen[:, None], axis=-1)[:, 0] - logsumexp(logits)


@log_shares.vjp
def _(primals: Any, cotangent: Any, output: Any) -> tuple[mx.array, mx.array]:
    logits, chosen = primals
    log_sum = mx.take_along_axis(logits, chosen[:, None], axis=-1) - output[:, None]
    slopes = exp(logits - log_sum) * -cotangent[:, None]
    return slopes.at[mx.arange(len(chosen)), chosen].add(cotangent), mx.zeros_like(chosen)


@mx.custom_function
def swiglu(gate: mx.array, up: mx.array) -> mx.array:
    """SiLU of `gate` times `up`, element by element (arXiv 2002.05202)."""
    return gate / (1.0 + exp(-gate)) * up


@swiglu.vjp
def _(primals: Any, cotangent: Any, _output: Any) -> tuple[mx.array, mx.array]:
    gate, up = primals
    share = 1.0 / (1.0 + exp(-gate))
    slope = cotangent * share
    return slope * up * (1.0 + gate * (1.0 - share)), slope * gate
