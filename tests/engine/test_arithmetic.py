"""The built-in task: problems, the split, the reference replies and how replies are judged."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import arithmetic
from engine.arithmetic import Problem

problems = st.builds(
    lambda a, b, operator: Problem(max(a, b), operator, min(a, b)) if operator == "-" else Problem(a, operator, b),
    st.integers(10, 99),
    st.integers(10, 99),
    st.sampled_from(["+", "-"]),
)


def test_the_split_is_disjoint_complete_and_stable() -> None:
    split = arithmetic.split()
    parts = [set(split.train), set(split.validation), set(split.held_out)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 12_195
    assert len(split.held_out) == 500
    again = arithmetic.split()
    assert again.held_out == split.held_out
    assert arithmetic.split(seed=1).held_out != split.held_out
    listed = json.dumps([[p.left, p.operator, p.right] for p in split.held_out])
    # A split that changes makes figures of different versions incomparable.
    assert hashlib.sha256(listed.encode()).hexdigest()[:16] == HELD_OUT


HELD_OUT = "8bbe3a18a090d4a6"


@given(problems)
def test_the_reference_reply_is_right_and_well_formed(problem: Problem) -> None:
    reply = arithmetic.reference_reply(problem)
    assert arithmetic.is_well_formed(reply)
    assert arithmetic.extract_answer(reply) == problem.answer
    assert arithmetic.is_right(problem, reply)
    assert problem.answer == (problem.left + problem.right if problem.operator == "+" else problem.left - problem.right)


@given(st.text())
def test_judging_never_fails(text: str) -> None:
    answer = arithmetic.extract_answer(text)
    assert answer is None or isinstance(answer, int)
    assert arithmetic.is_well_formed(text) in {True, False}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<reasoning>x</reasoning><answer>85</answer>", 85),
        ("<answer>1</answer><answer> 2 </answer>", 2),
        ("<answer>eighty</answer>", None),
        ("85", None),
        ("", None),
    ],
)
def test_the_answer_is_what_stands_in_the_last_answer_tags(text: str, answer: int | None) -> None:
    assert arithmetic.extract_answer(text) == answer


def test_the_canonical_question() -> None:
    assert Problem(12, "+", 34).question() == "What is 12 + 34?"
