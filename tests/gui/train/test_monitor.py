"""What the view of one run says above its parts when something is wrong with the run."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui.desk import Desk
from gui.train.monitor import Monitor
from gui.train.training import Trainings
from tests.engine.monitor.run_folders import started, step, written


def opened(qtbot: QtBot, desk: Desk, folder: Path) -> Monitor:
    monitor = Monitor(desk, Trainings(desk, desk), str(folder))
    qtbot.addWidget(monitor)
    monitor.show()
    qtbot.waitUntil(lambda: monitor.record.loaded or monitor.record.failure is not None)
    monitor.refresh()
    return monitor


def test_a_torn_line_and_lines_of_a_newer_version_are_told_and_lose_nothing(
    qtbot: QtBot, desk: Desk, tmp_path: Path
) -> None:
    folder = written(tmp_path / "run", started(), step(1), step(2))
    (folder / ".lock").touch()
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"event": "song_sung"}\n{"event": "dance_danced"}\n{"event": "step_fin')
    monitor = opened(qtbot, desk, folder)
    assert len(monitor.record) == 2
    torn, unknown, interrupted = monitor.warnings.sentences
    assert "cut off" in torn
    assert "Nothing before it is lost" in torn
    assert unknown.startswith("2 lines of the record were not understood")
    assert "Resuming begins it anew" in interrupted
    assert monitor.warnings.isVisible()


def test_a_folder_that_is_gone_is_explained(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    folder = written(tmp_path / "run", started(), step(1))
    monitor = opened(qtbot, desk, folder)
    assert not monitor.failure.isVisible()
    folder.rename(tmp_path / "elsewhere")
    with qtbot.waitSignal(monitor.record.changed):
        monitor.record.look()
    assert monitor.failure.isVisible()
    assert "not there any more" in monitor.failure.text()
    (tmp_path / "elsewhere").rename(folder)
    with qtbot.waitSignal(monitor.record.changed):
        monitor.record.look()
    assert not monitor.failure.isVisible()


@pytest.mark.parametrize("age", [0, 3600])
def test_a_folder_without_a_record_is_no_reason_to_wait_for_steps(
    qtbot: QtBot, desk: Desk, tmp_path: Path, age: int
) -> None:
    folder = written(tmp_path / "run", started(), step(1), age=age)
    (folder / "events.jsonl").unlink()
    monitor = opened(qtbot, desk, folder)
    charts = monitor.view("charts")
    assert "no record" in monitor.warnings.sentences[0]
    assert "Without a record" in charts.nothing.text.text()  # type: ignore[attr-defined]


def test_an_error_that_ended_it_is_told_in_its_own_words(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    failed = {"event": "training_failed", "what": "The reward function judge failed.", "why": "", "remedy": ""}
    folder = written(tmp_path / "run", started(), step(1), failed)
    monitor = opened(qtbot, desk, folder)
    assert monitor.state.text() == "Failed"
    assert "The reward function judge failed." in monitor.failure.text()


def test_a_step_without_figures_has_none(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    bare = {"event": "step_finished", "step": 2, "reward": float("nan")}
    monitor = opened(qtbot, desk, written(tmp_path / "run", started(), bare))
    assert monitor.figures.text() == "step 2 of 100"
