"""Reads the settings of a recipe, a run or a file on the network lane. Knows no widget."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from engine.events import Event, Failed
from engine.grpo.settings import TrainConfig
from engine.monitor.requests import ReadConfig
from engine.run_events import ConfigRead

if TYPE_CHECKING:
    from engine.workers import Job
    from gui.desk import Desk


class Reader(QObject):
    """The last one that was asked for counts."""

    read = Signal(object, str)  # a TrainConfig, and what it was asked for by
    failed = Signal(object)  # a Failed

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._job: Job | None = None

    @property
    def busy(self) -> bool:
        """Whether something is being read."""
        return self._job is not None

    def start(self, name: str) -> None:
        """Read what has this name: a recipe, a run's folder or a TOML file."""
        self._drop()
        job = self._job = self._desk.network.submit(ReadConfig(name))
        job.events.connect(self._on_events)
        job.ended.connect(self._on_ended)

    def _drop(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.events.disconnect(self._on_events)
            job.ended.disconnect(self._on_ended)

    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, ConfigRead):
                self.read.emit(TrainConfig.model_validate(tomllib.loads(event.toml)), event.name)

    def _on_ended(self, ending: object) -> None:
        self._job = None
        if isinstance(ending, Failed):
            self.failed.emit(ending)
