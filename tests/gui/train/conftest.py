"""A desk with its lanes, and no window around it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication

from gui import theme as looks
from gui.desk import Desk


@pytest.fixture
def desk(theme: looks.Theme) -> Iterator[Desk]:
    """Closed afterwards, with no job left."""
    theme.wish("light")
    desk = Desk()
    yield desk
    desk.close()
    desk.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
