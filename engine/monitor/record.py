"""Reads a run's events.jsonl as it grows. Knows lines and figures, and no view of them.

The file is all there is to know: that of a run which trains in this window, in another process, or that was copied
from another machine is read alike.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Generator, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter
from pydantic_core import from_json as parse

from engine import errors
from engine.errors import UserError
from engine.events import Ending, Event, from_json
from engine.monitor.liveness import is_live
from engine.run_events import FiguresRead, RecordRead, RecordReplaced
from engine.training_events import StepFinished

FILE = "events.jsonl"
"""The name of a run's record."""
_STEP = b'{"event": "step_finished"'
# Small enough that nobody else waits long for the interpreter while a block is parsed.
_BLOCK = 64 * 1024
BREATH = 0.00005
"""Seconds in which a thread that waits for the interpreter gets it, the window's above all."""
_MANY = 300  # steps whose figures are handed over in one piece
_ENDLESS = 2**31  # steps; a number with more digits than Qt takes is no number of steps
_MARK_BYTES = 512
_FIGURES = tuple(field.name for field in dataclasses.fields(StepFinished) if field.name not in {"rewards", "rows"})


def read(folder: Path, place: int = 0, mark: str = "") -> Iterator[Event]:
    """Read what a run's record holds from a place on.

    Args:
        folder: the run's folder.
        place: the byte that was read up to, 0 for the start.
        mark: that of the `RecordRead` of this place.

    Yields:
        RecordReplaced where the record is another one than at `place`; FiguresRead for the steps, and every other
        event as the run said it; at last RecordRead.

    Raises:
        UserError: there is no such folder, or the file cannot be read.
    """
    file = folder / FILE
    try:
        with file.open("rb") as lines:
            if place and _mark(lines, place) != mark:
                yield RecordReplaced()
                place = 0
            unknown, torn = 0, b""
            steps: list[dict[str, Any]] = []
            lines.seek(place)
            while block := lines.read(_BLOCK):
                whole, end, torn = (torn + block).rpartition(b"\n")
                if end:
                    unknown += yield from _said(whole.split(b"\n"), steps)
                    place = lines.tell() - len(torn)
                if len(steps) >= _MANY:
                    yield FiguresRead(_columns(steps))
                    steps = []
                time.sleep(BREATH)
            if steps:
                yield FiguresRead(_columns(steps))
            yield RecordRead(place, _mark(lines, place), len(torn), unknown, is_live(folder, file))
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise gone(folder) from error
        if place:
            yield RecordReplaced()
        yield RecordRead(0, "", 0, 0, is_live(folder, file), missing=True)
    except OSError as error:
        raise errors.explain(error) from error


def _steps(lines: Sequence[bytes]) -> tuple[list[dict[str, Any]], int]:
    """What lines say of steps, and how many of them were no such thing."""
    try:
        steps: list[dict[str, Any]] = parse(b"[" + b",".join(lines) + b"]")
        unknown = 0
    except ValueError:
        steps = [step for line in lines if isinstance(step := _parsed(line), dict)]
        unknown = len(lines) - len(steps)
    # Keys that a newer version added are no concern of this one; a step without its number is no step.
    sound = [step for step in steps if _is_number(step.get("step"))]
    return sound, unknown + len(steps) - len(sound)


def _columns(steps: list[dict[str, Any]]) -> tuple[tuple[str, tuple[float | None, ...]], ...]:
    return (*((name, _numbers([step.get(name) for step in steps])) for name in _FIGURES), *_rewards(steps))


def _said(lines: list[bytes], steps: list[dict[str, Any]]) -> Generator[Event, None, int]:
    """The events of whole lines, but for the steps, which are added to `steps`; how many were not understood."""
    found, unknown = _steps([line for line in lines if line.startswith(_STEP)])
    steps += found
    for line in lines:
        if line.strip() and not line.startswith(_STEP):
            try:
                event = _checked(from_json(line.decode("utf-8", "replace")))
            except (ValueError, TypeError):
                unknown += 1
                continue
            if isinstance(event, Ending):
                # It would end the reading.
                unknown += 1
            else:
                yield event
    return unknown


def _checked(event: Event) -> Event:
    """An event whose fields are what it declares, which no JSON promises.

    Raises:
        ValueError: one of them is not.
    """
    values = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    kind: Any = type(event)
    _adapter(kind).validate_python(values)
    if not all(_is_number(values[name]) for name in ("step", "steps") if name in values):
        raise ValueError(f"no number of a step: {values}")
    return event


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _is_number(step: object) -> bool:
    """Whether this can be the number of a step, or of steps."""
    return isinstance(step, int) and 0 <= step < _ENDLESS


def _rewards(steps: list[dict[str, Any]]) -> Iterator[tuple[str, tuple[float | None, ...]]]:
    read = [_by_name(step.get("rewards")) for step in steps]
    for name in dict.fromkeys(name for rewards in read for name in rewards):
        means, spreads = zip(*(rewards.get(name, (None, None)) for rewards in read), strict=True)
        yield f"rewards/{name}", _numbers(means)
        yield f"rewards/{name}/spread", _numbers(spreads)


def _by_name(rewards: Any) -> dict[str, tuple[Any, Any]]:
    try:
        return {name: (mean, spread) for name, mean, spread in rewards or ()}
    except (TypeError, ValueError):
        return {}


def _numbers(values: Sequence[Any]) -> tuple[float | None, ...]:
    try:
        return tuple(map(float, values))
    except (TypeError, ValueError):
        return tuple(float(value) if isinstance(value, int | float) else None for value in values)


def _parsed(line: bytes) -> Any:
    try:
        return parse(line)
    except ValueError:
        return None


def _mark(lines: IO[bytes], place: int) -> str:
    """What stands before a place, in short: another record, or one that was cut and went on, has another mark."""
    start = max(0, place - _MARK_BYTES)
    lines.seek(start)
    return hashlib.blake2b(lines.read(place - start), digest_size=12).hexdigest()


def gone(folder: Path) -> UserError:
    """The words for a run whose folder is not there."""
    return UserError(
        "The run {name} is not there any more.",
        "Its folder {folder} was moved, renamed or deleted, or its disk is not connected.",
        "Bring the folder back, or take the run off the list.",
        name=folder.name,
        folder=folder,
    )
