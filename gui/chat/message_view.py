"""Shows one message: a bubble for the person's, text with a footer for the model's. Knows no conversation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QEnterEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from gui import theme
from gui.chat.buttons import CopyButton
from gui.chat.code_view import CodeView
from gui.chat.column import Work
from gui.chat.footer import ErrorCard, Footer, Waiting
from gui.chat.prose_view import ProseView
from gui.chat.reasoning_view import ReasoningView
from gui.chat.segment_column import SegmentColumn
from gui.chat.segments import Splitter, plain_segments
from gui.text import tr

if TYPE_CHECKING:
    from engine.chat.conversations import Message

_SHARE = 0.8  # of the column's width that a bubble may take
_PAD_X, _PAD_TOP, _PAD_BOTTOM, _ROUND = 15, 8, 11, 18  # a line of text stands low in its height
_FOOTER, _FOOTER_GAP = 30, 5
BLEED = 8  # how far a message reaches beyond the column, so that its icons can stand in line with the text


class MessageView(QWidget):
    """What the two kinds of message have in common."""

    reshaped = Signal(QWidget)  # the person opened or folded a part of it
    column: SegmentColumn

    def __init__(self, parent: QWidget, message: Message) -> None:
        super().__init__(parent)
        self.message = message
        self.text = message.text

    @property
    def in_use(self) -> bool:
        """Whether there is something in it that would be lost with the widget."""
        return self.message.state == "writing" or self.column.in_use

    def controls(self) -> list[QWidget]:
        """What Tab stops at, from top to bottom."""
        raise NotImplementedError

    def fit(self, width: int, top: int, bottom: int, work: Work) -> int:
        """Lay out what is in view and answer the height."""
        raise NotImplementedError

    def _describe(self, who: str) -> None:
        self.setAccessibleName(who)
        self.setAccessibleDescription(self.text)


class UserView(MessageView):
    """A message of the person: a soft bubble at the right, its copy button seen under the mouse or the focus."""

    def __init__(self, parent: QWidget, message: Message) -> None:
        super().__init__(parent, message)
        self.column = SegmentColumn({"prose": lambda: ProseView(self, plain=True)}, paragraph=0)
        self.column.set_segments(plain_segments(message.text))
        self._copy = CopyButton(self, tr("Copy"), lambda: self.text)
        self._copy.reveal(False)
        self._bubble, self._natural = QRectF(), 0
        self._describe(tr("You"))

    def fit(self, width: int, top: int, bottom: int, work: Work) -> int:
        """Lay out the bubble, as wide as its text needs."""
        self._copy.restyle()
        width -= BLEED
        full = room = round((width - BLEED) * _SHARE) - 2 * _PAD_X
        # Whole-width views of a narrow text reach out of the bubble at the right, where nothing of them is seen.
        left = width - _PAD_X - min(self._natural, room)
        end = self.column.fit(left, _PAD_TOP, room, top, bottom, work) + _PAD_BOTTOM
        views = [entry.widget for entry in self.column.entries]
        self._natural = max(view.natural_width() if isinstance(view, ProseView) else room for view in views)
        room = max(_ROUND, min(self._natural, room))
        if left != width - _PAD_X - room:
            self.column.fit(width - _PAD_X - room, _PAD_TOP, full, top, bottom, work)
        self._bubble = QRectF(width - room - 2 * _PAD_X, 0, room + 2 * _PAD_X, end)
        size = self._copy.sizeHint()
        left, top = width - room - 2 * _PAD_X - size.width() - theme.TINY, end - size.height() - 6
        self._copy.setGeometry(left, top, size.width(), size.height())
        self.update()
        return end

    def controls(self) -> list[QWidget]:
        """The text and the copy button."""
        return [*self.column.controls(), self._copy]

    def enterEvent(self, event: QEnterEvent) -> None:
        """Show the copy button."""
        self._copy.reveal(True)
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Hide it again."""
        self._copy.reveal(False)
        super().leaveEvent(event)

    def paintEvent(self, _: QPaintEvent) -> None:
        """The bubble."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.current().colours.bubble))
        painter.drawRoundedRect(self._bubble, _ROUND, _ROUND)


class AnswerView(MessageView):
    """A message of the model, from the reading of its prompt to the footer under the finished text."""

    regenerate = Signal()

    def __init__(self, parent: QWidget, message: Message) -> None:
        super().__init__(parent, message)
        self.column = SegmentColumn(
            {
                "prose": lambda: ProseView(self),
                "code": lambda: CodeView(self),
                "reasoning": self._make_reasoning,
            }
        )
        self._splitter = Splitter()
        self._is_thinking = False
        self._thought_since, self._thought = 0.0, message.thought or 0.0
        self._waiting: Waiting | None = None
        self._error: ErrorCard | None = None
        self._footer = Footer(self, lambda: self.text)
        self._footer.regenerate.connect(self.regenerate)
        self._splitter.feed(message.text)
        self._take_over()

    def append(self, text: str) -> None:
        """Take the next piece of the streamed text."""
        self.text += text
        self._splitter.feed(text)
        self._take_over()

    def finish(self, message: Message) -> None:
        """Show the message as it is stored now."""
        self.message = message
        self._thought = self._thought if message.thought is None else message.thought
        if message.text != self.text:
            self.text, self._splitter = message.text, Splitter()
            self._splitter.feed(message.text)
        self._take_over()

    def set_reading(self, done: int, total: int) -> None:
        """Say how much of the prompt has been read."""
        if self._waiting is not None:
            self._waiting.show_reading(done, total)

    def set_last(self, last: bool) -> None:
        """Whether it is the newest answer, which can be asked for again."""
        self._footer.set_last(last)

    def fit(self, width: int, top: int, bottom: int, work: Work) -> int:
        """Lay out what is in view."""
        width -= 2 * BLEED
        y = self.column.fit(BLEED, 0, width, top, bottom, work)
        if self._waiting is not None:
            self._waiting.setGeometry(BLEED, y, width, self._waiting.sizeHint().height())
            y += self._waiting.height()
        if self._error is not None:
            y += theme.MEDIUM if y else 0
            self._error.setGeometry(BLEED, y, width, self._error.height_for(width))
            y += self._error.height()
        self._footer.restyle()
        self._footer.setGeometry(0, y + _FOOTER_GAP, width + BLEED, _FOOTER)
        # The footer's room is kept while the answer arrives: the end moves nothing.
        return y + _FOOTER_GAP + _FOOTER

    def controls(self) -> list[QWidget]:
        """The parts of the text and the buttons below it."""
        return [*self.column.controls(), *self._footer.controls()]

    def _take_over(self) -> None:
        """Bring all parts in step with the text and the state."""
        writing = self.message.state == "writing"
        segments = self._splitter.segments(final=not writing)
        last = segments[-1] if segments else None
        self._measure_thought(writing and last is not None and last.kind == "reasoning" and not last.closed)
        self.column.set_segments(segments)
        if writing and not segments and self._waiting is None:
            self._waiting = Waiting(self)
            self._waiting.show()
        elif self._waiting is not None and (segments or not writing):
            self._waiting.hide()
            self._waiting.deleteLater()
            self._waiting = None
        if self.message.state == "failed" and self._error is None:
            self._error = ErrorCard(self, self.message.error)
            self._error.show()
        self._footer.setVisible(not writing)
        if not writing:
            self._footer.show_message(self.message)
            self._describe(tr("Answer"))

    def _measure_thought(self, thinking: bool) -> None:
        now = time.monotonic()
        if thinking and not self._is_thinking:
            self._thought_since = now
        if thinking or self._is_thinking:
            self._thought = now - self._thought_since
        self._is_thinking = thinking

    def _make_reasoning(self) -> ReasoningView:
        view = ReasoningView(self, lambda: (self._is_thinking, self._thought))
        view.reshaped.connect(lambda: self.reshaped.emit(view))
        return view
