"""The models on this computer, looked for again and again. Knows no widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from engine import jobs
from engine.events import Event, ModelFound

if TYPE_CHECKING:
    from engine.workers import Job
    from gui.desk import Desk


class ModelList(QObject):
    """What was found the last time."""

    changed = Signal()

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._job: Job | None = None
        self._coming: list[ModelFound] = []
        self.found: tuple[ModelFound, ...] = ()

    def look(self) -> None:
        """Look for them, unless that is under way."""
        if self._job is None:
            self._coming = []
            self._job = self._desk.network.submit(jobs.ListModels())
            self._job.events.connect(self._on_events)
            self._job.ended.connect(self._on_ended)

    def _on_events(self, events: tuple[Event, ...]) -> None:
        self._coming += [event for event in events if isinstance(event, ModelFound)]

    def _on_ended(self, _ending: object) -> None:
        self._job = None
        if tuple(self._coming) != self.found:
            self.found = tuple(self._coming)
            self.changed.emit()


def setting_of(model: ModelFound) -> str:
    """What names a model in the settings of a run: its id on the Hub, where it came from there, or its folder."""
    if model.demonstration:
        return "starter"
    return model.name if "models--" in model.folder and model.name.count("/") == 1 else model.folder
