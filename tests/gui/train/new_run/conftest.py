"""The view of a new run with lanes of its own, and the hands of a person."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gui import theme as looks
from gui.desk import Desk
from gui.train.new_run.view import NewRunView


@pytest.fixture(scope="session", autouse=True)
def _imported() -> None:
    """Rows are made on this thread too, which must not import while a lane does."""
    importlib.import_module("mlx_lm.utils")


@pytest.fixture
def desk(theme: looks.Theme) -> Iterator[Desk]:
    theme.wish("light")
    desk = Desk()
    yield desk
    desk.close()
    assert not desk.compute.busy
    assert not desk.network.busy


@pytest.fixture
def view(qtbot: QtBot, desk: Desk) -> Iterator[NewRunView]:
    """Shown, with the first recipe read."""
    view = NewRunView(desk)
    view.resize(900, 700)
    with qtbot.waitExposed(view):
        view.show()
    qtbot.waitUntil(lambda: view.draft.origin is not None, timeout=10_000)
    yield view
    view.hide()
    view.close_jobs()
    view.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
