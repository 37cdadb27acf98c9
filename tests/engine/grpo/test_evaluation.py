"""Evaluations of the embedded model on the built-in task."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator
from typing import Any

import mlx.core as mx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import arithmetic
from engine.events import Event, Progress
from engine.grpo import data, evaluation
from engine.grpo.policy import Policy, open_policy
from engine.grpo.rewards import RewardSet
from engine.grpo.settings import TrainConfig
from engine.session import drain
from engine.training_events import Evaluated

CONFIG = TrainConfig(
    model_name="starter",
    dataset="arithmetic",
    system_prompt="",
    completion_prefill="",
    max_new_tokens=40,
    rewards=("correctness", "soft_format"),
    reward_weights=(1.0, 0.5),
    precision="float32",
)


@pytest.fixture(scope="module")
def policy() -> Iterator[Policy]:
    opened: Any = drain(open_policy(CONFIG, trained=False))  # type: ignore[arg-type]
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def held_out() -> list[data.Row]:
    task: Any = drain(data.load(CONFIG))  # type: ignore[arg-type]
    return evaluation.choose(task.held_out, 48, 0)


def evaluate(
    policy: Policy, rows: list[data.Row], config: TrainConfig = CONFIG, when: Any = "before", seed: int = 0
) -> tuple[list[Event], Evaluated]:
    rewards = RewardSet(config)
    steps: Generator[Event, None, Evaluated] = evaluation.evaluate(
        policy, rows, rewards, config, when=when, step=7, key=mx.random.key(seed), elapsed=3.5
    )
    events: list[Event] = []
    try:
        while True:
            events.append(next(steps))
    except StopIteration as end:
        return events, end.value
    finally:
        rewards.close()


def untimed(found: Evaluated) -> Evaluated:
    return dataclasses.replace(found, seconds=0.0)


def test_the_embedded_model_does_the_task_by_halves(policy: Policy, held_out: list[data.Row]) -> None:
    events, found = evaluate(policy, held_out)
    assert (found.when, found.step, found.elapsed, found.rows) == ("before", 7, 3.5, 48)
    assert 0.2 < found.low < found.accuracy < found.high < 0.8
    assert found.format_rate > 0.9
    assert found.cut_short <= 1 - found.format_rate
    assert 15 < found.mean_length < 30
    # Right answers are worth 2, well-formed ones half of 0.5.
    assert found.mean_reward == pytest.approx(2 * found.accuracy + 0.25 * found.format_rate, abs=0.05)
    assert (found.generations, found.sampled_accuracy, found.pass_at_k) == (1, None, None)
    shares = [event.done for event in events if isinstance(event, Progress) and event.what == "Evaluating"]
    assert shares == sorted(shares)
    assert shares[-1] == 48


def test_batches_and_the_global_random_state_change_nothing(policy: Policy, held_out: list[data.Row]) -> None:
    _, whole = evaluate(policy, held_out[:20])
    before = mx.array(mx.random.state[0])
    _, parts = evaluate(policy, held_out[:20], CONFIG.model_copy(update={"rollout_batch_size": 7}), seed=5)
    assert untimed(parts) == untimed(whole)
    assert mx.array_equal(mx.random.state[0], before)


def test_sampled_completions_give_pass_at_k_by_their_own_key(policy: Policy, held_out: list[data.Row]) -> None:
    config = CONFIG.model_copy(update={"eval_generations": 6})
    _, found = evaluate(policy, held_out[:12], config)
    assert found.generations == 6
    assert found.pass_at_k is not None
    assert [k for k, _ in found.pass_at_k] == [1, 2, 4, 6]
    shares = [share for _, share in found.pass_at_k]
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx(found.sampled_accuracy)
    assert shares[-1] > shares[0]
    _, again = evaluate(policy, held_out[:12], config)
    assert untimed(again) == untimed(found)
    _, other = evaluate(policy, held_out[:12], config, seed=1)
    assert other.accuracy == found.accuracy
    assert other.pass_at_k != found.pass_at_k


def test_a_quick_look_takes_the_greedy_completions_alone(policy: Policy, held_out: list[data.Row]) -> None:
    _, found = evaluate(policy, held_out[:4], CONFIG.model_copy(update={"eval_generations": 6}), when="quick")
    assert (found.when, found.generations, found.pass_at_k) == ("quick", 1, None)


def test_completions_that_are_cut_short_are_neither_right_nor_well_formed(
    policy: Policy, held_out: list[data.Row]
) -> None:
    _, found = evaluate(policy, held_out[:8], CONFIG.model_copy(update={"eval_max_new_tokens": 3}))
    assert (found.cut_short, found.mean_length, found.accuracy, found.format_rate) == (1.0, 3.0, 0.0, 0.0)
    assert found.low == 0.0 < found.high < 0.5


def test_the_prefill_counts_as_part_of_the_completion(policy: Policy, held_out: list[data.Row]) -> None:
    _, found = evaluate(policy, held_out[:12], CONFIG.model_copy(update={"completion_prefill": "<reasoning>"}))
    assert found.format_rate > 0.5


def test_no_rows_are_no_error(policy: Policy) -> None:
    _, found = evaluate(policy, [], CONFIG.model_copy(update={"eval_generations": 2}))
    assert (found.rows, found.accuracy, found.low, found.high, found.mean_reward) == (0, 0.0, 0.0, 1.0, 0.0)
    assert found.pass_at_k == ((1, 0.0), (2, 0.0))


def test_closing_an_evaluation_ends_it(policy: Policy, held_out: list[data.Row]) -> None:
    rewards = RewardSet(CONFIG)
    steps = evaluation.evaluate(
        policy, held_out, rewards, CONFIG, when="after", step=0, key=mx.random.key(0), elapsed=0.0
    )
    for _ in range(5):
        next(steps)
    steps.close()
    rewards.close()
    _, found = evaluate(policy, held_out[:4])
    assert found.rows == 4


def _rows(count: int) -> list[data.Row]:
    return [data.Row(index, str(index), "", {}) for index in range(count)]


@given(st.integers(0, 60), st.integers(0, 80), st.integers(0, 2**31 - 1))
def test_the_choice_is_fixed_and_a_smaller_one_begins_a_larger_one(rows: int, count: int, seed: int) -> None:
    everything = _rows(rows)
    chosen = evaluation.choose(everything, count, seed)
    assert len({row.index for row in chosen}) == len(chosen) == min(rows, count)
    assert chosen == evaluation.choose(everything, count, seed)
    assert chosen[: count // 2] == evaluation.choose(everything, count // 2, seed)


def test_seeds_choose_other_rows() -> None:
    assert evaluation.choose(_rows(500), 20, 0) != evaluation.choose(_rows(500), 20, 1)


def test_rows_of_the_built_in_task_are_held_out(held_out: list[data.Row]) -> None:
    assert all(row.answer.lstrip("-").isdigit() for row in held_out)
    assert len(held_out) <= arithmetic.HELD_OUT_PROBLEMS
