"""Shows a prompt, its completions and one of them, or the best beside the worst. Reads no files."""

from __future__ import annotations

from math import ceil

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.run_events import SampleRead
from gui import theme
from gui.controls import Choice
from gui.desk import Desk
from gui.parts import words
from gui.text import number, tr
from gui.train.samples.comparison import Comparison
from gui.train.samples.completion_view import CompletionView
from gui.train.samples.group import COMPLETION_ORDERS, Group
from gui.train.samples.lists import CompletionRow, CompletionsModel, Rows
from gui.train.samples.marks import Part, one_line
from gui.train.samples.text_view import PartsView

_PROMPT_LINES = 3


class GroupView(QWidget):
    """One group; `chat_wanted` is emitted with a completion, `turned` with the groups to go on or back."""

    chat_wanted = Signal(object)
    turned = Signal(int)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.group: Group | None = None
        self._wanted = ""
        self.prompt = _Prompt()
        self.about = words(role="caption")
        self.hint = words(role="caption")
        self._before, self._after = QToolButton(), QToolButton()
        for made, name, steps in ((self._before, tr("The prompt before"), -1), (self._after, tr("The next prompt"), 1)):
            made.setAccessibleName(name)
            made.setToolTip(name)
            made.setProperty("steps", steps)
            made.clicked.connect(self._turn)
        self.completions = Rows(CompletionsModel, CompletionRow, tr("Completions"))
        self.completions.picked.connect(self._on_picked)
        self.order = Choice()
        self.order.setAccessibleName(tr("Order of the completions"))
        for order, name in zip(
            COMPLETION_ORDERS, (tr("Best reward first"), tr("Best advantage first"), tr("As written")), strict=True
        ):
            self.order.addItem(name, order)
        self.order.currentIndexChanged.connect(self._sort)
        self.compare = QPushButton(tr("Compare best and worst"), autoDefault=False)
        self.compare.setCheckable(True)
        self.compare.setProperty("role", "toggle")
        self.compare.toggled.connect(self._on_compare)
        self.completion = CompletionView()
        self.completion.chat_wanted.connect(self.chat_wanted)
        self.comparison = Comparison(desk)
        self._lower = QStackedWidget()
        self._lower.addWidget(self.completion)
        self._lower.addWidget(self.comparison)
        self._lower.setMinimumHeight(110)
        self._build()
        theme.current().changed.connect(self._restyle)
        self._restyle()

    def _build(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(theme.TINY)
        head.addWidget(self.about, 1)
        head.addWidget(self._before)
        head.addWidget(self._after)
        tools = QHBoxLayout()
        tools.setSpacing(theme.SMALL)
        tools.addWidget(self.order)
        tools.addStretch(1)
        tools.addWidget(self.compare)
        upper = QWidget()
        above = QVBoxLayout(upper)
        above.setContentsMargins(0, 0, 0, 0)
        above.setSpacing(theme.TINY)
        above.addLayout(head)
        above.addWidget(self.prompt)
        above.addWidget(self.hint)
        above.addLayout(tools)
        above.addWidget(self.completions, 1)
        self._splitter = QSplitter(Qt.Orientation.Vertical)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.setHandleWidth(theme.SMALL)
        self._splitter.addWidget(upper)
        self._splitter.addWidget(self._lower)
        self._splitter.setStretchFactor(0, 5)
        self._splitter.setStretchFactor(1, 4)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.LARGE, theme.SMALL, theme.LARGE, theme.MEDIUM)
        column.addWidget(self._splitter)

    def show_group(self, group: Group, of: int, *, completion: int = -1, wanted: str = "") -> None:
        """Show this group of as many.

        Args:
            completion: the number of the one to pick, -1 for the place in the list that was picked before.
            wanted: marked in the texts.
        """
        same_place = self.completions.currentIndex().row()
        self.group, self._wanted = group, wanted
        self.about.setText(_about(group, of))
        self.prompt.show_parts([Part("plain", group.prompt)], wanted)
        self.hint.setText(_hint(group))
        self.hint.setVisible(bool(self.hint.text()))
        self._before.setVisible(of > 1)
        self._after.setVisible(of > 1)
        comparable = group.spread > 0
        self.compare.setEnabled(comparable)
        self.compare.setToolTip("" if comparable else tr("All completions of this group earned the same."))
        if self.compare.isChecked() and (not comparable or completion >= 0):
            self.compare.setChecked(False)
        elif self.compare.isChecked():
            self.comparison.show_pair(group.best, group.worst)
        rows = group.ordered(self.order.currentData())
        places = [place for place, sample in enumerate(rows) if sample.completion == completion]
        self.completions.show_rows(rows, places[0] if places else same_place)

    def _sort(self) -> None:
        if self.group is not None:
            sample = self.completions.current
            rows = self.group.ordered(self.order.currentData())
            self.completions.show_rows(rows, rows.index(sample) if sample in rows else 0)

    def _on_picked(self, sample: SampleRead) -> None:
        self.completion.show_sample(sample, self._wanted)
        if self.completions.hasFocus():
            self.compare.setChecked(False)

    def _on_compare(self, compared: bool) -> None:
        self._lower.setCurrentWidget(self.comparison if compared else self.completion)
        if compared and self.group is not None:
            self.comparison.show_pair(self.group.best, self.group.worst)

    def _turn(self) -> None:
        self.turned.emit(self.sender().property("steps"))

    def _restyle(self) -> None:
        self._before.setIcon(theme.icon("chevron-left"))
        self._after.setIcon(theme.icon("chevron-right"))


class _Prompt(PartsView):
    """A prompt, as high as its text, up to some lines that scroll."""

    def __init__(self) -> None:
        super().__init__(tr("Prompt"))
        self.setProperty("role", "prompt")
        self.document().setDocumentMargin(0)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.filled.connect(self._fit)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        lines = min(_PROMPT_LINES, max(1, ceil(self.document().size().height())))
        self.setFixedHeight(lines * self.fontMetrics().lineSpacing() + 4)


def _about(group: Group, of: int) -> str:
    told = [tr("Prompt {number} of {count}", number=number(group.number + 1), count=number(of))]
    told.append(tr("row {number} of the data", number=number(group.samples[0].row)))
    if group.answer:
        told.append(tr("right answer: {answer}", answer=one_line(group.answer, 80)))
    return " · ".join(told)


def _hint(group: Group) -> str:
    """Why nothing was learned from a group, "" where something was."""
    if group.left_out:
        return tr(
            "Left out: all of these completions earned the same, so there was nothing to learn from them. "
            "Another prompt was asked instead."
        )
    if group.spread == 0 and len(group.samples) > 1:
        return tr("All of these completions earned the same, so this prompt taught nothing.")
    return ""
