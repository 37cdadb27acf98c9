"""Shows one message: what all have in common, and that of the model with its footer. Knows no conversation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QEasingCurve, QRectF, Qt, QVariantAnimation, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from gui import theme
from gui.chat.code_view import CodeView
from gui.chat.column import Work
from gui.chat.footer import Footer
from gui.chat.message_editor import MessageEditor
from gui.chat.prose_view import ProseView
from gui.chat.reasoning_view import ReasoningView
from gui.chat.segment_column import SegmentColumn
from gui.chat.segments import Splitter
from gui.chat.switcher import Switcher
from gui.chat.waiting import ErrorCard, Waiting
from gui.text import tr

if TYPE_CHECKING:
    from engine.chat.conversations import Message

_FOOTER, _FOOTER_GAP = 30, 5
_MARKED, _TINT = 1800, 0.16  # milliseconds, and the opacity to begin with
BLEED = 8  # how far a message reaches beyond the column, so that its icons can stand in line with the text


class MessageView(QWidget):
    """What the two kinds of message have in common."""

    reshaped = Signal(QWidget)  # the person opened or folded a part of it
    wanted = Signal(str)  # the name of an action, as in `gui.chat.message_menu`
    chosen = Signal(int)  # a sibling
    edited = Signal(str)
    column: SegmentColumn
    asks = False  # whether it is answered once it was edited

    def __init__(self, parent: QWidget, message: Message) -> None:
        super().__init__(parent)
        self.message = message
        self.text = message.text
        self._busy = False
        self._editor: MessageEditor | None = None
        self._mark = QVariantAnimation(self, duration=_MARKED, startValue=1.0, endValue=0.0)
        self._mark.setEasingCurve(QEasingCurve.Type.InQuad)
        self._mark.valueChanged.connect(lambda _: self.update())

    @property
    def in_use(self) -> bool:
        """Whether there is something in it that would be lost with the widget."""
        return self.message.state == "writing" or self._editor is not None or self.column.in_use

    def controls(self) -> list[QWidget]:
        """What Tab stops at, from top to bottom."""
        raise NotImplementedError

    def fit(self, width: int, top: int, bottom: int, work: Work) -> int:
        """Lay out what is in view and answer the height."""
        raise NotImplementedError

    @property
    def switcher(self) -> Switcher:
        """The way to its siblings."""
        raise NotImplementedError

    def set_siblings(self, siblings: Sequence[int]) -> None:
        """Say which versions of this message there are, itself among them."""
        self.switcher.show_siblings(siblings, self.message.id)

    def set_busy(self, busy: bool) -> None:
        """Whether an answer is under way, which nothing here may disturb."""
        self._busy = busy
        if self._editor is not None:
            self._editor.set_busy(busy)

    def mark(self) -> None:
        """Stand out for a moment."""
        self._mark.start()

    def edit(self) -> None:
        """Become an editor in place."""
        if self._editor is None and not self._busy:
            editor = self._editor = MessageEditor(self, self.text, asks=self.asks)
            editor.saved.connect(self._save)
            editor.left.connect(self._leave)
            editor.grown.connect(lambda: self.reshaped.emit(self))
            editor.show()
            self.reshaped.emit(self)
            editor.begin()

    def paintEvent(self, _: QPaintEvent) -> None:
        """The mark, while it lasts."""
        self._paint_mark(QRectF(self.rect()), 10)

    def _paint_mark(self, place: QRectF, radius: float) -> None:
        if self._mark.state() == QVariantAnimation.State.Running:
            painter, colour = QPainter(self), QColor(theme.current().colours.accent)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            colour.setAlphaF(_TINT * float(self._mark.currentValue()))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour)
            painter.drawRoundedRect(place, radius, radius)

    def _save(self, text: str) -> None:
        self._leave()
        if text != self.text:
            self.edited.emit(text)

    def _leave(self) -> None:
        """Be the message again, with the focus where the editing began."""
        if self._editor is not None:
            self._editor.hide()
            self._editor.deleteLater()
            self._editor = None
            self.reshaped.emit(self)
            self.setFocus()

    def _describe(self, who: str) -> None:
        self.setAccessibleName(who)
        self.setAccessibleDescription(self.text)


class AnswerView(MessageView):
    """A message of the model, from the reading of its prompt to the footer under the finished text."""

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
        self._footer.wanted.connect(self._act)
        self._footer.chosen.connect(self.chosen)
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

    def set_preparing(self, what: str, done: float, total: float | None) -> None:
        """Say what comes before the answer is written."""
        if self._waiting is not None:
            self._waiting.show_preparing(what, done, total)

    def set_reading(self, done: int, total: int) -> None:
        """Say how much of the prompt has been read."""
        if self._waiting is not None:
            self._waiting.show_reading(done, total)

    def fit(self, width: int, top: int, bottom: int, work: Work) -> int:
        """Lay out what is in view."""
        width -= 2 * BLEED
        if self._editor is not None:
            self.column.hide()
            y = self._editor.height_for(width)
            self._editor.setGeometry(BLEED, 0, width, y)
        else:
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
        text = self.column.controls() if self._editor is None else self._editor.controls()
        return [*text, *self._footer.controls()]

    @property
    def switcher(self) -> Switcher:
        """It stands in the footer."""
        return self._footer.switcher

    def set_busy(self, busy: bool) -> None:
        """Be changed by nobody, for a while."""
        super().set_busy(busy)
        self._footer.set_busy(busy)

    def _act(self, action: str) -> None:
        if action == "edit":
            self.edit()
        else:
            self.wanted.emit(action)

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
