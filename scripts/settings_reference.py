"""Writes docs/settings.md from the settings models, where each setting is stated once. Knows no other file.

Run: python -m scripts.settings_reference
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from engine.config import Sampling, Settings
from engine.convert.settings import ConversionSettings

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
_HEAD = """# Settings

This page is written by `python -m scripts.settings_reference` from the settings models in `engine/config.py` and
`engine/convert/settings.py`.
A value comes from the defaults below, then the settings file, then the command line or the window.
"""


def reference() -> str:
    """The whole page."""
    sections = [
        ("Program", "In `settings.toml`, and on the Settings page of the window.", Settings),
        ("Sampling", "Under `[sampling]` in `settings.toml`, in a conversation's panel, and as options.", Sampling),
        ("Conversion", "On the Convert page, and as options of `mlx-grpo convert`.", ConversionSettings),
    ]
    return _HEAD + "".join(f"\n## {title}\n\n{about}\n\n{_table(model)}" for title, about, model in sections)


def _table(model: type[BaseModel]) -> str:
    rows = ["| key | default | allowed | meaning |", "|---|---|---|---|"]
    schema = model.model_json_schema()
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            continue
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        unit = f" {extra['unit']}" if extra.get("unit") else ""
        default = "none" if field.default is None else f"`{_toml(field.default)}`{unit}"
        rows.append(f"| `{name}` | {default} | {_allowed(schema['properties'][name])} | {field.description} |")
    return "\n".join(rows) + "\n"


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else "[]" if value == () else str(value)


def _allowed(schema: dict[str, object]) -> str:
    for option in schema.get("anyOf", []):  # type: ignore[attr-defined]
        if option.get("type") != "null":
            return f"{_allowed(option)}, or none"
    if "enum" in schema:
        return ", ".join(f"`{choice}`" if choice else "empty" for choice in schema["enum"])  # type: ignore[attr-defined]
    bounds = [
        f"{words} {schema[key]:,}".removesuffix(".0")
        for key, words in (
            ("exclusiveMinimum", "above"),
            ("minimum", "from"),
            ("maximum", "to"),
        )
        if key in schema
    ]
    kind = {
        "boolean": "true or false",
        "string": "text",
        "number": "number",
        "integer": "whole number",
        "array": "list of texts",
    }
    return " ".join([kind[str(schema["type"])], *bounds])


if __name__ == "__main__":
    PAGE.write_text(reference(), "utf-8")
