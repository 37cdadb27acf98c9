"""One step of GRPO on the starter model: keys, rows, replacements, samples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.events import Event
from engine.grpo import data, steps
from engine.grpo.data import Task
from engine.grpo.order import row_at
from engine.grpo.policy import Policy, open_policy
from engine.grpo.rewards import RewardSet
from engine.grpo.settings import TrainConfig
from engine.grpo.steps import StepResult
from engine.grpo.update import Updater
from tests.engine.grpo import runs

_NUMBERS = st.integers(0, 2**31 - 1)


def tiny(**changes: Any) -> TrainConfig:
    return TrainConfig(**runs.TINY | changes)


def result_of(events: Any) -> Any:
    """What a generator of events returns at its end."""
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


@pytest.fixture(scope="module")
def task() -> Task:
    found: Task = result_of(data.load(tiny()))
    return found


@pytest.fixture
def policy() -> Iterator[Policy]:
    opened: Policy = result_of(open_policy(tiny()))
    yield opened
    opened.close()


def one_step(policy: Policy, task: Task, config: TrainConfig, *, step: int = 1, cursor: int = 0) -> StepResult:
    rewards: RewardSet = result_of(RewardSet.load(config))
    try:
        events: Iterator[Event] = steps.run(
            policy, Updater(policy, config), task, rewards, config, step=step, cursor=cursor, learning_rate=1e-4
        )
        found: StepResult = result_of(events)
    finally:
        rewards.close()
    return found


@given(_NUMBERS, st.integers(0, 10**9), st.integers(0, 2), st.integers(0, 100))
def test_a_key_depends_on_its_numbers_alone(seed: int, step: int, purpose: int, part: int) -> None:
    key = steps.key_for(seed, step, purpose, part)
    assert mx.array_equal(key, steps.key_for(seed, step, purpose, part))
    others = [(seed + 1, step, purpose, part), (seed, step + 1, purpose, part), (seed, step, purpose + 1, part)]
    for other in [*others, (seed, step, purpose, part + 1)]:
        assert not mx.array_equal(key, steps.key_for(*other))


@given(st.lists(st.lists(st.none() | st.floats(-10, 10, width=32), min_size=2, max_size=2), min_size=1, max_size=8))
def test_a_reward_without_an_opinion_adds_nothing(given_scores: list[list[float | None]]) -> None:
    scores = np.array([[math.nan if score is None else score for score in row] for row in given_scores], np.float32)
    wanted = [sum((row[i] or 0.0) * weight for i, weight in enumerate((1.0, 0.5))) for row in given_scores]
    np.testing.assert_allclose(steps.weighted(scores, (1.0, 0.5)), wanted, atol=1e-6)


def test_a_step_takes_the_next_rows_and_changes_the_weights(policy: Policy, task: Task) -> None:
    config = tiny()
    before = policy.trainable()
    result = one_step(policy, task, config, cursor=7)
    assert [asked.row.index for asked in result.asked] == [
        task.train[row_at(config.seed, len(task.train), place)].index for place in range(7, 11)
    ]
    assert result.cursor == 11
    assert all(len(asked.rollouts) == 4 and asked.scores.shape == (4, 2) for asked in result.asked)
    assert result.advantages.shape == (16,)
    changed = [name for name, array in policy.trainable().items() if not mx.array_equal(array, before[name])]
    assert changed


def test_the_same_step_is_the_same_and_another_is_not(policy: Policy, task: Task) -> None:
    before = policy.trainable()
    texts = []
    for step in (1, 1, 2):
        policy.put(before)
        result = one_step(policy, task, tiny(), step=step)
        texts.append([rolled.text for asked in result.asked for rolled in asked.rollouts])
    assert texts[0] == texts[1] != texts[2]


def test_the_sum_of_batches_is_the_batch(policy: Policy, task: Task) -> None:
    """A step's prompts are batch_size times gradient_accumulation_steps, however they are divided."""
    before = policy.trainable()
    one_step(policy, task, tiny(batch_size=4))
    whole = policy.trainable()
    policy.put(before)
    one_step(policy, task, tiny(batch_size=1, gradient_accumulation_steps=4))
    assert all(mx.array_equal(array, whole[name]) for name, array in policy.trainable().items())


