"""Reads the completions of one step from a run's samples.jsonl. Knows lines and places in a file, and no view of them.

The steps ascend in the file, since a run that goes on from a checkpoint cuts it first. So a step is found by halving
the file, in a handful of reads however large it is. What is not in order is looked through as a whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pydantic_core import from_json as parse

from engine import errors
from engine.errors import UserError
from engine.events import Event, Note, Progress
from engine.grpo import answers, config_file
from engine.monitor.record import gone
from engine.run_events import SampleRead, SamplesRead

FILE = "samples.jsonl"
"""The name of the file of a run's completions."""
_STEP = re.compile(rb'\s*\{"step": ?(\d+)[,}]')
_LONE = re.compile("[\ud800-\udfff]")
_NEAR = 64 * 1024  # read at once rather than halved once more
BLOCK = 256 * 1024
"""How much of the file is looked through at once, in bytes."""
_PROGRESS = 32  # blocks


def of_step(folder: Path, step: int = 0) -> Iterator[Event]:
    """Read all completions of a step, in their order.

    Args:
        folder: the run's folder.
        step: its number, 0 for the last one that has completions.

    Yields:
        SampleRead for each; Note where the file is not in order; Progress where all of it has to be looked through; at
        last SamplesRead.

    Raises:
        UserError: there is no such folder, or the file cannot be read.
    """
    kept, prefill = settings(folder)
    try:
        with (folder / FILE).open("rb") as file:
            end, torn = whole_end(file)
            first, last = first_step(file, end), last_step(file, end)
            wanted = step or last
            lines = yield from _lines_of(file, end, wanted)
            unknown = 0
            for sample in read(lines, prefill):
                if sample is None:
                    unknown += 1
                else:
                    yield sample
            yield SamplesRead(wanted, first, last, torn, unknown, kept=kept)
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise gone(folder) from error
        yield SamplesRead(step, 0, 0, missing=True, kept=kept)
    except OSError as error:
        raise errors.explain(error) from error


def read(lines: Iterable[bytes], prefill: str) -> Iterator[SampleRead | None]:
    """The completions of the lines of a step; None for a line that is none.

    A group ends where the numbers of its completions begin anew, since one row may be asked twice in a step.
    """
    group, before = -1, (-1, -1, False)
    for line in lines:
        fields = parsed(line)
        if fields is None:
            yield None
            continue
        key = (read_whole(fields.get("row")), read_whole(fields.get("completion")), bool(fields.get("left_out")))
        if group < 0 or key[0] != before[0] or key[2] != before[2] or key[1] <= before[1]:
            group += 1
        before = key
        yield _sample(fields, group, prefill)


def parsed(line: bytes) -> dict[str, Any] | None:
    """The fields of a line that tells of a completion, None where it does not."""
    try:
        fields = parse(line)
    except ValueError:
        try:
            # Knows half of a surrogate pair, which a model may well write.
            fields = json.loads(line.decode("utf-8", "replace"), strict=False)
        except (ValueError, RecursionError):
            return None
    sound = isinstance(fields, dict) and isinstance(fields.get("step"), int) and isinstance(fields.get("text"), str)
    return fields if sound else None


def step_of(line: bytes) -> int | None:
    """The step that a line tells of, None where it tells of none."""
    if (found := _STEP.match(line)) is not None:
        return int(found[1])
    fields = parsed(line)
    return None if fields is None else int(fields["step"])


def whole_end(file: IO[bytes]) -> tuple[int, int]:
    """Where the last whole line ends, and how many bytes of a half-written one follow."""
    size = file.seek(0, 2)
    end = size
    while end > 0:
        start = max(0, end - _NEAR)
        file.seek(start)
        place = file.read(end - start).rfind(b"\n")
        if place >= 0:
            return start + place + 1, size - (start + place + 1)
        end = start
    return 0, size


