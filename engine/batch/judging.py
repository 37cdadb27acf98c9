"""Judges the answers of a batch: by rewards as in training, and against the right answer. Knows no model."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from engine.batch.questions import Question
from engine.errors import UserError
from engine.events import Event, Note
from engine.grpo import answers

if TYPE_CHECKING:
    from engine.grpo.rewards import RewardSet

# A reward that failed this often is not asked any more.
_FAULTS = 3
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
# A minus behind a digit subtracts.
_NUMBER = re.compile(
    r"(?:(?<![0-9])[-+\u2212])?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,4})?"
)
_SAYS = re.compile(r"(?:^|\b)(?:final\s+)?answer\s*(?:is|:|=)\s*:?\s*(.+)", re.IGNORECASE)

Scores = tuple[tuple[str, float], ...]


def is_right(text: str, reference: str) -> bool:
    """Whether an answer says the right one, as leniently as can be without taking a wrong one for right.

    What an answer says is, the first of these that it has: what its last <answer> tag holds; its last \\boxed{}; where
    the right one is a number, its last number; what stands behind its last "answer is" or "answer:"; its last line.
    Two are the same as `engine.grpo.answers.same` tells: as numbers, or as texts but for case, spaces and a period.
    """
    said = _said(text, reference)
    return said is not None and answers.same(said.strip(" .*`$\"'"), reference)


def _said(text: str, reference: str) -> str | None:
    tagged = answers.extract(text)
    if tagged is not None:
        return tagged
    if boxed := _BOXED.findall(text):
        return str(boxed[-1])
    if answers.number(reference) is not None:
        numbers = [number for number in _NUMBER.findall(text) if any(map(str.isdigit, number))]
        return numbers[-1] if numbers else None
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return None
    if said := _SAYS.search(lines[-1]):
        return said[1]
    return lines[-1]


class Judges:
    """The rewards that a batch names; each is by itself, so that a fault of one costs the others nothing."""

    def __init__(self, names: Sequence[str]) -> None:
        """`names` are those of the program's own, or FILE.py:FUNCTION."""
        self._names = tuple(dict.fromkeys(names))
        self._sets: dict[str, RewardSet] = {}
        self._faults = dict.fromkeys(self._names, 0)

    def open(self) -> Generator[Event, None, None]:
        """Load them.

        Raises:
            UserError: a name is unknown, or a file is at fault.
        """
        from engine.grpo.rewards import RewardSet
        from engine.grpo.settings import TrainConfig

        for name in self._names:
            file, colon, function = name.rpartition(":")
            own = bool(colon) and file.endswith(".py")
            config = TrainConfig(rewards=(function if own else name,), reward_file=file if own else "")
            self._sets[name] = yield from RewardSet.load(config)

    def score(
        self, questions: Sequence[Question], texts: Sequence[str], lengths: Sequence[int]
    ) -> Generator[Event, None, list[Scores]]:
        """What the rewards give answers to these questions; one without an opinion gives nothing.

        Args:
            lengths: of the answers in tokens.

        Yields:
            Progress, and a Note where a reward fails; what is judged then has no score of it.
        """
        from engine.grpo.data import Row

        rows = []
        for question in questions:
            columns = question.columns | {"prompt": question.prompt, "answer": question.reference}
            rows.append(Row(question.row, question.prompt, question.reference, columns))
        found: list[list[tuple[str, float]]] = [[] for _ in texts]
        for name, rewards in self._sets.items():
            if not texts or self._faults[name] >= _FAULTS:
                continue
            try:
                scores = yield from rewards.score_steps(texts, rows, lengths)
            except UserError as error:
                self._faults[name] += 1
                last = " It is not asked any more." if self._faults[name] == _FAULTS else ""
                yield Note(f"Row {questions[0].row + 1} has no score of {name}. {error.what} {error.why}{last}")
                continue
            for each, score in zip(found, scores[:, 0].tolist(), strict=True):
                if not math.isnan(score):
                    each.append((name, score))
        return [tuple(each) for each in found]

    def close(self) -> None:
        """End the processes that score."""
        with contextlib.ExitStack() as stack:
            for rewards in self._sets.values():
                stack.callback(rewards.close)