def test_dynamic_sampling_replaces_flat_groups(policy: Policy, task: Task) -> None:
    before = policy.trainable()
    plain = one_step(policy, task, tiny(batch_size=8))
    policy.put(before)
    config = tiny(batch_size=8, dynamic_sampling=True, max_resampling=2)
    result = one_step(policy, task, config)
    weights = config.reward_weights
    flat = [np.ptp(steps.weighted(asked.scores, weights)) <= 1e-6 for asked in plain.asked]
    still = [np.ptp(steps.weighted(asked.scores, weights)) <= 1e-6 for asked in result.asked]
    assert any(flat)
    assert [asked.flat for asked in plain.asked] == flat
    assert [asked.flat for asked in result.asked] == still
    assert result.replaced == sum(flat) - sum(still) > 0
    assert len(result.asked) + len(result.left_out) == result.groups
    listed = steps.samples(result, 1, config.rewards, weights)
    assert len(listed) == result.groups * config.num_generations
    assert sum(one["left_out"] for one in listed) == len(result.left_out) * config.num_generations
    assert not any(one["advantage"] for one in listed if one["left_out"])
    for was_flat, old, new in zip(flat, plain.asked, result.asked, strict=True):
        # What taught something stays what it was.
        assert was_flat or [r.text for r in old.rollouts] == [r.text for r in new.rollouts]
    assert result.cursor >= 8 + sum(flat)
    rows = [asked.row.index for asked in result.asked]
    assert len(set(rows)) == len(rows)


def test_replacing_ends_where_nothing_varies(policy: Policy, task: Task, tmp_path: Path) -> None:
    file = tmp_path / "flat.py"
    file.write_text("def flat(completions, **columns):\n    return [1.0 for _ in completions]\n")
    before = policy.trainable()
    config = tiny(
        rewards=["flat"], reward_weights=[], reward_file=str(file), dynamic_sampling=True, max_resampling=2
    )  # fmt: skip
    result = one_step(policy, task, config)
    assert result.replaced == 0
    assert result.cursor == 3 * 4
    assert not result.advantages.any()
    assert result.figures.loss == result.figures.gradient_norm == 0.0
    assert all(mx.array_equal(array, before[name]) for name, array in policy.trainable().items())


def test_a_group_of_which_some_are_not_judged_is_flat_by_its_advantages(
    policy: Policy, task: Task, tmp_path: Path
) -> None:
    """A completion without a reward has no advantage, and beside equal rewards that is not one that varies."""
    file = tmp_path / "half.py"
    file.write_text("def half(completions, **columns):\n    return [None, 1.0, 1.0, 1.0] * (len(completions) // 4)\n")
    config = tiny(rewards=["half"], reward_weights=[], reward_file=str(file))
    result = one_step(policy, task, config)
    assert all(asked.flat for asked in result.asked)
    assert result.flat == result.groups == 4
    assert not result.advantages.any()


def test_samples_say_what_each_completion_was_worth(policy: Policy, task: Task) -> None:
    config = tiny()
    result = one_step(policy, task, config, step=3)
    listed = steps.samples(result, 3, config.rewards, config.reward_weights)
    assert len(listed) == 16
    assert [one["completion"] for one in listed] == [0, 1, 2, 3] * 4
    for place, one in enumerate(listed):
        asked = result.asked[place // 4]
        rolled = asked.rollouts[place % 4]
        assert one["step"] == 3
        assert (one["row"], one["prompt"], one["answer"]) == (asked.row.index, asked.row.prompt, asked.row.answer)
        assert (one["text"], one["stop_reason"]) == (rolled.text, rolled.stop_reason)
        assert one["tokens"] == len(rolled.tokens)
        assert set(one["rewards"]) == {"accuracy", "strict_format"}
        assert one["reward"] == pytest.approx(one["rewards"]["accuracy"] + 0.4 * one["rewards"]["strict_format"])
        assert one["advantage"] == float(result.advantages[place])


def test_cut_completions_do_not_count_where_asked(policy: Policy, task: Task) -> None:
    before = policy.trainable()
    config = tiny(max_new_tokens=4, mask_truncated=True)
    result = one_step(policy, task, config)
    assert all(rolled.stop_reason == "length" for asked in result.asked for rolled in asked.rollouts)
    assert result.figures.loss == 0.0
    assert all(mx.array_equal(array, before[name]) for name, array in policy.trainable().items())
