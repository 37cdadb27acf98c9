"""Writes docs/settings.md from the settings models, where each setting is stated once. Knows no other file.

Run: python -m scripts.settings_reference
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path

from pydantic import BaseModel

from engine.config import Sampling, Settings
from engine.convert.settings import ConversionSettings
from engine.grpo.settings import TrainConfig

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
_HEAD = """# Settings

This page is written by `python -m scripts.settings_reference` from the settings models in `engine/config.py`,
`engine/convert/settings.py` and `engine/grpo/settings.py`.
A value comes from the defaults below, then the settings file, then the command line or the window.
"""
_TRAINING = """
## Training

In a TOML file for `mlx-grpo train --config FILE`, flat or under `[mlx_grpo]`; each also as `--set key=value`. A list
may be given there as texts with commas between them. [How to train](training.md) tells what they are for.
"""


def reference() -> str:
    """The whole page."""
    sections: list[tuple[str, str, type[BaseModel]]] = [
        ("Program", "In `settings.toml`, and on the Settings page of the window.", Settings),
        ("Sampling", "Under `[sampling]` in `settings.toml`, in a conversation's panel, and as options.", Sampling),
        ("Conversion", "On the Convert page, and as options of `mlx-grpo convert`.", ConversionSettings),
    ]
    pages = [f"\n## {title}\n\n{about}\n\n{_table(model)}" for title, about, model in sections]
    return _HEAD + "".join(pages) + _TRAINING + "".join(_groups(TrainConfig))


def _groups(model: type[BaseModel]) -> Iterator[str]:
    """A table for each group of a model's settings."""
    groups: dict[str, list[str]] = {}
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        groups.setdefault(str(extra["group"]), []).append(name)
    yield from (f"\n### {group}\n\n{_table(model, names)}" for group, names in groups.items())


def _table(model: type[BaseModel], names: Collection[str] = ()) -> str:
    rows = ["| key | default | allowed | meaning |", "|---|---|---|---|"]
    schema = model.model_json_schema()
    for name, field in model.model_fields.items():
        if names and name not in names:
            continue
        if isinstance(field.default, BaseModel):
            continue
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        unit = f" {extra['unit']}" if extra.get("unit") else ""
        default = "none" if field.default is None else f"`{_toml(field.default)}`{unit}"
        rows.append(f"| `{name}` | {default} | {_allowed(schema['properties'][name])} | {field.description} |")
    return "\n".join(rows) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value)


def _allowed(schema: dict[str, object]) -> str:
    for option in schema.get("anyOf", []):  # type: ignore[attr-defined]
        if option.get("type") != "null":
            return f"{_allowed(option)}, or none"
    if "enum" in schema:
        return ", ".join(f"`{choice}`" if choice else "empty" for choice in schema["enum"])  # type: ignore[attr-defined]
    kind = {
        "boolean": "true or false",
        "string": "text",
        "number": "number",
        "integer": "whole number",
        "object": "table of texts",
    }
    if schema["type"] == "array":
        members: dict[str, object] = schema["items"]  # type: ignore[assignment]
        if "enum" in members:
            return f"list of {_allowed(members)}"
        return " ".join([f"list of {kind[str(members['type'])]}s", *_bounds(members)])
    return " ".join([kind[str(schema["type"])], *_bounds(schema)])


def _bounds(schema: dict[str, object]) -> list[str]:
    return [
        f"{words} {schema[key]:,}".removesuffix(".0")
        for key, words in (
            ("exclusiveMinimum", "above"),
            ("minimum", "from"),
            ("maximum", "to"),
            ("exclusiveMaximum", "to below"),
        )
        if key in schema
    ]


if __name__ == "__main__":
    PAGE.write_text(reference(), "utf-8")
