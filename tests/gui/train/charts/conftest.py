"""What the tests of charts have: a desk, records of runs, and a view on the screen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gui import theme as looks
from gui.desk import Desk
from gui.train.charts.view import ChartsView


@pytest.fixture
def desk(theme: looks.Theme) -> Iterator[Desk]:
    """Lanes and messages, closed afterwards."""
    theme.wish("light")
    desk = Desk()
    yield desk
    desk.close()


@pytest.fixture
def view(desk: Desk, qtbot: QtBot) -> Iterator[ChartsView]:
    """The charts, shown, with no run; nothing of them is left afterwards."""
    view = ChartsView(desk.notices)
    view.resize(804, 700)
    view.show()
    yield view
    view.close()
    view.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
