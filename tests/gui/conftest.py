"""What every test of a widget has: the application with the program's looks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gui import theme as looks
from gui.desk import Desk
from gui.window import MainWindow


def pytest_configure(config: pytest.Config) -> None:
    """Qt's offscreen platform warns that it cannot raise a window or grab keys: that is no fault of a widget."""
    config.addinivalue_line("qt_log_ignore", "^This plugin does not support ")


@pytest.fixture(scope="session")
def theme(qapp: QApplication) -> looks.Theme:
    """The theme, installed once."""
    return looks.install(qapp)


@pytest.fixture
def window(qtbot: QtBot, theme: looks.Theme) -> Iterator[MainWindow]:
    """The real window with a store and lanes of its own; closed afterwards, with no thread left."""
    theme.wish("light")
    window = MainWindow(Desk())
    window.show()
    yield window
    window.end()
    assert window.desk.compute.busy is False
    # A window that stays would be styled again with every change of the theme.
    window.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
