"""Text files that go with a message, as chips. Knows names and texts, not where they come from."""

from __future__ import annotations

import html
from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QPushButton, QWidget

from engine.chat.conversations import Attachment
from gui import theme
from gui.chat.buttons import IconButton
from gui.text import size, tr

_HEIGHT, _GAP, _NAME = 30, 6, 180


class Chip(QPushButton):
    """One attachment: a click opens it, Delete and the cross take it away where that is possible."""

    opened = Signal()
    removed = Signal()

    def __init__(self, parent: QWidget, attached: Attachment, *, removable: bool) -> None:
        super().__init__(parent)
        self.setProperty("role", "attachment")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._name, self._size = _one_line(attached.name), size(len(attached.text.encode("utf-8", "replace")))
        self.setAccessibleName(tr("Attachment {name}, {size}", name=self._name, size=self._size))
        self.setToolTip(f"<qt>{html.escape(self._name)}<br>{tr('Click to read it.')}</qt>")
        self.clicked.connect(self.opened)
        self._cross = IconButton(self, "close", tr("Remove {name}", name=self._name)) if removable else None
        if self._cross is not None:
            self._cross.setProperty("role", "arrow")
            self._cross.setIconSize(QSize(12, 12))
            self._cross.clicked.connect(self.removed)

    def sizeHint(self) -> QSize:
        """Room for icon, name, size and cross."""
        name, small = self._shown(), QFontMetrics(theme.ui_font(theme.CAPTION))
        width = 30 + self.fontMetrics().horizontalAdvance(name) + 8 + small.horizontalAdvance(self._size)
        return QSize(width + (28 if self._cross is not None else 11), _HEIGHT)

    def controls(self) -> list[QWidget]:
        """What Tab stops at."""
        return [self] if self._cross is None else [self, self._cross]

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Return opens, Delete takes away."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
        elif event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self._cross is not None:
            self.removed.emit()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the cross at the right."""
        super().resizeEvent(event)
        if self._cross is not None:
            self._cross.setGeometry(self.width() - 26, (self.height() - 20) // 2, 20, 20)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The ground of a button; on it the icon, the name and, quieter, the size."""
        super().paintEvent(event)
        colours, painter = theme.current().colours, QPainter(self)
        if self._cross is not None:
            self._cross.restyle()
        theme.icon("file", colours.muted).paint(painter, 8, (self.height() - 16) // 2, 16, 16)
        place = self.rect().adjusted(30, 0, -10, 0)
        painter.setPen(colours.text)
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, self._shown())
        place.setLeft(place.left() + self.fontMetrics().horizontalAdvance(self._shown()) + 8)
        painter.setPen(colours.muted)
        painter.setFont(theme.ui_font(theme.CAPTION))
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, self._size)

    def _shown(self) -> str:
        return self.fontMetrics().elidedText(self._name, Qt.TextElideMode.ElideMiddle, _NAME)


class Chips(QWidget):
    """Attachments in rows, as many as the width needs."""

    opened = Signal(int)
    removed = Signal(int)

    def __init__(self, parent: QWidget, *, removable: bool = False, at_right: bool = False) -> None:
        super().__init__(parent)
        self._removable, self._at_right = removable, at_right
        self._chips: list[Chip] = []

    def show_attached(self, attached: Sequence[Attachment]) -> None:
        """Show these instead of those before."""
        for chip in self._chips:
            chip.hide()
            chip.deleteLater()
        self._chips = [Chip(self, one, removable=self._removable) for one in attached]
        for place, chip in enumerate(self._chips):
            chip.opened.connect(lambda place=place: self.opened.emit(place))
            chip.removed.connect(lambda place=place: self.removed.emit(place))
            chip.show()
        self.arrange(self.width())

    def controls(self) -> list[QWidget]:
        """What Tab stops at."""
        return [control for chip in self._chips for control in chip.controls()]

    @property
    def left(self) -> int:
        """Where the leftmost chip begins."""
        return min((chip.x() for chip in self._chips), default=0)

    def arrange(self, width: int) -> int:
        """Lay the chips out in rows of a width; the height they take."""
        rows: list[list[Chip]] = [[]]
        used = 0
        for chip in self._chips:
            wanted = chip.sizeHint().width()
            if rows[-1] and used + wanted > width:
                rows.append([])
                used = 0
            rows[-1].append(chip)
            used += wanted + _GAP
        for number, row in enumerate(rows):
            widths = [min(chip.sizeHint().width(), width) for chip in row]
            x = width - sum(widths) - _GAP * (len(row) - 1) if self._at_right else 0
            for chip, wide in zip(row, widths, strict=True):
                chip.setGeometry(x, number * (_HEIGHT + _GAP), wide, _HEIGHT)
                x += wide + _GAP
        return len(rows) * (_HEIGHT + _GAP) - _GAP if self._chips else 0


def _one_line(name: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in name)
