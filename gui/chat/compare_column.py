"""One of the answers that are compared: who gives it, its text, speed, scores, and the way to keep it. Knows no job."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QStackedWidget, QWidget

from engine.chat.conversations import Message
from engine.events import Failed, Progress, PromptRead, ReplyFinished
from gui import theme
from gui.chat.buttons import IconButton
from gui.chat.compare_models import ContenderPicker, Shelf
from gui.chat.message_view import AnswerView, MessageView
from gui.chat.score_bars import Score, ScoreBars
from gui.chat.transcript import Transcript
from gui.parts import Card, FailureCard, button, words
from gui.text import duration, number, tr
from gui.train.compare.answer_view import AnswerText

NARROWEST, LOWEST = 280, 230
_ID = 1
_WHY = {
    "length": "cut off at the maximum length",
    "context full": "cut off: the context is full",
    "stop string": "ended by a stop string",
}


class _Answer(AnswerView):
    """An answer without the buttons of one that is stored."""

    def _take_over(self) -> None:
        super()._take_over()
        self._footer.hide()


class OneAnswer(Transcript):
    """A single answer, rendered as in a conversation, as it comes."""

    def __init__(self, like: Message) -> None:
        super().__init__()
        self._like = dataclasses.replace(like, id=_ID, role="assistant", stats=None, error="")
        self.setAccessibleName(tr("Its answer"))

    def begin(self) -> None:
        """An answer is about to come."""
        self.show_messages([dataclasses.replace(self._like, text="", state="writing")])

    def add_text(self, text: str) -> None:
        """More of it."""
        self.append(_ID, text)

    def end(self, text: str) -> None:
        """There is no more of it."""
        if text:
            self.finish(dataclasses.replace(self._like, text=text, state="done"))
        else:
            self.clear()

    def _make(self, message_id: int) -> MessageView:
        view = _Answer(self._content, self._records[message_id].message)
        view.reshaped.connect(self._reshape)
        return view


class CompareColumn(Card):
    """One contender and its answer."""

    removed = Signal()
    kept = Signal()

    def __init__(self, shelf: Shelf, side: str, like: Message) -> None:
        super().__init__()
        self.said = ""
        self.reply: ReplyFinished | None = None
        self.picker = ContenderPicker(shelf, side)
        self.remove = IconButton(self, "close", tr("Take {side} away", side=side))
        self.remove.clicked.connect(self.removed)
        self.answer, self.marked = OneAnswer(like), AnswerText(tr("{side}: the answer with its differences", side=side))
        self._stack = QStackedWidget()
        self._stack.addWidget(self.answer)
        self._stack.addWidget(self.marked)
        self._parts: Sequence[tuple[str, str]] = ()
        self._marking = self._begun = False
        self.state, self.failure, self.bars = words(role="caption"), FailureCard(), ScoreBars()
        self.failure.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.keep = button(tr("Keep as Answer"))
        self.keep.setToolTip(tr("Add it to the conversation, beside the answer that is there"))
        self.keep.clicked.connect(self.kept)
        self._lay_out()
        self.clear()

    def clear(self, state: str = "") -> None:
        """Show no answer."""
        self.said, self.reply, self._parts, self._begun = "", None, (), False
        self.answer.clear()
        self.bars.show_scores(())
        self.bars.hide()
        self.failure.hide()
        self.state.setText(state)
        self.keep.setText(tr("Keep as Answer"))
        self._update()

    def show_progress(self, event: Progress | PromptRead | None) -> None:
        """Say what has to be done before the first word."""
        if not self._begun:
            self._begun = True
            self.answer.begin()
        match event:
            case PromptRead():
                self.answer.set_reading(_ID, event.done, event.total)
                self.state.setText(tr("Reading the prompt…"))
            case Progress():
                done = f" {number(100 * event.done / event.total)} %" if event.total else "…"
                self.state.setText(tr(event.what) + done)
            case None:
                self.state.setText(tr("Thinking…"))

    def append(self, text: str) -> None:
        """More of the answer."""
        if not self.said:
            self.show_progress(None)
            self.state.setText(tr("Answering…"))
        self.said += text
        self.answer.add_text(text)

    def finish(self, reply: ReplyFinished) -> None:
        """The answer is whole."""
        self.said, self.reply = reply.text, reply
        self.answer.end(reply.text)
        self.state.setText(_account(reply))
        self._update()

    def stop(self) -> None:
        """There will be no more of it."""
        self.answer.end(self.said)
        self.state.setText(tr("Stopped"))
        self._update()

    def fail(self, failure: Failed) -> None:
        """Say why there is no answer, or no more of it."""
        self.answer.end(self.said)
        self.failure.show_failure(failure)
        self.failure.show()
        self.state.setText("")
        self._update()

    def set_parts(self, parts: Sequence[tuple[str, str]]) -> None:
        """Where the answer differs from another one; () where it is compared with none."""
        self._parts = parts
        self._update()

    def set_marking(self, marking: bool) -> None:
        """Whether to show the differences, or the answer as it is rendered."""
        self._marking = marking
        self._update()

    def show_scores(self, scores: Sequence[Score]) -> None:
        """What rewards gave it."""
        self.bars.show_scores(scores)
        self.bars.setVisible(bool(scores))

    def set_state(self, *, running: bool, removable: bool) -> None:
        """What can be done now."""
        self.picker.setEnabled(not running)
        self.remove.setVisible(removable)
        self.remove.setEnabled(not running)
        self.remove.restyle()
        self._update()

    def note_kept(self) -> None:
        """It is in the conversation now."""
        self.keep.setText(tr("Kept"))
        self._update()

    def _update(self) -> None:
        self.keep.setEnabled(self.reply is not None and bool(self.said) and self.keep.text() != tr("Kept"))
        self.keep.setVisible(self.reply is not None)
        if self._marking and self.reply is not None:
            self.marked.show_parts(self._parts or [("same", self.said)])
            self._stack.setCurrentWidget(self.marked)
        else:
            self._stack.setCurrentWidget(self.answer)
        self._stack.setVisible(self.failure.isHidden() or bool(self.said))

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(theme.TINY)
        self.picker.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        head.addWidget(self.picker, 1)
        head.addWidget(self.remove)
        foot = QHBoxLayout()
        foot.setSpacing(theme.SMALL)
        foot.addWidget(self.state, 1)
        foot.addWidget(self.keep)
        holder = QWidget()
        holder.setLayout(foot)
        foot.setContentsMargins(0, 0, 0, 0)
        holder.setMinimumHeight(34)
        self.rows.setContentsMargins(theme.MEDIUM, theme.SMALL, theme.MEDIUM, theme.SMALL)
        self.rows.addLayout(head)
        self.rows.addWidget(self.failure)
        self.rows.addWidget(self._stack, 1)
        self.rows.addStretch()
        self.rows.addWidget(self.bars)
        self.rows.addWidget(holder)
        self.setMinimumSize(NARROWEST, LOWEST)


def _account(reply: ReplyFinished) -> str:
    """How much was said, how fast, and in what time."""
    count, speed = reply.completion_tokens, reply.tokens_per_second
    parts = [tr("1 token") if count == 1 else tr("{count} tokens", count=number(count))]
    if count > 1 and speed:
        parts.append(tr("{speed} tokens/s", speed=number(speed, 1 if speed < 100 else 0)))
    seconds = reply.first_token_seconds + ((count - 1) / speed if speed else 0.0)
    parts.append(tr("{seconds} s", seconds=number(seconds, 2)) if seconds < 10 else duration(seconds))
    if reply.stop_reason in _WHY:
        parts.append(tr(_WHY[reply.stop_reason]))
    return " · ".join(parts)
