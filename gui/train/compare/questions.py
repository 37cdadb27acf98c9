"""The prompts of a run's last step, to ask them once more. Knows the record's folder, no widget."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from engine.events import Event
from engine.monitor.requests import ReadSamples
from engine.run_events import SampleRead
from engine.workers import Job
from gui.desk import Desk


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt of the run's data and its right answer, "" where none is known."""

    prompt: str
    answer: str


class Questions(QObject):
    """The prompts of the last step that has completions, each once, one after the other and round again."""

    changed = Signal()

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._job: Job | None = None
        self._found: dict[Question, None] = {}
        self.all: list[Question] = []
        self.place = -1

    @property
    def reading(self) -> bool:
        """Whether they are being read."""
        return self._job is not None

    @property
    def current(self) -> Question | None:
        """The one that was taken last."""
        return self.all[self.place] if 0 <= self.place < len(self.all) else None

    def read(self, folder: str) -> None:
        """Read them of the run in this folder; those of a run that kept no completions are none."""
        if self._job is not None:
            self._job.cancel()
        self.all, self.place, self._found = [], -1, {}
        self._job = self._desk.network.submit(ReadSamples(folder))
        self._job.events.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self.changed.emit()

    def forget(self) -> None:
        """There is no run."""
        if self._job is not None:
            self._job.cancel()
        self._job, self.all, self.place = None, [], -1
        self.changed.emit()

    def next(self) -> Question:
        """The next one; there has to be one."""
        self.place = (self.place + 1) % len(self.all)
        return self.all[self.place]

    def _on_events(self, events: tuple[Event, ...]) -> None:
        if self.sender() is self._job:
            self._found |= {Question(one.prompt, one.answer): None for one in events if isinstance(one, SampleRead)}

    def _on_ended(self, ending: object) -> None:
        if self.sender() is self._job:
            # A run without completions can be asked all the same, so no error is one here.
            self._job, self.all = None, list(self._found)
            self.changed.emit()
