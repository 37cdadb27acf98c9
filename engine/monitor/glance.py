"""Tells from a record's first and last lines how far its run came. Knows lines, no folder and no process.

The record of a long run has many megabytes; of its end as much is read as holds a step and an evaluation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from pydantic_core import from_json

from engine.run_events import RunStatus

_BLOCK = 64 * 1024
# An evaluation may lie far back; without one within these blocks there is none to show.
_BLOCKS = 16
_STEP = b'{"event": "step_finished"'
_KINDS = {"training_started", "step_finished", "evaluated", "training_finished", "training_stopped", "training_failed"}
_REASONS: dict[str, RunStatus] = {
    reason: reason for reason in ("finished", "target reached", "no progress", "reward fell")
}


@dataclass(frozen=True, slots=True)
class Glance:
    """What the first and last lines say; `lines` were understood, `ending` is None where no end was written."""

    lines: int = 0
    model: str = ""
    step: int = 0
    steps: int = 0
    reward: float | None = None
    accuracy_before: float | None = None
    accuracy: float | None = None
    ending: RunStatus | None = None


NOTHING = Glance()
"""What an empty record says."""


@lru_cache(8192)
def take(file: str, _when: int, _size: int) -> Glance:
    """A look at a record; the moment of its last change and its size stand for what is in it.

    Raises:
        OSError: the file cannot be read.
    """
    with Path(file).open("rb") as lines:
        head = _events(lines.read(_BLOCK).splitlines())
        tail = _tail(lines)
    start = _last(head, "training_started") or {}
    before = next((event for event in head if event["event"] == "evaluated" and event.get("when") == "before"), {})
    return _summed(len(head) + len(tail), start, before, tail)


def _summed(lines: int, start: dict[str, Any], before: dict[str, Any], tail: list[dict[str, Any]]) -> Glance:
    began, step = _last(tail, "training_started") or start, _last(tail, "step_finished") or {}
    later = [event for event in tail if event["event"] == "evaluated" and event.get("when") != "before"]
    ending: dict[str, Any] = next((event for event in reversed(tail) if event["event"].startswith("training_")), {})
    accuracy = _number(later[-1].get("accuracy")) if later else None
    status: RunStatus | None = None
    if ending.get("event") == "training_finished":
        status = _REASONS.get(str(ending.get("reason")), "finished")
        accuracy = accuracy if later else _number(ending.get("accuracy_after"))
    elif ending.get("event") == "training_failed":
        status = "failed"
    elif ending.get("event") == "training_stopped":
        status = "stopped"
    return Glance(
        lines,
        str(began.get("model", "")),
        _count(step.get("step", began.get("step"))),
        _count(began.get("steps", step.get("steps"))),
        _number(step.get("reward")),
        _number(before.get("accuracy")),
        accuracy,
        status,
    )


def _tail(lines: IO[bytes]) -> list[dict[str, Any]]:
    """What the last lines say, in their order: back to a step and, where the record is not that long, an evaluation."""
    events: list[dict[str, Any]] = []
    rest, place = b"", lines.seek(0, 2)
    for _ in range(_BLOCKS):
        if not place:
            break
        start = max(0, place - _BLOCK)
        lines.seek(start)
        first, *whole = (lines.read(place - start) + rest).split(b"\n")
        rest, place = first, start
        events[:0] = _events(whole if start else [first, *whole])
        known = {event["event"] for event in events}
        if "step_finished" in known and known & {"evaluated", "training_finished"}:
            break
    return events


def _events(lines: list[bytes]) -> list[dict[str, Any]]:
    """The lines that say how a run goes, of its steps the last one, which comes first.

    A line that is cut off, or of a newer version, is passed over.
    """
    steps = _parsed(line for line in reversed(lines) if line.startswith(_STEP))
    return [*itertools.islice(steps, 1), *_parsed(line for line in lines if not line.startswith(_STEP))]


def _parsed(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            event = from_json(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event") in _KINDS:
            yield event


def _last(events: list[dict[str, Any]], kind: str) -> dict[str, Any] | None:
    return next((event for event in reversed(events) if event["event"] == kind), None)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0
