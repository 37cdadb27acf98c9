"""A run's record, read whole, in pieces, while it grows and after it was replaced."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.events import Event, Note
from engine.monitor import record
from engine.run_events import FiguresRead, RecordRead, RecordReplaced
from engine.training_events import CheckpointSaved, StepFinished
from tests.engine.monitor.steps import lines, step, write_events

_numbers = st.floats(allow_nan=True, allow_infinity=True)
_rewards = st.lists(st.tuples(st.sampled_from(["a", "b", "ü"]), _numbers, _numbers), unique_by=lambda pair: pair[0])
_steps = st.builds(
    lambda number, loss, kl, rewards: step(number, loss=loss, kl=kl, rewards=tuple(rewards)),
    st.integers(1, 10**6),
    _numbers,
    st.none() | _numbers,
    _rewards,
)
_events: st.SearchStrategy[Event] = (
    _steps | st.builds(Note, st.text()) | st.builds(CheckpointSaved, st.integers(0, 9), st.text(), st.booleans())
)


class Known:
    """What a reader who reads on and on knows, as the window does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.columns: dict[str, list[float | None]] = {}
        self.others: list[Event] = []
        self.place, self.mark, self.count, self.unknown, self.replaced = 0, "", 0, 0, 0
        self.last: RecordRead | None = None

    def read(self) -> RecordRead:
        for event in record.read(self.folder, self.place, self.mark):
            if isinstance(event, RecordReplaced):
                self.columns, self.others, self.count, self.unknown = {}, [], 0, 0
                self.replaced += 1
            elif isinstance(event, FiguresRead):
                self._add(event)
            elif isinstance(event, RecordRead):
                self.place, self.mark, self.last = event.place, event.mark, event
                self.unknown += event.unknown
            else:
                self.others.append(event)
        assert self.last is not None
        return self.last

    def _add(self, figures: FiguresRead) -> None:
        size = len(figures.columns[0][1])
        for name, values in figures.columns:
            assert len(values) == size
            self.columns.setdefault(name, [None] * self.count).extend(values)
        self.count += size
        for column in self.columns.values():
            column.extend([None] * (self.count - len(column)))

    def figures(self) -> dict[str, list[Any]]:
        """With words for what equals nothing, not even itself."""
        return {
            name: [None if value is None else "nan" if math.isnan(value) else value for value in column]
            for name, column in self.columns.items()
        }


def read(folder: Path) -> Known:
    known = Known(folder)
    known.read()
    return known


@given(st.lists(_events, max_size=12), st.lists(st.integers(0, 4000), max_size=6))
def test_a_record_read_in_pieces_is_read_as_in_one(events: list[Event], cuts: Sequence[int]) -> None:
    data = lines(events)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / record.FILE
        growing = Known(folder)
        for cut in sorted({min(cut, len(data)) for cut in cuts} | {len(data)}):
            file.write_bytes(data[:cut])
            growing.read()
        whole = read(folder)
    assert growing.replaced == 0
    assert growing.figures() == whole.figures()
    assert growing.others == whole.others == [event for event in events if not isinstance(event, StepFinished)]
    assert growing.count == sum(isinstance(event, StepFinished) for event in events)
    assert growing.unknown == whole.unknown == 0
    assert growing.place == len(data)


@given(st.integers(1, 60), st.integers(0, 50))
def test_blocks_have_no_seams(steps: int, block: int) -> None:
    """However the blocks fall, each step is read once and in its place."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "_BLOCK", 900 + block)
        patch.setattr(record, "BREATH", 0.0)
        write_events(Path(name), *(step(number) for number in range(1, steps + 1)))
        assert read(Path(name)).columns["step"] == list(range(1, steps + 1))


def test_a_torn_line_waits_for_its_end(tmp_path: Path) -> None:
    data = lines([step(1), step(2)])
    file = tmp_path / record.FILE
    file.write_bytes(data[:-30])
    known = Known(tmp_path)
    assert known.read().torn > 0
    assert known.columns["step"] == [1]
    file.write_bytes(data)
    assert known.read().torn == 0
    assert known.columns["step"] == [1, 2]
    assert known.unknown == 0


def test_a_record_that_was_cut_and_went_on_is_another(tmp_path: Path) -> None:
    file = write_events(tmp_path, step(1), step(2), step(3))
    known = read(tmp_path)
    size = file.stat().st_size
    file.write_bytes(lines([step(1)]))
    # Longer than before, and whole: only what stands before the place tells.
    write_events(tmp_path, *(step(number, loss=9.0) for number in range(2, 9)))
    assert file.stat().st_size > size
    known.read()
    assert known.replaced == 1
    assert known.columns["step"] == list(range(1, 9))
    assert known.columns["loss"][1:] == [9.0] * 7


def test_a_record_that_became_shorter_is_another(tmp_path: Path) -> None:
    file = write_events(tmp_path, step(1), step(2))
    known = read(tmp_path)
    file.write_bytes(lines([step(1)]))
    known.read()
    assert known.replaced == 1
    assert known.columns["step"] == [1]


def test_a_record_that_is_the_same_is_not_read_again(tmp_path: Path) -> None:
    write_events(tmp_path, step(1))
    known = read(tmp_path)
    assert [type(event) for event in record.read(tmp_path, known.place, known.mark)] == [RecordRead]


def test_what_a_newer_version_says_is_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    file = write_events(tmp_path, step(1))
    with file.open("ab") as more:
        more.write(b'{"event": "comet_seen", "brightness": 3}\nnot even json\n\xff\xfe\n\n')
        more.write(b'{"event": "step_finished", "loss": 1.0}\n{"event": "step_finished", torn\n')
        more.write(b'{"event": "step_finished", "step": 2, "steps": 9, "colour": "red", "loss": "?"}\n')
    write_events(tmp_path, Note("so it is"))
    known = read(tmp_path)
    assert known.unknown == 5
    assert known.columns["step"] == [1, 2]
    assert known.columns["loss"][1] is None
    assert known.others == [Note("so it is")]


def test_a_record_that_is_not_there_yet(tmp_path: Path) -> None:
    known = Known(tmp_path)
    assert known.read().missing
    write_events(tmp_path, step(1))
    assert not known.read().missing
    assert known.replaced == 0
    (tmp_path / record.FILE).unlink()
    assert known.read().missing
    assert known.replaced == 1
    assert known.columns == {}


def test_a_folder_that_is_gone_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not there any more"):
        read(tmp_path / "away")


def test_a_record_that_is_a_folder_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / record.FILE).mkdir()
    with pytest.raises(UserError):
        read(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "step_finished", "step": 99999999999999999999}',
        '{"event": "step_finished", "step": -1}',
        '{"event": "step_finished", "step": "2"}',
        '{"event": "checkpoint_saved", "step": 99999999999999999999, "folder": "a", "best": false}',
        '{"event": "checkpoint_saved", "step": "two", "folder": "a", "best": false}',
        '{"event": "setting_changed", "step": 1, "name": 5, "before": null, "after": {}}',
        '{"event": "training_stopped", "run": "a", "step": null}',
    ],
)
def test_what_is_no_such_thing_is_not_understood(line: str, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text(f"{line}\n", "utf-8")
    (end,) = record.read(tmp_path)
    assert isinstance(end, RecordRead)
    assert end.unknown == 1
