"""A card that measures what settings cost, on the program's text or the person's own. Knows requests and figures."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QProgressBar

from engine import jobs
from engine.conversion_events import QualityMeasured
from engine.events import Progress
from gui.convert.conversion import Measurement
from gui.convert.quality_view import QualityView
from gui.convert.words import amount
from gui.desk import Desk
from gui.parts import Card, FailureCard, PathLabel, WarningCard, button, words
from gui.text import short_path, tr


class QualityPanel(Card):
    """Offers the measurement, shows how far it is, and what it found."""

    measured = Signal(list)  # of QualityMeasured

    def __init__(self, desk: Desk, what: str, request: Callable[[str], jobs.MeasureQuality | None]) -> None:
        super().__init__()
        self._request = request
        self.text = ""
        self.measurement = Measurement(desk, self)
        self.measurement.changed.connect(self._update)
        self.measurement.progressed.connect(self._show_progress)
        heading = words(tr("Quality"), "strong")
        about = words(
            tr("Compares the chosen and the neighbouring settings with the unquantised model on a text."), "muted"
        )
        self.start = button(what)
        self.start.clicked.connect(self._begin)
        self.stop = button(tr("Stop Measuring"))
        self.stop.clicked.connect(self.measurement.cancel)
        self.choose = button(tr("Use My Own Text…"))
        self.choose.clicked.connect(self._choose_text)
        self.path = PathLabel(tr("on the program's own text"), "caption")
        line = QHBoxLayout()
        for push in (self.start, self.stop, self.choose):
            line.addWidget(push)
        line.addWidget(self.path, 1)
        self.bar = QProgressBar(textVisible=False)
        self.bar.setAccessibleName(tr("Progress of the measurement"))
        self.state = words(role="caption")
        self.failure = FailureCard()
        self.notes = WarningCard()
        self.view = QualityView()
        self.rows.addWidget(heading)
        self.rows.addWidget(about)
        self.rows.addLayout(line)
        for widget in (self.bar, self.state, self.failure, self.view, self.notes):
            self.rows.addWidget(widget)
        self._update()

    def show_figures(self, figures: list[QualityMeasured]) -> None:
        """Show what was measured before."""
        self.measurement.figures = list(figures)
        self._update()

    def forget(self) -> None:
        """Show nothing, and measure no more."""
        self.measurement.forget()
        self._update()

    def set_text(self, path: str) -> None:
        """Measure on this file; "" for the program's own text."""
        self.text = path
        self.path.set_path(short_path(path) if path else tr("on the program's own text"))

    def _begin(self) -> None:
        request = self._request(self.text)
        if request is not None:
            self.bar.setRange(0, 0)
            self.state.setText(tr("Waiting for its turn…"))
            self.measurement.begin(request)

    def _choose_text(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, tr("Choose a Text"), "", tr("Texts") + " (*.txt *.md);;(*)")
        if path:
            self.set_text(path)

    def _show_progress(self, event: Progress) -> None:
        self.bar.setRange(0, 1000 if event.total else 0)
        if event.total:
            self.bar.setValue(int(1000 * event.done / event.total))
        parts = (tr(event.what), event.detail, amount(event.done, event.total, event.unit))
        self.state.setText(" · ".join(part for part in parts if part))

    def _update(self) -> None:
        measurement = self.measurement
        running = measurement.running
        self.start.setVisible(not running)
        self.stop.setVisible(running)
        self.choose.setEnabled(not running)
        self.bar.setVisible(running)
        self.state.setVisible(running)
        if measurement.failure is not None:
            self.failure.show_failure(measurement.failure)
        self.failure.setVisible(measurement.failure is not None)
        self.view.show_figures(measurement.figures)
        self.notes.show_sentences(tuple(measurement.notes))
        if not running and measurement.figures:
            self.measured.emit(measurement.figures)
