"""The main job through the real window: a run from its start to a model one chats with, as a person clicks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from engine.grpo.settings import TrainConfig
from engine.training_events import SettingChanged, StepFinished, TrainingFinished, TrainingStarted, TrainingStopped
from gui.train.adjust import Adjust
from gui.train.charts.view import ChartsView
from gui.train.compare.view import CompareView
from gui.train.monitor import Monitor
from gui.train.runs.checkpoints import CheckpointsView
from gui.window import MainWindow
from tests.engine.grpo.runs import only, run, tiny
from tests.engine.grpo.test_resume import figures, record, samples_of, weights_sum

WAIT = 90_000
SHORT: dict[str, Any] = {"eval_steps": 2, "eval_samples": 10, "max_steps": 6, "save_steps": 2}


@pytest.fixture
def ready(qtbot: QtBot, window: MainWindow) -> MainWindow:
    """The window with its model loaded and the training page in view."""
    until(qtbot, lambda: window.chat.loaded is not None)
    window.go("train")
    return window


def until(qtbot: QtBot, found: Callable[[], object]) -> None:
    qtbot.waitUntil(lambda: bool(found()), timeout=WAIT)


def click(qtbot: QtBot, parent: QWidget, text: str) -> None:
    named = [
        b for b in parent.findChildren(QAbstractButton) if text in (b.text(), b.accessibleName()) and b.isVisible()
    ]
    assert named, f"there is no button {text}"
    assert named[0].isEnabled(), text
    qtbot.mouseClick(named[0], Qt.MouseButton.LeftButton)


def begin(qtbot: QtBot, window: MainWindow, config: TrainConfig) -> Monitor:
    """Fill the form with these settings and press its button; the run once its first step is there."""
    form = window.train.new_run()
    form.start_from(config, "the test")
    until(qtbot, lambda: any(b.isEnabled() and b.isVisible() for b in buttons(form, "Start Training")))
    click(qtbot, form, "Start Training")
    until(qtbot, lambda: window.train.current is not None and len(window.train.current.record))
    assert window.train.current is not None
    return window.train.current


def buttons(parent: QWidget, text: str) -> list[QAbstractButton]:
    return [b for b in parent.findChildren(QAbstractButton) if text in (b.text(), b.accessibleName())]


def in_step(monitor: Monitor) -> bool:
    """Whether the view knows all steps that the file has."""
    return len(monitor.record) == len(only(record(Path(monitor.record.folder)), StepFinished))


def test_from_the_start_to_a_chat_with_the_result(qtbot: QtBot, ready: MainWindow, tmp_path: Path) -> None:
    window = ready
    monitor = begin(qtbot, window, tiny(tmp_path, **SHORT | {"max_steps": 1000}))
    folder = Path(monitor.record.folder)
    name = folder.name
    assert folder.parent == tmp_path
    charts = monitor.view("charts")
    assert isinstance(charts, ChartsView)

    # Held: no event for three seconds, and a chat meanwhile.
    click(qtbot, monitor, "Pause")
    assert monitor.state.text() == "Paused"
    qtbot.wait(200)
    held = (folder / "events.jsonl").read_bytes()
    click(qtbot, monitor, "Chat")
    until(qtbot, lambda: window.chat.loaded is not None and window.chat.loaded.name == name)
    window.chat.send("What is 12 + 34?")
    until(qtbot, lambda: not window.chat.answering)
    answer = window.desk.store.path(window.chat.conversation or 0)[-1]
    assert answer.state == "done"
    assert answer.text
    qtbot.wait(3000)
    assert (folder / "events.jsonl").read_bytes() == held

    # Told: another learning rate.
    window.go("train")
    click(qtbot, monitor, "Go On")
    click(qtbot, monitor, "Adjust…")
    until(qtbot, lambda: QApplication.activeModalWidget() or window.findChildren(Adjust))
    (dialog,) = window.findChildren(Adjust)
    dialog.form._edited("learning_rate", 5e-4)
    click(qtbot, dialog, "Apply")
    until(qtbot, lambda: monitor.record.changes)
    assert only(record(folder), SettingChanged)[0].after == 5e-4

    # Talked to while it trains.
    click(qtbot, monitor, "Chat")
    window.chat.send("What is 56 + 21?")
    before = len(only(record(folder), StepFinished))
    until(qtbot, lambda: not window.chat.answering)
    assert window.desk.store.path(window.chat.conversation or 0)[-1].state == "done"
    until(qtbot, lambda: len(only(record(folder), StepFinished)) > before)

    # Stopped: saved, said, and the chat goes on with what is left of it.
    window.go("train")
    click(qtbot, monitor, "Stop and Save")
    until(qtbot, lambda: not window.train.busy)
    end = record(folder)[-1]
    assert isinstance(end, TrainingStopped)
    until(qtbot, lambda: monitor.state.text() == "Stopped and saved")
    until(qtbot, lambda: window.chat.loaded is not None and window.chat.loaded.name == f"{name}, step {end.step}")
    until(qtbot, lambda: in_step(monitor))
    told = [json.loads(line) for line in (folder / "events.jsonl").read_text("utf-8").splitlines()]
    steps = [event for event in told if event["event"] == "step_finished"]
    for figure in ("reward", "loss", "entropy", "gradient_norm", "learning_rate", "elapsed"):
        np.testing.assert_array_equal(monitor.record.column(figure), [step[figure] for step in steps])
    monitor.show_tab("charts")
    until(qtbot, lambda: len(charts.cards["reward"].canvas.series[0]) == len(steps))
    (drawn,) = charts.cards["reward"].canvas.series
    np.testing.assert_array_equal(drawn.line.values, [step["reward"] for step in steps])

    # Gone on with, to an end that is near.
    config = folder / "config.toml"
    config.write_text(config.read_text("utf-8").replace("max_steps = 1000", f"max_steps = {end.step + 2}"), "utf-8")
    click(qtbot, monitor, "Resume")
    until(qtbot, lambda: isinstance(record(folder)[-1], TrainingFinished))
    until(qtbot, lambda: monitor.state.text() == "Finished" and not window.train.busy)
    assert [start.resumed for start in only(record(folder), TrainingStarted)] == [False, True]

    # Compared with what it was.
    compare = monitor.view("compare")
    assert isinstance(compare, CompareView)
    until(qtbot, lambda: all(side.source for side in compare.sides))
    compare.bar.prompt.setPlainText("What is 12 + 34?")
    click(qtbot, compare, "Answer")
    until(qtbot, lambda: all(side.said for side in compare.sides) and not compare.answers.running)

    # Made a whole model, and chatted with.
    checkpoints = monitor.view("checkpoints")
    assert isinstance(checkpoints, CheckpointsView)
    until(qtbot, lambda: checkpoints.table.rowCount() > 1)
    # The first row is the result, which is a whole model already where all weights were trained.
    checkpoints.table.selectRow(1)
    click(qtbot, checkpoints, "Make a Whole Model")
    until(qtbot, lambda: any(b.isVisible() for b in buttons(checkpoints, "Chat Now")))
    click(qtbot, checkpoints, "Chat Now")
    until(qtbot, lambda: window.chat.loaded is not None and "Models" in window.chat.loaded.folder)
    window.chat.send("What is 12 + 34?")
    until(qtbot, lambda: not window.chat.answering)
    assert window.desk.store.path(window.chat.conversation or 0)[-1].state == "done"


def test_a_run_that_is_looked_at_and_talked_to_is_the_run_that_is_not(
    qtbot: QtBot, ready: MainWindow, tmp_path: Path
) -> None:
    """Bit for bit: what its views, a pause and a chat do leaves no trace."""
    run(tiny(tmp_path, "alone", **SHORT))
    monitor = begin(qtbot, ready, tiny(tmp_path, **SHORT))
    watched = Path(monitor.record.folder)
    for tab in ("samples", "checkpoints", "about", "compare", "charts"):
        monitor.show_tab(tab)
    if not monitor.controls.pause.isHidden():
        click(qtbot, monitor, "Pause")
        click(qtbot, monitor, "Chat")
        until(qtbot, lambda: ready.chat.loaded is not None and ready.chat.loaded.name == watched.name)
        ready.chat.send("What is 12 + 34?")
        until(qtbot, lambda: not ready.chat.answering)
        ready.go("train")
        click(qtbot, monitor, "Go On")
    until(qtbot, lambda: not ready.train.busy)
    assert weights_sum(watched) == weights_sum(tmp_path / "alone")
    assert figures(watched) == figures(tmp_path / "alone")
    assert samples_of(watched) == samples_of(tmp_path / "alone")


def test_what_cannot_start_says_why_and_leads_back(qtbot: QtBot, ready: MainWindow, tmp_path: Path) -> None:
    ready.train.start(tiny(tmp_path, reward_file=str(tmp_path / "gone.py"), rewards=["mine"], reward_weights=[]))
    starting = ready.train.stack.currentWidget()
    assert starting is not None
    until(qtbot, lambda: not ready.train.busy)
    assert "gone.py" in starting.failure.text()  # type: ignore[attr-defined]
    assert not ready.notice.isVisible()
    click(qtbot, starting, "Back to the Settings")
    assert ready.train.stack.currentWidget() is ready.train.new_run()


def test_closing_asks_and_saves(qtbot: QtBot, ready: MainWindow, tmp_path: Path) -> None:
    monitor = begin(qtbot, ready, tiny(tmp_path, **SHORT | {"max_steps": 1000}))
    folder = Path(monitor.record.folder)
    ready.close()
    (question,) = ready.findChildren(QMessageBox)
    assert "training" in question.text()
    click(qtbot, question, "Go On Training")
    assert ready.isVisible()
    assert ready.train.busy
    ready.close()
    question = ready.findChildren(QMessageBox)[-1]
    click(qtbot, question, "Stop, Save and Close")
    until(qtbot, lambda: not ready.isVisible())
    end = record(folder)[-1]
    assert isinstance(end, TrainingStopped)
    assert end.step > 0


def test_a_sample_goes_on_in_a_chat(qtbot: QtBot, ready: MainWindow, tmp_path: Path) -> None:
    monitor = begin(qtbot, ready, tiny(tmp_path, **SHORT | {"max_steps": 2, "eval_steps": 0, "eval_samples": 0}))
    until(qtbot, lambda: not ready.train.busy)
    samples, folder = monitor.view("samples"), Path(monitor.record.folder)
    until(qtbot, lambda: any(b.isVisible() and b.isEnabled() for b in buttons(samples, "Open in Chat")))
    click(qtbot, samples, "Open in Chat")
    until(qtbot, lambda: ready.chat.conversation is not None)
    path = ready.desk.store.path(ready.chat.conversation or 0)
    kept = [json.loads(line) for line in (folder / "samples.jsonl").read_text("utf-8").splitlines()]
    assert [message.role for message in path] == ["user", "assistant"]
    assert (path[0].text, path[1].text) in {(sample["prompt"], sample["text"]) for sample in kept}
    until(qtbot, lambda: ready.chat.loaded is not None and ready.chat.model == str(folder / "model"))
    ready.chat.send("What is 12 + 34?")
    until(qtbot, lambda: not ready.chat.answering)
    assert len(ready.desk.store.path(ready.chat.conversation or 0)) == 4
