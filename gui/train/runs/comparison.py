"""Two runs or more side by side: what they reached, which settings differ, their curves. Draws no curve itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from engine.events import Event, Failed
from engine.monitor.requests import ReadConfig
from engine.run_events import ConfigRead
from engine.training_events import Evaluated
from gui import theme
from gui.parts import Card, WarningCard, words
from gui.text import duration, number, tr
from gui.train.record import Record
from gui.train.runs import words as say
from gui.train.runs.settings_table import SettingsTable, Values, differing, values_of
from gui.train.runs.tables import PlainTable

if TYPE_CHECKING:
    from engine.workers import Job
    from gui.desk import Desk

_MOST = 8  # runs whose curves can be told apart
_WINDOW = 20  # steps that the last reward is the mean of
_NAMES_WIDTH = 170  # so that the columns of both tables stand below each other
# They differ in any two runs and say nothing about them.
_NAMES = {"run_name", "output_dir"}


class RunComparison(QWidget):
    """Figures, settings and curves, one below the other.

    `charts` is the widget that draws the curves, by its `show_records(records)`; without one there are none.
    """

    def __init__(self, desk: Desk, charts: QWidget | None = None) -> None:
        super().__init__()
        self._desk = desk
        self._charts = charts
        self._records: list[Record] = []
        self._left_out = 0
        self._settings: dict[str, Values] = {}
        self._failures: dict[str, str] = {}
        self._waiting: list[str] = []  # folders that were not read yet
        self._job: Job | None = None
        self.title = words(role="title")
        self.figures = _Figures(tr("Results of the runs"))
        self.table = SettingsTable(tr("Settings that differ"))
        self._same, self.odd = words(role="muted"), WarningCard()
        self._lay_out()

    @property
    def folders(self) -> list[str]:
        """The folders of the runs that are compared."""
        return [record.folder for record in self._records]

    def show_runs(self, folders: Sequence[str]) -> None:
        """Compare the runs in these folders, two or more; they are followed while this is in view.

        Of very many only the first are compared.
        """
        self._left_out, folders = len(folders[_MOST:]), folders[:_MOST]
        if list(folders) == self.folders:
            self._refresh()
            return
        known = {record.folder: record for record in self._records}
        self._records = [known[folder] if folder in known else self._record(folder) for folder in folders]
        for folder in known.keys() - set(folders):
            known[folder].rest()
            known[folder].changed.disconnect(self._refresh)
            known[folder].deleteLater()
        self._settings = {folder: self._settings[folder] for folder in folders if folder in self._settings}
        self._failures = {}
        self._waiting = [folder for folder in folders if folder not in known or folder not in self._settings]
        self.title.setText(tr("{count} runs compared", count=number(len(folders))))
        if self._charts is not None:
            self._charts.show_records(self._records)  # type: ignore[attr-defined]
        self._show_settings()
        self._read_next()

    def showEvent(self, event: QShowEvent) -> None:
        """Follow the runs."""
        super().showEvent(event)
        for record in self._records:
            if record.folder not in self._waiting:
                record.follow()

    def hideEvent(self, event: QHideEvent) -> None:
        """Follow them no more."""
        super().hideEvent(event)
        for record in self._records:
            record.rest()

    def _record(self, folder: str) -> Record:
        record = Record(self._desk, folder, self)
        record.changed.connect(self._refresh)
        return record

    def _read_next(self) -> None:
        """Read one run after the other: many at once would hold the window up."""
        if self._job is None and self._waiting:
            job = self._job = self._desk.network.submit(ReadConfig(self._waiting[0]))
            job.events.connect(self._on_settings)
            job.ended.connect(self._on_read)

    def _lay_out(self) -> None:
        body = QWidget()
        rows = QVBoxLayout(body)
        rows.setContentsMargins(theme.HUGE, theme.LARGE, theme.HUGE, theme.HUGE)
        rows.setSpacing(theme.LARGE)
        rows.addWidget(self.title)
        rows.addWidget(self.odd)
        for title, widgets in (
            (tr("Results"), (self.figures,)),
            (tr("Settings that differ"), (self.table, self._same)),
        ):
            card, label = Card(), QLabel(title)
            label.setProperty("role", "section")
            card.rows.addWidget(label)
            for widget in widgets:
                card.rows.addWidget(widget)
            rows.addWidget(card)
        if self._charts is not None:
            self._charts.setMinimumHeight(420)
            rows.addWidget(self._charts, 1)
        rows.addStretch()
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(body)
        page = QVBoxLayout(self)
        page.setContentsMargins(0, 0, 0, 0)
        page.addWidget(area)

    def _titles(self) -> list[str]:
        """The runs' names, with those of their folders where two are called alike."""
        names = [Path(folder).name for folder in self.folders]
        return [
            f"{name} ({Path(folder).parent.name})" if names.count(name) > 1 else name
            for name, folder in zip(names, self.folders, strict=True)
        ]

    def _on_settings(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, ConfigRead) and event.name in self.folders:
                self._settings[event.name] = values_of(event.toml)

    def _on_read(self, ending: object) -> None:
        request = self._job.request if self._job is not None else None
        self._job = None
        if isinstance(request, ReadConfig) and request.name in self._waiting:
            self._waiting.remove(request.name)
            if isinstance(ending, Failed):
                self._failures[request.name] = f"{ending.what} {ending.why}"
            if self.isVisible():
                self._records[self.folders.index(request.name)].follow()
            self._show_settings()
        self._read_next()

    def _show_settings(self) -> None:
        known = [
            (title, self._settings[folder])
            for title, folder in zip(self._titles(), self.folders, strict=True)
            if folder in self._settings
        ]
        names = [name for name in differing([values for _, values in known]) if name not in _NAMES] if known else []
        self.table.show_settings(names, known, width=_NAMES_WIDTH)
        self.table.setVisible(len(known) > 1 and bool(names))
        if self._waiting or len(known) < 2:
            self._same.setText(tr("Reading the settings…") if self._waiting else tr("There is nothing to compare."))
        else:
            self._same.setText(tr("Everything else is the same.") if names else tr("All settings are the same."))
        self._refresh()

    def _refresh(self) -> None:
        self.figures.show_records(self._titles(), self._records)
        odd = list(self._failures.values())
        if self._left_out:
            all_of_them = number(len(self._records) + self._left_out)
            first = tr("Only the first {count} of {all} runs are compared.", count=number(_MOST), all=all_of_them)
            odd.insert(0, first)
        for title, record in zip(self._titles(), self._records, strict=True):
            if record.failure is not None:
                odd.append(f"{record.failure.what} {record.failure.why}")
            elif record.missing:
                odd.append(tr("{name} has no record.", name=title))
        self.odd.show_sentences(tuple(odd))


