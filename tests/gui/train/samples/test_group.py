"""Groups of completions and their orders."""

from __future__ import annotations

import pytest

from gui.train.samples.group import grouped, in_order
from gui.train.samples.lists import details, rewards, standing
from gui.train.samples.looks import figure, short_figure, signed
from tests.gui.train.samples.made import sample

REWARDS = ((0.5, 1.0, 0.0), (0.4, 0.4, 0.4), (2.0, 1.9, 1.8))
GROUPS = grouped(
    [
        sample(group=group, completion=place, reward=reward, advantage=-reward, left_out=group == 1)
        for group, each in enumerate(REWARDS)
        for place, reward in enumerate(each)
    ]
)


def test_a_group_knows_its_best_and_worst() -> None:
    first = GROUPS[0]
    assert (first.best.reward, first.worst.reward, first.spread, first.mean) == (1.0, 0.0, 1.0, 0.5)
    assert [entry.completion for entry in first.ordered("reward")] == [1, 0, 2]
    assert [entry.completion for entry in first.ordered("advantage")] == [2, 0, 1]
    assert [entry.completion for entry in first.ordered("order")] == [0, 1, 2]


@pytest.mark.parametrize(
    ("order", "numbers"), [("order", [0, 1, 2]), ("spread", [0, 2, 1]), ("highest", [2, 0, 1]), ("lowest", [1, 0, 2])]
)
def test_groups_in_order(order: str, numbers: list[int]) -> None:
    assert [group.number for group in in_order(GROUPS, order)] == numbers


def test_groups_in_words() -> None:
    assert standing(GROUPS[0]) == "3 of 3 right"
    assert standing(GROUPS[1]) == "3 of 3 right, left out"
    assert standing(grouped([sample(answer="")])[0]) == "1 completion"
    assert rewards(GROUPS[0]) == "best 1.00 · mean 0.50 · worst 0.00"
    assert rewards(GROUPS[1]) == "all earned 0.40"


def test_a_completion_in_words() -> None:
    assert details(sample()) == "accuracy 1 · strict_format 0.5 · 5 tokens"
    cut = sample(stop_reason="length", rewards=(("judge\n", None),), tokens=1)
    assert details(cut) == "cut off · judge – · 1 token"


@pytest.mark.parametrize(("value", "text"), [(0.874, "+0.87"), (-1.0, "−1.00"), (0.001, "0.00"), (-0.001, "0.00")])
def test_an_advantage_has_a_sign(value: float, text: str) -> None:
    assert signed(value) == text


def test_figures() -> None:
    assert (figure(-0.5), figure(1234.5)) == ("−0.50", "1,234.50")
    assert [short_figure(value) for value in (1.0, 0.5, 0.125, -2.0, None)] == ["1", "0.5", "0.13", "−2", "–"]
