"""Records of runs to draw: as the lines of an events.jsonl, or as figures. Knows events, tests nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.events import to_json
from engine.training_events import CheckpointSaved, Evaluated, SettingChanged, StepFinished, TrainingStarted
from gui.desk import Desk
from gui.train.charts.view import ChartsView
from gui.train.record import Record

STEP = StepFinished(
    step=1,
    steps=100,
    epoch=0.1,
    loss=-0.002,
    reward=0.5,
    reward_spread=0.25,
    rewards=(("accuracy", 0.4, 0.2), ("strict_format", 0.25, 0.1)),
    flat_groups=0.5,
    replaced=0,
    kl=None,
    entropy=0.3,
    ratio=1.1,
    clipped_low=0.01,
    clipped_high=0.02,
    gradient_norm=0.7,
    learning_rate=3e-6,
    completions=16,
    tokens=3000,
    mean_length=187.5,
    shortest=20,
    longest=512,
    cut_short=0.0625,
    rollout_seconds=4.0,
    reward_seconds=0.5,
    update_seconds=1.5,
    elapsed=6.0,
    peak_memory=2_000_000_000,
)


def step(number: int, **changes: Any) -> StepFinished:
    """A step with its own number and time."""
    return dataclasses.replace(STEP, **{"step": number, "elapsed": 6.25 * number} | changes)


def steps(count: int, first: int = 1) -> list[StepFinished]:
    """Steps whose reward rises."""
    return [step(number, reward=number / 7) for number in range(first, first + count)]


def evaluated(number: int, accuracy: float = 0.5, when: Any = "during") -> Evaluated:
    """An evaluation after a step."""
    interval = (accuracy - 0.125, accuracy + 0.125)
    return Evaluated(when, number, 64, accuracy, *interval, 1.0, 0.6, 150.0, 0.0, 9.0, 6.25 * number)


def changed(number: int) -> SettingChanged:
    """A person lowers the learning rate."""
    return SettingChanged(number, "learning_rate", 1e-6, 5e-7)


def saved(number: int, best: bool = False) -> CheckpointSaved:
    """A checkpoint."""
    return CheckpointSaved(number, f"/run/checkpoints/{number}", best)


def resumed(number: int) -> TrainingStarted:
    """A run goes on."""
    return TrainingStarted("/run", "starter", "full", 1000, number, 100, True)


def write(folder: Path, events: list[Any]) -> Path:
    """Add events to the record in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "events.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(f"{to_json(event)}\n" for event in events)
    return folder


def read(desk: Desk, folder: Path, qtbot: QtBot) -> Record:
    """The record of a folder, read to its end."""
    record = Record(desk, str(folder))
    look(record, qtbot)
    return record


def look(record: Record, qtbot: QtBot) -> None:
    """Have a record read what is new."""
    record.look()
    qtbot.waitUntil(lambda: record._job is None)


def settle(view: ChartsView, qtbot: QtBot) -> None:
    """Wait until all that is seen is up to date."""
    QApplication.processEvents()
    qtbot.waitUntil(lambda: not view._due.isActive() and not view.busy)
    QApplication.processEvents()
