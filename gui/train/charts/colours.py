"""The colours of several runs in the charts, in the appearance in force. Knows no chart."""

from __future__ import annotations

from gui import theme


def of_runs(count: int) -> list[str]:
    """A colour for each of so many runs; the first is the accent, and after seven they come again."""
    colours = theme.current().colours
    known = [
        colours.accent,
        colours.code_number,
        colours.code_type,
        colours.error,
        colours.good,
        colours.code_function,
        colours.muted,
    ]
    return [known[index % len(known)] for index in range(count)]
