"""One of two answers: who gives it, its text as it comes, and how fast it came. Knows no job and no run."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QColor, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QSizePolicy, QVBoxLayout, QWidget

from engine.events import Failed, Progress, PromptRead, ReplyFinished
from gui import theme
from gui.controls import Choice
from gui.parts import FailureCard, words
from gui.text import number, tr
from gui.train.compare.sources import Source
from gui.train.samples.looks import tint
from gui.train.samples.marks import displayable

_WHY = {
    "length": "cut off at the longest length",
    "context full": "cut off: it is all the model can attend to",
    "stop string": "ended by a stop string",
}


class AnswerText(QPlainTextEdit):
    """A text that grows at its end, and is marked when it is whole. Follows its end while that is in view."""

    def __init__(self, name: str) -> None:
        super().__init__(readOnly=True)
        self.setAccessibleName(name)
        self.setFont(theme.ui_font(theme.READING))
        self.setUndoRedoEnabled(False)
        self.setTabChangesFocus(True)
        self.document().setDocumentMargin(theme.SMALL)
        self._parts: list[tuple[str, str]] = []
        theme.current().changed.connect(self._restyle)

    def append_text(self, text: str) -> None:
        """More of it; nothing that is there is laid out anew."""
        self._parts.append(("same", text))
        self._insert("same", text)

    def show_parts(self, parts: Sequence[tuple[str, str]]) -> None:
        """The whole text in parts: "other" is marked, "rest" was not compared."""
        bar = self.verticalScrollBar()
        place, at_end = bar.value(), bar.value() == bar.maximum()
        self._parts = list(parts)
        self.clear()
        for kind, text in parts:
            self._insert(kind, text)
        bar.setValue(bar.maximum() if at_end else place)

    def _insert(self, kind: str, text: str) -> None:
        bar = self.verticalScrollBar()
        at_end = bar.value() == bar.maximum()
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(displayable(text), _look(kind))
        if at_end:
            bar.setValue(bar.maximum())

    def _restyle(self) -> None:
        self.show_parts(self._parts)


class AnswerView(QWidget):
    """One side of the comparison."""

    chosen = Signal()  # another source

    def __init__(self, name: str) -> None:
        super().__init__()
        self._sources: list[Source] = []
        self.said = ""
        self.picker = Choice()
        self.picker.setAccessibleName(tr("{side}: which model answers", side=name))
        self.picker.activated.connect(self.chosen)
        self.text = AnswerText(tr("{side}: its answer", side=name))
        self.text.setPlaceholderText(tr("Its answer"))
        self.state = words(role="caption")
        self.failure = FailureCard()
        self.failure.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.failure.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SMALL)
        column.addWidget(self.picker)
        column.addWidget(self.failure)
        column.addWidget(self.text, 1)
        column.addStretch()  # where there is an error alone
        column.addWidget(self.state)

    @property
    def source(self) -> Source | None:
        """Who answers, None where nobody can."""
        place = self.picker.currentIndex()
        return self._sources[place] if 0 <= place < len(self._sources) else None

    def offer(self, found: list[Source], wanted: Source) -> None:
        """Offer these; the one that was chosen stays where it is still there, else `wanted` is, as if chosen."""
        if found == self._sources or self.picker.view().isVisible():  # nothing moves under the mouse
            return
        before = self.source
        kept = next((one for one in found if before is not None and one.model == before.model), wanted)
        self._sources = found
        self.picker.clear()
        self.picker.addItems([one.title for one in found])
        self.choose(kept.model)
        if before is not None and kept.model != before.model:
            self.chosen.emit()

    def choose(self, model: str) -> bool:
        """Have this one answer; whether it is there."""
        place = next((place for place, one in enumerate(self._sources) if one.model == model), -1)
        if place >= 0:
            self.picker.setCurrentIndex(place)
        return place >= 0

    def clear(self, state: str = "") -> None:
        """Show no answer."""
        self.said = ""
        self.text.show_parts(())
        self._fail(None)
        self.state.setText(state)

    def show_progress(self, event: Progress | PromptRead | None) -> None:
        """Say what has to be done before the first word."""
        match event:
            case PromptRead():
                self.state.setText(tr("Reading the prompt…"))
            case Progress():
                done = f" {number(100 * event.done / event.total)} %" if event.total else "…"
                self.state.setText(tr(event.what) + done)
            case None:
                self.state.setText(tr("Thinking…"))

    def append(self, text: str) -> None:
        """More of the answer."""
        if not self.said:
            self.state.setText(tr("Answering…"))
        self.said += text
        self.text.append_text(text)

    def finish(self, reply: ReplyFinished) -> None:
        """The answer is whole."""
        if reply.text != self.said:
            self.said = reply.text
            self.text.show_parts([("same", reply.text)])
        count, parts = reply.completion_tokens, []
        parts.append(tr("1 token") if count == 1 else tr("{count} tokens", count=number(count)))
        if count > 1:
            parts.append(tr("{speed} tokens a second", speed=number(reply.tokens_per_second)))
        if reply.stop_reason in _WHY:
            parts.append(tr(_WHY[reply.stop_reason]))
        self.state.setText(" · ".join(parts))

    def stop(self) -> None:
        """There will be no more of it."""
        self.state.setText(tr("Stopped"))

    def fail(self, failure: Failed) -> None:
        """Say why there is no answer, or no more of it."""
        self._fail(failure)
        self.state.setText("")

    def _fail(self, failure: Failed | None) -> None:
        if failure is not None:
            self.failure.show_failure(failure)
        self.failure.setVisible(failure is not None)
        self.text.setVisible(failure is None or bool(self.said))


def _look(kind: str) -> QTextCharFormat:
    colours, made = theme.current().colours, QTextCharFormat()
    made.setForeground(QColor(colours.muted if kind == "rest" else colours.text))
    if kind == "other":
        made.setBackground(tint(colours.warning, 0.28))
        made.setFontUnderline(True)
    return made
