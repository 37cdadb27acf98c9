"""Tries the chosen rewards on a text and on live completions, and shows what each says. Scores nothing itself."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QProgressBar,
    QTableWidget,
    QTableWidgetItem,
)

from engine.run_events import CompletionScored, RewardFault
from gui import theme
from gui.controls import Choice, number_text
from gui.parts import Card, FailureCard, WarningCard, button, words
from gui.text import number, tr
from gui.texts import TextArea
from gui.train.new_run.preview import Preview
from gui.train.new_run.trial import Trial
from gui.train.new_run.words import in_words, said

LIVE = 3
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_NARROWEST = 200  # pixels of the column of texts, however many rewards there are
_LINES = 6  # of a completion in the table; all of it is in its tooltip


class TrialView(Card):
    """A row to try on, a text to judge, and the table of scores."""

    wanted = Signal(int, tuple, int)  # a row of the run's order, texts, and how many live completions

    def __init__(self, trial: Trial, preview: Preview) -> None:
        super().__init__()
        self._trial, self._preview = trial, preview
        self.row = Choice()
        self.row.setAccessibleName(tr("Row to try on"))
        self.row.setMinimumContentsLength(20)
        self.row.setSizeAdjustPolicy(Choice.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.text = TextArea(tr("Write an answer as the model might, with its tags, and see what it would get"), 3)
        self.text.setAccessibleName(tr("Text to score"))
        self.score = button(tr("Score This Text"))
        self.live = button(tr("Try on {count} Live Completions", count=LIVE))
        self.live.setToolTip(tr("The model writes answers to this row, as it would in training, and they are scored"))
        self.stop = button(tr("Stop"))
        self.score.clicked.connect(self._score)
        self.live.clicked.connect(self._live)
        self.stop.clicked.connect(trial.cancel)
        self.text.textChanged.connect(self._update)
        line = QHBoxLayout()
        line.setSpacing(theme.SMALL)
        line.addWidget(words(tr("Question")))
        line.addWidget(self.row, 1)
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.SMALL)
        self.state = words(role="caption")
        buttons.addWidget(self.state, 1)
        for control in (self.stop, self.score, self.live):
            buttons.addWidget(control)
        self.progress = QProgressBar(textVisible=False)
        self.progress.setAccessibleName(tr("Progress"))
        self.faults, self.failure = WarningCard(), FailureCard()
        self.table = _Table()
        self.rows.addLayout(line)
        self.rows.addWidget(self.text)
        self.rows.addLayout(buttons)
        for widget in (self.progress, self.failure, self.faults, self.table):
            self.rows.addWidget(widget)
        trial.changed.connect(self._show)
        preview.changed.connect(self._fill_rows)
        self._fill_rows()
        self._show()

    def _fill_rows(self) -> None:
        rows = self._preview.training_rows
        kept = self.row.currentIndex()
        texts = [
            tr("{question}  →  {answer}", question=_short(row.question), answer=_short(row.answer)) for row in rows
        ]
        if texts != [self.row.itemText(place) for place in range(self.row.count())]:
            self.row.clear()
            self.row.addItems(texts)
            self.row.setCurrentIndex(kept if 0 <= kept < len(texts) else 0)
        self._update()

    def _update(self) -> None:
        ready = not self._trial.busy and bool(self._preview.training_rows)
        self.score.setEnabled(ready and bool(self.text.toPlainText().strip()))
        self.live.setEnabled(ready)
        self.row.setEnabled(ready)

    def _score(self) -> None:
        self.wanted.emit(max(0, self.row.currentIndex()), (self.text.toPlainText(),), 0)

    def _live(self) -> None:
        text = self.text.toPlainText()
        self.wanted.emit(max(0, self.row.currentIndex()), (text,) if text.strip() else (), LIVE)

    def _show(self) -> None:
        trial = self._trial
        self.stop.setVisible(trial.busy)
        self.progress.setVisible(trial.busy)
        self.progress.setRange(0, 0 if trial.share is None else 1000)
        if trial.share is not None:
            self.progress.setValue(int(1000 * trial.share))
        stage = tr(trial.stage) if trial.stage else tr("Preparing")
        self.state.setText(f"{stage}…" if trial.busy else "\n".join(trial.notes))
        self.failure.setVisible(trial.failure is not None)
        if trial.failure is not None:
            self.failure.show_failure(in_words(trial.failure))
        self.faults.show_sentences(tuple(map(_said, trial.faults)))
        self.table.show_scores(trial.scored, tuple(fault.reward for fault in trial.faults))
        self._update()


class _Table(QTableWidget):
    """A row for each completion: what it says, what each reward says of it, and the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("Scores"))
        self.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setWordWrap(True)
        self.setShowGrid(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        self._shown: object = ()
        self.hide()

    def show_scores(self, scored: tuple[CompletionScored, ...], faulty: tuple[str, ...]) -> None:
        """Show these; hidden where there are none."""
        self.setVisible(bool(scored))
        if (scored, faulty) == self._shown or not scored:
            return
        self._shown = (scored, faulty)
        names = [name for name, _ in scored[0].scores]
        self.setColumnCount(len(names) + 2)
        self.setRowCount(len(scored))
        self.setHorizontalHeaderLabels([tr("Completion"), *names, tr("Sum")])
        header = self.horizontalHeader()
        header.setDefaultAlignment(_RIGHT)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Fixed)
        if (first := self.horizontalHeaderItem(0)) is not None:
            first.setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for row, one in enumerate(scored):
            kind = tr("live") if one.live else tr("your text")
            text = QTableWidgetItem(_first_lines(one.completion))
            text.setFont(theme.code_font(12))
            text.setToolTip(tr("{kind}, {count} tokens", kind=kind, count=number(one.tokens)) + f"\n\n{one.completion}")
            self.setItem(row, 0, text)
            for column, (name, score) in enumerate(one.scores, 1):
                self.setItem(row, column, _cell(tr("fault") if name in faulty else _figure(score)))
            total = _cell(_figure(one.total))
            font = theme.ui_font(weight=total.font().Weight.DemiBold)
            total.setFont(font)
            self.setItem(row, len(names) + 1, total)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Be as high as the rows are: the page scrolls, not the table."""
        others = sum(self.columnWidth(column) for column in range(1, self.columnCount()))
        self.setColumnWidth(0, max(_NARROWEST, self.viewport().width() - others))
        self.resizeRowsToContents()
        for row in range(self.rowCount()):
            self.setRowHeight(row, self.rowHeight(row) + theme.SMALL)
        rows = sum(self.rowHeight(row) for row in range(self.rowCount()))
        bar = self.horizontalScrollBar()
        room = bar.height() if bar.maximum() else 0
        self.setFixedHeight(rows + self.horizontalHeader().sizeHint().height() + room + 2)


def _cell(text: str) -> QTableWidgetItem:
    cell = QTableWidgetItem(text)
    cell.setTextAlignment(_RIGHT)
    return cell


def _figure(score: float | None) -> str:
    """A score as short as it can be told; a dash for no opinion."""
    return "–" if score is None else number_text(round(score, 3))


def _said(fault: RewardFault) -> str:
    return "\n".join(said(text) for text in (fault.what, fault.why, fault.remedy) if text)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 90 else line[:89] + "…"


def _first_lines(text: str) -> str:
    lines = text.strip().split("\n")
    kept = "\n".join(lines[:_LINES])[:600]
    return kept if len(kept) == len(text.strip()) else f"{kept}…"
