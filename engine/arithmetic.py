"""The built-in task: two-digit sums and differences, ways to ask them, and how an answer is judged. Knows no model.

Everything here is a pure function of its arguments, the same on every machine and in every Python version.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from typing import Final, Literal

Operator = Literal["+", "-"]

SMALLEST_OPERAND: Final = 10
LARGEST_OPERAND: Final = 99
HELD_OUT_PROBLEMS: Final = 500
VALIDATION_PROBLEMS: Final = 1000

CANONICAL_PHRASING: Final = "What is {left} {sign} {right}?"
"""The phrasing that evaluation and reinforcement learning use."""

PHRASINGS: Final = (
    CANONICAL_PHRASING,
    "what is {left} {sign} {right}",
    "What is {left}{sign}{right}?",
    "What is {left} {word} {right}?",
    "what is {left} {word} {right}",
    "What's {left} {sign} {right}?",
    "{left} {sign} {right}",
    "{left}{sign}{right}",
    "{left} {sign} {right} = ?",
    "{left}{sign}{right}=?",
    "{left} {sign} {right} =",
    "{left}{sign}{right}=",
    "{left} {sign} {right}?",
    "{left}{sign}{right}?",
    "{left} {word} {right}",
    "{left} {word} {right}?",
    "How much is {left} {sign} {right}?",
    "How much is {left} {word} {right}?",
    "how much is {left} {sign} {right}",
    "how much is {left} {word} {right}",
    "Calculate {left} {sign} {right}.",
    "Calculate {left} {sign} {right}",
    "calculate {left} {word} {right}",
    "Compute {left} {sign} {right}.",
    "Please calculate {left} {sign} {right}.",
    "{left}{chinese}{right}",
    "{left}{chinese}{right}等于多少？",
    "{left}{sign}{right}等于多少？",
)
"""Ways in which a person asks; the places are `left`, `right`, and the operator as `sign`, `word` or `chinese`."""

_WORDS: Final[dict[str, str]] = {"+": "plus", "-": "minus"}
_CHINESE: Final[dict[str, str]] = {"+": "加", "-": "减"}
_TAGS: Final = ("<reasoning>", "</reasoning>", "<answer>", "</answer>")
_FORM: Final = re.compile(r"\s*<reasoning>.+</reasoning>\s*<answer>.+</answer>\s*", re.DOTALL)
# More digits than int() converts by default would raise, and no answer of this task has more than three.
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")


@dataclass(frozen=True, order=True, slots=True)
class Problem:
    """One sum or difference of two numbers; `left` is never below `right` in a difference of this task."""

    left: int
    operator: Operator
    right: int

    @property
    def answer(self) -> int:
        """The right result."""
        return self.left + self.right if self.operator == "+" else self.left - self.right

    @property
    def carries(self) -> bool:
        """Whether the ones overflow into the tens: a carry in a sum, a borrow in a difference."""
        left, right = self.left % 10, self.right % 10
        return left + right > 9 if self.operator == "+" else left < right

    def question(self, phrasing: str = CANONICAL_PHRASING) -> str:
        """The problem as a person would type it; `phrasing` is one of `PHRASINGS` or has the same places."""
        return phrasing.format(
            left=self.left,
            right=self.right,
            sign=self.operator,
            word=_WORDS[self.operator],
            chinese=_CHINESE[self.operator],
        )


@dataclass(frozen=True, slots=True)
class Split:
    """Disjoint parts of all problems: `train` to learn from, `validation` to stop by, `held_out` to report on."""

    train: tuple[Problem, ...]
    validation: tuple[Problem, ...]
    held_out: tuple[Problem, ...]


@functools.cache
def all_problems() -> tuple[Problem, ...]:
    """Every problem of the task, in order: 8,100 sums and 4,095 differences that are not negative."""
    operands = range(SMALLEST_OPERAND, LARGEST_OPERAND + 1)
    sums = [Problem(left, "+", right) for left in operands for right in operands]
    differences = [Problem(left, "-", right) for left in operands for right in operands if left >= right]
    return (*sums, *differences)


@functools.cache
def split(seed: int = 0) -> Split:
    """All problems in a shuffled order that depends on `seed` alone, cut into three."""

    def rank(problem: Problem) -> bytes:
        # A hash orders the problems alike everywhere; a library's shuffle may change with its version.
        return hashlib.sha256(f"{seed} {problem.left}{problem.operator}{problem.right}".encode()).digest()

    shuffled = sorted(all_problems(), key=rank)
    reserved = HELD_OUT_PROBLEMS + VALIDATION_PROBLEMS
    return Split(
        train=tuple(shuffled[reserved:]),
        validation=tuple(shuffled[HELD_OUT_PROBLEMS:reserved]),
        held_out=tuple(shuffled[:HELD_OUT_PROBLEMS]),
    )


def reference_reasoning(problem: Problem) -> str:
    """The written method: the ones, then the tens with the carry or the borrow, as in `7+8=15, 4+3+1=8`."""
    left_tens, left_ones = divmod(problem.left, 10)
    right_tens, right_ones = divmod(problem.right, 10)
    sign, carry = problem.operator, int(problem.carries)
    if sign == "+":
        ones, tens = left_ones + right_ones, left_tens + right_tens + carry
    else:
        left_ones += 10 * carry
        ones, tens = left_ones - right_ones, left_tens - right_tens - carry
    carried = f"{sign}1" if carry else ""
    return f"{left_ones}{sign}{right_ones}={ones}, {left_tens}{sign}{right_tens}{carried}={tens}"


def format_reply(reasoning: str, answer: str | int) -> str:
    """A reply in the form that `is_well_formed` accepts."""
    return f"<reasoning>{reasoning}</reasoning><answer>{answer}</answer>"


def reference_reply(problem: Problem) -> str:
    """The whole right reply to a problem."""
    return format_reply(reference_reasoning(problem), problem.answer)


def extract_answer(text: str) -> int | None:
    """The integer inside the last complete `<answer>…</answer>`, or None where that is missing or no integer."""
    before, closing, _ = text.rpartition("</answer>")
    _, opening, inside = before.rpartition("<answer>")
    inside = inside.strip()
    return int(inside) if closing and opening and _INTEGER.fullmatch(inside) else None


def is_right(problem: Problem, text: str) -> bool:
    """Whether the reply `text` answers the problem, whatever surrounds the answer."""
    return extract_answer(text) == problem.answer


def is_well_formed(text: str) -> bool:
    """Whether `text` is one non-empty reasoning, then one non-empty answer, each in its tags, and nothing else."""
    return all(text.count(tag) == 1 for tag in _TAGS) and _FORM.fullmatch(text) is not None
