"""Ten completions of a run that show what it learned, chosen the same way each time. Knows the file, and no page.

Only the beginning and the end of the file are read, however long it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.monitor.samples import FILE, parsed

_BYTES = 2 * 1024**2  # read at each end
_OTHERS = 2  # besides the best, the typical and the worst of one prompt


@dataclass(frozen=True, slots=True)
class Shown:
    """A completion to show, and why: `role` is "best", "typical", "worst" or "another"."""

    step: int
    row: int
    prompt: str
    answer: str
    text: str
    rewards: tuple[tuple[str, float | None], ...]
    reward: float
    tokens: int
    stop_reason: str
    role: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Five completions of the first steps and five of the last, fewer where there are fewer."""

    early: tuple[Shown, ...] = ()
    late: tuple[Shown, ...] = ()
    same_prompt: bool = False


Groups = dict[tuple[int, int], list[Shown]]
"""Completions by step and data row."""


def chosen(folder: Path) -> Chosen:
    """The completions to show of the run in a folder; none where none were kept.

    Of the beginning and of the end one prompt is taken, the same where it was asked at both, with its best, typical
    and worst completion, and a typical completion of two other prompts.
    """
    try:
        early, late = _ends(folder / FILE)
    except OSError:
        return Chosen()
    if not early:
        return Chosen()
    rows = {row for _, row in early} & {row for _, row in late}
    again = {key: group for key, group in early.items() if key[1] in rows}
    first, last = _outermost(early, latest=False), _outermost(late, latest=True)
    main = _telling(_outermost(again or early, latest=False))
    if not late:
        return Chosen(_five(early, main, first))
    end = max(key for key in late if key[1] == main[1]) if again else _telling(last)
    return Chosen(_five(early, main, first), _five(late, end, last), bool(again))


def _ends(file: Path) -> tuple[Groups, Groups]:
    """The groups of completions at the beginning and at the end of a file, by step and row."""
    with file.open("rb") as lines:
        size = lines.seek(0, 2)
        lines.seek(0)
        first = _groups(lines.read(_BYTES).rpartition(b"\n")[0].split(b"\n"))
        if size > _BYTES:
            lines.seek(size - _BYTES)
            return first, _groups(lines.read(_BYTES).rpartition(b"\n")[0].split(b"\n")[1:])
    steps = sorted({step for step, _ in first})
    middle = steps[(len(steps) - 1) // 2] if steps else 0
    late = {key: group for key, group in first.items() if key[0] > middle}
    return {key: group for key, group in first.items() if key[0] <= middle}, late


def _groups(lines: Sequence[bytes]) -> Groups:
    """Completions by step and row; lines that are none are passed over."""
    groups: Groups = {}
    for line in lines:
        if (one := _read(line)) is not None:
            groups.setdefault((one.step, one.row), []).append(one)
    return groups


def _read(line: bytes) -> Shown | None:
    fields = parsed(line)
    try:
        return None if fields is None else _shown(fields)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None


def _shown(fields: dict[str, Any]) -> Shown:
    return Shown(
        int(fields["step"]),
        int(fields["row"]),
        str(fields["prompt"]),
        str(fields["answer"]),
        str(fields["text"]),
        tuple((name, None if score is None else float(score)) for name, score in fields["rewards"].items()),
        float(fields["reward"]),
        int(fields["tokens"]),
        str(fields["stop_reason"]),
    )


def _outermost(groups: Groups, *, latest: bool) -> Groups:
    """The groups of the first, or of the last, steps that have enough prompts to choose from."""
    kept: Groups = {}
    for step in sorted({step for step, _ in groups}, reverse=latest):
        kept |= {key: group for key, group in groups.items() if key[0] == step}
        if len(kept) > _OTHERS:
            break
    return kept


def _telling(groups: Groups) -> tuple[int, int]:
    """The prompt whose completions differ most in reward shows most; among equals the first."""
    return max(groups, key=lambda key: max(one.reward for one in groups[key]) - min(one.reward for one in groups[key]))


def _five(groups: Groups, main: tuple[int, int], near: Groups) -> tuple[Shown, ...]:
    """The best, typical and worst completion of the main prompt and typical ones of others; no text twice."""
    ranked = _ranked(groups[main])
    told: list[Shown] = []
    for role, one in (("best", ranked[0]), ("worst", ranked[-1]), ("typical", ranked[len(ranked) // 2])):
        if all(one.text != other.text for other in told):
            told.append(dataclasses.replace(one, role=role))
    for key, group in near.items():
        if key[1] != main[1] and len(told) < 3 + _OTHERS:
            told.append(dataclasses.replace(_ranked(group)[len(group) // 2], role="another"))
    order = ("best", "typical", "worst", "another")
    return tuple(sorted(told, key=lambda one: order.index(one.role)))


def _ranked(group: Sequence[Shown]) -> list[Shown]:
    return sorted(group, key=lambda one: -one.reward)
