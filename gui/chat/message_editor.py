"""Edits the text of a message in its place. Knows no message and no conversation."""

from __future__ import annotations

import sys

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPlainTextEdit, QVBoxLayout, QWidget

from gui import theme
from gui.parts import button
from gui.text import tr

_LINES = 14  # a longer text scrolls
_CHROME = 74  # what the editor has above and below its text


class _Text(QPlainTextEdit):
    saved = Signal()
    left = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Command-Return saves and Escape leaves."""
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.saved.emit()
        elif event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        else:
            super().keyPressEvent(event)


class MessageEditor(QFrame):
    """A text field with Save and Cancel, as tall as its text within reason."""

    saved = Signal(str)
    left = Signal()
    grown = Signal()

    def __init__(self, parent: QWidget, text: str, *, asks: bool) -> None:
        """`asks`: the message is answered once it is saved."""
        super().__init__(parent)
        self.setProperty("role", "editor")
        self._asks, self._busy, self._lines = asks, False, 0
        self.text = _Text()
        self.text.setFont(theme.ui_font(theme.READING))
        self.text.setProperty("role", "editing")
        self.text.setAccessibleName(tr("Edit the message"))
        self.text.setTabChangesFocus(True)
        self.text.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.text.document().setDocumentMargin(0)
        self.text.setPlainText(text)
        self.text.textChanged.connect(self._on_text)
        self.text.saved.connect(self._save)
        self.text.left.connect(self.left)
        hint = QLabel(tr("The version before is kept."))
        hint.setProperty("role", "caption")
        self.cancel, self.save = button(tr("Cancel")), button(tr("Save"), primary=True)
        self.cancel.clicked.connect(self.left)
        self.save.clicked.connect(self._save)
        key = "⌘↩" if sys.platform == "darwin" else tr("Ctrl+Return")
        self.save.setToolTip(key)
        row = QHBoxLayout()
        row.setSpacing(theme.SMALL)
        row.addWidget(hint, 1)
        row.addWidget(self.cancel)
        row.addWidget(self.save)
        column = QVBoxLayout(self)
        column.setContentsMargins(15, 10, 10, 10)
        column.setSpacing(theme.SMALL)
        column.addWidget(self.text, 1)
        column.addLayout(row)
        self._update()

    def set_busy(self, busy: bool) -> None:
        """Whether an answer is under way, until whose end nothing is saved."""
        self._busy = busy
        self._update()

    def begin(self) -> None:
        """Take the focus, at the end of the text."""
        self.text.moveCursor(self.text.textCursor().MoveOperation.End)
        self.text.setFocus()

    def height_for(self, width: int) -> int:
        """The height that the text needs."""
        self.resize(width, self.height())
        return _CHROME + self._count() * self.text.fontMetrics().lineSpacing()

    def controls(self) -> list[QWidget]:
        """What Tab stops at."""
        return [self.text, self.cancel, self.save]

    def _count(self) -> int:
        return min(max(2, int(self.text.document().size().height())), _LINES)

    def _on_text(self) -> None:
        self._update()
        if self._count() != self._lines:
            self._lines = self._count()
            self.grown.emit()

    def _update(self) -> None:
        self.save.setText(tr("Save and Ask") if self._asks else tr("Save"))
        self.save.setEnabled(not self._busy and bool(self.text.toPlainText().strip()))

    def _save(self) -> None:
        if self.save.isEnabled():
            self.saved.emit(self.text.toPlainText().strip())
