"""The strip of pages at the window's left edge. Knows names and icons of pages, not the pages."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QButtonGroup, QFrame, QToolButton, QVBoxLayout, QWidget

from gui import theme
from gui.text import tr

WIDTH = 76


class Sidebar(QFrame):
    """One button a page; the first pages stand at the top, the others at the bottom."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("sidebar")
        self.setAccessibleName(tr("Pages"))
        self.setFixedWidth(WIDTH)
        self._buttons: dict[str, _PageButton] = {}
        self._group = QButtonGroup(self)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(theme.SMALL, theme.MEDIUM, theme.SMALL, theme.MEDIUM)
        self._column.setSpacing(theme.TINY)
        self._column.addStretch(1)
        theme.current().changed.connect(self._restyle)

    def add(self, name: str, title: str, *, at_end: bool) -> None:
        """Add a page's button."""
        button = _PageButton()
        button.setText(title)
        button.setCheckable(True)
        button.setProperty("role", "page")
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        button.setIconSize(QSize(20, 20))
        button.setFixedSize(WIDTH - 2 * theme.SMALL, 52)
        button.setAccessibleName(title)
        button.clicked.connect(lambda: self.chosen.emit(name))
        first = not self._buttons
        self._buttons[name] = button
        self._group.addButton(button)
        at = self._column.count() if at_end else self._column.count() - 1
        self._column.insertWidget(at, button)
        if first:
            button.setChecked(True)
        self._restyle()

    def mark(self, name: str) -> None:
        """Show this page as the one in view."""
        self._buttons[name].setChecked(True)
        self._restyle()

    def show_busy(self, name: str, busy: bool) -> None:
        """Mark a page on which something runs with a dot."""
        self._buttons[name].show_busy(busy)

    def _restyle(self) -> None:
        colours = theme.current().colours
        for name, button in self._buttons.items():
            button.setIcon(theme.icon(name, colours.accent if button.isChecked() else colours.muted))


class _PageButton(QToolButton):
    """A page's button, with a dot while something runs there."""

    def __init__(self) -> None:
        super().__init__()
        self.busy = False

    def show_busy(self, busy: bool) -> None:
        """Show the dot, or take it away."""
        if busy != self.busy:
            self.busy = busy
            self.setAccessibleDescription(tr("Something runs here") if busy else "")
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The button, and the dot at its icon."""
        super().paintEvent(event)
        if self.busy:
            colours, painter = theme.current().colours, QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(colours.sidebar), 2))
            painter.setBrush(QColor(colours.accent))
            painter.drawEllipse(QPointF(self.width() / 2 + 12, 12), 5, 5)
