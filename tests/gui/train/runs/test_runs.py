"""The runs that the page knows: found, followed, deleted and brought back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from engine import config, places
from engine.config import Settings
from engine.events import Failed
from gui.desk import Desk
from gui.notices import News
from gui.train.runs.runs import Runs
from tests.engine.monitor.run_folders import copied, started, step, training, written


def looked(qtbot: QtBot, runs: Runs) -> list[str]:
    with qtbot.waitSignal(runs.changed):
        runs.look()
    return [run.name for run in runs.runs]


@pytest.fixture
def said(desk: Desk) -> list[News | Failed]:
    messages: list[News | Failed] = []
    desk.notices.said.connect(messages.append)
    return messages


def test_runs_appear_and_go(qtbot: QtBot, desk: Desk, own: Path, whole: Path) -> None:
    runs = Runs(desk)
    assert looked(qtbot, runs) == []
    assert runs.loaded
    written(own / "first", started(), step(1), age=50)
    assert looked(qtbot, runs) == ["first"]
    copied(whole, own / "second", age=10)
    assert looked(qtbot, runs) == ["second", "first"]
    assert runs.run(str(own / "first")) is not None
    assert runs.run("/nowhere") is None


def test_nothing_new_changes_nothing(qtbot: QtBot, desk: Desk, own: Path) -> None:
    written(own / "first", started(), step(1))
    runs = Runs(desk)
    looked(qtbot, runs)
    with qtbot.assertNotEmitted(runs.changed):
        runs.look()
        qtbot.waitUntil(lambda: runs._job is None)


def test_a_run_of_another_process_is_followed(qtbot: QtBot, desk: Desk, own: Path) -> None:
    runs = Runs(desk)
    runs.follow()
    with training(own) as folder:
        qtbot.waitUntil(lambda: (run := runs.run(str(folder))) is not None and run.status == "training", timeout=20000)
        run = runs.run(str(folder))
        assert run is not None
        before = run.step
        qtbot.waitUntil(lambda: (run := runs.run(str(folder))) is not None and run.step > before, timeout=20000)
    qtbot.waitUntil(lambda: (run := runs.run(str(folder))) is not None and run.status == "interrupted", timeout=20000)
    runs.rest()


def test_an_added_folder_is_remembered_and_forgotten(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    run = written(tmp_path / "else" / "there", started())
    runs = Runs(desk)
    with qtbot.waitSignal(runs.changed):
        runs.add_folder(f"{tmp_path}/else/")
    assert [found.folder for found in runs.runs] == [str(run)]
    assert config.read(Settings, places.settings_file()).run_folders == (str(tmp_path / "else"),)
    runs.add_folder(str(tmp_path / "else"))
    assert len(runs.folders) == 1
    with qtbot.waitSignal(runs.changed):
        runs.remove_folder(str(tmp_path / "else"))
    assert runs.runs == []
    assert run.is_dir()


def test_an_added_folder_that_is_gone_is_told(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    runs = Runs(desk)
    with qtbot.waitSignal(runs.changed):
        runs.add_folder(str(tmp_path / "gone"))
    assert runs.absent == [str(tmp_path / "gone")]


def test_a_folder_without_runs_is_told_and_can_be_left(
    qtbot: QtBot, desk: Desk, tmp_path: Path, said: list[News | Failed]
) -> None:
    runs = Runs(desk)
    looked(qtbot, runs)
    runs.add_folder(str(tmp_path))
    qtbot.waitUntil(lambda: bool(said))
    assert isinstance(said[0], News)
    assert "no runs" in said[0].text
    assert said[0].act is not None
    said[0].act()
    assert runs.folders == ()


def test_a_run_may_be_added_by_one_of_its_files(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    folder = written(tmp_path / "run", started())
    runs = Runs(desk)
    with qtbot.waitSignal(runs.changed):
        runs.add_folder(str(folder / "events.jsonl"))
    assert runs.folders == (str(folder),)
    assert [run.folder for run in runs.runs] == [str(folder)]


def test_a_run_that_was_added_by_itself_is_deleted(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    folder = written(tmp_path / "run", started())
    runs = Runs(desk)
    with qtbot.waitSignal(runs.changed):
        runs.add_folder(str(folder))
    runs.delete(str(folder))
    qtbot.waitUntil(lambda: not folder.exists() and not desk.network.busy)
    assert (runs.runs, runs.absent, runs.folders) == ([], [], (str(folder),))
    os.utime(tmp_path / ".run.deleted" / ".deleted", (1, 1))
    runs.follow()
    qtbot.waitUntil(lambda: runs.folders == ())
    assert list(tmp_path.glob(".run*")) == []
    runs.rest()


def test_delete_and_undo(qtbot: QtBot, desk: Desk, own: Path, said: list[News | Failed]) -> None:
    folder = written(own / "first", started(), step(1))
    runs = Runs(desk)
    looked(qtbot, runs)
    with qtbot.waitSignal(runs.deleted) as gone:
        runs.delete(str(folder))
    assert gone.args == [str(folder)]
    assert runs.runs == []
    qtbot.waitUntil(lambda: bool(said))
    assert not folder.exists()
    (news,) = said
    assert isinstance(news, News)
    assert (news.text, news.action) == ("Deleted first", "Undo")
    assert news.act is not None
    with qtbot.waitSignal(runs.restored) as back:
        news.act()
    assert back.args == [str(folder)]
    qtbot.waitUntil(lambda: runs.run(str(folder)) is not None)


def test_several_are_deleted_and_brought_back_together(
    qtbot: QtBot, desk: Desk, own: Path, said: list[News | Failed]
) -> None:
    folders = [written(own / name, started()) for name in ("a", "b", "c")]
    runs = Runs(desk)
    looked(qtbot, runs)
    for folder in folders:
        runs.delete(str(folder))
    qtbot.waitUntil(lambda: bool(said))
    (news,) = said
    assert isinstance(news, News)
    assert news.text == "Deleted 3 runs"
    assert news.act is not None
    news.act()
    qtbot.waitUntil(lambda: len(runs.runs) == 3)


def test_what_is_being_looked_at_does_not_bring_a_deleted_run_back(qtbot: QtBot, desk: Desk, own: Path) -> None:
    folder = written(own / "first", started())
    runs = Runs(desk)
    looked(qtbot, runs)
    seen: list[list[str]] = []
    runs.deleted.connect(lambda _: runs.changed.connect(lambda: seen.append([run.name for run in runs.runs])))
    runs.look()
    runs.delete(str(folder))
    qtbot.waitUntil(lambda: not folder.exists() and runs._job is None and not runs._moving)
    assert ["first"] not in seen
    assert runs.runs == []


def test_a_run_that_trains_stays(qtbot: QtBot, desk: Desk, own: Path, said: list[News | Failed]) -> None:
    folder = written(own / "fresh", started(), step(1), age=0)
    runs = Runs(desk)
    looked(qtbot, runs)
    runs.delete(str(folder))
    qtbot.waitUntil(lambda: bool(said))
    assert isinstance(said[0], Failed)
    assert "trains just now" in said[0].what
    assert folder.is_dir()


def test_what_another_start_deleted_is_cleared_away(qtbot: QtBot, desk: Desk, own: Path) -> None:
    hidden = written(own / ".old.deleted", started())
    (hidden / ".deleted").write_text("1 elsewhere")
    os.utime(hidden / ".deleted", (1, 1))
    runs = Runs(desk)
    runs.follow()
    qtbot.waitUntil(lambda: not hidden.exists())
    runs.rest()
