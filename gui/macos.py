"""What only a Mac has. Does nothing elsewhere; knows no page."""

from __future__ import annotations

import sys

from PySide6.QtWidgets import QMainWindow


def unify_title_bar(window: QMainWindow) -> None:
    """Let the window's tool bar and title bar be one surface, as Mac programs have it."""
    if sys.platform == "darwin":
        window.setUnifiedTitleAndToolBarOnMac(True)
