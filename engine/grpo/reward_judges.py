"""Rewards that other libraries judge and that may hang: math-verify and reasoning-gym. Knows no weights.

Both run one answer at a time in a process of their own, so that an answer nobody can compute (9^9^9^9) costs the score
of that completion and not the run. Both sides are here: `Judge` asks; run as a program, this module judges.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import logging
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

from engine.errors import UserError, in_short
from engine.grpo import answers, reward_process
from engine.grpo.reward_functions import Scores
from engine.grpo.reward_process import Message, ProcessEndedError, RewardProcess

# Some fifty times what sympy takes for an ordinary comparison, in seconds.
_PATIENCE = 5.0

Case = tuple[str, str]
"""An answer, and what it is compared with."""


class Judge:
    """Scores by one of the libraries."""

    NAMES = ("math_equivalence", "reasoning_gym")

    def __init__(self, name: str, seconds: float) -> None:
        """Nothing is started yet.

        Args:
            name: one of NAMES.
            seconds: how long the judging of one step may take.

        Raises:
            UserError: the library is not installed.
        """
        if name == "reasoning_gym" and importlib.util.find_spec("reasoning_gym") is None:
            raise UserError(
                "The reward reasoning_gym needs a package that is not installed.",
                "reasoning-gym is an optional part.",
                "Install it: pip install 'mlx-grpo-app[reasoning-gym]'",
            )
        self.name = name
        self._seconds = seconds
        self._process: RewardProcess | None = None

    def score(self, completions: Sequence[str], columns: dict[str, list[Any]]) -> Generator[int, None, Scores]:
        """Judge the answers of completions.

        Args:
            completions: (completions,) texts.
            columns: `answer` for math_equivalence, `entry` (as a task of the package made it) for reasoning_gym.

        Yields:
            how many different cases are judged, several times a second.

        Returns:
            (completions,) scores from 0 to 1, 0 where there is no answer or it takes too long to judge; None where
            nothing is known to judge it by.

        Raises:
            UserError: a column is missing, or all cases together took longer than the time limit.
        """
        cases = (
            _math_cases(completions, columns) if self.name == "math_equivalence" else _gym_cases(completions, columns)
        )
        different = dict.fromkeys(case for case in cases if isinstance(case, tuple))
        # Equal numbers and texts need no algebra.
        known = {case: 1.0 for case in different if self.name == "math_equivalence" and answers.same(*case)}
        open_cases = [case for case in different if case not in known]
        if open_cases:
            known.update(zip(open_cases, (yield from self._judge(open_cases)), strict=True))
        return [known[case] if isinstance(case, tuple) else case for case in cases]

    def _judge(self, cases: list[Case]) -> Generator[int, None, list[float]]:
        scores: list[float] = []
        if self._process is None:
            self._process = RewardProcess(__name__, {"judge": self.name, "example": cases[0][1]})
        yield from self._open(self._process)
        begun = time.monotonic()
        while len(scores) < len(cases):
            yield from self._open(self._process)
            try:
                for message in self._process.ask({"cases": cases[len(scores) :]}, min(_PATIENCE, self._seconds)):
                    if message is not None:
                        scores.append(message["score"])
                    if time.monotonic() - begun > self._seconds and len(scores) < len(cases):
                        self._process.close()
                        raise self._late()
                    yield len(scores)
            except (TimeoutError, ProcessEndedError):
                # Nobody can say what this answer is worth, so it is worth nothing; the others are still judged.
                scores.append(0.0)
        return scores

    def _open(self, process: RewardProcess) -> Generator[int, None, None]:
        try:
            yield from (0 for _ in process.open(max(self._seconds, _PATIENCE)))
        except TimeoutError:
            raise self._late() from None

    def _late(self) -> UserError:
        return UserError(
            "The reward {name} took longer than {seconds} s.",
            "That is the time limit for one step, at which it was ended.",
            "Raise reward_timeout, or take the reward correctness instead. A run that it stopped can be resumed.",
            name=self.name,
            seconds=f"{self._seconds:g}",
        )

    def close(self) -> None:
        """End its process."""
        if self._process is not None:
            self._process.close()


def _math_cases(completions: Sequence[str], columns: dict[str, list[Any]]) -> list[Case | float | None]:
    cases: list[Case | float | None] = []
    for completion, gold in zip(completions, columns["answer"], strict=True):
        found = _answer_or_box(completion)
        cases.append(None if not gold else 0.0 if not found else (found, gold))
    return cases


def _answer_or_box(completion: str) -> str | None:
    """The answer in its tags or, where there is no tag, the last box that models of mathematics are taught to draw."""
    found = answers.extract(completion)
    if found is not None:
        return found
    _, box, rest = completion.rpartition(r"\boxed{")
    return box + rest if box else None


def _gym_cases(completions: Sequence[str], columns: dict[str, list[Any]]) -> list[Case | float | None]:
    cases: list[Case | float | None] = []
    for completion, entry in zip(completions, columns.get("entry", [None] * len(completions)), strict=True):
        if not isinstance(entry, dict) or "source_dataset" not in entry.get("metadata", {}):
            raise UserError(
                "The reward reasoning_gym cannot judge this data.",
                "A row has no column entry with a problem as one of its tasks made it.",
                "Set dataset to reasoning_gym:TASK, or take another reward.",
            )
        found = answers.extract(completion)
        cases.append(0.0 if found is None else (found, _written(entry)))
    return cases


def _written(entry: dict[str, Any]) -> str:
    """An entry as a Python literal, which unlike JSON keeps tuples and keys that are numbers."""
    literal = repr(entry)
    try:
        if ast.literal_eval(literal) == entry:
            return literal
    except (ValueError, SyntaxError):
        pass
    return repr(json.loads(json.dumps(entry, default=str)))


def _begin(opening: Message) -> tuple[Message, Callable[[Message], Iterable[Message]]]:
    """The child's side: load the library, and return what judges with it."""
    # One complains that we keep the time ourselves.
    logging.disable(logging.CRITICAL)
    judge = _mathematician() if opening["judge"] == "math_equivalence" else _gym_teacher()
    # What is imported late is imported here, where it is not taken for an answer that takes too long.
    judge("0", opening["example"])

    def work(request: Message) -> Iterable[Message]:
        for answer, other in request["cases"]:
            yield {"score": judge(answer, other)}

    return {"ready": True}, work


