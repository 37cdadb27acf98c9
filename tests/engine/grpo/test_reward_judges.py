from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from engine.errors import UserError
from engine.grpo import reward_judges
from engine.grpo.reward_judges import Judge


def score(judge: Judge, completions: list[str], **columns: list[Any]) -> list[float | None]:
    steps = judge.score(completions, columns)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            scores: list[float | None] = end.value
            return scores


@pytest.fixture(scope="module")
def mathematician() -> Iterator[Judge]:
    judge = Judge("math_equivalence", 60.0)
    yield judge
    judge.close()


def test_equal_expressions_are_right(mathematician: Judge) -> None:
    cases = [
        ("<answer>0.5</answer>", r"\frac{1}{2}", 1.0),
        ("<answer>$1,080</answer>", "1080", 1.0),
        ("<answer>x^2+2x+1</answer>", "(x+1)^2", 1.0),
        (r"so it is \boxed{2\sqrt{2}}.", r"\sqrt{8}", 1.0),
        ("<answer>Paris</answer>", "paris", 1.0),
        ("<answer>1/3</answer>", "0.5", 0.0),
        ("<answer>\ud800 \0 }{ \\frac</answer>", "0.5", 0.0),
        ("1/2", "0.5", 0.0),
        ("<answer></answer>", "0.5", 0.0),
        ("<answer>1</answer>", "", None),
    ]
    completions, golds, expected = map(list, zip(*cases, strict=True))
    assert score(mathematician, completions, answer=golds) == expected


def test_an_expression_nobody_can_compute_is_wrong_and_the_others_are_judged(
    mathematician: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reward_judges, "_PATIENCE", 1.0)
    completions = ["<answer>2/4</answer>", "<answer>9^{9^{9^9}}</answer>", "<answer>3/6</answer>"]
    assert score(mathematician, completions, answer=[r"\frac{1}{2}"] * 3) == [1.0, 0.0, 1.0]


def test_the_time_limit_of_a_step_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reward_judges, "_PATIENCE", 60.0)
    judge = Judge("math_equivalence", 0.5)
    completions = ["<answer>9^{9^{9^9}}</answer>", "<answer>8^{9^{9^9}}</answer>", "<answer>7^{9^{9^9}}</answer>"]
    with pytest.raises(UserError, match=r"math_equivalence took longer than 0\.5 s"):
        score(judge, completions, answer=["0.5"] * 3)


def test_a_task_of_reasoning_gym_judges_its_own_answers() -> None:
    # As the package makes them; importing it here as well would take seconds.
    entries = [
        {"answer": "1 2\n3 4", "metadata": {"source_dataset": "rearc", "output": ((1, 2), (3, 4))}},
        {"answer": "139", "metadata": {"source_dataset": "prime_factorization", "number": 139, "factors": [139]}},
    ]
    completions = [f"<answer>{entry['answer']}</answer>" for entry in entries]
    judge = Judge("reasoning_gym", 60.0)
    try:
        assert score(judge, completions, entry=entries) == [1.0, 1.0]
        # The second task stumbles over this text.
        assert score(judge, ["nothing", "<answer>[1</answer>"], entry=entries) == [0.0, 0.0]
    finally:
        judge.close()


def test_data_of_other_kinds_is_refused() -> None:
    with pytest.raises(UserError, match="reasoning_gym cannot judge this data"):
        score(Judge("reasoning_gym", 60.0), ["x"], answer=["1"])
