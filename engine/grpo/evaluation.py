"""Answers held-out rows and counts what is right. Knows neither where rows come from nor how weights change.

Call `engine.backend.prepare()` before importing this module: it imports MLX.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Literal

import mlx.core as mx
import numpy as np

from engine import arithmetic
from engine.events import Event, Progress
from engine.grpo import answers, prompts, rollout, statistics
from engine.grpo.memory_model import ROWS_AT_ONCE
from engine.training_events import Evaluated

if TYPE_CHECKING:
    from engine.grpo.data import Row
    from engine.grpo.policy import Policy
    from engine.grpo.rewards import RewardSet
    from engine.grpo.settings import TrainConfig


def choose(held_out: Sequence[Row], count: int, seed: int) -> list[Row]:
    """The same `count` rows at every evaluation with this seed; fewer where there are fewer.

    A smaller choice is the beginning of a larger one.
    """
    order = np.random.default_rng(seed).permutation(len(held_out))
    return [held_out[int(index)] for index in order[:count]]


def rows_for(policy: Policy, held_out: Sequence[Row], count: int, config: TrainConfig) -> list[Row]:
    """The rows of `choose` whose prompts are no longer than `max_prompt_length`: those that are judged."""
    chosen = choose(held_out, count, config.seed)
    return [row for row in chosen if prompts.fits(prompts.encode(policy.tokenizer, row, config), config)]


def evaluate(
    policy: Policy,
    task_rows: Sequence[Row],
    rewards: RewardSet,
    config: TrainConfig,
    *,
    when: Literal["before", "during", "quick", "after"],
    step: int,
    key: mx.array,
    elapsed: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Generator[Event, None, Evaluated]:
    """Answer rows greedily, and `eval_generations` times by sampling where that is more than one.

    A quick look takes the greedy completions alone.

    Args:
        key: a PRNG key of this evaluation's own, for the sampled completions.
        elapsed: seconds of the run so far; handed through.
        clock: as `engine.grpo.steps.run`.

    Yields:
        Progress in rows.

    Returns:
        the figures; `seconds` is what the evaluation took.
    """
    started = clock()
    generations = 1 if when == "quick" else config.eval_generations
    total = len(task_rows) * (1 if generations == 1 else 2)
    greedy = yield from _completions(policy, task_rows, config, 1, None, 0, total)
    texts = [config.completion_prefill + rolled.text for rolled in greedy]
    lengths = [len(rolled.tokens) for rolled in greedy]
    right = _right(texts, task_rows)
    low, high = statistics.wilson_interval(sum(right), len(right))
    mean_reward = 0.0
    if task_rows:
        # A function without an opinion adds nothing.
        scores = np.nan_to_num((yield from rewards.score_steps(texts, task_rows, lengths)), nan=0.0)
        mean_reward = float((scores @ np.asarray(rewards.weights, np.float64)).mean())
    sampled_accuracy = pass_at_k = None
    if generations > 1:
        sampled = yield from _completions(policy, task_rows, config, generations, key, len(task_rows), total)
        asked = [row for row in task_rows for _ in range(generations)]
        outcomes = _right([config.completion_prefill + rolled.text for rolled in sampled], asked)
        counts = [sum(outcomes[start : start + generations]) for start in range(0, len(outcomes), generations)]
        sampled_accuracy = statistics.mean(outcomes)
        pass_at_k = statistics.pass_curve(counts, generations)
    return Evaluated(
        when=when,
        step=step,
        rows=len(task_rows),
        accuracy=statistics.mean(right),
        low=low,
        high=high,
        format_rate=statistics.mean([arithmetic.is_well_formed(text) for text in texts]),
        mean_reward=mean_reward,
        mean_length=statistics.mean(lengths),
        cut_short=statistics.mean([rolled.stop_reason == "length" for rolled in greedy]),
        seconds=clock() - started,
        elapsed=elapsed,
        generations=generations,
        sampled_accuracy=sampled_accuracy,
        pass_at_k=pass_at_k,
    )


def rows_at_once(config: TrainConfig, generations: int) -> int:
    """How many rows are answered side by side."""
    return max(1, (config.rollout_batch_size or ROWS_AT_ONCE) // generations)


def longest(config: TrainConfig) -> int:
    """The most tokens an evaluated completion may have."""
    return config.eval_max_new_tokens or config.longest_completion


def _completions(
    policy: Policy,
    rows: Sequence[Row],
    config: TrainConfig,
    generations: int,
    key: mx.array | None,
    done: int,
    total: int,
) -> Generator[Event, None, list[rollout.Rollout]]:
    """The completions of all rows, those of one row side by side; greedy without a key."""
    at_once = rows_at_once(config, generations)
    result: list[rollout.Rollout] = []
    starts = range(0, len(rows), at_once)
    keys = None if key is None else mx.random.split(key, max(1, len(starts)))
    for number, start in enumerate(starts):
        yield Progress("Evaluating", done + start, total, "rows")
        batch = rows[start : start + at_once]
        encoded = [prompts.encode(policy.tokenizer, row, config) for row in batch]
        batch_key = None if keys is None else keys[number]
        steps = rollout.generate(
            policy, encoded, config, generations=generations, key=batch_key, max_tokens=longest(config)
        )
        result += yield from _as_rows(steps, done + start, len(batch), total)
    yield Progress("Evaluating", done + len(rows), total, "rows")
    return result


def _as_rows(
    steps: Generator[Event, None, list[rollout.Rollout]], done: int, rows: int, total: int
) -> Generator[Event, None, list[rollout.Rollout]]:
    """Go on with a rollout, its progress told as a part of the evaluation's."""
    share = 0.0
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        if isinstance(event, Progress):
            # Prompts are read in between.
            if event.what == "Generating completions":
                share = event.done / event.total if event.total else 0.0
            yield Progress("Evaluating", done + share * rows, total, "rows")
        else:
            yield event


def _right(completions: Sequence[str], rows: Sequence[Row]) -> list[bool]:
    return [answers.is_right(text, row.answer) for text, row in zip(completions, rows, strict=True)]
