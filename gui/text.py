"""The one door for visible words: `tr()`. Knows no widget.

Words come from here, from the engine's setting models and from its error templates; all are looked up in one context.
"""

from __future__ import annotations

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
