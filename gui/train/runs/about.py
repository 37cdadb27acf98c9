"""All that is known of one run besides its figures: how it stands, notes, settings, what changed. Trains nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QHBoxLayout, QLabel, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from engine.events import Event, Failed
from engine.monitor.requests import ReadConfig
from engine.run_events import ConfigRead, RunFound
from gui import macos, theme
from gui.parts import Card, FactsCard, FailureCard, PathLabel, WarningCard, button, words
from gui.text import short_path, tr
from gui.train.record import Record
from gui.train.runs import account
from gui.train.runs import words as say
from gui.train.runs.notes import Notes
from gui.train.runs.settings_table import SettingsTable, Values, defaults, differing, values_of

if TYPE_CHECKING:
    from engine.workers import Job
    from gui.desk import Desk

_WIDTH = 760


class AboutRun(QWidget):
    """Cards, one below the other."""

    notes_kept = Signal(str)  # the folder whose notes are on the disk now

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._record: Record | None = None
        self._run: RunFound | None = None
        self._here = False
        self._job: Job | None = None
        self._read = ""  # the folder whose settings are shown
        self._values: Values | None = None
        self._mark, self.sentence = QLabel(), words(role="strong")
        self.more, self.success = words(role="muted"), words(role="muted")
        self.odd = WarningCard()
        self.notes = Notes(desk)
        self.notes.kept.connect(self.notes_kept)
        self._lay_out()
        theme.current().changed.connect(self._restyle)
        self._show_values(None)
        self.show_record(None, None)

    def show_record(self, record: Record | None, run: RunFound | None, *, here: bool = False) -> None:
        """Show a run; `here`: it trains in this window. Called again when the list knows more of it."""
        if record is not self._record:
            if self._record is not None:
                self._record.changed.disconnect(self._refresh)
            if record is not None:
                record.changed.connect(self._refresh)
        self._record, self._run, self._here = record, run, here
        self.notes.show_run(run)
        folder = run.folder if run is not None else ""
        if folder != self._read:
            self._read = folder
            self._show_values(None)
            self._read_settings()
        self._refresh()

    def flush(self) -> None:
        """Keep what was typed, without waiting for a pause; before the window closes."""
        self.notes.flush()

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what came while nobody looked."""
        super().showEvent(event)
        self._refresh()

    def _lay_out(self) -> None:
        column = QWidget()
        column.setMaximumWidth(_WIDTH)
        rows = QVBoxLayout(column)
        rows.setContentsMargins(0, theme.LARGE, 0, theme.HUGE)
        rows.setSpacing(theme.LARGE)
        for widget in (self._standing_card(), self.odd, self.notes, self._news_card()):
            rows.addWidget(widget)
        self._settings = self._settings_card()
        rows.addWidget(self._settings)
        rows.addStretch()
        body = QWidget()
        centred = QHBoxLayout(body)
        centred.setContentsMargins(theme.HUGE, 0, theme.HUGE, 0)
        centred.addStretch()
        centred.addWidget(column, 1000)
        centred.addStretch()
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setWidget(body)
        page = QVBoxLayout(self)
        page.setContentsMargins(0, 0, 0, 0)
        page.addWidget(self.area)

    def _standing_card(self) -> QWidget:
        self.facts = FactsCard()
        reveal = button(tr("Show in Finder") if sys.platform == "darwin" else tr("Open Folder"))
        reveal.setProperty("role", "link")
        reveal.clicked.connect(self._reveal)
        line = QHBoxLayout()
        line.setSpacing(theme.SMALL)
        line.addWidget(self._mark)
        line.addWidget(self.sentence, 1)
        line.addWidget(reveal, 0, Qt.AlignmentFlag.AlignTop)
        self.facts.rows.insertLayout(0, line)
        self.facts.rows.insertWidget(1, self.more)
        self.facts.rows.insertWidget(2, self.success)
        self.facts.rows.insertSpacing(3, theme.TINY)
        self._facts = {name: words() for name in ("model", "trained", "time", "began", "changed")}
        for name, title, tip in (
            ("model", tr("Model"), tr("What the training began with.")),
            ("trained", tr("Trained"), tr("Adapters are small additions beside the model's own weights.")),
            ("time", tr("Training time"), tr("Without evaluations and pauses.")),
            ("began", tr("Began"), ""),
            ("changed", tr("Last news"), tr("When something was last added to its record.")),
        ):
            self.facts.add(title, self._facts[name], tip)
        self._path = PathLabel()
        self.facts.add(tr("Folder"), self._path)
        return self.facts

    def _news_card(self) -> QWidget:
        self.news = Card()
        title = QLabel(tr("While it trained"))
        title.setProperty("role", "section")
        self._news_text = words()
        self.news.rows.addWidget(title)
        self.news.rows.addWidget(self._news_text)
        return self.news

    def _settings_card(self) -> QWidget:
        card = Card()
        title = QLabel(tr("Settings"))
        title.setProperty("role", "section")
        self.search = QLineEdit(placeholderText=tr("Find a setting"), clearButtonEnabled=True)
        self.search.setAccessibleName(tr("Find a setting"))
        self.search.setMinimumWidth(130)
        self.search.setMaximumWidth(240)
        self.search.textChanged.connect(self._search)
        self.all = QCheckBox(tr("Also the defaults"))
        self.all.toggled.connect(self._fill)
        head = QHBoxLayout()
        head.setSpacing(theme.MEDIUM)
        head.addWidget(title)
        head.addStretch()
        head.addWidget(self.all)
        head.addWidget(self.search)
        self.table = SettingsTable(tr("Settings of the run"))
        self._nothing = words(role="muted")
        self.settings_failure = FailureCard()
        card.rows.addLayout(head)
        for widget in (self.table, self._nothing, self.settings_failure):
            card.rows.addWidget(widget)
        return card

    def _refresh(self) -> None:
        if not self.isVisible():
            return
        run, record = self._run, self._record
        for card in (self.facts, self.notes, self._settings):
            card.setVisible(run is not None)
        self.odd.show_sentences(account.oddities(run))
        happened = account.happened(record)
        self.news.setVisible(bool(happened))
        self._news_text.setText("\n".join(f"{when}: {what}" if when else what for when, what in happened))
        if run is None:
            return
        sentence, more = account.standing(run, self._here)
        self.sentence.setText(sentence)
        for label, text in ((self.more, more), (self.success, account.success(run))):
            label.setText(text)
            label.setVisible(bool(text))
        said = {
            "model": run.model or "–",
            "trained": account.trained(record) or "–",
            "time": account.time_taken(record) or "–",
            "began": say.date(run.began),
            "changed": say.date(run.changed),
        }
        for name, text in said.items():
            self._facts[name].setText(text)
        self._path.set_path(short_path(run.folder))
        self._restyle()

    def _read_settings(self) -> None:
        self.settings_failure.hide()
        if self._read:
            job = self._job = self._desk.network.submit(ReadConfig(self._read))
            job.events.connect(self._on_settings)
            job.ended.connect(self._on_settings_ended)

    def _on_settings(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, ConfigRead) and event.name == self._read:
                self._show_values(values_of(event.toml))

    def _on_settings_ended(self, ending: object) -> None:
        if self.sender() is self._job and isinstance(ending, Failed):
            self.settings_failure.show_failure(ending)
            self.settings_failure.show()

    def _show_values(self, values: Values | None) -> None:
        self._values = values
        for widget in (self.table, self.search, self.all):
            widget.setVisible(values is not None)
        self._nothing.hide()
        self._fill()

    def _fill(self) -> None:
        if self._values is not None:
            usual = defaults()
            names = list(self._values) if self.all.isChecked() else differing([self._values, usual])
            columns = [(tr("Value"), self._values), (tr("Default"), usual)]
            self.table.show_settings(names, columns, differing([self._values, usual]) if self.all.isChecked() else ())
            self._search()

    def _search(self) -> None:
        count = self.table.search(self.search.text())
        self.table.setVisible(self._values is not None and count > 0)
        self._nothing.setText(tr("No setting matches.") if self.table.keys else tr("All settings are the defaults."))
        self._nothing.setVisible(self._values is not None and not count)

    def _reveal(self) -> None:
        if self._run is not None:
            macos.reveal(self._run.folder)

    def _restyle(self) -> None:
        name, colour = say.icon(self._run.status if self._run is not None else "unreadable")
        self._mark.setPixmap(theme.icon(name, getattr(theme.current().colours, colour)).pixmap(20, 20))
