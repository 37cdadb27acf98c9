"""One row of data as the model reads it: special tokens visible, but quiet. Knows no job."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QResizeEvent, QTextCharFormat, QTextFormat, QTextOption, QWheelEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QTextEdit, QWidget

from engine.run_events import PromptRendered
from gui import theme
from gui.parts import Card, words
from gui.text import number, tr

_LONGEST = 4000  # characters that are shown of a prompt


def pieces(text: str, marks: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, bool]]:
    """The stretches of a text in their order, each with whether it is a special token; together they are the text."""
    place = 0
    for start, length in marks:
        if start > place:
            yield text[place:start], False
        yield text[start : start + length], True
        place = start + length
    if place < len(text):
        yield text[place:], False


class PromptCard(Card):
    """A card for a row."""

    def __init__(self, row: PromptRendered, limit: int) -> None:
        super().__init__()
        self.row = row
        title = words(tr("Row {number}", number=number(row.row + 1)), "strong")
        count = tr("1 token") if row.tokens == 1 else tr("{count} tokens", count=number(row.tokens))
        facts = words(count, "caption")
        self.warning = words(role="complaint")
        if row.too_long:
            self.warning.setText(tr("Left out: longer than the longest prompt, {limit} tokens", limit=number(limit)))
        head = QHBoxLayout()
        head.setSpacing(theme.SMALL)
        for label in (title, facts):
            label.setWordWrap(False)
            head.addWidget(label)
        head.addWidget(self.warning, 1)
        self.text = PromptText(row.rendered, row.marks)
        self.text.setAccessibleName(tr("Prompt of row {number}", number=number(row.row + 1)))
        self.rows.addLayout(head)
        self.rows.addWidget(self.text)
        self.answer = words(role="muted")
        self.answer.setText(
            tr("Right answer: {answer}", answer=row.answer) if row.answer else tr("No right answer is known.")
        )
        self.answer.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.rows.addWidget(self.answer)


class PromptText(QTextEdit):
    """A text with special tokens in a quiet colour; as high as it is long, and never wider than its place."""

    def __init__(self, text: str, marks: tuple[tuple[int, int], ...]) -> None:
        super().__init__(readOnly=True)
        self._parts = list(_cut(pieces(text, marks)))
        self.setFrameShape(QTextEdit.Shape.NoFrame)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.viewport().setAutoFillBackground(False)
        self.document().setDocumentMargin(0)
        theme.current().changed.connect(self._restyle)
        self._restyle()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The page scrolls, not the text."""
        event.ignore()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.document().setTextWidth(self.viewport().width())
        self.setFixedHeight(ceil(self.document().size().height()))

    def _restyle(self) -> None:
        colours = theme.current().colours
        self.clear()
        cursor, look = self.textCursor(), QTextCharFormat()
        look.setFontFamilies(theme.code_font().families())
        look.setProperty(QTextFormat.Property.FontPixelSize, 12)
        for part, quiet in self._parts:
            look.setForeground(QColor(colours.muted if quiet else colours.text))
            cursor.insertText(part, look)
        self._fit()


def _cut(parts: Iterator[tuple[str, bool]]) -> Iterator[tuple[str, bool]]:
    """As many of the pieces as are shown."""
    left = _LONGEST
    for text, quiet in parts:
        yield text[:left], quiet
        left -= len(text)
        if left < 0:
            yield " …", True
            return


class Rule(QWidget):
    """A line of text that says what the cards below it are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, theme.SMALL, 0, 0)
        row.addWidget(words(text, "section"))
