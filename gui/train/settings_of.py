"""Reads the settings of a run, of a file, or of a recipe that comes with the program. Knows no widget."""

from __future__ import annotations

import tomllib
from collections.abc import Callable

from PySide6.QtCore import QObject

from engine import config
from engine.errors import UserError
from engine.events import Event, Failed
from engine.grpo.settings import TrainConfig
from engine.monitor.requests import ReadConfig
from engine.run_events import ConfigRead
from gui.desk import Desk


class SettingsOf(QObject):
    """The reading of one run's settings; `take` gets them, or the window says why they cannot be read."""

    def __init__(self, desk: Desk, name: str, take: Callable[[TrainConfig], object], parent: QObject) -> None:
        super().__init__(parent)
        self._desk, self._take = desk, take
        job = desk.network.submit(ReadConfig(name))
        job.events.connect(self._on_events)
        job.ended.connect(self._on_ended)

    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, ConfigRead):
                try:
                    settings = config.build(TrainConfig, tomllib.loads(event.toml))
                except UserError as error:
                    self._desk.notices.error(error)
                else:
                    self._take(settings)

    def _on_ended(self, ending: object) -> None:
        if isinstance(ending, Failed):
            self._desk.notices.error(ending)
        self.deleteLater()
