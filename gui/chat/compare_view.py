"""The dialog in which up to four models answer the same question side by side. Knows requests and events, no model."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from engine import jobs
from engine.chat.conversations import Message
from engine.config import Sampling
from engine.events import Failed, Progress, PromptRead, ReplyFinished
from engine.run_events import TextsCompared
from gui import theme
from gui.chat.compare_column import LOWEST, NARROWEST, CompareColumn
from gui.chat.compare_models import Contender, Shelf
from gui.chat.compare_opinions import Opinions
from gui.chat.score_bars import Score
from gui.chat.score_choice import ChooseRewards, Judging
from gui.controls import Switch
from gui.desk import Desk
from gui.parts import button, words
from gui.text import tr
from gui.train.compare.answers import Answers
from gui.train.compare.prompt_bar import PromptBar

_FEWEST, _MOST = 2, 4


class CompareView(QDialog):
    """A question, two to four contenders, their answers with the same seed."""

    kept = Signal(str, str, object)  # the prompt, the name of who answered, its ReplyFinished

    def __init__(
        self,
        desk: Desk,
        question: Message,
        model: str,
        system: str,
        sampling: Sampling,
        judging: Judging,
        *,
        alone: bool = True,
        parent: QWidget | None = None,
    ) -> None:
        """`alone`: nothing was said before the question in its conversation."""
        super().__init__(parent)
        self.setWindowTitle(tr("Compare Models"))
        self._desk, self._question, self._system, self._sampling = desk, question, system, sampling
        self.judging = judging
        self._asked = ""
        self._model = model
        self.displaced = False  # the model it began with may have left the memory
        self._sides: list[CompareColumn] = []  # those that were asked
        self.shelf, self.answers, self.opinions = Shelf(desk, self), Answers(desk, self), Opinions(desk, self)
        self.bar = PromptBar()
        self.bar.next.hide()
        self.bar.prompt.setAccessibleName(tr("Prompt for all models"))
        self.bar.prompt.setPlaceholderText(tr("Ask all of them the same…"))
        self.bar.prompt.setPlainText(question.text)
        self.bar.temperature.set_number(sampling.temperature)
        self.bar.seed.set_number(sampling.seed if sampling.seed is not None else 0)
        self.bar.about.setText(self._about(alone))
        self.columns: list[CompareColumn] = []
        self.add, self.scores = button(tr("Add a Model")), button(tr("Scores…"))
        self.differences = Switch()
        self.differences.setAccessibleName(tr("Show differences"))
        self.note = words(role="caption")
        self._lay_out()
        self._connect()
        self.add_column(Contender(model))
        self.add_column()
        self.resize(1080, 700)
        self.shelf.look()

    def add_column(self, contender: Contender | None = None) -> CompareColumn:
        """One more answer, beside the others."""
        place = len(self.columns) + 1
        column = CompareColumn(self.shelf, tr("Model {place}", place=place), self._question)
        self.columns.append(column)
        if contender is not None:
            column.picker.show_contender(contender)
        column.picker.picked.connect(self._on_picked)
        column.removed.connect(partial(self._remove, column))
        column.kept.connect(partial(self._keep, column))
        column.set_marking(self.differences.isChecked())
        self._arrange()
        self._update()
        return column

    def ask(self) -> None:
        """Have all that are chosen answer, one after the other."""
        if self.answers.running or not self._ready:
            return
        self._asked = self.bar.text
        self.opinions.forget()
        self.note.setText("")
        for column in self.columns:
            column.clear(tr("Waiting for its turn…") if column.picker.contender is not None else "")
        self._sides = [column for column in self.columns if column.picker.contender is not None]
        contenders = [column.picker.contender for column in self._sides if column.picker.contender is not None]
        self.displaced |= any(contender != Contender(self._model) for contender in contenders)
        self.answers.ask([self._request(contender) for contender in contenders])
        self._update()

    def judge(self, judging: Judging) -> None:
        """Have rewards judge the answers that are there, and those to come."""
        self.judging = judging
        if not self.answers.running:
            self._judge()

    def done(self, result: int) -> None:
        """Close; what is still answering ends."""
        self.answers.stop()
        self.opinions.forget()
        super().done(result)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    # What comes

    def _on_progress(self, side: int, event: Progress | PromptRead | None) -> None:
        self._sides[side].show_progress(event)

    def _on_said(self, side: int, text: str) -> None:
        self._sides[side].append(text)

    def _on_answered(self, side: int, reply: ReplyFinished) -> None:
        self._sides[side].finish(reply)

    def _on_failed(self, side: int, failure: Failed) -> None:
        self._sides[side].fail(failure)

    def _on_stopped(self, side: int) -> None:
        self._sides[side].stop()

    def _on_all_answered(self) -> None:
        first = self._sides[0]
        for side, other in enumerate(self._sides[1:], 1):
            if first.reply is not None and other.reply is not None:
                self.opinions.compare(first.said, side, other.said)
        self._judge()
        self._update()

    def _on_compared(self, side: int, found: TextsCompared) -> None:
        self._sides[side].set_parts(found.right)
        if len(self._sides) == _FEWEST:
            self._sides[0].set_parts(found.left)
            same = all(kind == "same" for kind, _ in (*found.left, *found.right))
            self.note.setText(tr("Both answers are the same.") if same else "")

    def _judge(self) -> None:
        for side, column in enumerate(self._sides):
            if column.reply is not None and column.said and self.judging.rewards:
                self.opinions.judge(self.judging, self._desk.database, self._question.id, side, column.reply)
            else:
                column.show_scores(())

    def _on_scored(self, side: int, scores: tuple[Score, ...]) -> None:
        self._sides[side].show_scores(scores)

    def _on_opinion_failed(self, failure: Failed) -> None:
        self.note.setText(f"{failure.what} {failure.why}")

    # What a person does

    def _on_picked(self, _: Contender) -> None:
        self._forget()

    def _on_changed(self) -> None:
        if self._asked and self.bar.text != self._asked and not self.answers.running:
            # An answer below another question would mislead.
            self._forget()
        self._update()

    def _forget(self) -> None:
        self._asked, self._sides = "", []
        self.opinions.forget()
        self.note.setText("")
        for column in self.columns:
            column.clear()
        self._update()

    def _add(self) -> None:
        self.add_column()

    def _remove(self, column: CompareColumn) -> None:
        self.opinions.forget()
        self._sides = []
        self.columns.remove(column)
        column.hide()
        column.deleteLater()
        self._arrange()
        self._update()

    def _keep(self, column: CompareColumn) -> None:
        if column.reply is not None and column.picker.contender is not None:
            contender = column.picker.contender
            self.kept.emit(self._asked, contender.name if contender.adapter else contender.model, column.reply)
            column.note_kept()

    def _mark(self, marking: bool) -> None:
        for column in self.columns:
            column.set_marking(marking)

    def _choose_rewards(self) -> None:
        dialog = ChooseRewards(self.judging, self)
        dialog.chosen.connect(self.judge)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    # Pieces

    @property
    def _ready(self) -> bool:
        chosen = [column for column in self.columns if column.picker.contender is not None]
        return len(chosen) >= _FEWEST and bool(self.bar.text.strip())

    def _request(self, contender: Contender) -> jobs.Generate:
        sampling = self._sampling.model_copy(update={"temperature": self.bar.heat, "seed": self.bar.number})
        return jobs.Generate(contender.load(self._desk), self.bar.text, self._system, sampling=sampling)

    def _about(self, alone: bool) -> str:
        told = tr("All are told the conversation's system prompt and answer with the same seed.")
        same = told if self._system else tr("All answer with the same seed.")
        return same if alone else f"{same} {tr('What was said before this question is left out.')}"

    def _update(self) -> None:
        running = self.answers.running
        self.bar.set_state(running=running, ready=self._ready, more=False)
        self.add.setEnabled(not running and len(self.columns) < _MOST)
        answered = [column for column in self.columns if column.reply is not None]
        self.differences.setEnabled(len(answered) >= _FEWEST or self.differences.isChecked())
        for column in self.columns:
            column.set_state(running=running, removable=len(self.columns) > _FEWEST)

    def _arrange(self) -> None:
        """As many answers beside each other as there is room for, and all of a row as wide as the others."""
        room = self._area.viewport().width() + theme.MEDIUM
        across = max(1, min(len(self.columns), room // (NARROWEST + theme.MEDIUM)))
        if len(self.columns) == _MOST and across == _MOST - 1:
            across = _MOST // 2
        while self._grid.takeAt(0) is not None:
            pass
        for place, column in enumerate(self.columns):
            self._grid.addWidget(column, place // across, place % across)
        for place in range(_MOST):
            self._grid.setColumnStretch(place, 1 if place < across else 0)
            self._grid.setRowMinimumHeight(place, LOWEST if place < -(-len(self.columns) // across) else 0)

    def _connect(self) -> None:
        self.bar.asked.connect(self.ask)
        self.bar.stopped.connect(self.answers.stop)
        self.bar.changed.connect(self._on_changed)
        self.add.clicked.connect(self._add)
        self.scores.clicked.connect(self._choose_rewards)
        self.differences.toggled.connect(self._mark)
        self.answers.progressed.connect(self._on_progress)
        self.answers.said.connect(self._on_said)
        self.answers.answered.connect(self._on_answered)
        self.answers.failed.connect(self._on_failed)
        self.answers.stopped.connect(self._on_stopped)
        self.answers.ended.connect(self._on_all_answered)
        self.opinions.compared.connect(self._on_compared)
        self.opinions.scored.connect(self._on_scored)
        self.opinions.failed.connect(self._on_opinion_failed)

    def _lay_out(self) -> None:
        label = QLabel(tr("Show differences"))
        label.setBuddy(self.differences)
        close = button(tr("Close"))
        close.clicked.connect(self.reject)
        holder = QWidget()
        self._grid = QGridLayout(holder)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(theme.MEDIUM)
        self._area = QScrollArea(widgetResizable=True)
        self._area.setWidget(holder)
        foot = QHBoxLayout()
        foot.setSpacing(theme.SMALL)
        foot.addWidget(self.differences)
        foot.addWidget(label)
        foot.addWidget(self.note, 1)
        for push in (self.scores, self.add, close):
            foot.addWidget(push)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.HUGE, theme.LARGE, theme.HUGE, theme.LARGE)
        column.setSpacing(theme.MEDIUM)
        column.addWidget(self.bar)
        column.addWidget(self._area, 1)
        column.addLayout(foot)
        self.setMinimumSize(640, 460)
