"""Makes a question with its answer of the columns of a stored row. Knows the settings of a run, and no source."""

from __future__ import annotations

import json
import re
import string
from dataclasses import dataclass
from typing import Any

from engine.errors import UserError
from engine.grpo.settings import TrainConfig


@dataclass(frozen=True, slots=True)
class Row:
    """One question of a data set.

    `index` is its number in its source, from 0, whatever other rows are left out. `columns` has all its columns, by
    their new names, and besides them "prompt" and "answer", which are `prompt` and `answer`.
    """

    index: int
    prompt: str
    answer: str
    columns: dict[str, Any]


class RowForm:
    """How the columns of a source become a prompt and an answer.

    Raises:
        UserError: the answer pattern or the prompt template of the configuration is not well-formed.
    """

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self._pattern = _compiled(config.answer_pattern)
        self._pieces = _pieces(config.prompt_template)

    def row(self, number: int, values: dict[str, Any], place: str) -> Row:
        """The row made from stored values.

        Raises:
            UserError: a column is missing, or what stands in it is no prompt or no answer.
        """
        config = self._config
        renamed = {new: _column(values, old, "columns", place) for new, old in config.columns.items()}
        former = set(config.columns.values())
        columns = {name: value for name, value in values.items() if name not in former} | renamed
        prompt, answer = self._prompt({**values, **columns}, place), ""
        if config.answer_column:
            answer = self._answer(_column({**values, **columns}, config.answer_column, "answer_column", place), place)
        return Row(number, prompt, answer, columns | {"prompt": prompt, "answer": answer})

    def _prompt(self, columns: dict[str, Any], place: str) -> str:
        if self._pieces:
            prompt = "".join(
                before + ("" if name is None else _shown(_column(columns, name, "prompt_template", place), name, place))
                for before, name in self._pieces
            )
        else:
            prompt = _column(columns, self._config.prompt_column, "prompt_column", place)
        if not isinstance(prompt, str) or not prompt.strip():
            kind = "empty" if isinstance(prompt, str) or prompt is None else f"not text but {_kind(prompt)}"
            raise UserError(
                "There is no prompt at {place}.",
                "What {setting} names is {kind}.",
                "Mend or delete that row, or set {setting} to what holds the question.",
                place=place,
                setting="prompt_template" if self._pieces else "prompt_column",
                kind=kind,
            )
        try:
            prompt.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UserError(
                "The prompt is not text at {place}.",
                "It holds half of a character, which UTF-8 cannot express.",
                "Mend or delete that row.",
                place=place,
            ) from error
        return prompt

    def _answer(self, value: Any, place: str) -> str:
        text = _shown(value, self._config.answer_column, place).strip()
        found = self._pattern.search(text) if self._pattern else None
        inside = found.group(1 if found.re.groups else 0) if found else None
        return text if inside is None else inside.strip()


def _column(columns: dict[str, Any], name: str, setting: str, place: str) -> Any:
    if name in columns:
        return columns[name]
    hint = ' (or to "" where there is no answer)' if setting == "answer_column" else ""
    brace = "; write braces that are text twice, as {{ and }}" if setting == "prompt_template" else ""
    raise UserError(
        "There is no column {column} at {place}.",
        "The columns there are: {columns}.",
        "Set {setting} to one of them{hint}{brace}.",
        column=name or '""',
        place=place,
        columns=", ".join(map(str, columns)) or "none",
        setting=setting,
        hint=hint,
        brace=brace,
    )


def _shown(value: Any, name: str, place: str) -> str:
    """A value as text."""
    if value is None:
        raise UserError(
            "The column {column} is empty at {place}.",
            "A value is needed there, and it has none.",
            "Mend or delete that row, or choose another column.",
            column=name,
            place=place,
        )
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _kind(value: Any) -> str:
    return {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}.get(
        type(value), type(value).__name__
    )


def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern else None
    except re.error as error:
        raise UserError(
            "answer_pattern is not a regular expression: {pattern}",
            "{reason}",
            r'Mend it, or set it to "" to take the whole answer column.',
            pattern=pattern,
            reason=str(error),
        ) from error


def _pieces(template: str) -> list[tuple[str, str | None]]:
    """A template as pairs of a text and the column that comes behind it."""
    reason = "A place in it holds more than the name of a column, or none."
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        pieces, reason = [("", "", "", None)], str(error)
    if any(name is not None and (form or conversion or not name.strip()) for _, name, form, conversion in pieces):
        raise UserError(
            "prompt_template cannot be read.",
            "{reason}",
            "Write places as {{column}}, and braces that are text twice, as {{{{ and }}}}.",
            reason=reason,
        )
    return [(before, name) for before, name, _, _ in pieces]
