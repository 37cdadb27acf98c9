"""What stands below an answer's text: the ways to its siblings, buttons, and figures. Knows no conversation."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QWidget

from gui import theme
from gui.chat.buttons import CopyButton, IconButton
from gui.chat.message_menu import open_menu
from gui.chat.speed import guesses, tokens_a_pass
from gui.chat.switcher import Switcher
from gui.text import number, size, tr

if TYPE_CHECKING:
    from engine.chat.conversations import Message

_ENDINGS = {
    "end": "complete",
    "stop string": "ended at a stop string",
    "length": "stopped at the maximum length",
    "context full": "stopped because the context is full",
    "stopped": "stopped by you",
    "interrupted": "interrupted when the program closed",
}


def summary(message: Message) -> str:
    """The figures of an answer in one line: how long, how fast, and how it ended."""
    words, stats = [], message.stats
    if stats is not None:
        count = stats.completion_tokens
        words.append(tr("1 token") if count == 1 else tr("{count} tokens", count=number(count)))
        if stats.tokens_per_second:
            words.append(tr("{speed} tokens/s", speed=number(stats.tokens_per_second, 1)))
        words.append(tr("first token {seconds} s", seconds=number(stats.first_token_seconds, 2)))
        if guessed := guesses(message):
            words.append(guessed)
    ending = message.state if message.state in _ENDINGS else stats.stop_reason if stats is not None else ""
    if ending and message.state != "failed":
        words.append(tr(_ENDINGS[ending]))
    return " · ".join(words)


def details(message: Message) -> str:
    """What else is known of an answer, a line each."""
    lines, stats = [], message.stats
    if message.model:
        lines.append(tr("Model: {name}", name=message.model))
    if stats is not None:
        lines.append(
            tr(
                "Prompt: {count} tokens, {cached} of them known from before",
                count=number(stats.prompt_tokens),
                cached=number(stats.cached_tokens),
            )
        )
        if stats.left_out:
            words = (
                "Summarised: {count} of the oldest messages"
                if stats.summarised
                else "Left out: {count} of the oldest messages"
            )
            lines.append(tr(words, count=number(stats.left_out)))
        if stats.drafted:
            lines.append(
                tr(
                    "Guessed ahead: {right} of {all} tokens right, {rate} tokens a pass of the model",
                    right=number(stats.accepted),
                    all=number(stats.drafted),
                    rate=number(tokens_a_pass(message), 1),
                )
            )
        lines.append(tr("Peak memory: {size}", size=size(stats.peak_memory)))
        lines.append(tr("Seed: {seed}", seed=stats.seed))
    return "\n".join(lines)


class Footer(QWidget):
    """The ways to an answer's siblings, copy, answer again, what else can be done, and the figures."""

    wanted = Signal(str)  # the name of an action: "again", or one of the menu's
    chosen = Signal(int)  # a sibling

    def __init__(self, parent: QWidget, text: Callable[[], str]) -> None:
        super().__init__(parent)
        self._text, self._busy = text, False
        self.switcher = Switcher(self)
        self.switcher.chosen.connect(self.chosen)
        self._copy = CopyButton(self, tr("Copy the answer"), text)
        self._again = IconButton(self, "refresh", tr("Answer again"))
        self._again.clicked.connect(lambda: self.wanted.emit("again"))
        self._more = IconButton(self, "more", tr("More"))
        self._more.clicked.connect(lambda: open_menu(self._more, self.wanted.emit, busy=self._busy))
        self._figures = QLabel(self)
        self._figures.setProperty("role", "caption")
        self._figures.setTextFormat(Qt.TextFormat.PlainText)
        self._summary = ""

    def show_message(self, message: Message) -> None:
        """Show the figures of an answer."""
        self._summary = summary(message)
        lines = "\n".join(part for part in (self._summary, details(message)) if part)
        # A model's name may hold anything: none of it is to be read as markup.
        self._figures.setToolTip(f"<qt>{escape(lines).replace(chr(10), '<br>')}</qt>" if lines else "")
        self._figures.setAccessibleName(self._summary)
        self._copy.setVisible(bool(self._text()))
        self._arrange()

    def set_busy(self, busy: bool) -> None:
        """Whether an answer is under way, which nothing here may disturb."""
        self._busy = busy
        self._again.setEnabled(not busy)
        self.switcher.set_busy(busy)

    def controls(self) -> list[QWidget]:
        """The buttons that are shown."""
        buttons = (self._copy, self._again, self._more)
        return [*self.switcher.controls(), *[button for button in buttons if not button.isHidden()]]

    def restyle(self) -> None:
        """Take the colours in force."""
        for part in (self.switcher, self._copy, self._again, self._more):
            part.restyle()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Shorten the figures to the room there is."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        x, height = 2, self.height()
        for part in (self.switcher, self._copy, self._again, self._more):
            if not part.isHidden():
                hint = part.sizeHint()
                part.setGeometry(x, (height - hint.height()) // 2, hint.width(), hint.height())
                x += hint.width() + 2
        left = x + theme.TINY
        room = max(0, self.width() - left)
        self._figures.setGeometry(left, 0, room, height)
        elide = Qt.TextElideMode.ElideRight
        self._figures.setText(self._figures.fontMetrics().elidedText(self._summary, elide, room))
