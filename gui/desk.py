"""What the pages share: settings, lanes, the conversation store and the door for messages. Knows no widget."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, Signal

from engine import config, places
from engine.chat.conversations import Conversations
from engine.chat.requests import ChatOptions
from engine.config import Settings, WhenFull
from engine.errors import UserError
from engine.jobs import LoadModel
from engine.workers import ComputeLane, NetworkLane
from gui.garbage import Garbage
from gui.notices import Notices


class Desk(QObject):
    """One for the life of the window; lives on the window's thread."""

    settings_changed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.notices = Notices(self)
        self._garbage = Garbage(self)
        self.settings = Settings()
        self._damaged = False
        self.database: Path = places.conversations_file()
        self.store = Conversations(self.database)
        self.store.recover()
        self.compute = ComputeLane(self)
        self.network = NetworkLane(self)

    def read_settings(self) -> None:
        """Take the settings from their file; a damaged file is reported and left as it is."""
        try:
            self.settings = config.read(Settings, places.settings_file())
        except (UserError, OSError) as error:
            self._damaged = True
            self.notices.error(error)
        self.settings_changed.emit(self.settings)

    def change_settings(self, settings: Settings) -> None:
        """Have these settings in force and on disk."""
        if settings == self.settings:
            return
        self.settings = settings
        self.settings_changed.emit(settings)
        try:
            if self._damaged:
                # What could not be read is the person's work; it is put aside, not written over.
                path = places.settings_file()
                path.replace(path.with_name(f"{path.name}.damaged"))
                self._damaged = False
            config.write(settings, places.settings_file())
        except OSError as error:
            self.notices.error(error)

    def load_request(self, model: str) -> LoadModel:
        """How this model is to be loaded under the settings in force."""
        return LoadModel(model, self.settings.precision, self.settings.memory_limit * 1024**2)

    def chat_options(self, when_full: WhenFull | Literal[""] = "") -> ChatOptions:
        """How a chat uses window and memory under the settings in force; `when_full` is a conversation's own choice."""
        settings = self.settings
        return ChatOptions(
            when_full=when_full or settings.when_full,
            kv_bits=0 if settings.kv_bits == "full" else int(settings.kv_bits),
            kv_memory=settings.kv_memory * 1024**2,
            kv_disk=settings.kv_disk * 1024**2,
            draft=(settings.draft_model or "auto") if settings.speculative else "",
        )

    def close(self) -> None:
        """End the jobs and give everything back."""
        self.network.close()
        self.compute.close()
        self.store.close()
        self._garbage.close()
