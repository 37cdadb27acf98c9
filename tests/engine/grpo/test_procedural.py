"""Computed tasks: the same rows each time, and none of them twice."""

from __future__ import annotations

import sys

import pytest

from engine import arithmetic
from engine.errors import UserError
from engine.grpo.procedural import arithmetic_task, gym_task


def test_the_arithmetic_task_is_the_one_the_starter_model_is_judged_by() -> None:
    train, held_out = arithmetic_task()
    assert (len(train), len(held_out)) == (10_695, 500)
    row = held_out.read([499])[0]
    problem = arithmetic.split().held_out[499]
    assert row == {
        "question": problem.question(),
        "answer": str(problem.answer),
        "left": problem.left,
        "operator": problem.operator,
        "right": problem.right,
    }
    assert held_out.place(499) == "problem 500 of the arithmetic task"
    reserved = {(problem.left, problem.operator, problem.right) for problem in arithmetic.split().held_out}
    reserved |= {(problem.left, problem.operator, problem.right) for problem in arithmetic.split().validation}
    learned = {(row["left"], row["operator"], row["right"]) for row in train.read(range(len(train)))}
    assert not learned & reserved


def test_a_gym_task_can_be_scored_by_its_own_package() -> None:
    import reasoning_gym

    train, held_out = gym_task("countdown", 7)
    assert (len(train), len(held_out)) == (7, 200)
    row = train.read([3])[0]
    assert train.read([3]) == [row]
    assert row["question"] == row["entry"]["question"]
    assert train.place(3) == "problem 4 of countdown"
    score = reasoning_gym.get_score_answer_fn(row["task"])
    assert score(row["answer"], row["entry"]) == 1.0
    assert score("no", row["entry"]) < 0.5


def test_a_gym_task_without_a_size_has_a_moderate_one() -> None:
    assert len(gym_task("chain_sum")[0]) == 2000


def test_an_unknown_task_is_answered_with_near_ones() -> None:
    with pytest.raises(UserError, match="no task named chainsum") as caught:
        gym_task("chainsum")
    assert "chain_sum" in caught.value.why
    with pytest.raises(UserError, match="no task named"):
        gym_task("")


def test_a_task_that_needs_more_is_refused() -> None:
    with pytest.raises(UserError, match="cannot make the task composite") as caught:
        gym_task("composite")
    assert "at least one dataset" in caught.value.why


def test_without_the_package_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "reasoning_gym"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(UserError, match="not installed") as caught:
        gym_task("chain_sum")
    assert caught.value.remedy == "Install it: pip install 'mlx-grpo-app[reasoning-gym]'"
