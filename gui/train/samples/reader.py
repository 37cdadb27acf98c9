"""Reads the completions of one step after another, the one asked for last. Knows jobs, no widget."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from engine.events import Event, Failed, Note
from engine.monitor.requests import ReadSamples
from engine.run_events import SampleRead, SamplesRead
from engine.workers import Job
from gui.desk import Desk
from gui.train.samples.group import grouped


class Reader(QObject):
    """One reading at a time; of those asked for meanwhile the last alone is done.

    `done` is emitted with a `SamplesRead` and the groups of its step, `failed` with why it cannot be read.
    """

    done = Signal(object, object)
    failed = Signal(object)

    def __init__(self, desk: Desk, parent: QObject) -> None:
        super().__init__(parent)
        self._desk = desk
        self._job: Job | None = None
        self._next: tuple[str, int] | None = None
        self._samples: list[SampleRead] = []
        self._read: SamplesRead | None = None
        self.notes: list[str] = []  # what was said of the last reading

    @property
    def reading(self) -> bool:
        """Whether something is being read."""
        return self._job is not None

    @property
    def waiting(self) -> bool:
        """Whether another step was asked for meanwhile."""
        return self._next is not None

    def read(self, folder: str, step: int) -> None:
        """Read a step, 0 for the newest."""
        if self._job is not None:
            self._next = folder, step
            return
        self._samples, self._read, self.notes = [], None, []
        self._job = self._desk.network.submit(ReadSamples(folder, step))
        self._job.events.connect(self._on_events)
        self._job.ended.connect(self._on_ended)

    def cancel(self) -> None:
        """Read nothing more; nothing is said of what was asked for."""
        self._next = None
        if self._job is not None:
            self._job.cancel()
            self._job = None

    def _on_events(self, events: tuple[Event, ...]) -> None:
        if self.sender() is not self._job:
            return
        for event in events:
            if isinstance(event, SampleRead):
                self._samples.append(event)
            elif isinstance(event, SamplesRead):
                self._read = event
            elif isinstance(event, Note):
                self.notes.append(event.text)

    def _on_ended(self, ending: object) -> None:
        if self.sender() is not self._job:
            return
        self._job = None
        if isinstance(ending, Failed):
            self.failed.emit(ending)
        elif self._read is not None:
            self.done.emit(self._read, grouped(self._samples))
        if self._next is not None and self._job is None:
            wanted, self._next = self._next, None
            self.read(*wanted)
