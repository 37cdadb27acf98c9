"""A column of rows that scrolls, in the middle of what width there is. Knows nothing of what stands in it."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from gui import theme
from gui.parts import WIDTH

_BAR = 10  # the width of a scroll bar


class Centred(QWidget):
    """What stands in the middle of the width, with room at both sides, as if there were a scroll bar at the right."""

    def __init__(self, inner: QWidget) -> None:
        super().__init__()
        inner.setMaximumWidth(WIDTH)
        row = QHBoxLayout(self)
        row.addStretch()
        row.addWidget(inner, 1000)
        row.addStretch()
        self.leave_room(True)

    def leave_room(self, bar: bool) -> None:
        """Leave room for a scroll bar, or not where there is one."""
        self.setContentsMargins(0, 0, _BAR if bar else 0, 0)
        layout = self.layout()
        if layout is not None:
            layout.setContentsMargins(theme.HUGE, 0, theme.HUGE, 0)


class Column(QScrollArea):
    """Rows one below the other; they keep their places when a scroll bar comes or goes."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        inner = QWidget()
        self.rows = QVBoxLayout(inner)
        self.rows.setContentsMargins(0, theme.LARGE, 0, theme.HUGE)
        self.rows.setSpacing(theme.MEDIUM)
        self._outer = Centred(inner)
        self.setWidget(self._outer)
        self.verticalScrollBar().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.verticalScrollBar() and event.type() in (QEvent.Type.Show, QEvent.Type.Hide):
            self._outer.leave_room(event.type() == QEvent.Type.Hide)
        return super().eventFilter(watched, event)
