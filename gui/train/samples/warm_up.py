"""Prepares hidden widgets bit by bit, so that the window does not stand still when they are first shown.

Styling a widget for the first time and the first drawing of each kind of row take as long as many frames together.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from PySide6.QtCore import QObject, QRect, QTimer
from PySide6.QtGui import QPainter, QPixmap
from PySide6.QtWidgets import QStyle, QStyleOptionViewItem, QWidget

from engine.run_events import SampleRead
from gui.train.samples.group import Group
from gui.train.samples.lists import Rows

_TURN = 0.003  # seconds
_SAMPLE = SampleRead(1, 0, 0, 0, "?", "1", "<answer>1</answer>", (("accuracy", 1.0),), 1.0, 0.5, 1, "end", right=True)


class WarmUp(QObject):
    """Styles all widgets below one, and draws a row of each of these lists, in turns of a few milliseconds."""

    def __init__(self, widget: QWidget, groups: Rows, completions: Rows) -> None:
        super().__init__(widget)
        self._steps = _steps(widget, groups, completions)
        self._turn = QTimer(self, interval=0)
        self._turn.timeout.connect(self._go_on)
        self._turn.start()

    def _go_on(self) -> None:
        end = time.perf_counter() + _TURN
        while time.perf_counter() < end:
            if next(self._steps, None) is None:
                self._turn.stop()
                return


def _steps(widget: QWidget, groups: Rows, completions: Rows) -> Iterator[bool]:
    for child in widget.findChildren(QWidget):
        child.ensurePolished()
        yield True
    group = Group((_SAMPLE, _SAMPLE))
    for rows, row in ((groups, group), (completions, _SAMPLE)):
        _draw(rows, row)
        yield True


def _draw(rows: Rows, row: object) -> None:
    """Draw a row where nobody sees it."""
    model = type(rows.rows)(rows)
    model.set_rows([row])
    picture = QPixmap(300, 80)
    painter = QPainter(picture)
    option = QStyleOptionViewItem()
    option.rect = QRect(0, 0, 300, 80)
    option.state = QStyle.StateFlag.State_Enabled | QStyle.StateFlag.State_Selected
    rows.itemDelegate().paint(painter, option, model.index(0))
    painter.end()
    model.deleteLater()
