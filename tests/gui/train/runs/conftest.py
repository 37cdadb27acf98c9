"""A desk without a window, and runs to look at: a trained one, and ways to wait for what is read from the disk."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine import places
from gui.desk import Desk
from gui.theme import Theme
from gui.train.record import Record
from tests.engine.monitor.run_folders import trained


@pytest.fixture(scope="session", autouse=True)
def _imported() -> None:
    """Models are made on this thread, which must not import while a lane does."""
    importlib.import_module("mlx_lm.utils")


@pytest.fixture
def desk(qtbot: QtBot, theme: Theme) -> Iterator[Desk]:
    """Settings, lanes and notices; closed afterwards, with no thread left."""
    theme.wish("light")
    desk = Desk()
    yield desk
    desk.close()
    desk.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def own() -> Path:
    """The program's own folder of runs."""
    return places.runs_folder()


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained to its end; not to be changed."""
    return trained(tmp_path_factory.mktemp("trained"), "whole")


@pytest.fixture(scope="session")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that trained adapters to its end; not to be changed."""
    return trained(tmp_path_factory.mktemp("adapters"), "thin", train_type="lora", max_steps=2, lora_rank=4)


def read(qtbot: QtBot, desk: Desk, folder: Path) -> Record:
    """The record of a run, read to its end."""
    record = Record(desk, str(folder), desk)
    with qtbot.waitSignal(record.changed):
        record.look()
    qtbot.waitUntil(lambda: record.loaded)
    return record
