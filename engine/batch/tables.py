"""Prompts as rows with columns: from lines, JSONL, JSON, CSV or TSV, in a file or pasted. Knows no template.

A file is told by its name, a paste by its look. Every fault is named by its line or its row.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine import places
from engine.chat.requests import BatchSource
from engine.errors import UserError
from engine.events import Event
from engine.grpo.data_files import JSON_LINES, TABLES, LineFile, TableFile

Form = Literal[".jsonl", ".json", ".csv", ".tsv", ".txt"]
PROMPT = "prompt"
"""The column that a line is."""
# What a paste is called in sentences about it.
_PASTE = "the pasted text"
# Longer ones are sentences, not names of columns.
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Table:
    """Rows, the names of all their columns in the order of their appearance, and where they come from."""

    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    name: str


def read(source: BatchSource) -> Generator[Event, None, Table]:
    """The rows of a source.

    Yields:
        progress, in bytes.

    Raises:
        UserError: there are none, or a row is broken.
        OSError: the file cannot be read.
    """
    if source.file:
        path = places.expand(source.file)
        if path.is_dir():
            raise UserError(
                "{path} is a folder.",
                "Prompts are read from one file.",
                "Choose a file of lines, JSONL or CSV.",
                path=path,
            )
        return (yield from _read(path, path.suffix.lower(), path.name))
    if not source.text.strip():
        raise _nothing("There is no file and no text.")
    form = look(source.text)
    # The same readers serve both, so that both have the same faults told in the same words.
    with tempfile.TemporaryDirectory(prefix="mlx-grpo-paste-") as folder:
        path = Path(folder) / _PASTE
        path.write_bytes(source.text.encode("utf-8", "surrogatepass"))
        return (yield from _read(path, form, _PASTE))


def look(text: str) -> Form:
    """What a pasted text is: JSON or JSONL by its brackets, a table by its header, else lines."""
    text = text.removeprefix("\ufeff").strip()
    if text.startswith("[") and text.endswith("]") and _is_list(text):
        return ".json"
    first = text.partition("\n")[0].strip()
    if first.startswith("{") and first.endswith("}") and _is_object(first):
        return ".jsonl"
    for form, sign in ((".tsv", "\t"), (".csv", ",")):
        if sign in first and _is_table(text, sign):
            return form  # type: ignore[return-value]
    return ".txt"


def _is_list(text: str) -> bool:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, list) and bool(found) and all(isinstance(each, str | dict) for each in found)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _is_table(text: str, sign: str) -> bool:
    """Whether the first line names columns, and each row after it has a value for every one."""
    try:
        header, *rows = (row for row in csv.reader(text.splitlines(keepends=True), delimiter=sign, strict=True) if row)
    except (csv.Error, ValueError):
        return False
    names = [name.strip() for name in header]
    named = all(name and len(name) <= _LONGEST_NAME and not name.endswith((".", "?", "!", ":")) for name in names)
    return named and len(set(names)) == len(names) and bool(rows) and all(len(row) == len(names) for row in rows)


def _read(path: Path, form: str, name: str) -> Generator[Event, None, Table]:
    rows: list[dict[str, Any]]
    if form in JSON_LINES or form in TABLES:
        file = LineFile(path) if form in JSON_LINES else TableFile(path, TABLES[form])
        yield from file.index()
        rows = file.read(range(len(file)))
    elif form == ".json":
        rows = _json_rows(_text(path.read_bytes(), name), name)
    else:
        rows = [{PROMPT: line.rstrip("\r")} for line in _text(path.read_bytes(), name).split("\n") if line.strip()]
    if not rows:
        raise _nothing(f"There is no prompt in {name}.")
    columns = tuple(dict.fromkeys(column for row in rows for column in row))
    return Table(columns, rows, name)


def _json_rows(text: str, name: str) -> list[dict[str, Any]]:
    """The rows of a JSON list of objects or of texts."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        place = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "its beginning"
        raise UserError(
            "{name} is not JSON.",
            "It is broken at {place}: {reason}",
            "Mend it; it must be one list of objects or of texts.",
            name=name,
            place=place,
            reason=error.msg if isinstance(error, json.JSONDecodeError) else str(error),
        ) from error
    if not isinstance(found, list):
        raise UserError(
            "{name} is no list.",
            "A JSON file of prompts holds one list.",
            "Put all rows between [ and ], or write one object a line into a file that ends in .jsonl.",
            name=name,
        )
    for number, row in enumerate(found, 1):
        if not isinstance(row, str | dict):
            raise UserError(
                "Row {number} of {name} is no prompt.",
                "It is neither an object with named columns nor a text.",
                "Mend or delete that row.",
                number=number,
                name=name,
            )
    return [{PROMPT: row} if isinstance(row, str) else row for row in found]


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            "{name} is not text at line {line}.",
            "It holds bytes that are not UTF-8.",
            "Save it as UTF-8 and try again.",
            name=name,
            line=data.count(b"\n", 0, error.start) + 1,
        ) from error


def _nothing(why: str) -> UserError:
    return UserError("There is nothing to answer.", why, "Give a file or a text with at least one prompt.")
