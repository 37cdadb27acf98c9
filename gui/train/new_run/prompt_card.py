"""One row of data as the model reads it: special tokens visible, but quiet. Knows no job."""

from __future__ import annotations

import html
from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

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
        self.text = QLabel()
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.text.setWordWrap(True)
        self.text.setFont(theme.code_font(12))
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setAccessibleName(tr("Prompt of row {number}", number=number(row.row + 1)))
        self.text.setAccessibleDescription(row.rendered)
        self.rows.addLayout(head)
        self.rows.addWidget(self.text)
        self.answer = words(role="muted")
        self.answer.setText(
            tr("Right answer: {answer}", answer=row.answer) if row.answer else tr("No right answer is known.")
        )
        self.answer.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.rows.addWidget(self.answer)
        theme.current().changed.connect(self._restyle)
        self._restyle()

    def _restyle(self) -> None:
        colours = theme.current().colours
        shown, left = [], _LONGEST
        for text, special in pieces(self.row.rendered, self.row.marks):
            # Qt breaks lines at zero-width spaces: a long run of tokens would else make the card too wide.
            part = html.escape(text[:left]).replace("\n", "<br>").replace("&gt;", "&gt;\u200b")
            shown.append(f'<span style="color:{colours.muted}">{part}</span>' if special else part)
            left -= len(text)
            if left <= 0:
                shown.append(f'<span style="color:{colours.muted}"> …</span>')
                break
        self.text.setText(f'<div style="white-space: pre-wrap">{"".join(shown)}</div>')


class Rule(QWidget):
    """A line of text that says what the cards below it are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, theme.SMALL, 0, 0)
        row.addWidget(words(text, "section"))
