"""Where a message is written and sent. Knows keys and text, no model and no conversation."""

from __future__ import annotations

import sys

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPalette
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPlainTextEdit, QToolButton, QVBoxLayout, QWidget

from gui import theme
from gui.text import tr

_LINES = 8


class MessageEdit(QPlainTextEdit):
    """A text field that grows with its text and sends on the chosen key."""

    sent = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.send_key = "return"
        self.setFont(theme.ui_font(theme.READING))
        self.setTabChangesFocus(True)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.document().setDocumentMargin(0)
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

    def _sends(self, modifiers: Qt.KeyboardModifier) -> bool:
        # Qt's "control" is the Command key on a Mac.
        command = bool(modifiers & Qt.KeyboardModifier.ControlModifier)
        shift = bool(modifiers & Qt.KeyboardModifier.ShiftModifier)
        return command if self.send_key == "command-return" else not (command or shift)

    def _fit(self) -> None:
        line = self.fontMetrics().lineSpacing()
        lines = min(max(1, int(self.document().size().height())), _LINES)
        self.setFixedHeight(lines * line + 6)


class Composer(QFrame):
    """The message field with its send and stop buttons."""

    send = Signal(str)
    stop = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.edit = MessageEdit()
        self.edit.setObjectName("message")
        self.edit.setAccessibleName(tr("Message"))
        self.edit.sent.connect(self._send)
        self.edit.textChanged.connect(self._update)
        self.button = QToolButton()
        self.button.setObjectName("send")
        self.button.clicked.connect(self._press)
        self.button.setFixedSize(32, 32)
        self._box = QFrame()
        self._box.setObjectName("composer")
        row = QHBoxLayout(self._box)
        row.setContentsMargins(theme.LARGE, theme.SMALL, theme.SMALL, theme.SMALL)
        row.setSpacing(theme.SMALL)
        row.addWidget(self.edit, 1, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignBottom)
        self._hint = QLabel()
        self._hint.setProperty("role", "caption")
        self._hint.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self._box)
        column.addWidget(self._hint)
        self._answering = False
        self.setFocusProxy(self.edit)
        theme.current().changed.connect(self._update)
        self.set_send_key("return")
        self.set_model("")
        self._update()

    def set_send_key(self, key: str) -> None:
        """Send with `return` or `command-return`."""
        self.edit.send_key = key
        command = "⌘↩" if sys.platform == "darwin" else tr("Ctrl+Return")
        if key == "return":
            self._hint.setText(tr("Return sends, Shift-Return starts a new line"))
        else:
            self._hint.setText(tr("{key} sends, Return starts a new line", key=command))

    def set_model(self, name: str) -> None:
        """Name the model in the empty field."""
        self.edit.setPlaceholderText(tr("Message {model}", model=name) if name else tr("Message"))

    def set_answering(self, answering: bool) -> None:
        """Whether an answer is under way: the button stops it."""
        self._answering = answering
        self._update()

    def clear(self) -> None:
        """Empty the field, once its text is stored."""
        self.edit.clear()

    def _send(self) -> None:
        text = self.edit.toPlainText().strip()
        if text and not self._answering:
            self.send.emit(text)

    def _press(self) -> None:
        if self._answering:
            self.stop.emit()
        else:
            self._send()

    def _update(self) -> None:
        colours = theme.current().colours
        ready = self._answering or bool(self.edit.toPlainText().strip())
        self.button.setEnabled(ready)
        self.button.setIcon(
            theme.icon("stop" if self._answering else "send", colours.on_accent if ready else colours.muted)
        )
        name = tr("Stop the answer") if self._answering else tr("Send the message")
        self.button.setAccessibleName(name)
        self.button.setToolTip(f"{name} (Esc)" if self._answering else name)
        palette = self.edit.palette()
        palette.setColor(QPalette.ColorRole.PlaceholderText, QColor(colours.muted))
        self.edit.setPalette(palette)
