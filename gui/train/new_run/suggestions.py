"""The settings that a forecast offers, in a person's words and as values. Knows the settings, forecasts nothing."""

from __future__ import annotations

import json
import typing
from collections.abc import Sequence
from typing import Any, Literal

from engine.grpo.settings import TrainConfig
from gui.fields import Facts, label
from gui.text import number, tr


def values(suggestion: Sequence[str]) -> dict[str, Any]:
    """What `key=value` texts of a forecast mean."""
    found: dict[str, Any] = {}
    for pair in suggestion:
        name, text = pair.split("=", 1)
        kind = TrainConfig.model_fields[name].annotation
        found[name] = text if kind is str or typing.get_origin(kind) is Literal else json.loads(text)
    return found


def in_words(suggestion: Sequence[str]) -> str:
    """The same for a person: the settings by their titles."""
    return ", ".join(_said(name, value) for name, value in values(suggestion).items())


def _said(name: str, value: Any) -> str:
    facts = Facts.of(name, TrainConfig.model_fields[name])
    if isinstance(value, bool):
        return f"{facts.title}: {tr('on') if value else tr('off')}"
    shown = number(value) if isinstance(value, int | float) else label(value, facts)
    return f"{facts.title}: {shown}"
