"""What a step of the self-test works with: the real window, mouse and keys, waiting and pictures. Knows no workflow."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget

from gui import theme

if TYPE_CHECKING:
    from gui.window import MainWindow

_LIMIT = 120.0


class SelfTestError(Exception):
    """A step did not happen."""


class Tools:
    """The hands and eyes of the self-test."""

    def __init__(self, application: QApplication, window: MainWindow, shots: Path | None) -> None:
        self.application, self.window, self._shots = application, window, shots

    def type(self, text: str) -> None:
        """Write into the chat and send it."""
        edit = self.window.chat.composer.edit
        QTest.keyClicks(edit, text)
        QTest.keyClick(edit, Qt.Key.Key_Return)

    def drop(self, path: Path) -> None:
        """Drop a file on the middle of the window."""
        data, place = QMimeData(), self.window.rect().center()
        data.setUrls([QUrl.fromLocalFile(str(path))])
        left, copy, none = Qt.MouseButton.LeftButton, Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
        handle = self.window.windowHandle()
        QApplication.sendEvent(handle, QDragEnterEvent(place, copy, data, left, none))
        QApplication.sendEvent(handle, QDropEvent(QPointF(place), copy, data, left, none))

    def click(self, parent: QWidget, name: str) -> None:
        """Press a button by its name.

        Raises:
            SelfTestError: there is none in view.
        """
        QTest.mouseClick(self.button(parent, name), Qt.MouseButton.LeftButton, pos=QPoint(8, 8))

    def button(self, parent: QWidget, name: str) -> QAbstractButton:
        """The button of this name in view.

        Raises:
            SelfTestError: there is none.
        """
        for child in parent.findChildren(QAbstractButton):
            if name in (child.accessibleName(), child.text()) and child.isVisible():
                return child
        raise SelfTestError(f"there is no control named {name}")

    def until(self, what: str, done: Callable[[], bool]) -> None:
        """Let the window work until something is so.

        Raises:
            SelfTestError: it does not become so.
        """
        end = time.monotonic() + _LIMIT
        while not done():
            if time.monotonic() > end:
                raise SelfTestError(f"waited in vain until {what}")
            self.application.processEvents()
            time.sleep(0.002)

    def check(self, what: str, happened: bool) -> None:
        """Go on only if this is so.

        Raises:
            SelfTestError: it is not.
        """
        if not happened:
            raise SelfTestError(f"it is not so that {what}")

    def picture(self, name: str, widget: QWidget | None = None) -> None:
        """Save what the window, or a dialog over it, looks like in both appearances.

        Raises:
            SelfTestError: a picture cannot be saved.
        """
        if self._shots is None:
            return
        for appearance in ("light", "dark"):
            theme.current().wish(appearance)
            self.settle()
            path = self._shots / f"{name}-{appearance}.png"
            if not (widget or self.window).grab().save(str(path)):
                raise SelfTestError(f"the picture {path} could not be saved")
        theme.current().wish("light")

    def settle(self, seconds: float = 0.3) -> None:
        """Let the window work for a moment."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.application.processEvents()
            time.sleep(0.005)


def say(line: str) -> None:
    """Tell the terminal."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
