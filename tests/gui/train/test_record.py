"""A record as the window knows it: real files that grow, are cut, vanish and come back."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytestqt.qtbot import QtBot

from engine.events import Note
from engine.training_events import (
    CheckpointSaved,
    Evaluated,
    SettingChanged,
    StepFinished,
    TrainingFinished,
    TrainingStarted,
    TrainingStopped,
)
from gui.desk import Desk
from gui.train.record import Column, Record
from tests.engine.grpo.runs import run, tiny
from tests.engine.monitor.steps import lines, step, write_events

STARTED = TrainingStarted("run", "starter", "full", 10, 0, 100, False)


def look(qtbot: QtBot, record: Record) -> None:
    """Have it read what is new, and wait until it has."""
    record.look()
    qtbot.waitUntil(lambda: not record.reading)


def opened(qtbot: QtBot, desk: Desk, folder: Path) -> Record:
    record = Record(desk, str(folder))
    look(qtbot, record)
    return record


def column(record: Record, name: str) -> list[float | None]:
    return [None if math.isnan(value) else value for value in record.column(name)]


def test_a_real_run_is_known_as_it_was(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    said = run(tiny(tmp_path, "real"))
    record = opened(qtbot, desk, tmp_path / "real")
    steps = [event for event in said if isinstance(event, StepFinished)]
    assert len(record) == record.step == record.steps == 4
    assert record.column("loss").tolist() == [event.loss for event in steps]
    assert column(record, "kl") == [None] * 4
    assert record.rewards == ["accuracy", "strict_format"]
    assert record.column("rewards/accuracy").tolist() == [event.rewards[0][1] for event in steps]
    assert record.evaluations == [event for event in said if isinstance(event, Evaluated)]
    assert record.checkpoints == [event for event in said if isinstance(event, CheckpointSaved)]
    assert record.ending == said[-1]
    assert isinstance(record.ending, TrainingFinished)
    assert (record.loaded, record.live, record.missing, record.torn, record.unknown) == (True, False, False, 0, 0)
    assert record.failure is None


def test_a_live_record_grows_while_it_is_followed(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    write_events(tmp_path, STARTED, step(1))
    record = opened(qtbot, desk, tmp_path)
    write_events(tmp_path, step(2), SettingChanged(2, "kl_coeff", 0.0, 0.1), Note("so"))
    with qtbot.waitSignal(record.changed):
        record.follow()
    qtbot.waitUntil(lambda: len(record) == 2)
    assert record.changes == [SettingChanged(2, "kl_coeff", 0.0, 0.1)]
    assert record.notes == ["so"]
    assert record.ending is None
    write_events(tmp_path, TrainingStopped("run", 2))
    qtbot.waitUntil(lambda: record.ending == TrainingStopped("run", 2))
    record.rest()
    qtbot.waitUntil(lambda: not record.reading)
    # A run that goes on has not ended.
    write_events(tmp_path, replace(STARTED, step=2, resumed=True))
    look(qtbot, record)
    assert record.ending is None


def test_nothing_new_is_nothing_said(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    write_events(tmp_path, STARTED, step(1))
    record = opened(qtbot, desk, tmp_path)
    with qtbot.assertNotEmitted(record.changed), qtbot.assertNotEmitted(record.replaced):
        look(qtbot, record)


def test_a_torn_line_is_told_and_then_completed(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    data = lines([step(1), step(2)])
    (tmp_path / "events.jsonl").write_bytes(data[:-10])
    record = opened(qtbot, desk, tmp_path)
    assert len(record) == 1
    assert record.torn > 0
    (tmp_path / "events.jsonl").write_bytes(data)
    look(qtbot, record)
    assert (len(record), record.torn, record.unknown) == (2, 0, 0)


def test_a_record_cut_by_a_resumed_run_is_read_anew(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    file = write_events(tmp_path, STARTED, step(1), step(2), step(3), CheckpointSaved(3, "3"))
    record = opened(qtbot, desk, tmp_path)
    file.write_bytes(lines([STARTED, step(1)]))
    write_events(tmp_path, *(step(number, loss=5.0) for number in range(2, 7)))
    with qtbot.waitSignal(record.replaced):
        record.look()
    qtbot.waitUntil(lambda: not record.reading)
    assert record.column("step").tolist() == [1, 2, 3, 4, 5, 6]
    assert record.column("loss").tolist()[1:] == [5.0] * 5
    assert record.checkpoints == []
    assert len(record.starts) == 1


def test_a_record_that_is_missing_appears(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    record = opened(qtbot, desk, tmp_path)
    assert record.missing
    assert record.loaded
    write_events(tmp_path, step(1))
    look(qtbot, record)
    assert (record.missing, len(record)) == (False, 1)


def test_events_of_a_newer_version_are_counted_once(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    with write_events(tmp_path, step(1)).open("ab") as more:
        more.write(b'{"event": "comet_seen"}\nnonsense\n')
    record = opened(qtbot, desk, tmp_path)
    assert record.unknown == 2
    look(qtbot, record)
    assert record.unknown == 2
    write_events(tmp_path, step(2))
    look(qtbot, record)
    assert (record.unknown, len(record)) == (2, 2)


def test_what_is_no_number_is_a_gap(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    write_events(tmp_path, step(1, loss=math.nan, kl=None), step(2, loss=math.inf, kl=0.5))
    record = opened(qtbot, desk, tmp_path)
    assert column(record, "loss") == [None, math.inf]
    assert column(record, "kl") == [None, 0.5]
    assert column(record, "no such name") == [None, None]


def test_a_reward_that_comes_later_and_one_that_goes(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    write_events(tmp_path, step(1, rewards=(("old", 1.0, 0.0),)))
    record = opened(qtbot, desk, tmp_path)
    seen = record.column("rewards/old")
    write_events(
        tmp_path, step(2, rewards=(("old", 2.0, 0.0), ("new", 3.0, 0.5))), step(3, rewards=(("new", 4.0, 0.5),))
    )
    look(qtbot, record)
    assert record.rewards == ["old", "new"]
    assert column(record, "rewards/old") == [1.0, 2.0, None]
    assert column(record, "rewards/new") == [None, 3.0, 4.0]
    assert column(record, "rewards/new/spread") == [None, 0.5, 0.5]
    assert seen.tolist() == [1.0]


def test_two_records_of_one_folder_do_not_disturb_each_other(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    write_events(tmp_path, step(1))
    first, second = Record(desk, str(tmp_path)), Record(desk, str(tmp_path))
    first.look()
    second.look()
    qtbot.waitUntil(lambda: first.loaded and second.loaded)
    write_events(tmp_path, step(2))
    look(qtbot, first)
    assert (len(first), len(second)) == (2, 1)
    look(qtbot, second)
    assert len(second) == 2


def test_a_folder_that_goes_and_comes_back(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    folder, aside = tmp_path / "run", tmp_path / "aside"
    write_events(folder, step(1))
    record = opened(qtbot, desk, folder)
    shutil.move(folder, aside)
    with qtbot.waitSignal(record.changed):
        record.look()
    qtbot.waitUntil(lambda: not record.reading)
    assert record.failure is not None
    assert "not there any more" in record.failure.what
    assert len(record) == 1  # what is known stays
    with qtbot.assertNotEmitted(record.changed):  # it is said once
        look(qtbot, record)
    shutil.move(aside, folder)
    write_events(folder, step(2))
    look(qtbot, record)
    assert record.failure is None
    assert len(record) == 2


def test_a_long_record_is_taken_in_turns(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    """In parts between which the window lives, and each part a record like any other."""
    write_events(tmp_path, *(step(number % 50 + 1) for number in range(6000)))
    record = Record(desk, str(tmp_path))
    sizes: list[int] = []

    def note() -> None:
        sizes.append(len(record))
        assert all(len(record.column(name)) == len(record) for name in record.names)

    record.changed.connect(note)
    look(qtbot, record)
    assert len(record) == 6000
    assert sizes == sorted(sizes)
    assert sizes[-1] == 6000
    assert record.loaded


def test_looking_while_it_reads_is_no_second_reading(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    write_events(tmp_path, *(step(number) for number in range(1, 400)))
    record = Record(desk, str(tmp_path))
    for _ in range(5):
        record.look()
    qtbot.waitUntil(lambda: not record.reading)
    assert len(record) == 399


@given(
    st.lists(st.lists(st.none() | st.floats()) | st.integers(0, 40), max_size=12), st.lists(st.booleans(), min_size=12)
)
def test_a_column_is_the_same_however_often_it_is_asked_for(
    parts: list[list[float | None] | int], asked: list[bool]
) -> None:
    grown, wanted, seen = Column(), list[float](), list[tuple[np.ndarray, list[float]]]()
    for part, ask in zip(parts, asked, strict=False):
        if isinstance(part, int):
            grown.fill(part)
            wanted += [math.nan] * (part - len(wanted))
        else:
            grown.extend(tuple(part))
            wanted += [math.nan if value is None else value for value in part]
        assert len(grown) == len(wanted)
        if ask:
            seen.append((grown.values, wanted[:]))
    np.testing.assert_array_equal(grown.values, np.array(wanted, np.float64))
    for values, then in seen:  # what was handed out does not change
        np.testing.assert_array_equal(values, np.array(then, np.float64))


def test_a_desk_that_closes_ends_the_reading(
    qtbot: QtBot, desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_events(tmp_path, *(step(number) for number in range(1, 2000)))
    record = Record(desk, str(tmp_path))
    record.look()
    desk.network.close()
    qtbot.waitUntil(lambda: not record.reading)
    assert record.failure is None
    assert caplog.records == []
