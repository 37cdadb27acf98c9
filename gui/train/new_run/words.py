"""What the engine says of a run's settings, with the settings called as they are here. Knows sentences, no widget."""

from __future__ import annotations

import dataclasses

from engine.events import Failed
from engine.grpo.settings import TrainConfig
from gui.fields import by_title
from gui.remedies import in_window


def said(sentence: str) -> str:
    """A sentence of the engine as this view says it."""
    return by_title(in_window(sentence), TrainConfig)


def in_words(failure: Failed) -> Failed:
    """The same failure in the words of this view."""
    return dataclasses.replace(failure, what=said(failure.what), why=said(failure.why), remedy=said(failure.remedy))
