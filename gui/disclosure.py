"""A line with an arrow that opens and closes what stands below it. Knows nothing of what that is."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QToolButton, QWidget

from gui import theme
from gui.text import tr


class Disclosure(QToolButton):
    """Opens and closes what stands below it."""

    opened = Signal()  # just before it is

    def __init__(self, title: str, body: QWidget) -> None:
        super().__init__()
        self.body = body
        self._title, self._chosen, self._searching = title, False, False
        self.setText(title)
        self.setCheckable(True)
        self.setProperty("role", "disclosure")
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.toggled.connect(self._open)
        theme.current().changed.connect(self._turn)
        body.hide()
        self._turn()

    def count(self, changed: int) -> None:
        """Say how many things inside are not as they were."""
        self.setText(f"{self._title} · {tr('{count} changed', count=changed)}" if changed else self._title)

    def look(self, searching: bool, found: bool) -> None:
        """While something is searched for, be open where it is inside and away where it is not."""
        self._searching = searching
        self.setVisible(found or not searching)
        self.setChecked(found if searching else self._chosen)

    def _open(self, checked: bool) -> None:
        if not self._searching:
            self._chosen = checked
        if checked:
            self.opened.emit()
        self.body.setVisible(checked)
        self._turn()

    def _turn(self) -> None:
        self.setIcon(theme.icon("chevron-down" if self.isChecked() else "chevron-right"))
