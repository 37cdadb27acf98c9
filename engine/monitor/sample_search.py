"""Finds a text in the completions of a run, the newest first. Knows their file, and no view of it."""

from __future__ import annotations

import bisect
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from engine import errors
from engine.events import Event, Progress
from engine.monitor import samples
from engine.monitor.record import BREATH, gone
from engine.run_events import SampleFound

_PROGRESS = 32  # blocks
_AROUND = 60  # characters of an excerpt at each side of what was found
# What stands in a line as it is; anything else may be written as an escape.
_PLAIN = re.compile(r'[^"\\\x00-\x1f\x7f-\x9f\ud800-\udfff]+')
_FIRST_IDEOGRAPH = "\u2e80"
# The signs that are not ASCII and become ASCII by folding: ß, İ, ŉ, ſ, ǰ, ẖ to ẚ, ẞ, the sign of Kelvin, ligatures.
_FOLDING = re.compile(
    rb"\xc3\x9f|\xc4\xb0|\xc5[\x89\xbf]|\xc7\xb0|\xe1\xba[\x96-\x9a\x9e]|\xe2\x84\xaa|\xef\xac[\x80-\x86]"
)
_ASCII = bytes(range(128))


def search(folder: Path, text: str, limit: int = 200) -> Iterator[Event]:
    """Find the completions and the prompts that hold a text, whatever its case.

    A prompt is named once for each time that it was asked.

    Args:
        folder: the run's folder.
        text: what is looked for; all of it has to be there as it is.
        limit: how many are named at most.

    Yields:
        SampleFound, those of later steps first; Progress often.

    Raises:
        UserError: there is no such folder, or the file cannot be read.
    """
    wanted = text.casefold()
    if not wanted or limit <= 0:
        return
    try:
        with (folder / samples.FILE).open("rb") as file:
            for event in _hits(file, samples.whole_end(file)[0], wanted):
                yield event
                limit -= isinstance(event, SampleFound)
                if limit <= 0:
                    return
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise gone(folder) from error
    except OSError as error:
        raise errors.explain(error) from error


def _hits(file: IO[bytes], end: int, wanted: str) -> Iterator[Event]:
    part = max(_PLAIN.findall(wanted), key=len, default="")
    steps = _Steps(file, end)
    for count, (start, block) in enumerate(samples.blocks_backwards(file, end, samples.BLOCK)):
        if _may_hold(block, part):
            place = start + len(block)
            for line in reversed(block.splitlines(keepends=True)):
                place -= len(line)
                if _may_hold(line, part) and (fields := samples.parsed(line)) is not None:
                    yield from _found(fields, place, wanted, steps)
        time.sleep(BREATH)
        if count % _PROGRESS == 0:
            yield Progress("Searching the completions", end - start, end, "bytes")


def _found(fields: dict[str, Any], place: int, wanted: str, steps: _Steps) -> Iterator[SampleFound]:
    text, prompt, step = fields["text"], str(fields.get("prompt") or ""), int(fields["step"])
    if (at := _within(text, wanted)) is not None:
        group, _ = steps.number(step, place)
        yield _excerpt(step, group, samples.read_whole(fields.get("completion")), text, at)
    if (at := _within(prompt, wanted)) is not None:
        group, begins = steps.number(step, place)
        if begins:
            yield _excerpt(step, group, -1, prompt, at)


class _Steps:
    """Tells the group of a line, of which its step is read once."""

    def __init__(self, file: IO[bytes], end: int) -> None:
        self._file, self._end = file, end
        self._step = 0
        self._groups: dict[int, tuple[int, bool]] = {}

    def number(self, step: int, place: int) -> tuple[int, bool]:
        """The group of the line at a place, and whether the line is its first; group 0 where that cannot be told."""
        if step != self._step:
            self._step, self._groups = step, {}
            found = samples.locate(self._file, self._end, step)
            self._file.seek(found.start)
            lines = self._file.read(found.end - found.start).splitlines(keepends=True)
            at, before = found.start, -1
            for line, sample in zip(lines, samples.read(lines, ""), strict=True):
                if sample is not None:
                    self._groups[at] = sample.group, sample.group != before
                    before = sample.group
                at += len(line)
        return self._groups.get(place, (0, False))


def _may_hold(piece: bytes, part: str) -> bool:
    """Whether a text of which `part` is a plain part may be in this; never wrongly no."""
    if not part:
        return True
    if b"\\u" in piece:
        return True  # another program may have written escapes
    if all(sign in "0123456789 " or (sign >= _FIRST_IDEOGRAPH and sign.upper() == sign) for sign in part):
        return part.encode() in piece  # there is no case to look past
    if part.isascii() and part.encode() in piece.lower():
        return True
    if piece.isascii() or (part.isascii() and not _FOLDING.search(piece.translate(None, _ASCII))):
        return False
    return part in piece.decode("utf-8", "replace").casefold()


def _within(text: str, wanted: str) -> tuple[int, int] | None:
    """Where a text holds what is looked for: start and length, in the text as it is."""
    folded = text.casefold()
    start = folded.find(wanted)
    if start < 0:
        return None
    if len(folded) == len(text):
        return start, len(wanted)
    # Some signs become two by folding.
    ends = [0]
    for sign in text:
        ends.append(ends[-1] + len(sign.casefold()))
    first = bisect.bisect_right(ends, start) - 1
    last = bisect.bisect_left(ends, start + len(wanted))
    return first, last - first


def _excerpt(step: int, group: int, completion: int, text: str, at: tuple[int, int]) -> SampleFound:
    start, length = at
    begin = max(0, start - _AROUND)
    excerpt = samples.sound(text[begin : start + length + _AROUND])
    return SampleFound(step, group, completion, excerpt, start - begin, length)
