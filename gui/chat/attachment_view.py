"""Shows the text of an attachment. Knows nothing of the message it goes with."""

from __future__ import annotations

import re

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from engine.chat.conversations import Attachment
from gui import theme
from gui.chat.buttons import CopyButton
from gui.parts import OneLine, button, words
from gui.text import number, tr

_MOST = 200_000  # characters; a longer text holds up the window
_ENDLESS = re.compile(r"([^\n]{4000})(?=[^\n])")  # a line is laid out as a whole


class AttachmentView(QDialog):
    """A window over the page with the text in it, to be read and copied."""

    def __init__(self, parent: QWidget, attached: Attachment) -> None:
        super().__init__(parent)
        self.setWindowTitle(attached.name)
        self.resize(640, 520)
        title = OneLine("heading")
        title.show_text(attached.name)
        self.text = QPlainTextEdit(readOnly=True)
        self.text.setAccessibleName(tr("Text of the attachment"))
        self.text.setFont(theme.code_font())
        self.text.setPlainText(_ENDLESS.sub("\\1\n", attached.text[:_MOST]))
        row = QHBoxLayout()
        row.setSpacing(theme.SMALL)
        if len(attached.text) > _MOST:
            row.addWidget(words(tr("The first {count} characters are shown.", count=number(_MOST)), "caption"), 1)
        else:
            row.addStretch(1)
        self.copy = CopyButton(self, tr("Copy All"), lambda: attached.text, named=True)
        close = button(tr("Close"), primary=True)
        close.clicked.connect(self.accept)
        row.addWidget(self.copy)
        row.addWidget(close)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.LARGE, theme.LARGE, theme.LARGE, theme.LARGE)
        column.setSpacing(theme.MEDIUM)
        column.addWidget(title)
        column.addWidget(self.text, 1)
        column.addLayout(row)
        self.text.setFocus()


def open_attachment(parent: QWidget, attached: Attachment) -> AttachmentView:
    """Show an attachment over a window."""
    view = AttachmentView(parent.window(), attached)
    view.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    view.open()
    return view
