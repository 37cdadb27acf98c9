"""What a Mac does in its own way, and what stands for it elsewhere. Knows no page."""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtCore import QProcess, QStandardPaths
from PySide6.QtWidgets import QMainWindow


def unify_title_bar(window: QMainWindow) -> None:
    """Let the window's tool bar and title bar be one surface, as Mac programs have it."""
    if sys.platform == "darwin":
        window.setUnifiedTitleAndToolBarOnMac(True)


def reveal(path: str | Path) -> bool:
    """Show a folder in the Finder, marked among its neighbours; elsewhere open it. Whether that was begun."""
    command = ["/usr/bin/open", "-R", str(path)] if sys.platform == "darwin" else ["xdg-open", str(path)]
    program = QStandardPaths.findExecutable(command[0]) or command[0]
    # In PySide the process id comes along.
    return bool(QProcess.startDetached(program, command[1:])[0])
