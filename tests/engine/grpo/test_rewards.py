from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UserError
from engine.events import Progress
from engine.grpo.data import Row
from engine.grpo.rewards import RewardSet
from engine.grpo.settings import TrainConfig

PERFECT = "<reasoning>\n9 times 8\n</reasoning>\n<answer>\n72\n</answer>\n"
FIVE = ("correctness", "integer", "strict_format", "soft_format", "xml_count")
ROW = Row(0, "9 x 8?", "72", {"prompt": "9 x 8?", "answer": "72"})


def test_a_perfect_answer_reaches_the_nominal_sum() -> None:
    with closing(RewardSet(TrainConfig(rewards=FIVE))) as rewards:
        assert rewards.names == FIVE
        assert rewards.weights == (1.0,) * 5
        scores = rewards.score([PERFECT, "72"], [ROW, ROW], [20, 1])
    assert scores.dtype == np.float32
    assert scores.tolist() == [[2.0, 0.5, 0.5, 0.5, 0.5], [0.0] * 5]


def test_a_completion_that_cannot_be_judged_is_nan() -> None:
    rewards = RewardSet(TrainConfig(rewards=("accuracy", "integer"), reward_weights=(2.0, 0.5)))
    assert rewards.weights == (2.0, 0.5)
    scores = rewards.score([PERFECT], [dataclasses.replace(ROW, answer="")], [3])
    assert np.isnan(scores[0, 0])
    assert scores[0, 1] == 0.5
    assert rewards.score([], [], []).shape == (0, 2)


def test_own_and_built_in_rewards_keep_the_order_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "def colours(completions, colour, lengths, prompt, **columns):\n"
        "    return [None if c is None else len(c) + n for c, n in zip(colour, lengths)]\n"
        "def double(completions, **columns):\n    return [2] * len(completions)\n"
        "def integer(completions, **columns):\n    return []\n"
    )
    config = TrainConfig(rewards=("colours", "accuracy", "double"), reward_file=str(path))
    rows = [dataclasses.replace(ROW, columns={**ROW.columns, "colour": "red", "completions": "x"}), ROW]
    steps = RewardSet.load(config)
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            rewards = end.value
            break
    assert {event.what for event in events if isinstance(event, Progress)} == {"Loading the reward file"}
    with closing(rewards):
        assert np.array_equal(
            rewards.score([PERFECT, ""], rows, [10, 1]), [[13.0, 1.0, 2.0], [np.nan, 0.0, 2.0]], equal_nan=True
        )
        said = list(rewards.score_steps([PERFECT], rows[:1], [10]))
        assert {event.what for event in said} == {"Scoring completions"}
    with pytest.raises(UserError, match="two rewards called integer"):
        RewardSet(TrainConfig(rewards=("integer",), reward_file=str(path)))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("corectness",), ("no reward called corectness", "Did you mean correctness?")),
        (("zzzzzzzzz",), ("no reward called zzzzzzzzz", "There are: correctness")),
        (("integer", "integer"), ("named twice",)),
    ],
)
def test_names_are_checked(names: tuple[str, ...], words: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as caught:
        RewardSet(TrainConfig(rewards=names))
    said = f"{caught.value.what} {caught.value.why} {caught.value.remedy}"
    assert all(word in said for word in words), said


def test_a_missing_function_of_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def politeness(completions, **columns):\n    return [0] * len(completions)\n")
    with pytest.raises(UserError) as caught:
        RewardSet(TrainConfig(rewards=("politenes",), reward_file=str(path)))
    assert str(path) in caught.value.why
    assert "Did you mean politeness?" in caught.value.remedy


def test_closing_the_steps_midway_leaves_the_rewards_usable() -> None:
    row = dataclasses.replace(ROW, answer=r"\frac{1}{2}")
    with closing(RewardSet(TrainConfig(rewards=("math_equivalence",)))) as rewards:
        steps = rewards.score_steps(["<answer>1/2</answer>"], [row], [5])
        next(steps)
        steps.close()
        assert rewards.score(["<answer>1/2</answer>"], [row], [5]).tolist() == [[1.0]]
