"""What an answer says, and what rewards say of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from engine.batch import figures
from engine.batch.judging import Judges, Scores, is_right
from engine.batch.questions import Question
from engine.errors import UserError
from engine.events import Note
from tests.engine.batch.test_answers_file import answer

QUESTION = Question(0, "", "What is 2 + 2?", "4", {"question": "What is 2 + 2?", "level": 3})


@pytest.mark.parametrize(
    ("text", "reference", "right"),
    [
        ("<reasoning>2+2</reasoning><answer>4</answer>", "4", True),
        ("<answer>5</answer> or 4", "4", False),
        ("2 + 2 = 4", "4", True),
        ("2 + 2 = 4.", "4", True),
        ("4 is not it, it is 5", "4", False),
        ("It costs $1,080.00 in all.", "1080", True),
        ("So it is −3", "-3", True),
        ("It is 10-12", "12", True),
        (r"Thus \boxed{\frac{1}{2}} of them", r"\frac{1}{2}", True),
        (r"From 4 apples \boxed{12} are left, not 4", "12", True),
        ("I think.\nThe answer is **Paris**.", "paris", True),
        ("Final answer: Paris", "Paris", True),
        ("Paris\n\nLyon", "Paris", False),
        ("Long talk\nPARIS.", "paris", True),
        ("", "4", False),
        ("...", "4", False),
        ("no numbers here", "4", False),
        ("  \n ", "word", False),
    ],
)
def test_an_answer_is_compared_by_what_it_says_last(text: str, reference: str, right: bool) -> None:
    assert is_right(text, reference) is right


def judged(judges: Judges, texts: list[str]) -> tuple[list[Scores], list[str]]:
    notes = []
    steps = judges.score([QUESTION] * len(texts), texts, [10] * len(texts))
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            return end.value, notes
        notes += [event.text] if isinstance(event, Note) else []


def test_rewards_of_the_program_and_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "def level(completions, level, **columns):\n    return [float(each) for each in level]\n"
        "def shy(completions, **columns):\n    return [None for _ in completions]\n"
    )
    with closing(Judges(("accuracy", f"{path}:level", f"{path}:shy", "accuracy"))) as judges:
        list(judges.open())
        scores, notes = judged(judges, ["<answer>4</answer>", "4"])
    assert scores == [(("accuracy", 1.0), (f"{path}:level", 3.0)), (("accuracy", 0.0), (f"{path}:level", 3.0))]
    assert notes == []


def test_a_reward_that_fails_is_told_and_costs_the_others_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "def bad(completions, **columns):\n    return [1 / 0 for each in completions if 'a' in each] or [1.0]\n"
    )
    with closing(Judges((f"{path}:bad", "accuracy"))) as judges:
        list(judges.open())
        assert judged(judges, ["b"])[0] == [((f"{path}:bad", 1.0), ("accuracy", 0.0))]
        for number in range(4):
            scores, notes = judged(judges, ["a"])
            assert scores == [(("accuracy", 0.0),)]
            assert len(notes) == (number < 3)
            assert ["ZeroDivisionError" in note for note in notes] == [True] * len(notes)


@pytest.mark.parametrize("name", ["acuracy", "nowhere.py:reward"])
def test_rewards_that_are_not_there_are_refused(name: str) -> None:
    with closing(Judges((name,))) as judges, pytest.raises(UserError):
        list(judges.open())


def test_figures() -> None:
    rows = {
        (row, sample): answer(row, sample=sample, right=right, scores=scores, reference=reference)
        for row, sample, right, scores, reference in [
            (0, 0, True, (("length", 1.0),), "4"),
            (0, 1, False, (("length", 0.0), ("shy", 3.0)), "4"),
            (1, 0, False, (), "4"),
            (1, 1, None, (), "4"),
            (2, 0, None, (), ""),
        ]
    }
    assert figures.means(rows) == (("length", 0.5), ("shy", 3.0))
    assert figures.pass_at(rows, 2) == ((1, 0.25), (2, 0.5))
    assert figures.pass_at({(2, 0): rows[2, 0]}, 2) == ()
