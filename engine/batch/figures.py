"""What the answers of a batch come to: mean scores and pass@k. Knows no file and no model."""

from __future__ import annotations

from collections.abc import Mapping

from engine.chat_events import BatchAnswered
from engine.grpo import statistics

Answers = Mapping[tuple[int, int], BatchAnswered]
"""The answers of a batch by row and sample."""


def means(answers: Answers) -> tuple[tuple[str, float], ...]:
    """The mean of each reward over the answers that it judged."""
    found: dict[str, list[float]] = {}
    for answer in answers.values():
        for name, score in answer.scores:
            found.setdefault(name, []).append(score)
    return tuple((name, statistics.mean(scores)) for name, scores in found.items())


def pass_at(answers: Answers, samples: int) -> tuple[tuple[int, float], ...]:
    """Mean pass@k over the prompts with a right answer, for k = 1, 2, 4, ... and `samples`; nothing without any.

    A sample that could not be had counts as wrong.
    """
    right: dict[int, int] = {}
    for (row, sample), answer in answers.items():
        if answer.reference and sample < samples:
            right[row] = right.get(row, 0) + (answer.right is True)
    return statistics.pass_curve(list(right.values()), samples) if right else ()
