"""A window that is ready, a model to drop on it, and the drop."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gui.convert.wizard import Wizard
from gui.window import MainWindow
from tests.engine.tiny import make_model

Drop = Callable[..., list[Wizard]]


@pytest.fixture(scope="session", autouse=True)
def _imported() -> None:
    """Models are made on this thread, which must not import while the window's lane does."""
    importlib.import_module("mlx_lm.utils")


@pytest.fixture
def ready(qtbot: QtBot, window: MainWindow) -> MainWindow:
    """The window, shown, with the events of its start behind it."""
    with qtbot.waitSignal(window.shown):
        pass
    return window


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tiny model whose matrices can be quantised in groups of 64."""
    return make_model(tmp_path / "tiny", hidden_size=64, intermediate_size=128)


@pytest.fixture
def drop(ready: MainWindow) -> Drop:
    """Drops files on the middle of the window, as the system does; the wizards that it opened."""

    def do(*paths: Path) -> list[Wizard]:
        before = set(ready.convert.wizards)
        data, place = QMimeData(), ready.rect().center()
        data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        button, copy, none = Qt.MouseButton.LeftButton, Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(ready.windowHandle(), QDragEnterEvent(place, copy, data, button, none))
        QApplication.sendEvent(ready.windowHandle(), QDropEvent(QPointF(place), copy, data, button, none))
        return [wizard for conversion, wizard in ready.convert.wizards.items() if conversion not in before]

    return do
