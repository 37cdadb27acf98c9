"""JSONL and CSV files as rows: an index of where each begins, and the rows read when asked for. Knows no columns.

A file is neither copied nor held in memory, and every fault in it is named by its line.
"""

from __future__ import annotations

import csv
import json
import os
from array import array
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from engine.errors import UserError
from engine.events import Event, Progress

JSON_LINES: Final = (".jsonl", ".ndjson")
TABLES: Final = {".csv": ",", ".tsv": "\t"}

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LINES_AN_EVENT: Final = 20_000
_LONGEST_FIELD: Final = 1 << 30  # the csv module refuses fields of more than 128 KiB unless told


class LineFile:
    """The rows of a JSONL file: one JSON object on each line that is not blank."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._starts = array("q")
        self._lines = array("q")
        self._stamp = (0, 0)

    def __len__(self) -> int:
        return len(self._starts)

    def place(self, number: int) -> str:
        """Where a row stands, for a person; rows count from 0, lines from 1."""
        return f"line {self._lines[number]} of {self.path.name}"

    def index(self) -> Generator[Event, None, None]:
        """Find where each row begins.

        Raises:
            UserError: the file is not text, or a table in it is broken.
            OSError: the file cannot be read.
        """
        with self.path.open("rb") as file:
            status = os.fstat(file.fileno())
            self._stamp = (status.st_size, status.st_mtime_ns)
            for start, line in self._rows(file):
                self._starts.append(start)
                self._lines.append(line)
                if len(self._starts) % _LINES_AN_EVENT == 1:
                    yield Progress("Reading the data", start, status.st_size, "bytes", self.path.name)

    def read(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """The rows of these numbers.

        Raises:
            UserError: a row is broken, or the file was changed after it was indexed.
            OSError: the file cannot be read.
        """
        with self.path.open("rb") as file:
            status = os.fstat(file.fileno())
            if self._stamp != (status.st_size, status.st_mtime_ns):
                raise UserError(
                    "{path} was changed while it was in use.",
                    "A run must see the same rows from its beginning to its end.",
                    "Put the former file back and resume the run, or start a new one.",
                    path=self.path,
                )
            return [self._row(file, number) for number in numbers]

    def _rows(self, file: BinaryIO) -> Iterator[tuple[int, int]]:
        """The offset and the line of each row."""
        start = _skip_mark(file)
        for number, line in enumerate(file, 1):
            if line.strip():
                yield start, number
            start += len(line)

    def _row(self, file: BinaryIO, number: int) -> dict[str, Any]:
        file.seek(self._starts[number])
        line, place = file.readline(), self.place(number)
        try:
            row = json.loads(_text(line, place))
        except (ValueError, RecursionError) as error:
            raise UserError(
                "The data is broken at {place}.",
                "It is not JSON: {reason}",
                "Mend or delete that line; every line must be one JSON object.",
                place=place,
                reason=f"{error.msg}, at character {error.colno}"
                if isinstance(error, json.JSONDecodeError)
                else str(error),
            ) from error
        if not isinstance(row, dict):
            raise UserError(
                "The data is broken at {place}.",
                "It holds {kind}, not an object with named columns.",
                'Write each line as an object, such as {{"question": "...", "answer": "..."}}.',
                place=place,
                kind={list: "a list", str: "a text", type(None): "null"}.get(type(row), "a single value"),
            )
        return row


class TableFile(LineFile):
    """The rows of a CSV file whose first row names the columns; every value is text, an empty one too."""

    def __init__(self, path: Path, delimiter: str) -> None:
        super().__init__(path)
        self._delimiter = delimiter
        self._names: list[str] = []

    def _rows(self, file: BinaryIO) -> Iterator[tuple[int, int]]:
        csv.field_size_limit(_LONGEST_FIELD)
        first, ends = _skip_mark(file), [0]
        lines = self._texts(file, ends)
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        start, line = first, 1
        while (values := self._next(reader, line)) is not None:
            if values and not self._names:
                self._names = self._header(values)
            elif values:
                if len(values) != len(self._names):
                    raise self._broken(line, f"it has {len(values)} values for {len(self._names)} columns")
                yield start, line
            start, line = first + ends[0], reader.line_num + 1

    def _row(self, file: BinaryIO, number: int) -> dict[str, Any]:
        file.seek(self._starts[number])
        reader = csv.reader(self._texts(file, [0]), delimiter=self._delimiter, strict=True)
        return dict(zip(self._names, self._next(reader, self._lines[number]) or (), strict=True))

    def _header(self, values: list[str]) -> list[str]:
        names = [name.strip() for name in values]
        if "" in names or len(set(names)) < len(names):
            raise self._broken(1, "the first line must give every column a name of its own")
        return names

    def _texts(self, file: BinaryIO, ends: list[int]) -> Iterator[str]:
        """The lines of the file; `ends[0]` counts the bytes of those taken so far."""
        for line in file:
            ends[0] += len(line)
            yield _text(line, self.path.name)

    def _next(self, reader: Iterator[list[str]], line: int) -> list[str] | None:
        try:
            return next(reader, None)
        except csv.Error as error:
            raise self._broken(line, str(error)) from error

    def _broken(self, line: int, reason: str) -> UserError:
        return UserError(
            "The data is broken at line {line} of {name}.",
            "It is no row of the table: {reason}.",
            'Mend that line; a value that holds separators, quotes or line ends stands in quotes, "like ""this""".',
            line=line,
            name=self.path.name,
            reason=reason,
        )


def _skip_mark(file: BinaryIO) -> int:
    """Go behind the mark with which some programs begin a text file; the bytes it takes."""
    size = len(_BYTE_ORDER_MARK) if file.read(3) == _BYTE_ORDER_MARK else 0
    file.seek(size)
    return size


def _text(line: bytes, place: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            "The data is not text at {place}.",
            "It holds bytes that are not UTF-8.",
            "Save the file as UTF-8 and try again.",
            place=place,
        ) from error
