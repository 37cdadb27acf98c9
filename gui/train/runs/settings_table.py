"""Settings of runs as a table: what each is called, and its value in each run. Knows no run and reads no file."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from engine.grpo.settings import TrainConfig
from gui.fields import Facts
from gui.text import number, tr
from gui.train.runs.tables import PlainTable

_SMALLEST, _DIGITS = 1e-4, 6  # below this a number is written with an exponent

Values = Mapping[str, Any]
"""Settings by their keys; None stands for one that has no value."""


def values_of(toml: str) -> dict[str, Any]:
    """The settings in a TOML text that states all of them."""
    given = tomllib.loads(toml)
    return {name: given.get(name) for name in TrainConfig.model_fields}


def defaults() -> dict[str, Any]:
    """The settings of a run for which nobody chose anything."""
    return TrainConfig().model_dump(mode="json")


def differing(settings: Sequence[Values]) -> list[str]:
    """The keys whose values are not the same in all of these, in the order of the settings."""
    first = settings[0]
    return [name for name in TrainConfig.model_fields if any(first.get(name) != other.get(name) for other in settings)]


def facts(name: str) -> Facts:
    """What the settings' model says about one of them."""
    return Facts.of(name, TrainConfig.model_fields[name])


def shown(name: str, value: Any) -> str:
    """A value as a person reads it."""
    told = facts(name)
    match value:
        case None:
            text = tr(str(told.extra.get("empty", "None")))
        case bool():
            text = tr("Yes") if value else tr("No")
        case int():
            text = f"{number(value)} {told.unit}".strip()
        case float():
            text = _decimal(value)
        case list():
            text = ", ".join(_decimal(one) if isinstance(one, float) else str(one) for one in value) or tr("None")
        case dict():
            text = ", ".join(f"{key} = {inner}" for key, inner in value.items()) or tr("None")
        case _:
            text = str(value) or tr("Empty")
    return text


def _decimal(value: float) -> str:
    """With as many digits as it has, and an exponent only where it would be unreadable otherwise."""
    if value and abs(value) < _SMALLEST:
        return f"{value:g}"
    digits = len(f"{value:.{_DIGITS}f}".rstrip("0").partition(".")[2])
    return number(value, max(1, digits))


class SettingsTable(PlainTable):
    """One row a setting, one column a set of values."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.keys: list[str] = []

    def show_settings(
        self, names: Sequence[str], columns: Sequence[tuple[str, Values]], strong: Collection[str] = (), width: int = 0
    ) -> None:
        """Show these settings; a column is its title and its values, and the first value of `strong` ones is bold.

        `width` is the least that the names take.
        """
        self.keys = list(names)
        self.set_titles([tr("Setting"), *(title for title, _ in columns)], width)
        self.setRowCount(len(self.keys))
        for row, name in enumerate(self.keys):
            told = facts(name)
            self.put(row, 0, told.title, f"{told.help}\n{name}".strip())
            for place, (_, values) in enumerate(columns, 1):
                text = shown(name, values.get(name))
                self.put(row, place, " ".join(text.split()), text, strong=place == 1 and name in strong)
        self.fit()

    def search(self, text: str) -> int:
        """Show only the settings in whose title, key, help or value all words are; how many these are."""
        words = text.casefold().split()
        count = 0
        for row, name in enumerate(self.keys):
            said = " ".join((name, facts(name).help, *self.row_texts(row))).casefold()
            hit = all(word in said for word in words)
            count += hit
            self.setRowHidden(row, not hit)
        self.fit()
        return count
