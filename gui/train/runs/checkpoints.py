"""What a run left to be used: its checkpoints with their scores, and its model. Loads and trains nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Qt, QTimer, Signal, SignalInstance
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from engine.events import Event, Failed
from engine.monitor.requests import ListCheckpoints
from engine.run_events import CheckpointFound
from engine.training_events import Evaluated
from gui import theme
from gui.parts import FailureCard, button, words
from gui.text import number, size, tr
from gui.train.record import Record
from gui.train.runs import words as say
from gui.train.runs.exporting import Exporting
from gui.train.runs.tables import HEAD, LEFT, RIGHT, ROW, PlainTable

if TYPE_CHECKING:
    from engine.workers import Job
    from gui.desk import Desk

_COLUMNS = (
    ("Checkpoint", "A saved moment of the run, from which it can go on."),
    ("Accuracy", "The share of held-out questions that it answered right at this step."),
    ("95 % interval", "Were other questions asked, the accuracy would most likely be in these bounds."),
    ("Mean reward", "What its completions scored on average, in the steps up to here."),
    ("Size", "What it takes on the disk."),
    ("Saved", "When it was written."),
)
_INTERVAL, _REWARD = 2, 3
_ROOMY, _ROWS = 520, 4  # the width for all columns; the rows that are shown at least
_WINDOW = 10  # steps that a mean reward is over


class CheckpointsView(QWidget):
    """A table, and what can be done with the row that is chosen."""

    chat_wanted = Signal(str)  # the folder of a checkpoint or of a model
    compare_wanted = Signal(str)
    convert_wanted = Signal(str)  # a model's folder
    upload_wanted = Signal(str)
    models_changed = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._record: Record | None = None
        self._job: Job | None = None
        self._outdated = False
        self._coming: list[CheckpointFound] = []
        self.found: list[CheckpointFound] = []
        self._shown: list[CheckpointFound] = []  # the rows of the table
        self._again = QTimer(self, singleShot=True, interval=1000)
        self._again.timeout.connect(self.look)
        self._known: tuple[object, ...] = ()
        self.table = _Table()
        self.table.itemSelectionChanged.connect(self._offer)
        self.table.itemDoubleClicked.connect(self._chat)
        self.failure, self.exporting = FailureCard(), Exporting(desk)
        self.failure.hide()
        self._empty = words(role="muted")
        self.chat, self.compare = button(tr("Chat"), primary=True), button(tr("Compare…"))
        self.compare.setAccessibleName(tr("Compare with the base model"))
        self.compare.setToolTip(tr("Ask this and the model it began as the same, and see the answers side by side"))
        self.whole = button(tr("Make a Whole Model"))
        self.convert, self.upload = button(tr("Convert…")), button(tr("Upload…"))
        self.convert.setToolTip(tr("Make it smaller, for example with 4 bits a weight"))
        self.chat.clicked.connect(self._chat)
        self.compare.clicked.connect(lambda: self._emit(self.compare_wanted))
        self.convert.clicked.connect(lambda: self._emit(self.convert_wanted))
        self.upload.clicked.connect(lambda: self._emit(self.upload_wanted))
        self.whole.clicked.connect(self._export)
        self.exporting.chat_wanted.connect(self.chat_wanted)
        self.exporting.convert_wanted.connect(self.convert_wanted)
        self.exporting.upload_wanted.connect(self.upload_wanted)
        self.exporting.models_changed.connect(self.models_changed)
        self.exporting.ended.connect(self._offer)
        self._lay_out()
        self.show_record(None)

    def show_record(self, record: Record | None) -> None:
        """Show what this run left."""
        if record is not self._record:
            if self._record is not None:
                self._record.changed.disconnect(self._on_record)
            if record is not None:
                record.changed.connect(self._on_record)
            self._record, self.found, self._known = record, [], ()
            self.failure.hide()
            self.exporting.clear()
        self._fill()
        self.look()

    def look(self) -> None:
        """Look at the disk now."""
        if self._record is None or not self.isVisible():
            return
        if self._job is not None:
            self._outdated = True
            return
        self._coming, self._outdated = [], False
        job = self._job = self._desk.network.submit(ListCheckpoints(self._record.folder))
        job.events.connect(self._on_found)
        job.ended.connect(self._on_looked)

    @property
    def selected(self) -> CheckpointFound | None:
        """What is chosen in the table."""
        rows = self.table.selectionModel().selectedRows()
        return self._shown[rows[0].row()] if rows else None

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what came while nobody looked."""
        super().showEvent(event)
        self._fill()
        self.look()

    def _lay_out(self) -> None:
        self._said = words(role="muted")
        row = QHBoxLayout()
        row.setSpacing(theme.SMALL)
        for made in (self.chat, self.compare, self.whole, self.convert, self.upload):
            row.addWidget(made)
        row.addStretch()
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.HUGE, theme.LARGE, theme.HUGE, theme.LARGE)
        column.setSpacing(theme.MEDIUM)
        column.addWidget(self.failure)
        column.addWidget(self._empty)
        column.addWidget(self.table, 1)
        column.addWidget(self._said)
        column.addLayout(row)
        column.addWidget(self.exporting)
        column.addStretch()

    def _on_record(self) -> None:
        record = self._record
        if record is None:
            return
        known = (len(record.checkpoints), record.ending, len(record.evaluations))
        if known != self._known:
            self._known = known
            self._fill()
            # The run removes old checkpoints after it has told of a new one.
            self.look()
            self._again.start()

    def _on_found(self, events: tuple[Event, ...]) -> None:
        self._coming += [event for event in events if isinstance(event, CheckpointFound)]

    def _on_looked(self, ending: object) -> None:
        self._job = None
        ours = self._record is not None and all(
            Path(found.folder).is_relative_to(self._record.folder) for found in self._coming
        )
        if isinstance(ending, Failed):
            self.failure.show_failure(ending)
        elif ours:
            self.found = self._coming[::-1]
        self.failure.setVisible(isinstance(ending, Failed))
        self._fill()
        if self._outdated or not ours:
            self.look()

    def _fill(self) -> None:
        chosen = self.selected.folder if self.selected is not None else ""
        record = self._record
        folders = [found.folder for found in self.found]
        best = next((saved.step for saved in reversed(record.checkpoints) if saved.best), -1) if record else -1
        self._shown = self.found
        self.table.show_rows([self._row(found, best) for found in self.found])
        if folders:
            self.table.selectRow(folders.index(chosen) if chosen in folders else 0)
        self.table.setVisible(bool(folders))
        nothing = tr("Nothing was saved yet. The run saves a checkpoint from time to time, and its model at the end.")
        self._empty.setText("" if record is None or folders else nothing)
        self._empty.setVisible(bool(self._empty.text()))
        self._offer()

    def _row(self, found: CheckpointFound, best: int) -> tuple[tuple[str, str], ...]:
        """The texts of a row, each with its tooltip."""
        last = tr("Final adapters") if found.adapters else tr("Final model")
        names = {"model": last, "fused": tr("Final model, merged")}
        name = names.get(found.kind) or tr("Step {step}", step=number(found.step))
        evaluated = self._evaluated(found.step)
        accuracy = say.percent(evaluated.accuracy) if evaluated else "–"
        spread = f"{number(100 * evaluated.low, 1)} – {say.percent(evaluated.high)}" if evaluated else "–"
        is_best = found.kind == "checkpoint" and found.step == best
        return (
            (tr("{name}, the best", name=name) if is_best else name, found.folder),
            (accuracy, tr("{rows} questions", rows=number(evaluated.rows)) if evaluated else tr("Not tested here")),
            (spread, ""),
            (self._reward(found.step), ""),
            (size(found.size), ""),
            (say.moment(found.saved), say.date(found.saved)),
        )

    def _evaluated(self, step: int) -> Evaluated | None:
        """The test at a step, that of more questions where there are two."""
        there = [one for one in self._record.evaluations if one.step == step] if self._record is not None else []
        return max(there, key=lambda one: one.rows, default=None)

    def _reward(self, step: int) -> str:
        record = self._record
        if record is None or not len(record):
            return "–"
        steps, rewards = record.column("step"), record.column("reward")
        near = rewards[(steps > step - _WINDOW) & (steps <= step)]
        near = near[~np.isnan(near)]
        return number(float(near.mean()), 3) if len(near) else "–"

    def _offer(self) -> None:
        """Let the person do what can be done with what is chosen."""
        found = self.selected
        live = self._record is not None and self._record.live
        ready = found is not None and found.ready
        # None is shown for a moment only: the window would be made wider for it.
        for made in (self.chat, self.compare):
            made.setVisible(found is not None)
        self.whole.setVisible(found is not None and not ready)
        self.convert.setVisible(ready)
        self.upload.setVisible(ready)
        self.whole.setEnabled(not self.exporting.busy)
        if found is None:
            self._said.setText("")
            return
        if ready:
            text = tr("This is a model of its own, ready to be used.")
        elif found.adapters:
            text = tr("These are adapters for {model}. Merged with it they become one model.", model=found.model)
        else:
            text = tr("With the other files of {model} these weights become a model.", model=found.model)
        keeps = tr("While it trains, the run removes all checkpoints but the newest ones and the best.")
        self._said.setText(f"{text} {keeps}" if live else text)

    def _chat(self) -> None:
        self._emit(self.chat_wanted)

    def _emit(self, signal: SignalInstance) -> None:
        if self.selected is not None:
            signal.emit(self.selected.folder)

    def _export(self) -> None:
        if self.selected is not None and self._record is not None:
            self.exporting.make(self.selected, Path(self._record.folder).name)
            self._offer()


class _Table(PlainTable):
    def __init__(self) -> None:
        super().__init__(tr("Checkpoints"), narrowest=64)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.set_titles([tr(title) for title, _ in _COLUMNS])
        for place, (_, tip) in enumerate(_COLUMNS):
            item = self.horizontalHeaderItem(place)
            if item is not None:
                item.setToolTip(tr(tip))
                item.setTextAlignment(RIGHT if place else LEFT)

    def show_rows(self, rows: list[tuple[tuple[str, str], ...]]) -> None:
        """Have these texts and tooltips."""
        self.blockSignals(True)
        self.setRowCount(len(rows))
        for row, cells in enumerate(rows):
            for place, (text, tip) in enumerate(cells):
                self.put(row, place, text, tip, side=RIGHT if place else LEFT)
        self.blockSignals(False)
        self.fit()

    def fit(self) -> None:
        """Be as high as the rows, or less where there is no room for all of them."""
        height = self.height_of_rows()
        self.setMaximumHeight(height)
        self.setMinimumHeight(min(height, HEAD + _ROWS * ROW))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """What can be done without gives way where there is little room."""
        super().resizeEvent(event)
        for place in (_INTERVAL, _REWARD):
            self.setColumnHidden(place, self.width() < _ROOMY)
