"""All charts of a run, live, with other runs over them. Knows records, and not where they come from.

The charts are made and brought up to date one after another, a few milliseconds each turn of the event loop, those that
are seen and no others: twenty charts at once would hold the window up.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import shiboken6
from PySide6.QtCore import QTimer
from PySide6.QtGui import QCloseEvent, QPixmapCache, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from engine.events import Failed
from gui import theme
from gui.parts import FailureCard, words
from gui.text import tr
from gui.train.charts.board import Board
from gui.train.charts.card import Card
from gui.train.charts.legend import Legend
from gui.train.charts.own_window import OwnWindow
from gui.train.charts.picture import Panel, Sheet
from gui.train.charts.save_dialog import SaveDialog
from gui.train.charts.shelf import Shelf
from gui.train.charts.span import Span
from gui.train.charts.specification import Chart
from gui.train.charts.tools import Tools

if TYPE_CHECKING:
    from gui.notices import Notices
    from gui.train.record import Record

_INTERVAL, _LONG = 100, 1000  # milliseconds between two looks at records that change, and that are read at first
_PICTURES = 64 * 1024  # kilobytes
_BUDGET = 0.008  # seconds of a turn of the event loop
_PAINT = 16  # milliseconds in which a chart with new figures is painted, before the next one is


class ChartsView(QWidget):
    """The charts of the first record; further records are drawn over them in other colours."""

    def __init__(self, notices: Notices, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.shelf = Shelf()
        self.cards: dict[str, Card] = {}
        self.windows: dict[str, OwnWindow] = {}
        self.span = Span(self)
        self.tools, self.legend, self.board, self.nothing = Tools(), Legend(), Board(), Nothing()
        self.dialog = SaveDialog(self, notices)
        self.area = QScrollArea(widgetResizable=True)
        self.area.setWidget(self.board)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SMALL)
        tools = QVBoxLayout()
        tools.setContentsMargins(0, 0, theme.LARGE, 0)
        tools.addWidget(self.tools)
        tools.addWidget(self.legend)
        column.addLayout(tools)
        column.addWidget(self.area, 1)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.nothing)
        self._stack.addWidget(page)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(theme.LARGE, theme.MEDIUM, 0, 0)
        outer.addWidget(self._stack)
        self._due = QTimer(self, singleShot=True)
        self._turn = QTimer(self, singleShot=True)
        self._unasked = False  # what is stale is so for new figures alone
        # Room for the pictures of twenty charts on a screen of high resolution, which are kept while the cursor moves.
        QPixmapCache.setCacheLimit(max(_PICTURES, QPixmapCache.cacheLimit()))
        self._connect()
        self._look()

    def _connect(self) -> None:
        self.span.changed.connect(self._on_span)
        self.span.moved.connect(self._on_cursor)
        self.tools.axis_chosen.connect(self._count)
        self.tools.span_chosen.connect(self._on_span)
        self.tools.log_chosen.connect(self._set_log)
        self.tools.fit_wanted.connect(self.fit)
        self.tools.save_wanted.connect(self._save_all)
        self.area.verticalScrollBar().valueChanged.connect(self._wake)
        self._due.timeout.connect(self._look_on)
        self._turn.timeout.connect(self._work)
        theme.current().changed.connect(self._restyle)

    @property
    def records(self) -> list[Record]:
        """The runs that are shown."""
        return self.shelf.records

    @property
    def busy(self) -> bool:
        """Whether something that is seen is not yet up to date."""
        return self._due.isActive() or self._turn.isActive()

    def show_records(self, records: Sequence[Record]) -> None:
        """Show these runs: the first with its band and marks, the others over it. None: say that there is none."""
        for record in self.records:
            if shiboken6.isValid(record):
                record.changed.disconnect(self._on_changed)
                record.replaced.disconnect(self._on_replaced)
        for record in records:
            record.changed.connect(self._on_changed)
            record.replaced.connect(self._on_replaced)
        self.shelf.put(records)
        self.span.point(None)
        self.fit()
        self.legend.show_names(self.shelf.names)
        for window in self.windows.values():
            window.name_run(", ".join(self.shelf.names))
        self._look()

    def fit(self) -> None:
        """Show all steps and all of the height again."""
        for card in self.all_cards():
            card.canvas.choose_height(None)
        self.span.fit()
        self._on_span()

    def open_window(self, key: str) -> OwnWindow:
        """Show a chart in a window of its own, which is brought to the front where there is one."""
        if key not in self.windows:
            card = self._new_card(next(chart for chart in self.shelf.charts if chart.key == key))
            window = self.windows[key] = OwnWindow(card, ", ".join(self.shelf.names), self)
            window.closed.connect(self._forget_window)
        self.windows[key].show()
        self.windows[key].raise_()
        self.windows[key].activateWindow()
        self._wake()
        return self.windows[key]

    def close_windows(self) -> None:
        """Close the charts that have windows of their own."""
        for window in list(self.windows.values()):
            window.close()

    def all_cards(self) -> list[Card]:
        """The cards of the page and of the windows of their own."""
        return [*self.cards.values(), *(window.card for window in self.windows.values())]

    def sheet(self, charts: Sequence[Chart]) -> Sheet:
        """What a picture of these charts shows."""
        panels = [Panel(chart, self.shelf.series(chart), self.shelf.marks) for chart in charts]
        return Sheet(panels, self.span, self.tools.log.isChecked(), self.shelf.names, self.tools.span)

    def save(self, what: str, charts: Sequence[Chart], name: str) -> None:
        """Ask for a file and save these charts there."""
        if what == "csv":
            self.dialog.ask(what, name, partial(self.dialog.save_figures, charts=charts, records=self.records))
        else:
            self.dialog.ask(what, name, partial(self.dialog.save_sheet, sheet=self.sheet(charts)))

    def _save_all(self, what: str) -> None:
        self.save(what, self.shelf.charts, self.shelf.names[0])

    def _on_wanted(self, key: str, what: str) -> None:
        chart = next(chart for chart in self.shelf.charts if chart.key == key)
        if what == "window":
            self.open_window(key)
        else:
            self.save(what, [chart], f"{self.shelf.names[0]} {chart.title}")

    def _forget_window(self, key: str) -> None:
        self.windows.pop(key, None)

    def _on_changed(self) -> None:
        # Of a long record that comes in most pictures would be drawn for nothing.
        wait = _INTERVAL if all(record.loaded for record in self.records) else _LONG
        if not self._due.isActive() or self._due.remainingTime() > wait:
            self._due.start(wait)

    def _on_replaced(self) -> None:
        self.shelf.clear()
        self._on_changed()

    def _on_span(self) -> None:
        self.tools.set_zoomed(self.span.zoomed or any(card.canvas.zoomed_in for card in self.all_cards()))
        self._wake(stale=True)

    def _on_cursor(self) -> None:
        for card in self.all_cards():
            if not card.stale and card.is_seen:
                card.sync_cursor()

    def _count(self, axis: str) -> None:
        self.span.count(axis)
        self._look()

    def _set_log(self, log: bool) -> None:
        for card in self.all_cards():
            card.canvas.set_log(log)
        self._on_span()

    def _restyle(self) -> None:
        for card in self.all_cards():
            card.restyle()
        self._deal()
        self._wake()

    def _look_on(self) -> None:
        """See what the records hold by now, where nobody waits for it."""
        self._look()
        self._unasked = True

    def _look(self) -> None:
        """See what the records hold by now, and show it at once."""
        if self.shelf.look():
            self._deal()
        ends = self.shelf.ends(self.span.axis)
        if ends is not None:
            self.span.reach(*ends)
        empty = self.nothing.say(self.records)
        self._stack.setCurrentIndex(0 if empty else 1)
        self._wake(stale=True)

    def _deal(self) -> None:
        """Give the cards their runs; those that are not there yet are made by `_work`."""
        known = {chart.key: chart for chart in self.shelf.charts}
        for card in self.all_cards():
            if card.chart.key in known:
                card.show_series(self.shelf.series(known[card.chart.key]), self.shelf.marks)
            else:
                card.show_series([], [])
        self._arrange()

    def _arrange(self) -> None:
        self.board.arrange([self.cards[chart.key] for chart in self.shelf.charts if chart.key in self.cards])

    def _new_card(self, chart: Chart) -> Card:
        card = Card(chart, self.span)
        card.wanted.connect(self._on_wanted)
        card.woken.connect(self._wake)
        card.canvas.changed.connect(self._on_span)
        card.canvas.set_log(self.tools.log.isChecked())
        card.show_series(self.shelf.series(chart), self.shelf.marks)
        return card

    def _wake(self, *_: object, stale: bool = False) -> None:
        self._unasked = False
        if stale:
            for card in self.all_cards():
                card.stale = True
        self._turn.start(0)

    def _work(self) -> None:
        """Make and mend cards for a few milliseconds."""
        end = time.perf_counter() + _BUDGET
        missing = [chart for chart in self.shelf.charts if chart.key not in self.cards]
        if missing and self.isVisible():
            self.cards[missing[0].key] = self._new_card(missing[0])
            self._arrange()
            self._turn.start(0)
            return
        stale = [card for card in self.all_cards() if card.stale and card.is_seen]
        # The one under the mouse is the one that is looked at.
        for card in sorted(stale, key=lambda card: not card.canvas.led):
            card.canvas.smooth(self.tools.span)
            card.sync()
            if self._unasked:
                self._turn.start(_PAINT)
                return
            if time.perf_counter() > end:
                self._turn.start(0)
                return

    def showEvent(self, event: QShowEvent) -> None:
        """Go on with what waited."""
        super().showEvent(event)
        self._wake()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """More charts may be seen."""
        super().resizeEvent(event)
        self._wake()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Take the windows along, and wait for what is being written."""
        self.close_windows()
        self.dialog.saving.close()
        super().closeEvent(event)


class Nothing(QWidget):
    """Says why there are no charts: no run is chosen, nothing is recorded yet, or the record cannot be read."""

    def __init__(self) -> None:
        super().__init__()
        self.text = words(role="muted")
        self.failure = FailureCard()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, theme.LARGE, theme.LARGE)
        column.addWidget(self.failure)
        column.addWidget(self.text)
        column.addStretch(1)

    def say(self, records: Sequence[Record]) -> bool:
        """Whether there is nothing to draw; why is said then."""
        if any(len(record) or record.evaluations for record in records):
            return False
        failure: Failed | None = records[0].failure if records else None
        if failure is not None:
            self.failure.show_failure(failure)
        if not records:
            self.text.setText(tr("Choose a run to see its charts."))
        elif records[0].missing and not records[0].live:
            self.text.setText(tr("Without a record there is nothing to draw."))
        elif records[0].loaded:
            self.text.setText(tr("The charts appear with the first step."))
        else:
            self.text.setText(tr("Reading the record…"))
        self.failure.setVisible(failure is not None)
        self.text.setVisible(failure is None)
        return True
