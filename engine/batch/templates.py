"""Texts with places for columns: "{question}" is what the column holds, doubled braces are braces. Knows no file."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from engine.errors import UserError

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_REMEDY = "Write places as {{column}}, and braces that are text twice, as {{{{ and }}}}."


class Template:
    """A text with places for columns."""

    def __init__(self, text: str) -> None:
        """Take the text apart.

        Raises:
            UserError: a brace stands alone, or a place names nothing.
        """
        self._pieces: list[tuple[str, str]] = []
        before, last = "", 0
        for part in _PART.finditer(text):
            before += text[last : part.start()]
            last = part.end()
            name = part[1]
            if name is not None and name.strip():
                self._pieces.append((before, name.strip()))
                before = ""
            elif part[0] in ("{{", "}}"):
                before += part[0][0]
            else:
                raise UserError(
                    "The template cannot be read.",
                    "The brace at character {place} stands alone, or names no column.",
                    _REMEDY,
                    place=part.start() + 1,
                )
        self._rest = before + text[last:]

    @classmethod
    def of(cls, column: str) -> Template:
        """The template that is one column, whatever signs its name is written in."""
        template = cls("")
        template._pieces = [("", column)]
        return template

    @property
    def names(self) -> tuple[str, ...]:
        """The columns it has places for, each once."""
        return tuple(dict.fromkeys(name for _, name in self._pieces))

    def require(self, columns: Collection[str]) -> None:
        """See that there is a column for every place.

        Raises:
            UserError: there is none; it names the nearest.
        """
        for name in self.names:
            require_column(name, columns, braces=True)

    def fill(self, values: Mapping[str, Any]) -> str:
        """The text with what the columns hold in their places.

        Raises:
            KeyError: the row lacks a column.
        """
        return "".join(before + shown(values[name]) for before, name in self._pieces) + self._rest


def require_column(name: str, columns: Collection[str], *, braces: bool = False) -> None:
    """See that there is a column of this name.

    Args:
        braces: whether the name was written in a template, where a brace may have been meant as text.

    Raises:
        UserError: there is none; it names the nearest.
    """
    if name in columns:
        return
    close = difflib.get_close_matches(name.casefold(), {each.casefold(): each for each in columns}, 1, 0.5)
    nearest = {each.casefold(): each for each in columns}[close[0]] if close else ""
    remedy = "Did you mean {nearest}?" if nearest else "Name one of these."
    if braces:
        remedy += " Braces that are text are written twice, as {{{{ and }}}}."
    raise UserError(
        "There is no column {column}.",
        "The columns there are: {columns}.",
        remedy,
        column=name,
        columns=", ".join(columns) or "none",
        nearest=nearest,
    )


def shown(value: Any) -> str:
    """What a row holds, as text: nothing for null, JSON for lists and objects."""
    if value is None:
        return ""
    if isinstance(value, dict | list | bool):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
