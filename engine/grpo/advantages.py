"""Turns the rewards of groups of completions into advantages. Knows no model and no reward function.

Call `engine.backend.prepare()` before importing this module: it imports MLX.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

_SPREAD_FLOOR = 1e-4
"""Added to every standard deviation, as TRL does, so that small spreads are not blown up."""


def group_advantages(
    rewards_per_function: mx.array | NDArray[np.floating],
    group_size: int,
    *,
    weights: Sequence[float] | mx.array | NDArray[np.floating] | None = None,
    scale: Literal["group", "batch", "none"] = "group",
    aggregation: Literal["sum_then_normalize", "normalize_then_sum"] = "sum_then_normalize",
    ddof: int = 1,
) -> mx.array:
    """How much better each completion is than its group: (batch,), float32.

    The values are those of TRL 1.16's `GRPOTrainer`, with one exception: completions whose rewards differ from the
    mean by no more than float32's rounding get exactly 0, where TRL may divide one rounding error by another.

    Args:
        rewards_per_function: (batch, functions), a group's completions one after another. NaN is "no opinion" and
            counts as 0 beside other rewards; a completion with no reward at all is left out and gets 0.
        group_size: Completions a group.
        weights: One factor for each function; None is 1 for all.
        scale: Divide by the standard deviation of the group, of the batch, or not at all.
        aggregation: Add the weighted rewards and compare the sums, or compare each function's rewards in the group,
            add those, and normalise over the batch whatever `scale` says (GDPO, arXiv 2601.05242).
        ddof: What is taken off the count in a standard deviation.

    Raises:
        ValueError: An unknown name, shapes that do not fit, or an infinite reward.
    """
    rewards = np.array(rewards_per_function, dtype=np.float64)
    if rewards.ndim != 2 or group_size < 1 or len(rewards) % group_size:
        raise ValueError(f"rewards of shape {rewards.shape} are not groups of {group_size}")
    if np.isinf(rewards).any():
        raise ValueError("an infinite reward has no mean")
    batch, functions = rewards.shape
    factors = np.ones(functions) if weights is None else np.array(weights, dtype=np.float64)
    if factors.shape != (functions,):
        raise ValueError(f"{functions} reward functions need as many weights, not {factors.size}")
    if scale not in {"group", "batch", "none"}:
        raise ValueError(f"unknown scale: {scale}")
    scored = ~np.isnan(rewards).all(axis=1)

    if aggregation == "sum_then_normalize":
        sums = np.where(scored, np.nansum(rewards * factors, axis=1), np.nan).reshape(-1, group_size)
        advantages = _deviations(sums)
        if scale == "group":
            advantages = advantages / (_spread(advantages, ddof) + _SPREAD_FLOOR)
        elif scale == "batch":
            spread = _spread(_deviations(sums.reshape(1, batch)), ddof)
            advantages = advantages / (spread + _SPREAD_FLOOR)
    elif aggregation == "normalize_then_sum":
        deviations = _deviations(rewards.reshape(-1, group_size, functions))
        normalised = (deviations / (_spread(deviations, ddof) + _SPREAD_FLOOR)).reshape(batch, functions)
        deviations = _deviations(np.where(scored, np.nansum(normalised * factors, axis=1), np.nan)[None])
        advantages = deviations / (_spread(deviations, ddof) + _SPREAD_FLOOR)
    else:
        raise ValueError(f"unknown aggregation: {aggregation}")
    return mx.array(np.nan_to_num(advantages.reshape(batch)).astype(np.float32))


def _deviations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """From the mean along axis 1, NaN left out; 0 where only the rounding of float32 rewards is left."""
    present = ~np.isnan(values)
    filled = np.where(present, values, 0.0)
    mean = filled.sum(axis=1, keepdims=True) / np.maximum(present.sum(axis=1, keepdims=True), 1)
    rounding = 4 * np.finfo(np.float32).eps * np.abs(filled).max(axis=1, keepdims=True)
    return np.where(np.abs(values - mean) <= rounding, 0.0, values - mean)


def _spread(deviations: NDArray[np.float64], ddof: int) -> NDArray[np.float64]:
    """Their standard deviation along axis 1, NaN left out; with too few of them to have one, 0."""
    count = np.sum(~np.isnan(deviations), axis=1, keepdims=True)
    squares = np.nansum(np.square(deviations), axis=1, keepdims=True)
    variance: NDArray[np.float64] = squares / np.maximum(count - ddof, 1)
    return np.sqrt(variance)
