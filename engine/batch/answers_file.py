"""The JSONL file of a batch: an answer a line, written as it comes, read again to go on. Knows no model.

A later line on the same row and sample wins. The settings of the batch lie beside it, in NAME.settings.json.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from engine.chat_events import BatchAnswered
from engine.errors import UserError

# What was written reaches the disk within this time, also if the machine stops.
_SYNC_SECONDS = 0.5
_FIELDS = {field.name for field in dataclasses.fields(BatchAnswered)}


class AnswersFile:
    """Appends answers to a file; a context manager."""

    def __init__(self, path: Path) -> None:
        """Mend a line that was being written when the program died, and open the file behind it."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _mend(path)
        self._file = path.open("a", encoding="utf-8", newline="\n")
        self._synced, self._dirty = time.monotonic(), False

    def __enter__(self) -> AnswersFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sync(at_once=True)
        self._file.close()

    def append(self, answer: BatchAnswered) -> None:
        """Write an answer; it outlives the program from then on."""
        self._file.write(to_line(answer) + "\n")
        self._file.flush()
        self._dirty = True
        self.sync()

    def sync(self, *, at_once: bool = False) -> None:
        """Have what was written on the disk, if it is time for it."""
        if self._dirty and (at_once or time.monotonic() - self._synced >= _SYNC_SECONDS):
            os.fsync(self._file.fileno())
            self._synced, self._dirty = time.monotonic(), False


def to_line(answer: BatchAnswered) -> str:
    """An answer as one line of JSON, its scores by name."""
    values = {name: getattr(answer, name) for name in answer.__slots__}
    # Half a character, as a model may write one, has no place in UTF-8.
    return json.dumps(values | {"scores": dict(answer.scores)}, ensure_ascii=False).encode("utf-8", "replace").decode()


def read(path: Path) -> dict[tuple[int, int], BatchAnswered]:
    """The answers in a file by row and sample, in their order; the last line on each wins.

    Raises:
        UserError: a line that is whole is no answer of a batch.
        OSError: the file cannot be read.
    """
    found = {(answer.row, answer.sample): answer for answer in _answers(path)}
    return dict(sorted(found.items()))


def write_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Write down how the answers in a file are asked for, to a temporary name first."""
    target = settings_path(path)
    partial = target.with_name(f"{target.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(settings, file, ensure_ascii=False, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)


def read_settings(path: Path) -> dict[str, Any]:
    """What `write_settings` wrote; nothing where it is gone or damaged, since the answers say enough to go on."""
    try:
        found = json.loads(settings_path(path).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def settings_path(path: Path) -> Path:
    """Where the settings of the answers in a file lie."""
    return path.with_name(f"{path.stem}.settings.json")


def _answers(path: Path) -> Iterator[BatchAnswered]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                answer = _answer(line)
                if answer is not None:
                    yield answer
                elif line.endswith(b"\n"):
                    raise UserError(
                        "{path} is not a file of answers.",
                        "Line {number} of it holds no answer of a batch.",
                        "Choose another file, or delete that line.",
                        path=path,
                        number=number,
                    )


def _answer(line: bytes) -> BatchAnswered | None:
    """The answer in a line, None where there is none."""
    try:
        values = json.loads(line)
        scores = tuple((str(name), float(score)) for name, score in values.pop("scores").items())
        answer = BatchAnswered(**{name: value for name, value in values.items() if name in _FIELDS}, scores=scores)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    numbers = (answer.row, answer.sample, answer.seed)
    return answer if all(isinstance(number, int) for number in numbers) and isinstance(answer.prompt, str) else None


def _mend(path: Path) -> None:
    """Take the last line away if it was not written to its end; give it its line end if only that is missing."""
    with path.open("rb+") as file:
        data = file.read()
        end = data.rfind(b"\n") + 1
        rest = data[end:]
        if not rest:
            return
        if _answer(rest) is None:
            file.truncate(end)
        else:
            file.write(b"\n")
