"""Fits a conversation into what a model reads at most: which turns are left out, and what stands for them.

Knows turns and how many tokens they take; no model and no store. What is left out depends on the turns alone, and
changes rarely: the beginning of the prompt, which the KV cache remembers, stays the same for several turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Turn = tuple[Literal["user", "assistant"], str]

_SHARE_FOR_ANSWER = 4
# Turns are left out until this share of the window is free.
_SHARE_FREED = 4
_SHARE_FOR_SUMMARY = 8
_LONGEST_SUMMARY = 512
# What a template puts around a turn, at most about.
_AROUND = 12


@dataclass(frozen=True, slots=True)
class Room:
    """What there is in a window of `window` tokens: for what is read, for a summary, and for the answer."""

    window: int
    prompt: int
    summary: int
    freed: int

    @classmethod
    def of(cls, window: int, max_tokens: int) -> Room:
        """The room in a window for a prompt whose answer may have this many tokens."""
        answer = min(max_tokens, window // _SHARE_FOR_ANSWER)
        summary = min(_LONGEST_SUMMARY, window // _SHARE_FOR_SUMMARY)
        return cls(window, window - answer, summary, window // _SHARE_FREED)


def cuts(lengths: Sequence[int], is_question: Sequence[bool], fixed: int, room: Room) -> list[int]:
    """Where the conversation was cut as it grew: each number is the first turn that was still read from then on.

    Args:
        lengths: the tokens of each turn.
        is_question: whether a turn is the person's; what is read begins with one, and ends with the last turn.
        fixed: the tokens of what is always read.
        room: that of the model's window.
    """
    made: list[int] = []
    first = 0
    for last, asked in enumerate(is_question):
        if not asked:
            continue
        taken = fixed + sum(length + _AROUND for length in lengths[first : last + 1])
        if taken <= room.prompt:
            continue
        starts = [turn for turn in range(first + 1, last + 1) if is_question[turn]]
        for start in starts:
            first = start
            taken = fixed + sum(length + _AROUND for length in lengths[start : last + 1])
            if taken <= room.prompt - room.freed:
                break
        if starts:
            made.append(first)
    return made


def further(is_question: Sequence[bool], first: int) -> int | None:
    """The next turn after `first` that what is read may begin with; None where only the last question is left."""
    return next((turn for turn in range(first + 1, len(is_question)) if is_question[turn]), None)


def to_summarise(turns: Sequence[Turn], before: str, longest: int) -> str:
    """The words that ask a model to sum turns up; `before` sums up what came before them, "" for nothing.

    Args:
        longest: characters that the turns may have together; the middle of what is longer is left out.
    """
    names = {"user": "Person", "assistant": "Assistant"}
    said = "\n\n".join(f"{names[role]}: {text}" for role, text in turns)
    if len(said) > longest:
        said = f"{said[: longest // 2]}\n…\n{said[-(longest // 2) :]}"
    known = f"What came before, in short:\n{before}\n\n" if before else ""
    return (
        f"{known}{said}\n\nSum up the conversation above in a few sentences. Keep names, numbers, decisions and open "
        "questions. Write the summary alone."
    )


def with_summary(system: str, summary: str) -> str:
    """The system prompt of a conversation whose beginning is summed up."""
    told = f"The beginning of this conversation, in short:\n{summary}"
    return f"{system}\n\n{told}" if system else told