def blocks_backwards(file: IO[bytes], end: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Blocks of whole lines of about a size, the last first: where a block begins, and its bytes."""
    while end > 0:
        wide = size
        while True:
            start = max(0, end - wide)
            file.seek(start)
            block = file.read(end - start)
            # The first line of a block may be cut; it belongs to the block before.
            cut = block.find(b"\n") + 1 if start else 0
            if start == 0 or 0 < cut < len(block):
                break
            wide *= 2
        yield start + cut, block[cut:]
        end = start + cut


def first_step(file: IO[bytes], end: int) -> int:
    """The step of the first line that tells of one, 0 where none does."""
    found = _next(file, 0, end)
    return 0 if found is None else found.step


def last_step(file: IO[bytes], end: int) -> int:
    """The step of the last whole line that tells of one, 0 where none does."""
    for _, block in blocks_backwards(file, end, _NEAR):
        for line in reversed(block.splitlines()):
            if (step := step_of(line)) is not None:
                return step
    return 0


def settings(folder: Path) -> tuple[bool, str]:
    """Whether a run keeps its completions, and what was put before each of them; as told where that is not known."""
    try:
        config = config_file.of_run(folder)
    except UserError:
        return True, ""
    return config.log_jsonl, config.completion_prefill


def locate(file: IO[bytes], end: int, step: int) -> Located:
    """Where the lines of a step are, found by halving the file."""
    found = Located(0)
    low, high = 0, end
    while high - low > _NEAR:
        middle = (low + high) // 2
        line = _next(file, middle, high)
        if line is None:
            high = middle
            continue
        found.probes.append((line.start, line.step))
        if line.step < step:
            low = line.end
        else:
            high = middle
    file.seek(low)
    place = low
    while place < end:
        line = _next(file, place, end)
        if line is None or line.step > step:
            break
        if line.step == step:
            found.start = line.start if found.end == 0 else found.start
            found.end = line.end
        place = line.end
    return found


@dataclass(slots=True)
class Located:
    """Where the lines of a step begin and end, both 0 where there are none, and what was seen on the way there."""

    start: int
    end: int = 0
    probes: list[tuple[int, int]] = field(default_factory=list)

    @property
    def ordered(self) -> bool:
        """Whether the steps that were seen ascend."""
        steps = [step for _, step in sorted(self.probes)]
        return steps == sorted(steps)


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    end: int
    step: int


def _next(file: IO[bytes], place: int, end: int) -> _Line | None:
    """The first line that begins at `place` or behind it, and before `end`, and tells of a step."""
    file.seek(max(0, place - 1))
    if place:
        # The rest of the line before, or its end alone.
        file.readline()
    while (start := file.tell()) < end and (line := file.readline()).endswith(b"\n"):
        if (step := step_of(line)) is not None:
            return _Line(start, start + len(line), step)
    return None


def _lines_of(file: IO[bytes], end: int, step: int) -> Generator[Event, None, list[bytes]]:
    """The lines of a step."""
    found = locate(file, end, step)
    if found.end and found.ordered:
        file.seek(found.start)
        lines = file.read(found.end - found.start).splitlines()
        # Where the file is not in order, lines of a step before may stand between.
        return [line for line in lines if step_of(line) in (step, None)]
    lines = yield from _scanned(file, end, step)
    if lines:
        yield Note("The completions are not in the order of their steps. All of them were looked through.")
    return lines


def _scanned(file: IO[bytes], end: int, step: int) -> Generator[Event, None, list[bytes]]:
    lines: list[bytes] = []
    wanted = re.compile(rb'"step":\s*%d\b' % step)
    for count, (start, block) in enumerate(blocks_backwards(file, end, BLOCK)):
        if count % _PROGRESS == _PROGRESS - 1:
            yield Progress("Looking through the completions", end - start, end, "bytes")
        if wanted.search(block):
            lines = [line for line in block.splitlines() if step_of(line) == step] + lines
    return lines


def _sample(fields: dict[str, Any], group: int, prefill: str) -> SampleRead:
    text, answer = sound(fields["text"]), sound(fields.get("answer"))
    found = answers.extract(prefill + text)
    rewards = fields.get("rewards")
    return SampleRead(
        step=fields["step"],
        group=group,
        row=read_whole(fields.get("row")),
        completion=read_whole(fields.get("completion")),
        prompt=sound(fields.get("prompt")),
        answer=answer,
        text=text,
        rewards=tuple((str(name), _number(score)) for name, score in rewards.items())
        if isinstance(rewards, dict)
        else (),
        reward=_number(fields.get("reward")) or 0.0,
        advantage=_number(fields.get("advantage")) or 0.0,
        tokens=read_whole(fields.get("tokens")),
        stop_reason=sound(fields.get("stop_reason")),
        left_out=bool(fields.get("left_out")),
        prefill=prefill,
        found=found,
        right=(found is not None and answers.same(found, answer)) if answer else None,
    )


def sound(value: Any) -> str:
    """A text as it can be shown and stored: half of a surrogate pair can be neither."""
    if not isinstance(value, str):
        return "" if value is None else json.dumps(value, ensure_ascii=False)
    try:
        value.encode()
    except UnicodeEncodeError:
        return _LONE.sub("\ufffd", value)
    return value


def read_whole(value: Any) -> int:
    """A whole number, 0 where it is none."""
    return value if isinstance(value, int) else 0


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value else None  # noqa: PLR0124  # NaN
