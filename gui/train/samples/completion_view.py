"""Shows a completion: its text, its answer beside the right one, and what can be done with it. Reads no file."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QSize, Qt, Signal
from PySide6.QtGui import QGuiApplication, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from engine.run_events import SampleRead
from gui import theme
from gui.parts import button, words
from gui.text import number, tr
from gui.train.samples.lists import details
from gui.train.samples.looks import draw_verdict, figure, signed
from gui.train.samples.marks import one_line, parts
from gui.train.samples.text_view import PartsView

_DROP = 5


class CompletionView(QWidget):
    """One completion; `chat_wanted` is emitted with it."""

    chat_wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.sample: SampleRead | None = None
        self._mark = _Verdict()
        self.verdict = words(role="strong")
        self.verdict.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.figures = words(
            role="caption",
            tip=tr(
                "The reward is the weighted sum of the single rewards. The advantage tells how much better or worse "
                "than the others of its group a completion is: above 0 it is made likelier, below 0 less likely."
            ),
        )
        self.text = PartsView(tr("Text of the completion"))
        self._copy = QToolButton()
        self._copy.setAccessibleName(tr("Copy the completion"))
        self._copy.setToolTip(tr("Copy the completion"))
        self._copy.clicked.connect(self.copy)
        self._chat = button(tr("Open in Chat"))
        self._chat.setToolTip(tr("Go on from this completion in a conversation"))
        self._chat.clicked.connect(self._want_chat)
        told = QVBoxLayout()
        # The first line stands beside the words of the button.
        told.setContentsMargins(0, _DROP, 0, 0)
        told.setSpacing(2)
        told.addWidget(self.verdict)
        told.addWidget(self.figures)
        told.addStretch()
        top = QHBoxLayout()
        top.setSpacing(theme.TINY)
        top.addWidget(self._mark, 0, Qt.AlignmentFlag.AlignTop)
        top.addLayout(told, 1)
        top.addWidget(self._copy, 0, Qt.AlignmentFlag.AlignTop)
        top.addWidget(self._chat, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SMALL)
        column.addLayout(top)
        column.addWidget(self.text, 1)
        theme.current().changed.connect(self._restyle)
        self._restyle()

    def show_sample(self, sample: SampleRead, wanted: str = "") -> None:
        """Show this completion; `wanted` is marked in its text."""
        self.sample = sample
        self._mark.show_verdict(sample.right)
        self.verdict.setText(verdict(sample))
        told = [
            tr("Completion {number}", number=number(sample.completion + 1)),
            tr("reward {reward}", reward=figure(sample.reward)),
            tr("advantage {advantage}", advantage=signed(sample.advantage)),
            details(sample),
        ]
        self.figures.setText(" · ".join(told))
        self.text.show_parts(parts(sample), wanted)

    def copy(self) -> None:
        """Put the completion as the rewards saw it on the clipboard."""
        if self.sample is not None:
            QGuiApplication.clipboard().setText(self.sample.prefill + self.sample.text)

    def _want_chat(self) -> None:
        if self.sample is not None:
            self.chat_wanted.emit(self.sample)

    def _restyle(self) -> None:
        self._copy.setIcon(theme.icon("copy"))


class _Verdict(QWidget):
    """The mark of a right answer or of another one."""

    def __init__(self) -> None:
        super().__init__()
        self._right: bool | None = None
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """A line of text high."""
        return QSize(18, 18 + _DROP)

    def show_verdict(self, right: bool | None) -> None:
        self._right = right
        self.update()

    def paintEvent(self, _: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        draw_verdict(painter, QPointF(7, 9 + _DROP), self._right)


def verdict(sample: SampleRead) -> str:
    """What became of the answer, in a sentence."""
    answer, found = one_line(sample.answer, 120), one_line(sample.found or "", 120)
    if sample.right:
        return tr("The answer {found} is right.", found=found)
    if sample.right is None:
        return tr("The right answer is not known.")
    if sample.found is None:
        return tr("There is no answer between tags. The right one is {answer}.", answer=answer)
    return tr("The answer {found} is not the right one, {answer}.", found=found or tr("(empty)"), answer=answer)
