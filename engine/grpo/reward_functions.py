"""The built-in rewards that are plain functions of texts and lengths. Knows no model, no process and no weights.

Each is `reward(completions, **columns) -> list[float | None]`, as those of a person's own file are; None says that a
completion cannot be judged. The first five are those of the original project, with their nominal values.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

from engine.grpo import answers
from engine.grpo.settings import TrainConfig

Scores = list[float | None]
Reward = Callable[..., Scores]

_TAGS = ("<reasoning>", "</reasoning>", "<answer>", "</answer>")
_BETWEEN = re.compile(r"</reasoning>\s*<answer>")


def built_in(config: TrainConfig) -> dict[str, Reward]:
    """The rewards of this module by name."""
    return {
        "correctness": correctness,
        "integer": integer,
        "strict_format": strict_format,
        "soft_format": soft_format,
        "xml_count": xml_count,
        "accuracy": accuracy,
        "length": functools.partial(length, target=config.length_target or config.longest_completion / 2),
        "repetition": functools.partial(repetition, size=config.repetition_size),
    }


def correctness(completions: Sequence[str], *, answer: Sequence[str], **_columns: Any) -> Scores:
    """2 where the answer in its tags equals the right one, else 0; None where no right one is known."""
    return [None if score is None else 2.0 * score for score in accuracy(completions, answer=answer)]


def accuracy(completions: Sequence[str], *, answer: Sequence[str], **_columns: Any) -> Scores:
    """1 where the answer in its tags equals the right one, else 0; None where no right one is known."""
    pairs = zip(completions, answer, strict=True)
    return [float(answers.is_right(completion, gold)) if gold else None for completion, gold in pairs]


def integer(completions: Sequence[str], **_columns: Any) -> Scores:
    """0.5 where the answer in its tags is a whole number."""
    found = map(answers.extract, completions)
    return [0.5 if answer is not None and answers.is_integer(answer) else 0.0 for answer in found]


def strict_format(completions: Sequence[str], **_columns: Any) -> Scores:
    """0.5 where a completion is one reasoning block and one answer block, and nothing else."""
    return [0.5 if _is_strict(completion.strip()) else 0.0 for completion in completions]


def _is_strict(text: str) -> bool:
    once = all(text.count(tag) == 1 for tag in _TAGS)
    return once and text.startswith(_TAGS[0]) and text.endswith(_TAGS[3]) and _BETWEEN.search(text) is not None


def soft_format(completions: Sequence[str], **_columns: Any) -> Scores:
    """0.5 where a reasoning block with an answer block right behind it stands anywhere in a completion."""
    return [0.5 if _is_soft(completion) else 0.0 for completion in completions]


def _is_soft(text: str) -> bool:
    # Three searches instead of one pattern, whose backtracking would be cubic on a text of many tags.
    start = text.find(_TAGS[0])
    between = _BETWEEN.search(text, start + len(_TAGS[0])) if start >= 0 else None
    return between is not None and text.find(_TAGS[3], between.end()) >= 0


def xml_count(completions: Sequence[str], **_columns: Any) -> Scores:
    """0.125 for each of the four tags that stands there exactly once, less 0.001 a character behind `</answer>`."""
    return [_tag_score(completion) for completion in completions]


def _tag_score(text: str) -> float:
    _, closed, tail = text.rpartition(_TAGS[3])
    return 0.125 * sum(text.count(tag) == 1 for tag in _TAGS) - (0.001 * len(tail.strip()) if closed else 0.0)


def length(completions: Sequence[str], *, lengths: Sequence[int], target: float, **_columns: Any) -> Scores:
    """1 up to the target, then falling in a straight line to 0 at twice the target.

    Args:
        completions: not looked at.
        lengths: of the completions, in tokens.
        target: in tokens, above 0.
    """
    return [min(1.0, max(0.0, 2.0 - tokens / target)) for tokens in lengths]


def repetition(completions: Sequence[str], *, size: int, **_columns: Any) -> Scores:
    """Minus the share of runs of `size` words that stood in the completion before: from 0 down to nearly -1."""
    return [_variety(completion.split(), size) - 1.0 for completion in completions]


def _variety(words: list[str], size: int) -> float:
    runs = [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]
    return len(set(runs)) / len(runs) if runs else 1.0
