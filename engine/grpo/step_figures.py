"""The figures of a step, as its event tells them. Knows no file and no model."""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from engine.grpo.rewards import RewardSet
from engine.grpo.steps import StepResult, weighted
from engine.training_events import StepFinished


def figures(
    result: StepResult, rewards: RewardSet, *, step: int, steps: int, rows: int, learning_rate: float, elapsed: float
) -> StepFinished:
    """What the `step`-th of `steps` steps did, over `rows` rows of data; the peak of memory is counted anew."""
    scores = np.concatenate([asked.scores for asked in result.asked]).astype(np.float64)
    totals = weighted(scores, rewards.weights).reshape(len(result.asked), -1)
    judged = [column[~np.isnan(column)] for column in scores.T]
    rolled = [one for asked in result.asked for one in asked.rollouts]
    lengths = [len(one.tokens) for one in rolled]
    entropy = -float(np.concatenate([one.logprobs for one in rolled]).astype(np.float64).mean())
    update = result.figures
    peak = mx.get_peak_memory()
    mx.reset_peak_memory()
    return StepFinished(
        step=step,
        steps=steps,
        epoch=result.cursor / rows,
        loss=update.loss,
        reward=float(totals.mean()),
        reward_spread=float(totals.std(axis=1).mean()),
        rewards=tuple(
            (name, float(column.mean()) if len(column) else 0.0, float(column.std()) if len(column) else 0.0)
            for name, column in zip(rewards.names, judged, strict=True)
        ),
        flat_groups=result.flat / result.groups,
        replaced=result.replaced,
        kl=update.kl,
        entropy=entropy,
        ratio=update.ratio,
        clipped_low=update.clipped_low,
        clipped_high=update.clipped_high,
        gradient_norm=update.gradient_norm,
        learning_rate=learning_rate,
        completions=len(rolled),
        tokens=sum(lengths),
        mean_length=float(np.mean(lengths)),
        shortest=min(lengths),
        longest=max(lengths),
        cut_short=float(np.mean([one.stop_reason == "length" for one in rolled])),
        rollout_seconds=result.rollout_seconds,
        reward_seconds=result.reward_seconds,
        update_seconds=result.update_seconds,
        elapsed=elapsed,
        peak_memory=int(peak),
        rows=tuple(asked.row.index for asked in result.asked),
    )
