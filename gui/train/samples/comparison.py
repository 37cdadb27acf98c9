"""Shows two completions side by side, the words in which they differ marked. Knows no run.

The words are compared in a job, since long texts take a while.
"""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QScrollBar, QVBoxLayout, QWidget

from engine.events import Event, Failed
from engine.monitor.requests import CompareTexts
from engine.run_events import SampleRead, TextsCompared
from engine.workers import Job
from gui import theme
from gui.desk import Desk
from gui.parts import words
from gui.text import tr
from gui.train.samples.looks import figure
from gui.train.samples.marks import Kind, Part
from gui.train.samples.text_view import PartsView

_KINDS: dict[str, Kind] = {"same": "same", "other": "other", "rest": "rest"}


class Comparison(QWidget):
    """Two texts that scroll together; `shown` is emitted when they are compared."""

    shown = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._job: Job | None = None
        self._pair: tuple[SampleRead, SampleRead] | None = None
        self.texts = PartsView(tr("Text of the best completion")), PartsView(tr("Text of the worst completion"))
        self.heads = words(role="strong"), words(role="strong")
        self.note = words(tr("The words in which they differ are marked."), "caption")
        sides = QHBoxLayout()
        sides.setSpacing(theme.MEDIUM)
        for head, text in zip(self.heads, self.texts, strict=True):
            side = QVBoxLayout()
            side.setSpacing(theme.TINY)
            side.addWidget(head)
            side.addWidget(text, 1)
            sides.addLayout(side, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.TINY)
        column.addLayout(sides, 1)
        column.addWidget(self.note)
        self._bars = self.texts[0].verticalScrollBar(), self.texts[1].verticalScrollBar()
        self._bars[0].valueChanged.connect(self._scroll_right)
        self._bars[1].valueChanged.connect(self._scroll_left)
        self._scrolling = False

    def show_pair(self, best: SampleRead, worst: SampleRead) -> None:
        """Show these two; at once as they are, a moment later with their differences."""
        if self._pair == (best, worst):
            return
        self._pair = best, worst
        self.heads[0].setText(tr("Best: reward {reward}", reward=figure(best.reward)))
        self.heads[1].setText(tr("Worst: reward {reward}", reward=figure(worst.reward)))
        for view, sample in zip(self.texts, (best, worst), strict=True):
            view.show_parts([Part("plain", sample.prefill + sample.text)])
        if self._job is not None:
            self._job.cancel()
        self._job = self._desk.network.submit(
            CompareTexts(best.prefill + best.text, worst.prefill + worst.text),
        )
        self._job.events.connect(self._on_events)
        self._job.ended.connect(self._on_ended)

    @property
    def compared(self) -> bool:
        """Whether the differences are marked."""
        return self._pair is not None and self._job is None

    def clear(self) -> None:
        """Forget what is shown."""
        self._pair = None
        if self._job is not None:
            self._job.cancel()

    def _on_events(self, events: tuple[Event, ...]) -> None:
        if self.sender() is not self._job:
            return
        for event in events:
            if isinstance(event, TextsCompared):
                self._show(event)

    def _show(self, compared: TextsCompared) -> None:
        sides = compared.left, compared.right
        for view, side in zip(self.texts, sides, strict=True):
            view.show_parts([Part(_KINDS.get(kind, "plain"), text) for kind, text in side])
        kinds = {kind for side in sides for kind, _ in side}
        if kinds <= {"same"}:
            self.note.setText(tr("Both say the same."))
        elif "rest" in kinds:
            self.note.setText(
                tr("The words in which they differ are marked. What is grey was too long to be compared.")
            )
        else:
            self.note.setText(tr("The words in which they differ are marked."))
        self.shown.emit()

    def _on_ended(self, ending: object) -> None:
        if self.sender() is self._job:
            self._job = None
            if isinstance(ending, Failed):
                self._desk.notices.error(ending)

    def _scroll_left(self, value: int) -> None:
        self._scroll(value, self._bars[1], self._bars[0])

    def _scroll_right(self, value: int) -> None:
        self._scroll(value, self._bars[0], self._bars[1])

    def _scroll(self, value: int, moved: QScrollBar, other: QScrollBar) -> None:
        """Keep the other side as far down in its own text."""
        if not self._scrolling and moved.maximum():
            self._scrolling = True
            other.setValue(round(value / moved.maximum() * other.maximum()))
            self._scrolling = False
