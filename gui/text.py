"""The one door for visible words: `tr()`. Knows no widget.

Words come from here, from the engine's setting models and from its error templates; all are looked up in one context.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QCoreApplication, QLocale

_CONTEXT = "MLX-GRPO"


def tr(text: str, **values: object) -> str:
    """The text in the person's language, its `{name}` places filled from `values`."""
    translated = QCoreApplication.translate(_CONTEXT, text)
    return translated.format(**values) if values else translated


def number(value: float, decimals: int = 0) -> str:
    """A number with the separators of the person's language."""
    locale = QLocale()
    # The locale "C", which programs begin in, leaves the thousands together.
    locale.setNumberOptions(locale.numberOptions() & ~QLocale.NumberOption.OmitGroupSeparator)
    return locale.toString(float(value), "f", decimals)


def size(count: float) -> str:
    """A number of bytes in the unit a person reads: 1.2 GB."""
    value, units = float(count), ["bytes", "KB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    decimals = 0 if units[0] == "bytes" or value >= 100 else 1
    return f"{number(value, decimals)} {tr(units[0])}"


def parameters(count: int) -> str:
    """A number of weights: 1.7 billion."""
    if count >= 1e9:
        return tr("{count} billion", count=number(count / 1e9, 1))
    if count >= 1e6:
        return tr("{count} million", count=number(count / 1e6, 1 if count < 1e7 else 0))
    return number(count)


def duration(seconds: float) -> str:
    """A time as a person says it, no more exact than is useful."""
    whole = max(0, round(seconds))
    if whole < 60:
        return tr("1 second") if whole == 1 else tr("{count} seconds", count=number(whole))
    if whole < 5400:
        minutes = round(whole / 60)
        return tr("1 minute") if minutes == 1 else tr("{count} minutes", count=number(minutes))
    hours, minutes = divmod(round(whole / 60), 60)
    return tr("{hours} h {minutes} min", hours=number(hours), minutes=number(minutes))


def short_path(path: str | Path) -> str:
    """The path as a person writes it, with ~ for the home folder."""
    path, home = Path(path), Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
