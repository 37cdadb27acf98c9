"""Fetches the model of a run from the Hugging Face Hub. Knows the network lane and no widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from engine import jobs
from engine.events import Done, Event, Failed, Progress

if TYPE_CHECKING:
    from engine.workers import Job
    from gui.desk import Desk


class Download(QObject):
    """One download at a time.

    Attributes:
        model: what is being fetched, "" where nothing is.
        share: how much of it is here, from 0 to 1; None where that is not known.
        failure: why the last one failed, None where it did not.
    """

    changed = Signal()
    fetched = Signal()

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._job: Job | None = None
        self.model = ""
        self.share: float | None = None
        self.done = self.total = 0.0
        self.failure: Failed | None = None

    def start(self, model: str) -> None:
        """Fetch this model, unless one is being fetched."""
        if self._job is None:
            self.model, self.share, self.failure = model, None, None
            self._job = self._desk.network.submit(jobs.Download(model))
            self._job.events.connect(self._on_events)
            self._job.ended.connect(self._on_ended)
            self.changed.emit()

    def cancel(self) -> None:
        """Stop; what is here stays, and another download goes on from there."""
        if self._job is not None:
            self._job.cancel()

    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Progress) and event.total:
                self.done, self.total = event.done, event.total
                self.share = event.done / event.total
        self.changed.emit()

    def _on_ended(self, ending: object) -> None:
        self._job, self.model, self.share = None, "", None
        self.failure = ending if isinstance(ending, Failed) else None
        self.changed.emit()
        if isinstance(ending, Done):
            self.fetched.emit()
