"""When a run had better end before its last step. Knows figures, no files and no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from engine.grpo.settings import TrainConfig

Reason = Literal["finished", "target reached", "no progress", "reward fell"]
"""Why a run ended."""


def reason(
    config: TrainConfig, *, reached: float | None, stale: int, rewards: Sequence[float], best: float
) -> Reason | None:
    """Why to end the run here, None to go on.

    Args:
        reached: the accuracy of an evaluation on all held-out rows after this very step, None where there was none.
        stale: how many such evaluations there have been since the accuracy last rose.
        rewards: the mean rewards of the last `early_stop_window` steps; fewer at the start.
        best: the highest mean of as many steps in a row so far, as `best_mean` gives it.
    """
    if reached is not None and 0.0 < config.target_accuracy <= reached:
        return "target reached"
    if 0 < config.early_stop_patience <= stale:
        return "no progress"
    mean = _mean(config, rewards)
    # A share of nothing, or of less than nothing, says nothing.
    if mean is not None and best > 0.0 and mean < config.early_stop_reward * best:
        return "reward fell"
    return None


def best_mean(config: TrainConfig, rewards: Sequence[float], best: float) -> float:
    """The highest mean reward of `early_stop_window` steps in a row, with the last of them counted in."""
    mean = _mean(config, rewards)
    return best if mean is None else max(best, mean)


def _mean(config: TrainConfig, rewards: Sequence[float]) -> float | None:
    whole = len(rewards) >= config.early_stop_window
    return sum(rewards) / len(rewards) if whole else None
