"""A column of rows that scrolls, in the middle of what width there is. Knows nothing of what stands in it."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from gui import theme
from gui.parts import WIDTH


def centred(inner: QWidget, width: int = WIDTH) -> QWidget:
    """In the middle of the width, with room at both sides."""
    inner.setMaximumWidth(width)
    outer = QWidget()
    row = QHBoxLayout(outer)
    row.setContentsMargins(theme.HUGE, 0, theme.HUGE, 0)
    row.addStretch()
    row.addWidget(inner, 1000)
    row.addStretch()
    return outer


class Column(QScrollArea):
    """Rows one below the other."""

    def __init__(self, name: str, width: int = WIDTH) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        inner = QWidget()
        self.rows = QVBoxLayout(inner)
        self.rows.setContentsMargins(0, theme.LARGE, 0, theme.HUGE)
        self.rows.setSpacing(theme.MEDIUM)
        self.setWidget(centred(inner, width))
