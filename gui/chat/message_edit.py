"""The text field a message is written in. Knows keys and text, no model and no conversation."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QMimeData, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from gui import theme

_LINES = 8
LONG_PASTE = 20_000  # characters


class MessageEdit(QPlainTextEdit):
    """A text field that grows with its text and sends on the chosen key."""

    sent = Signal()
    files_pasted = Signal(list)  # of paths
    long_pasted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.send_key = "return"
        self.setFont(theme.ui_font(theme.READING))
        self.setTabChangesFocus(True)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.document().setDocumentMargin(0)
        self.setViewportMargins(0, 3, 0, 0)  # in the middle of its one line
        self.textChanged.connect(self._fit)
        self._fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._sends(event.modifiers()):
            self.sent.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.insertPlainText("\n")
            self.ensureCursorVisible()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QEvent) -> None:
        super().resizeEvent(event)  # type: ignore[arg-type]
        self._fit()

    def canInsertFromMimeData(self, source: QMimeData) -> bool:  # noqa: N802
        """Text, and files, which are attached."""
        return bool(_files(source)) or super().canInsertFromMimeData(source)

    def insertFromMimeData(self, source: QMimeData) -> None:  # noqa: N802
        """Text that is written here; files and very long texts are for somebody else."""
        if files := _files(source):
            self.files_pasted.emit(files)
        elif source.hasText() and len(source.text()) > LONG_PASTE:
            self.long_pasted.emit(source.text())
        else:
            super().insertFromMimeData(source)

    def _sends(self, modifiers: Qt.KeyboardModifier) -> bool:
        # Qt's "control" is the Command key on a Mac.
        command = bool(modifiers & Qt.KeyboardModifier.ControlModifier)
        shift = bool(modifiers & Qt.KeyboardModifier.ShiftModifier)
        return command if self.send_key == "command-return" else not (command or shift)

    def _fit(self) -> None:
        line = self.fontMetrics().lineSpacing()
        lines = min(max(1, int(self.document().size().height())), _LINES)
        self.setFixedHeight(lines * line + 6)


def _files(source: QMimeData) -> list[str]:
    return [url.toLocalFile() for url in source.urls() if url.isLocalFile()] if source.hasUrls() else []
