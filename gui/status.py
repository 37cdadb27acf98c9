"""The status bar: device, memory and the running job. Knows measurements, no pages."""

from __future__ import annotations

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QLabel, QStatusBar, QWidget

from engine import jobs
from engine.events import MemoryUse
from gui import theme
from gui.desk import Desk
from gui.text import size, tr

_INTERVAL = 2000


class StatusStrip(QStatusBar):
    """Says which device computes, how much of its memory is in use, and what runs."""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._asked = False
        self.setSizeGripEnabled(False)
        self.setAccessibleName(tr("Status"))
        self.work = QLabel()
        self.device = QLabel()
        self.memory = QLabel()
        for label in (self.work, self.device, self.memory):
            label.setProperty("role", "caption")
        self.setContentsMargins(theme.SMALL, 0, theme.MEDIUM, 0)
        self.addWidget(self.work, 1)
        self.memory.setContentsMargins(theme.MEDIUM, 0, 0, 0)
        self.addPermanentWidget(self.device)
        self.addPermanentWidget(self.memory)
        self._timer = QTimer(self, interval=_INTERVAL)
        self._timer.timeout.connect(self._measure)
        self.show_work("")

    def begin(self) -> None:
        """Measure now and from time to time."""
        self._measure()
        self._timer.start()

    def end(self) -> None:
        """Measure no more."""
        self._timer.stop()

    def show_work(self, text: str) -> None:
        """Name the job that runs; "" for none."""
        self.work.setText(f"{text}…" if text else tr("Ready"))

    def _measure(self) -> None:
        if self._asked:
            return
        self._asked = True
        job = self._desk.compute.submit(jobs.Measure())
        job.events.connect(self._on_measured)
        job.ended.connect(self._on_ended)

    def _on_measured(self, events: tuple[object, ...]) -> None:
        for event in events:
            if isinstance(event, MemoryUse):
                self.device.setText(event.device)
                self.memory.setText(
                    tr("{now} in use, {peak} at most", now=size(event.active), peak=size(max(event.active, event.peak)))
                )

    def _on_ended(self) -> None:
        self._asked = False