class _Figures(PlainTable):
    """One row a figure, one column a run."""

    def show_records(self, titles: Sequence[str], records: Sequence[Record]) -> None:
        """Show what these runs reached; the best accuracy and reward are in bold."""
        figures = [_figures(record) for record in records]
        self.set_titles(["", *titles], _NAMES_WIDTH)
        names = list(figures[0]) if figures else []
        self.setRowCount(len(names))
        for row, name in enumerate(names):
            self.put(row, 0, name)
            values = [figure[name][1] for figure in figures]
            told = [value for value in values if value is not None]
            for place, figure in enumerate(figures, 1):
                text, value = figure[name]
                self.put(row, place, text, text, strong=value is not None and value == max(told) > min(told))
        self.fit()


def _figures(record: Record) -> dict[str, tuple[str, float | None]]:
    """By their names: each figure as it is shown and, where more is better, its value."""
    before = next((one for one in record.evaluations if one.when == "before"), None)
    later = [one for one in record.evaluations if one.when in {"during", "after"}]
    last, best = later[-1] if later else None, max(later, key=lambda one: one.accuracy, default=None)
    rewards = record.column("reward")[-_WINDOW:]
    rewards = rewards[~np.isnan(rewards)]
    reward = float(rewards.mean()) if len(rewards) else None
    elapsed, length = _last(record, "elapsed"), _last(record, "mean_length")
    steps = tr("{step} of {steps}", step=number(record.step), steps=number(record.steps))
    return {
        tr("Accuracy before"): (say.percent(before.accuracy if before else None), None),
        tr("Latest accuracy"): (say.percent(last.accuracy if last else None), last.accuracy if last else None),
        tr("Its 95\u00a0% interval"): (_interval(last), None),
        tr("Best accuracy"): (say.percent(best.accuracy if best else None), best.accuracy if best else None),
        tr("Reward, last steps"): ("–" if reward is None else number(reward, 3), reward),
        tr("Steps"): (steps if record.steps else "–", None),
        tr("Training time"): ("–" if elapsed is None else duration(elapsed), None),
        tr("Length of answers"): ("–" if length is None else tr("{count} tokens", count=number(length)), None),
    }


def _last(record: Record, name: str) -> float | None:
    """The newest figure of this name, None where there is none."""
    there = record.column(name)[~np.isnan(record.column(name))]
    return float(there[-1]) if len(there) else None


def _interval(one: Evaluated | None) -> str:
    return "–" if one is None else f"{number(100 * one.low, 1)} – {say.percent(one.high)}"
