"""One step of GRPO: rows, completions, rewards, advantages and the change of the weights. Knows no files and no length.

Everything random is a function of the seed and the step's number, so that a step that is done again is the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from engine.events import Event
from engine.grpo import prompts, rollout
from engine.grpo.advantages import group_advantages
from engine.grpo.packing import Group
from engine.grpo.settings import TrainConfig
from engine.grpo.update import UpdateFigures, Updater

if TYPE_CHECKING:
    from engine.grpo.data import Row, Task
    from engine.grpo.policy import Policy
    from engine.grpo.rewards import RewardSet
    from engine.grpo.rollout import Rollout

# What a key is for: no two purposes of one step share draws.
ROLLOUTS, DROPOUT, EVALUATION = range(3)


def key_for(seed: int, step: int, purpose: int, part: int = 0) -> mx.array:
    """A PRNG key that depends on these numbers alone."""
    (number,) = np.random.SeedSequence([seed, step, purpose, part]).generate_state(1, np.uint64)
    return mx.random.key(int(number) >> 1)


@dataclass(slots=True)
class Asked:
    """A row with its prompt, its completions and their scores, (completions, rewards).

    `flat` tells whether no completion is better than the others, so that none teaches anything.
    """

    row: Row
    prompt: list[int]
    rollouts: list[Rollout]
    scores: np.ndarray
    flat: bool


@dataclass(slots=True)
class StepResult:
    """All that a step did; `cursor` is where the next one takes its rows.

    `left_out` are flat groups that were sampled and are not in `asked`, `replaced` how many of those others took the
    places of. `groups` counts all that were sampled and `flat` the flat ones of them.
    """

    cursor: int
    asked: list[Asked] = field(default_factory=list)
    left_out: list[Asked] = field(default_factory=list)
    advantages: np.ndarray = field(default_factory=lambda: np.zeros(0))
    figures: UpdateFigures = field(default_factory=UpdateFigures)
    groups: int = 0
    flat: int = 0
    replaced: int = 0
    rollout_seconds: float = 0.0
    reward_seconds: float = 0.0
    update_seconds: float = 0.0


def run(
    policy: Policy,
    updater: Updater,
    task: Task,
    rewards: RewardSet,
    config: TrainConfig,
    *,
    step: int,
    cursor: int,
    learning_rate: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Generator[Event, None, StepResult]:
    """Do the step of this number, counted from 1, with the rows from `cursor` on.

    Args:
        clock: seconds since some moment; one that stands still while the generator waits tells the work's own time.

    Raises:
        UserError: a row or a reward function is at fault.
    """
    result = StepResult(cursor)
    rounds = 1 + (config.max_resampling if config.dynamic_sampling else 0)
    for part in range(rounds):
        flat = [place for place, asked in enumerate(result.asked) if asked.flat]
        missing = len(flat) if part else config.prompts_per_step
        if not missing:
            break
        fresh = yield from _ask(
            policy, task, rewards, config, result, missing, key_for(config.seed, step, ROLLOUTS, part), clock
        )
        result.groups += len(fresh)
        result.flat += sum(asked.flat for asked in fresh)
        if not part:
            result.asked = fresh
            continue
        result.left_out += [asked for asked in fresh if asked.flat]
        for place, new in zip(flat, [asked for asked in fresh if not asked.flat], strict=False):
            result.left_out.append(result.asked[place])
            result.asked[place] = new
            result.replaced += 1
    scores = np.concatenate([asked.scores for asked in result.asked])
    result.advantages = np.array(
        group_advantages(
            scores,
            config.num_generations,
            weights=rewards.weights,
            scale=config.advantage_scale,
            aggregation=config.reward_aggregation,
        )
    )
    began = clock()
    groups = _groups(result, config)
    key = key_for(config.seed, step, DROPOUT)
    for iteration in range(config.num_iterations):
        own = mx.random.split(key, iteration + 1)[iteration]
        result.figures = yield from updater.update(groups, learning_rate, own, again=iteration > 0)
        if not result.figures.are_sound(config.max_kl):
            break
    result.update_seconds = clock() - began
    return result


def _ask(
    policy: Policy,
    task: Task,
    rewards: RewardSet,
    config: TrainConfig,
    result: StepResult,
    count: int,
    key: mx.array,
    clock: Callable[[], float],
) -> Generator[Event, None, list[Asked]]:
    """Let the policy answer the next `count` rows and score the answers."""
    rows: list[Row] = []
    read: list[list[int]] = []
    for _ in range(count):
        row, prompt, result.cursor = prompts.next_row(policy.tokenizer, task.train, config, result.cursor)
        rows.append(row)
        read.append(prompt)
    began = clock()
    steps = rollout.generate(
        policy, read, config, generations=config.num_generations, key=key, max_tokens=config.longest_completion
    )
    if config.quantize_for_rollouts:
        with policy.rounded():
            found = yield from steps
    else:
        found = yield from steps
    result.rollout_seconds += clock() - began
    began = clock()
    texts = [config.completion_prefill + rolled.text for rolled in found]
    each = [row for row in rows for _ in range(config.num_generations)]
    scores = yield from rewards.score_steps(texts, each, [len(rolled.tokens) for rolled in found])
    result.reward_seconds += clock() - began
    size = config.num_generations
    asked = []
    for row, prompt, start in zip(rows, read, range(0, len(found), size), strict=True):
        own = scores[start : start + size]
        asked.append(Asked(row, prompt, found[start : start + size], own, _is_flat(own, rewards, config)))
    return asked


def weighted(scores: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """The reward of each completion, (completions,); a function without an opinion adds nothing."""
    return np.asarray(np.nan_to_num(scores.astype(np.float64), nan=0.0) @ np.asarray(weights, np.float64))


def _is_flat(scores: np.ndarray, rewards: RewardSet, config: TrainConfig) -> bool:
    advantages = group_advantages(
        scores, len(scores), weights=rewards.weights, scale="none", aggregation=config.reward_aggregation
    )
    return not np.any(np.array(advantages))


def _groups(result: StepResult, config: TrainConfig) -> list[Group]:
    size = config.num_generations
    groups = []
    for index, asked in enumerate(result.asked):
        cut = np.array([rolled.stop_reason == "length" for rolled in asked.rollouts])
        counts = ~cut if config.mask_truncated else np.ones(size, bool)
        advantages = result.advantages[index * size : (index + 1) * size]
        groups.append(Group(asked.prompt, asked.rollouts, advantages, counts))
    return groups


def samples(result: StepResult, step: int, names: Sequence[str], weights: Sequence[float]) -> list[dict[str, Any]]:
    """One JSON object for each completion of a step, those that were left out at the end, for samples.jsonl."""
    size = len(result.asked[0].rollouts)
    kept = zip(result.asked, result.advantages.reshape(-1, size), strict=True)
    listed = [(asked, advantages, False) for asked, advantages in kept]
    # A flat group's advantages are 0.
    listed += [(asked, np.zeros(size), True) for asked in result.left_out]
    return [
        _sample(asked, number, float(advantages[number]), step, names, weights) | {"left_out": left_out}
        for asked, advantages, left_out in listed
        for number in range(size)
    ]


def _sample(
    asked: Asked, number: int, advantage: float, step: int, names: Sequence[str], weights: Sequence[float]
) -> dict[str, Any]:
    rolled, scores = asked.rollouts[number], asked.scores[number]
    rewards = zip(names, scores, strict=True)
    return {
        "step": step,
        "row": asked.row.index,
        "completion": number,
        "prompt": asked.row.prompt,
        "answer": asked.row.answer,
        "text": rolled.text,
        "rewards": {name: None if np.isnan(score) else float(score) for name, score in rewards},
        "reward": float(weighted(scores, weights)),
        "advantage": advantage,
        "tokens": len(rolled.tokens),
        "stop_reason": rolled.stop_reason,
    }
