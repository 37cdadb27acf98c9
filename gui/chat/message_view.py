"""Shows one message: a bubble for the person's, text with a footer for the model's. Knows no conversation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QEasingCurve, QEvent, QRectF, Qt, QVariantAnimation, Signal
from PySide6.QtGui import QColor, QEnterEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from gui import theme
from gui.chat.buttons import CopyButton, IconButton
from gui.chat.code_view import CodeView
from gui.chat.column import Work
from gui.chat.footer import Footer
from gui.chat.message_editor import MessageEditor
from gui.chat.prose_view import ProseView
from gui.chat.reasoning_view import ReasoningView
from gui.chat.segment_column import SegmentColumn
from gui.chat.segments import Splitter, plain_segments
from gui.chat.switcher import Switcher
from gui.chat.waiting import ErrorCard, Waiting
from gui.text import tr

if TYPE_CHECKING:
    from engine.chat.conversations import Message

_SHARE = 0.8  # of the column's width that a bubble may take
_PAD_X, _PAD_TOP, _PAD_BOTTOM, _ROUND = 15, 8, 11, 18  # a line of text stands low in its height
_FOOTER, _FOOTER_GAP = 30, 5
_MARKED = 1800  # milliseconds
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
        if self._mark.state() == QVariantAnimation.State.Running:
            painter, colour = QPainter(self), QColor(theme.current().colours.accent)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            colour.setAlphaF(0.16 * float(self._mark.currentValue()))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour)
            painter.drawRoundedRect(self.rect(), 10, 10)

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


class UserView(MessageView):
    """A message of the person: a soft bubble at the right, its buttons seen under the mouse or the focus."""

    asks = True

    def __init__(self, parent: QWidget, message: Message) -> None:
        super().__init__(parent, message)
        self.column = SegmentColumn({"prose": lambda: ProseView(self, plain=True)}, paragraph=0)
        self.column.set_segments(plain_segments(message.text))
        self._branch = IconButton(self, "branch", tr("Branch into a new conversation"))
        self._pencil = IconButton(self, "edit", tr("Edit"))
        self._copy = CopyButton(self, tr("Copy"), lambda: self.text)
        self._buttons = (self._branch, self._pencil, self._copy)
        self._branch.clicked.connect(lambda: self.wanted.emit("branch"))
        self._pencil.clicked.connect(self.edit)
        self._switcher = Switcher(self)
        self._switcher.chosen.connect(self.chosen)
        for hidden in self._buttons:
            hidden.reveal(False)
        self._bubble, self._natural = QRectF(), 0
        self._describe(tr("You"))

    @property
    def switcher(self) -> Switcher:
        """It stands below the bubble."""
        return self._switcher

    def set_busy(self, busy: bool) -> None:
        """Be changed by nobody, for a while."""
        super().set_busy(busy)
        self._pencil.setEnabled(not busy)
        self._switcher.set_busy(busy)

    def fit(self, width: int, top: int, bottom: int, work: Work) -> int:
        """Lay out the bubble, as wide as its text needs."""
        for part in (*self._buttons, self._switcher):
            part.restyle()
        for part in self._buttons:
            part.setVisible(self._editor is None)
        if self._editor is not None:
            self.column.hide()
            self._bubble = QRectF()
            height = self._editor.height_for(width - 2 * BLEED)
            self._editor.setGeometry(BLEED, 0, width - 2 * BLEED, height)
            return self._below(width - BLEED, height)
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
        left = width - room - 2 * _PAD_X - theme.TINY
        for button in reversed(self._buttons):
            size = button.sizeHint()
            left -= size.width()
            button.setGeometry(left, end - size.height() - 6, size.width(), size.height())
        self.update()
        return self._below(width, end)

    def controls(self) -> list[QWidget]:
        """The text, the buttons beside it, and the way to its siblings."""
        if self._editor is not None:
            return self._editor.controls()
        return [*self.column.controls(), *self._buttons, *self._switcher.controls()]

    def enterEvent(self, event: QEnterEvent) -> None:
        """Show the buttons."""
        for button in self._buttons:
            button.reveal(True)
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Hide them again."""
        for button in self._buttons:
            button.reveal(False)
        super().leaveEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The bubble."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.current().colours.bubble))
        painter.drawRoundedRect(self._bubble, _ROUND, _ROUND)

    def _below(self, right: int, y: int) -> int:
        """Place what stands below the bubble; answers where it ends."""
        if self._switcher.isHidden():
            return y
        size = self._switcher.sizeHint()
        self._switcher.setGeometry(right - size.width(), y + 2, size.width(), size.height())
        return y + 2 + size.height()


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
        self._thought_since = self._thought = 0.0
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
        if message.text != self.text:
            self.text, self._splitter = message.text, Splitter()
            self._splitter.feed(message.text)
        self._take_over()

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