def _mathematician() -> Callable[[str, str], float]:
    from math_verify import parse, verify

    def read(text: str) -> Any:
        # Without a sign of LaTeX it reads the last plain number alone, and "\frac{1}{2}" as 2.
        marked = any(sign in text for sign in ("$", r"\(", r"\[", r"\boxed"))
        return parse(text if marked else rf"\boxed{{{text}}}", parsing_timeout=None)

    def judge(answer: str, gold: str) -> float:
        return float(verify(read(gold), read(answer), timeout_seconds=None))

    return judge


def _gym_teacher() -> Callable[[str, str], float]:
    from reasoning_gym import get_score_answer_fn

    scorer = functools.cache(get_score_answer_fn)

    def judge(answer: str, written: str) -> float:
        entry = ast.literal_eval(written)
        score = scorer(entry["metadata"]["source_dataset"])
        try:
            return float(score(answer, entry))
        except Exception as error:
            # Some tasks read answers without care; one that cannot read its own answer is broken.
            try:
                score(entry["answer"], entry)
            except Exception:
                raise UserError(
                    "The reasoning-gym task {task} cannot judge answers.",
                    "{reason}",
                    "Take another task, or another reward.",
                    task=entry["metadata"]["source_dataset"],
                    reason=in_short(error),
                ) from error
            return 0.0

    return judge


if __name__ == "__main__":
    reward_process.serve(_begin)
