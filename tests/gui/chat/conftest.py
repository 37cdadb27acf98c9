"""A transcript in a window."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtWidgets import QMainWindow
from pytestqt.qtbot import QtBot

from gui import theme as looks
from gui.chat.transcript import Transcript


@pytest.fixture
def transcript(qtbot: QtBot, theme: looks.Theme) -> Iterator[Transcript]:
    theme.wish("light")
    window, made = QMainWindow(), Transcript()
    qtbot.addWidget(window)
    window.setCentralWidget(made)
    window.resize(800, 600)
    window.show()
    yield made
    window.close()
