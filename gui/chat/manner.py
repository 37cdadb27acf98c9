"""How a conversation is answered: prompt, sampling, what happens when it is full. Knows no widget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self, cast, get_args

from engine.chat.conversations import Conversation
from engine.config import Sampling, Settings, WhenFull


@dataclass(frozen=True, slots=True)
class Manner:
    """What a conversation is answered by. `when_full` is "" where the settings decide, `preset` "" for none."""

    system_prompt: str
    sampling: Sampling
    when_full: WhenFull | Literal[""] = ""
    preset: str = ""

    @classmethod
    def of_settings(cls, settings: Settings) -> Self:
        """What a new conversation begins with."""
        return cls(settings.system_prompt, settings.sampling)

    @classmethod
    def of_conversation(cls, stored: Conversation) -> Self:
        """What was chosen for a stored one."""
        choice = stored.when_full if stored.when_full in get_args(WhenFull) else ""
        return cls(stored.system_prompt, stored.sampling, cast("WhenFull", choice), stored.preset)
