"""Where a message is written and sent. Knows keys and text, no model and no conversation."""

from __future__ import annotations

import sys
from itertools import pairwise

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QPalette, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.chat.conversations import Attachment
from gui import theme
from gui.chat.attachments import Chips
from gui.chat.gauge import Gauge
from gui.chat.message_edit import MessageEdit
from gui.parts import OneLine
from gui.text import tr

_SHELF = 102  # the height of three rows of chips; more of them scroll


class Composer(QFrame):
    """The message field with what goes along, its buttons, and how full the context is."""

    send = Signal(str)
    stop = Signal()
    files_wanted = Signal()
    files_pasted = Signal(list)
    long_pasted = Signal(str)
    attachment_opened = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.attached: list[Attachment] = []
        self.edit = MessageEdit()
        self.edit.setObjectName("message")
        self.edit.setAccessibleName(tr("Message"))
        self.edit.sent.connect(self._send)
        self.edit.textChanged.connect(self._update)
        self.edit.files_pasted.connect(self.files_pasted)
        self.edit.long_pasted.connect(self.long_pasted)
        self.button = QToolButton()
        self.button.setObjectName("send")
        self.button.clicked.connect(self._press)
        self.button.setFixedSize(32, 32)
        self.clip = QToolButton()
        self.clip.setAccessibleName(tr("Attach text files"))
        self.clip.setToolTip(tr("Attach text files"))
        self.clip.setFixedSize(32, 32)
        self.clip.clicked.connect(self.files_wanted)
        self.chips = Chips(self, removable=True)
        self.chips.opened.connect(lambda place: self.attachment_opened.emit(self.attached[place]))
        self.chips.removed.connect(lambda place: self.detach(self.attached[place]))
        self._shelf = QScrollArea()
        self._shelf.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._shelf.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._shelf.setProperty("role", "shelf")
        self._shelf.setWidget(self.chips)
        self._shelf.hide()
        self.gauge = Gauge()
        self._box = QFrame()
        self._box.setObjectName("composer")
        self._hint = OneLine("caption")
        self._hint.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._hint.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._lay_out()
        self._answering = False
        self.setFocusProxy(self.edit)
        theme.current().changed.connect(self._update)
        self.set_send_key("return")
        self.set_model("")
        self._show_attached()

    def set_send_key(self, key: str) -> None:
        """Send with `return` or `command-return`."""
        self.edit.send_key = key
        command = "⌘↩" if sys.platform == "darwin" else tr("Ctrl+Return")
        if key == "return":
            self._hint.show_text(tr("Return sends, Shift-Return starts a new line"))
        else:
            self._hint.show_text(tr("{key} sends, Return starts a new line", key=command))

    def set_model(self, name: str) -> None:
        """Name the model in the empty field."""
        self.edit.setPlaceholderText(tr("Message {model}", model=name) if name else tr("Message"))

    def set_answering(self, answering: bool) -> None:
        """Whether an answer is under way: the button stops it."""
        self._answering = answering
        self._update()

    def attach(self, attached: Attachment) -> None:
        """Have a text go with the message."""
        self.attached.append(attached)
        self._show_attached()

    def detach(self, attached: Attachment) -> None:
        """Leave a text out after all."""
        if attached in self.attached:
            self.attached.remove(attached)
            self._show_attached()
            self.edit.setFocus()

    def clear(self) -> None:
        """Empty the field, once its text is stored."""
        self.edit.clear()
        self.attached.clear()
        self._show_attached()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay the chips out for the new width."""
        super().resizeEvent(event)
        self._fit_chips()

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(theme.SMALL)
        row.addWidget(self.clip, 0, Qt.AlignmentFlag.AlignBottom)
        row.addWidget(self.edit, 1, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignBottom)
        inside = QVBoxLayout(self._box)
        inside.setContentsMargins(theme.SMALL, theme.SMALL, theme.SMALL, theme.SMALL)
        inside.setSpacing(theme.SMALL)
        inside.addWidget(self._shelf)
        inside.addLayout(row)
        foot = QGridLayout()
        foot.setContentsMargins(theme.SMALL, 0, theme.SMALL, 0)
        foot.setColumnStretch(0, 1)
        foot.setColumnStretch(2, 1)
        foot.addWidget(self._hint, 0, 1)
        foot.addWidget(self.gauge, 0, 2, Qt.AlignmentFlag.AlignRight)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self._box)
        column.addLayout(foot)

    def _show_attached(self) -> None:
        self.chips.show_attached(self.attached)
        self._shelf.setVisible(bool(self.attached))
        self._fit_chips()
        self._update()
        stops = [*self.chips.controls(), self.clip, self.edit, self.button, self.gauge]
        for first, second in pairwise(stops):
            QWidget.setTabOrder(first, second)

    def _fit_chips(self) -> None:
        if self.attached:
            width = self.width() - 2 * theme.SMALL - 2
            height = self.chips.arrange(width)
            self.chips.resize(width, height)
            self._shelf.setFixedHeight(min(height, _SHELF))

    @property
    def _ready(self) -> bool:
        return bool(self.edit.toPlainText().strip() or self.attached)

    def _send(self) -> None:
        if self._ready and not self._answering:
            self.send.emit(self.edit.toPlainText().strip())

    def _press(self) -> None:
        if self._answering:
            self.stop.emit()
        else:
            self._send()

    def _update(self) -> None:
        colours = theme.current().colours
        ready = self._answering or self._ready
        self.button.setEnabled(ready)
        self.button.setIcon(
            theme.icon("stop" if self._answering else "send", colours.on_accent if ready else colours.muted)
        )
        self.clip.setIcon(theme.icon("clip", colours.muted))
        name = tr("Stop the answer") if self._answering else tr("Send the message")
        self.button.setAccessibleName(name)
        self.button.setToolTip(f"{name} (Esc)" if self._answering else name)
        palette = self.edit.palette()
        palette.setColor(QPalette.ColorRole.PlaceholderText, QColor(colours.muted))
        self.edit.setPalette(palette)
