"""Turns a data set into the rows a run learns from and those it is judged on. Knows sources, and no model.

A row that is held out is never learned from: neither is it in both parts, nor is any row with the same prompt.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, overload

from engine import places
from engine.errors import UserError
from engine.events import Event, Note, Progress
from engine.grpo import data_files, data_hub, procedural
from engine.grpo.data_rows import Row, RowForm
from engine.grpo.order import row_at
from engine.grpo.settings import TrainConfig

__all__ = ["Row", "Rows", "Source", "Task", "load"]

_ROWS_AT_ONCE: Final = 100
_CUT_SEED: Final = 0  # the same for all runs, so that one may go on from another and be compared with it


@dataclass(frozen=True, slots=True)
class Task:
    """What a run learns from and is judged on; both parts read their rows when asked for them."""

    name: str
    train: Sequence[Row]
    held_out: Sequence[Row]


class Source(Protocol):
    """Rows as they are stored, numbered from 0."""

    def __len__(self) -> int: ...

    def place(self, number: int) -> str:
        """Where a row stands, for a person."""

    def read(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """The rows of these numbers."""


class Rows(Sequence[Row]):
    """Some rows of a source, in this order, as rows of a task."""

    def __init__(self, source: Source, numbers: Sequence[int], form: RowForm) -> None:
        self._source = source
        self._numbers = numbers
        self._form = form

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> Rows: ...

    def __getitem__(self, place: int | slice) -> Row | Rows:
        if isinstance(place, slice):
            return Rows(self._source, self._numbers[place], self._form)
        return next(self._read([self._numbers[place]]))

    def __iter__(self) -> Iterator[Row]:
        for start in range(0, len(self._numbers), _ROWS_AT_ONCE):
            yield from self._read(self._numbers[start : start + _ROWS_AT_ONCE])

    def at(self, numbers: Sequence[int]) -> Rows:
        """Other rows of the same source."""
        return Rows(self._source, numbers, self._form)

    def _read(self, numbers: Sequence[int]) -> Iterator[Row]:
        for number, values in zip(numbers, self._source.read(numbers), strict=True):
            yield self._form.row(number, values, self._source.place(number))


def load(config: TrainConfig) -> Generator[Event, None, Task]:
    """The rows of a run's data set, looked through once as far as they are used.

    The held-out rows are those of `eval_file`, or of the split `eval_split`; where there is neither, the share
    `eval_fraction` of the training rows, cut off by a fixed shuffle that does not depend on the run's seed. Training
    rows with the prompt of a held-out row are left out, and of what remains the first `max_train_samples` are taken.

    Raises:
        UserError: the data set is missing, empty or broken; a broken row is named.
        OSError: a file of it cannot be read.
    """
    read_as = config
    if config.dataset == procedural.ARITHMETIC or config.dataset.startswith(procedural.REASONING_GYM):
        read_as = config.model_copy(update=procedural.READ_AS)
    form = RowForm(read_as)
    source, other = yield from _open(config)
    train = _filled(source, form, config.dataset)
    if config.eval_file:
        other_source = yield from _open_file(places.expand(config.eval_file))
        held_out = _filled(other_source, RowForm(config), config.eval_file)
    elif other is not None:
        held_out = _filled(other, form, f"{config.dataset}, split {config.eval_split}")
    else:
        train, held_out = yield from _cut(train, config.eval_fraction)
    train = yield from _apart(train, held_out, config.max_train_samples)
    if not train:
        raise UserError(
            "Nothing of {name} is left to learn from.",
            "Every row of it is held out, or has the prompt of a row that is.",
            "Set eval_fraction lower, or eval_split or eval_file to other rows.",
            name=config.dataset,
        )
    return Task(config.dataset, train, held_out)


def _open(config: TrainConfig) -> Generator[Event, None, tuple[Source, Source | None]]:
    """The rows to learn from, and those held out where the data set has them apart."""
    name = config.dataset
    if name == procedural.ARITHMETIC:
        return procedural.arithmetic_task()
    if name.startswith(procedural.REASONING_GYM):
        yield Progress("Reading the data", 0, None, "", name)
        task = name.removeprefix(procedural.REASONING_GYM)
        if task in procedural.UNSTEADY and os.environ.get("PYTHONHASHSEED", "random") == "random":
            yield Note(f"{task} makes other problems each time the program starts, unless PYTHONHASHSEED=0 is set.")
        return procedural.gym_task(task, config.max_train_samples)
    path = places.expand(name)
    if path.is_file() or (not path.is_dir() and path.suffix.lower() in _suffixes()):
        return (yield from _open_file(path)), None
    return (
        yield from data_hub.open_splits(
            name, config.dataset_config, config.dataset_revision, config.train_split, config.eval_split
        )
    )


def _open_file(path: Path) -> Generator[Event, None, Source]:
    suffix = path.suffix.lower()
    if suffix not in _suffixes():
        raise UserError(
            "{path} is no data file that can be read.",
            "Its name must tell what it is, by one of the endings {endings}.",
            "Rename it, or save it as JSONL.",
            path=path,
            endings=", ".join(_suffixes()),
        )
    if not path.is_file():
        raise UserError(
            "There is no data file {path}.",
            "It may have been moved, renamed or deleted, or its disk is not connected.",
            "Check the path in dataset or eval_file.",
            path=path,
        )
    if suffix in data_hub.BUILDERS:
        return (yield from data_hub.open_file(path))
    delimiter = data_files.TABLES.get(suffix)
    file = data_files.TableFile(path, delimiter) if delimiter else data_files.LineFile(path)
    yield from file.index()
    return file


def _suffixes() -> tuple[str, ...]:
    return (*data_files.JSON_LINES, *data_files.TABLES, *data_hub.BUILDERS)


def _filled(source: Source, form: RowForm, name: str) -> Rows:
    """All rows of a source, which must have some."""
    if not len(source):
        raise UserError(
            "{name} is empty.",
            "It holds no rows.",
            "Fill it, or choose another data set.",
            name=name,
        )
    return Rows(source, range(len(source)), form)


def _cut(rows: Rows, share: float) -> Generator[Event, None, tuple[Rows, Rows]]:
    """All rows in their order, but for those at the end of a shuffle, which are held out."""
    size = len(rows)
    count = min(max(1, round(size * share)), size - 1) if share else 0
    held = bytearray(size)
    for done in range(count):
        held[row_at(_CUT_SEED, size, size - 1 - done)] = 1
        if done % (100 * _ROWS_AT_ONCE) == 0:
            yield Progress("Choosing held-out rows", done, count)
    numbers = [array("q", (number for number in range(size) if held[number] == part)) for part in (0, 1)]
    return rows.at(numbers[0]), rows.at(numbers[1])


def _apart(train: Rows, held_out: Rows, most: int) -> Generator[Event, None, Rows]:
    """The first rows of `train` whose prompts are not held out, `most` of them or, with 0, all.

    Every held-out row is looked at, and each training row up to the last that is taken.
    """
    prompts = set()
    for done, row in enumerate(held_out):
        if done % _ROWS_AT_ONCE == 0:
            yield Progress("Checking held-out rows", done, len(held_out))
        prompts.add(_mark(row))
    kept, left_out = array("q"), 0
    for done, row in enumerate(train):
        if done % _ROWS_AT_ONCE == 0:
            yield Progress("Checking training rows", done, len(train))
        if _mark(row) in prompts:
            left_out += 1
            continue
        kept.append(row.index)
        if len(kept) == most:
            break
    if left_out:
        yield Note(f"Training rows left out since their prompts are held out: {left_out:,}")
    return train.at(kept)


def _mark(row: Row) -> bytes:
    """What two rows with the same prompt share; short, since there may be millions."""
    return hashlib.blake2b(row.prompt.strip().encode(), digest_size=16).digest()
