"""The figures of charts as CSV, digit by digit as in the run's record. Knows records, no chart on the screen."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.training_events import Evaluated, StepFinished

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gui.train.charts.specification import Chart
    from gui.train.record import Record

_WHOLE = {field.name for kind in (StepFinished, Evaluated) for field in dataclasses.fields(kind) if field.type == "int"}
_PLACES = ("step", "elapsed")
_LEFT_OUT = {"pass_at_k"}  # no single figure

Table = Callable[[], bytes]
"""Makes the bytes of a CSV file; may take a second, and may run on another thread."""


def steps(records: Sequence[Record], columns: Sequence[str] = ()) -> Table:
    """The figures of these columns of each step; of all columns where none are named."""
    names = list(dict.fromkeys(name for record in records for name in record.names))
    names = [*_PLACES, *(name for name in columns or names if name not in _PLACES)]
    # Copies: the records grow while another thread writes.
    runs = [(_name(record), [record.column(name).copy() for name in names]) for record in records]

    def rows() -> Iterable[list[str]]:
        for run, parts in runs:
            texts = [_texts(name, part) for name, part in zip(names, parts, strict=True)]
            yield from ([run, *row] for row in zip(*texts, strict=True))

    return _table(names, rows, len(runs) > 1)


def evaluations(records: Sequence[Record]) -> Table:
    """All evaluations."""
    names = [field.name for field in dataclasses.fields(Evaluated) if field.name not in _LEFT_OUT]
    names = ["when", *_PLACES, *(name for name in names if name not in {"when", *_PLACES})]
    runs = [(_name(record), list(record.evaluations)) for record in records]

    def rows() -> Iterable[list[str]]:
        for run, found in runs:
            yield from ([run, *(_text(getattr(event, name)) for name in names)] for event in found)

    return _table(names, rows, len(runs) > 1)


def of_chart(chart: Chart, records: Sequence[Record]) -> Table:
    """The figures that a chart is drawn from."""
    return steps(records, chart.columns) if chart.source == "steps" else evaluations(records)


def _table(names: Sequence[str], rows: Callable[[], Iterable[list[str]]], several: bool) -> Table:
    first = 0 if several else 1

    def made() -> bytes:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["run", *names][first:])
        writer.writerows(row[first:] for row in rows())
        return text.getvalue().encode("utf-8")

    return made


def _texts(name: str, values: NDArray[np.float64]) -> list[str]:
    whole = name in _WHOLE
    return [_text(int(value) if whole and math.isfinite(value) else value) for value in values.tolist()]


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value if isinstance(value, str) else repr(value)


def _name(record: Record) -> str:
    return Path(record.folder).name
