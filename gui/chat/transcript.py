"""The list of messages: lays out what is in view and follows an answer as it grows. Knows no model and no storage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QApplication, QScrollArea, QWidget

from gui import theme
from gui.chat import typesetting
from gui.chat.buttons import IconButton
from gui.chat.column import Column, Entry, Work
from gui.chat.context_line import LineAbove
from gui.chat.message_view import BLEED, AnswerView, MessageView
from gui.chat.prose_view import QuietText, guess_height
from gui.chat.user_view import UserView
from gui.text import tr

if TYPE_CHECKING:
    from engine.chat.conversations import Message

_WIDTH, _MARGIN, _NARROW_MARGIN, _NARROW = 760, 32, 20, 600
_ABOVE, _BELOW, _AFTER_QUESTION, _AFTER_ANSWER = 24, 24, 20, 18
_SLICE = 0.006  # seconds a pass may take before the window gets its turn
_NEAR_END = 8  # pixels from the end that count as the end
_KEPT_MESSAGES, _KEPT_PIECES = 6, 12  # of those out of view
_JUMP, _AROUND = 36, 40  # the size of the round button; what a message has around its text, about


@dataclass(slots=True)
class _Record:
    message: Message
    entry: Entry

    @property
    def view(self) -> MessageView | None:
        return self.entry.piece if isinstance(self.entry.piece, MessageView) else None


class Transcript(QScrollArea):
    """The messages of a conversation, in a column in the middle."""

    chosen = Signal(int)  # a sibling
    edited = Signal(int, str)  # a message, and what it shall be
    wanted = Signal(int, str)  # a message, and the name of an action as in `gui.chat.message_menu`

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = Column()
        self._records: dict[int, _Record] = {}
        self.siblings: Callable[[int], Sequence[int]] = lambda message_id: (message_id,)
        self._busy = False
        self._follow = True
        self._arranging = False
        self._fitted_width = self._value = 0
        self._content = QWidget()
        self._line = LineAbove(self._content, self._column, self._reshape)
        self._content.setAccessibleName(tr("Messages"))
        self.setWidget(self._content)
        self.setAccessibleName(tr("Conversation"))
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalScrollBar().setSingleStep(24)
        self.verticalScrollBar().valueChanged.connect(self._scrolled)
        self._rest = QTimer(self, singleShot=True, interval=0)
        self._rest.timeout.connect(self._arrange)
        self._jump = IconButton(self, "down", tr("Jump to the newest message"))
        self._jump.setProperty("role", "jump")
        self._jump.setIconSize(QSize(18, 18))
        self._jump.setFixedSize(_JUMP, _JUMP)
        self._jump.clicked.connect(self._go_to_end)
        self._jump.hide()
        theme.current().changed.connect(self._restyle)
        typesetting.current().arrived.connect(self._rest.start)

    def clear(self) -> None:
        """Show no message."""
        for record in self._records.values():
            record.entry.drop()
        self._line.remove()
        self._records.clear()
        self._column.entries.clear()
        self._follow = True
        self._arrange()

    def show_messages(self, messages: Sequence[Message]) -> None:
        """Show these messages instead of those before, from the end."""
        self.clear()
        for message in messages:
            self._append_record(message)
        self._arrange()

    def go_to(self, messages: Sequence[Message]) -> None:
        """Show another branch; what it shares with the one before stays where it is."""
        self._line.remove()
        shared = 0
        for old, new in zip(self._records, messages, strict=False):
            if old != new.id:
                break
            shared += 1
        for message_id in list(self._records)[shared:]:
            self._records.pop(message_id).entry.drop()
        self._column.entries = [record.entry for record in self._records.values()]
        for message in messages[shared:]:
            self._append_record(message)
        self._follow = False
        self._arrange()

    def set_busy(self, busy: bool) -> None:
        """Whether an answer is under way, while which no message can be changed."""
        self._busy = busy
        for record in self._records.values():
            if record.view is not None:
                record.view.set_busy(busy)

    def take_focus(self, message_id: int) -> None:
        """Let the keyboard go on among the siblings of a message."""
        view = self._view(message_id)
        if view is not None:
            view.switcher.take_focus()

    def reveal(self, message_id: int) -> None:
        """Scroll to a message and mark it for a moment."""
        record = self._records.get(message_id)
        if record is None:
            return
        self._follow = False
        bar = self.verticalScrollBar()
        # What is above was guessed, and is measured as it comes near.
        for _ in range(4):
            bar.setValue(record.entry.top - _ABOVE)
            self._arrange()
        if record.view is not None:
            record.view.mark()

    def add(self, message: Message) -> None:
        """Show another message at the end, and go there."""
        self._append_record(message)
        self._go_to_end()

    def set_left_out(self, count: int, *, summarised: bool, summary: str) -> None:
        """Draw a line below the oldest `count` messages, which the model reads no longer, or only a summary of."""
        if self._line.show(count if count < len(self._records) else 0, summarised=summarised, summary=summary):
            self._arrange()

    def set_preparing(self, message_id: int, what: str, done: float, total: float | None) -> None:
        """Say in an answer that is still empty what comes before it is written."""
        view = self._view(message_id)
        if isinstance(view, AnswerView):
            view.set_preparing(what, done, total)

    def set_reading(self, message_id: int, done: int, total: int) -> None:
        """Say in an answer that is still empty how much of the prompt has been read."""
        view = self._view(message_id)
        if isinstance(view, AnswerView):
            view.set_reading(done, total)

    def append(self, message_id: int, text: str) -> None:
        """Add streamed text to an answer."""
        view = self._view(message_id)
        if isinstance(view, AnswerView):
            view.append(text)
            self._follow = self._follow and not self._is_selecting()
            self._arrange(grown=True)

    def finish(self, message: Message) -> None:
        """Show an answer as it is now that nothing more will come."""
        record = self._records.get(message.id)
        if record is not None:
            record.message = message
            if isinstance(record.view, AnswerView):
                record.view.finish(message)
            self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay the messages out for the new width."""
        super().resizeEvent(event)
        self._jump.move((self.width() - _JUMP) // 2, self.height() - _JUMP - theme.LARGE)
        self._arrange()

    def showEvent(self, event: QShowEvent) -> None:
        """Lay out what came while nobody looked."""
        super().showEvent(event)
        self._arrange()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go to the first or the last message too."""
        if event.key() == Qt.Key.Key_Home:
            self.verticalScrollBar().setValue(0)
        elif event.key() == Qt.Key.Key_End:
            self._go_to_end()
        else:
            super().keyPressEvent(event)

    def _view(self, message_id: int) -> MessageView | None:
        record = self._records.get(message_id)
        return record.view if record is not None else None

    def _append_record(self, message: Message) -> None:
        guess = guess_height(message.text)
        entry = Entry(make=lambda: self._make(message.id), guess=lambda width: guess(width) + _AROUND)
        if self._records:
            last = next(reversed(self._records.values())).message
            entry.gap = _AFTER_QUESTION if last.role == "user" else _AFTER_ANSWER
        self._records[message.id] = _Record(message, entry)
        self._column.entries.append(entry)
        if message.state == "writing":
            # Its text goes to its view alone, so that there is no second copy to grow.
            entry.piece = entry.make()

    def _make(self, message_id: int) -> MessageView:
        message = self._records[message_id].message
        view = (UserView if message.role == "user" else AnswerView)(self._content, message)
        view.set_siblings(self.siblings(message_id))
        view.set_busy(self._busy)
        view.chosen.connect(self.chosen)
        view.edited.connect(lambda text: self.edited.emit(message_id, text))
        view.wanted.connect(lambda action: self.wanted.emit(message_id, action))
        view.reshaped.connect(self._reshape)
        return view

    def _at_end(self) -> bool:
        bar = self.verticalScrollBar()
        return bar.value() >= bar.maximum() - _NEAR_END

    def _go_to_end(self) -> None:
        text = QApplication.focusWidget()
        if isinstance(text, QuietText) and self.isAncestorOf(text):
            text.deselect()
        self._follow = True
        self._arrange()

    def _scrolled(self) -> None:
        bar = self.verticalScrollBar()
        up = bar.value() < min(self._value, bar.maximum())
        self._value = bar.value()
        if not self._arranging:
            # However short the way up is: fingers on a trackpad move by a pixel at a time.
            self._follow = self._at_end() and not up
            self._arrange()

    def _is_selecting(self) -> bool:
        """Whether text is selected, or about to be: it must not run away from under the mouse."""
        text = QApplication.focusWidget()
        if not isinstance(text, QuietText) or not self.isAncestorOf(text):
            return False
        return text.in_use or bool(QApplication.mouseButtons() & Qt.MouseButton.LeftButton)

    def _reshape(self, still: QWidget) -> None:
        """A part grew or shrank under the person's hand: it stays where it is."""
        self._arrange(still)
        self._follow = self._at_end()
        self._show_jump(not self._follow)

    def _show_jump(self, shown: bool) -> None:
        if self._jump.hasFocus() and not shown:
            # Else the focus, and the view with it, would go to the next control.
            self.setFocus()
        self._jump.setVisible(shown)

    def _restyle(self) -> None:
        self._jump.restyle()
        self._arrange()

    def _arrange(self, still: QWidget | None = None, *, grown: bool = False) -> None:
        """Lay out what is in view, then what is near, and come back for what is left.

        Where only the end has `grown`, both are done in one go, as all above is there already.
        """
        if self._arranging or not self.isVisible():
            return
        self._arranging = True
        try:
            self._arrange_slice(still, at_once=grown and not self._rest.isActive())
        finally:
            self._arranging = False
        self._show_jump(not self._follow and not self._at_end())

    def _arrange_slice(self, still: QWidget | None, *, at_once: bool) -> None:
        work, near = Work(_SLICE), self.viewport().height()
        for margin in (near,) if at_once else (0, near):
            work.reach = near - margin
            self._place(work, margin, still)
            if work.owed:
                self._rest.start()
                break
        else:
            self._trim()
        if work.made:
            self._order_tabs()

    def _trim(self) -> None:
        self._column.trim(_KEPT_MESSAGES)
        for entry in self._column.entries:
            if entry.place is not None and isinstance(entry.piece, MessageView):
                entry.piece.column.trim(_KEPT_PIECES)

    def _place(self, work: Work, margin: int, still: QWidget | None) -> None:
        bar, height = self.verticalScrollBar(), self.viewport().height()
        edge = _MARGIN if self.width() > _NARROW else _NARROW_MARGIN
        width = min(_WIDTH, self.width() - 2 * edge)
        x = (self.width() - width) // 2
        resized = width != self._fitted_width
        follow = self._follow and still is None
        # Guesses that turn out wrong move what is in view: a few rounds settle it.
        for _ in range(4):
            top = bar.value()
            # At either end it stays at the end; elsewhere what is at the top of the view stays where it is.
            anchor = still
            if anchor is None and not follow and top > 0:
                anchor = self._column.leaf_between(top, top + height)
            before = (self._y(anchor), anchor.height()) if anchor is not None else (top, 0)
            end = self._column.fit(x - BLEED, _ABOVE, width + 2 * BLEED, top - margin, top + height + margin, work)
            self._content.resize(self.viewport().width(), max(end + _BELOW, height))
            target = top
            if follow:
                target = bar.maximum()
            elif anchor is not None:
                target += self._y(anchor) - before[0]
                if resized and before[0] < top and before[1]:
                    # The line that was at the top stays there when it flows anew.
                    target += (top - before[0]) * (anchor.height() - before[1]) // before[1]
            bar.setValue(target)
            if abs(bar.value() - top) <= margin // 2:
                break
        self._fitted_width = width

    def _y(self, widget: QWidget) -> int:
        return widget.mapTo(self._content, QPoint()).y()

    def _order_tabs(self) -> None:
        """Let Tab go down the page, in whatever order the widgets were made."""
        controls = self._column.controls()
        for first, second in zip([self, *controls], controls, strict=False):
            QWidget.setTabOrder(first, second)
