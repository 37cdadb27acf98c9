"""A row of words of which one is chosen, as Macs show the parts of a view. Knows names, not what they show."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont, QFontMetrics
from PySide6.QtWidgets import QButtonGroup, QFrame, QHBoxLayout, QToolButton, QWidget

from gui import theme
from gui.text import tr

_SIDE = 13  # the padding and the line at each side of a name


class Tabs(QWidget):
    """The parts of a view by their names; the arrow keys go from one to the next."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._buttons: dict[str, QToolButton] = {}
        self._group = QButtonGroup(self)
        track = QFrame()
        track.setObjectName("tabs")
        track.setAccessibleName(tr("Parts of this view"))
        self._row = QHBoxLayout(track)
        self._row.setContentsMargins(2, 2, 2, 2)
        self._row.setSpacing(2)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(track)
        row.addStretch()

    def add(self, name: str, title: str) -> None:
        """One more part; the first is chosen."""
        made = QToolButton()
        made.setText(title)
        made.setAccessibleName(title)
        made.setCheckable(True)
        made.setProperty("role", "tab")
        made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        made.clicked.connect(lambda: self.chosen.emit(name))
        made.setChecked(not self._buttons)
        # The chosen one is bold, and must not be cut for it.
        bold = QFontMetrics(theme.ui_font(weight=QFont.Weight.DemiBold))
        made.setMinimumWidth(bold.horizontalAdvance(title) + 2 * _SIDE)
        self._buttons[name] = made
        self._group.addButton(made)
        self._row.addWidget(made)

    def mark(self, name: str) -> None:
        """Show this part as the one in view."""
        self._buttons[name].setChecked(True)
