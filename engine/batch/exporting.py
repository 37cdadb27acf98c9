"""Writes the answers of a batch's file to another one, as JSONL or as a table. Knows no model."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from engine import places
from engine.batch import answers_file
from engine.chat.requests import ExportBatch
from engine.chat_events import BatchAnswered, BatchExported
from engine.errors import UserError
from engine.events import Event

_COLUMNS = (
    "row",
    "sample",
    "prompt",
    "text",
    "reference",
    "right",
    "stop_reason",
    "prompt_tokens",
    "completion_tokens",
    "seconds",
    "seed",
    "error",
)
_TABLES = {".csv": ",", ".tsv": "\t"}


def export(request: ExportBatch) -> Iterator[Event]:
    """Write the last answer to each row and sample, sorted by both.

    Raises:
        UserError: the source is not a batch's file, or the output's name is of another kind.
    """
    source, output = places.expand(request.source), places.expand(request.output)
    kind = output.suffix.lower()
    if kind not in (*_TABLES, ".jsonl", ".ndjson"):
        raise UserError(
            "Answers cannot be written as {name}.",
            "The name must end in .jsonl or .csv, which tells what is written.",
            "Choose a name that ends in one of these.",
            name=output.name,
        )
    if output.exists() and output.samefile(source):
        raise UserError(
            "{path} cannot be written over itself.",
            "It is the file that the answers are in.",
            "Choose another name.",
            path=output,
        )
    answers = list(answers_file.read(source).values())
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.partial")
    try:
        # With the mark, without which spreadsheet programs take UTF-8 for something else.
        encoding = "utf-8-sig" if kind in _TABLES else "utf-8"
        with partial.open("w", encoding=encoding, newline="") as file:
            if kind in _TABLES:
                _write_table(file, answers, _TABLES[kind])
            else:
                file.writelines(answers_file.to_line(answer) + "\n" for answer in answers)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(output)
    finally:
        Path(partial).unlink(missing_ok=True)
    yield BatchExported(str(output), len(answers))


def _write_table(file: TextIO, answers: list[BatchAnswered], delimiter: str) -> None:
    rewards = tuple(dict.fromkeys(name for answer in answers for name, _ in answer.scores))
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerow([*_COLUMNS, *rewards])
    for answer in answers:
        values = [getattr(answer, name) for name in _COLUMNS]
        scores = dict(answer.scores)
        writer.writerow(["" if value is None else value for value in [*values, *map(scores.get, rewards)]])
