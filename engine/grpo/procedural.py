"""Tasks that are computed, not stored: the built-in arithmetic, and those of reasoning-gym. Knows no configuration.

Their problems come from fixed seeds: the same in every run, whatever the run's seed is, so that runs compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from engine import arithmetic
from engine.errors import UserError

ARITHMETIC: Final = "arithmetic"
REASONING_GYM: Final = "reasoning_gym:"
READ_AS: Final[dict[str, Any]] = {"prompt_column": "question", "answer_column": "answer", "answer_pattern": ""}
"""The settings with which rows of this module are read."""
UNSTEADY: Final = frozenset(
    "codeio intermediate_integration isomorphic_strings knight_swap list_functions polynomial_multiplication "
    "ransom_note word_ladder".split()
)
"""Tasks whose problems also depend on how Python hashes texts, which differs from process to process."""

_TRAIN_SEED: Final = 20_000
_HELD_OUT_SEED: Final = 10_000_000  # a task seeds its n-th problem with the sum, and these must not meet
_TRAIN_ROWS: Final = 2000
_HELD_OUT_ROWS: Final = 200


class ArithmeticRows:
    """Problems of the built-in task: columns question, answer, left, operator and right."""

    def __init__(self, problems: Sequence[arithmetic.Problem]) -> None:
        self._problems = problems

    def __len__(self) -> int:
        return len(self._problems)

    def place(self, number: int) -> str:
        """Which problem this is, for a person."""
        return f"problem {number + 1} of the arithmetic task"

    def read(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """The rows of these numbers."""
        return [
            {
                "question": problem.question(),
                "answer": str(problem.answer),
                "left": problem.left,
                "operator": problem.operator,
                "right": problem.right,
            }
            for problem in (self._problems[number] for number in numbers)
        ]


class GymRows:
    """Problems of a reasoning-gym task: columns question, answer, task, and entry, the problem as the package has it.

    With the latter two a reward can ask the package: `reasoning_gym.get_score_answer_fn(task)(answer, entry)`.
    """

    def __init__(self, task: str, size: int, seed: int) -> None:
        import reasoning_gym

        self._task = task
        self._problems = reasoning_gym.create_dataset(task, size=size, seed=seed)

    def __len__(self) -> int:
        return len(self._problems)

    def place(self, number: int) -> str:
        """Which problem this is, for a person."""
        return f"problem {number + 1} of {self._task}"

    def read(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """The rows of these numbers; a problem that has several right answers may have no answer of its own."""
        rows = []
        for number in numbers:
            entry: dict[str, Any] = self._problems[number]
            answer = "" if entry["answer"] is None else str(entry["answer"])
            rows.append({"question": entry["question"], "answer": answer, "task": self._task, "entry": entry})
        return rows


def arithmetic_task() -> tuple[ArithmeticRows, ArithmeticRows]:
    """The rows to learn from and the rows held out, which are other problems."""
    split = arithmetic.split()
    return ArithmeticRows(split.train), ArithmeticRows(split.held_out)


def gym_task(task: str, size: int = 0) -> tuple[GymRows, GymRows]:
    """The rows to learn from, `size` of them or 2000, and 200 held-out rows, some of which may be the same problems.

    Raises:
        UserError: reasoning-gym is not installed, or has no such task.
    """
    try:
        from reasoning_gym.factory import DATASETS
    except ImportError as error:
        raise UserError(
            "The task {task} needs a package that is not installed.",
            "Tasks named reasoning_gym: come from reasoning-gym, which is optional.",
            "Install it: pip install 'mlx-grpo-app[reasoning-gym]'",
            task=task,
        ) from error
    if task not in DATASETS:
        import difflib

        near = difflib.get_close_matches(task, DATASETS, 5, 0.3) or sorted(DATASETS)[:5]
        raise UserError(
            "reasoning-gym has no task named {task}.",
            "It has {count} others, such as {near}.",
            "Write one of its names behind reasoning_gym: in dataset.",
            task=task or '""',
            count=len(DATASETS),
            near=", ".join(near),
        )
    try:
        return GymRows(task, size or _TRAIN_ROWS, _TRAIN_SEED), GymRows(task, _HELD_OUT_ROWS, _HELD_OUT_SEED)
    except Exception as error:  # a task is a program of other people, and some need more than a size and a seed
        raise UserError(
            "reasoning-gym cannot make the task {task}.",
            "{reason}",
            "Choose another task.",
            task=task,
            reason=f"{type(error).__name__}: {error}",
        ) from error
