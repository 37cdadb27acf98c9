"""Places pieces below one another and makes them only where a person looks. Knows no message and no text.

What is far away has a guessed height and no widget; what is near is made and measured as far as the time allows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from PySide6.QtWidgets import QApplication, QWidget


class Work:
    """What one pass may do: the first piece always, further ones until the time is up.

    `owed` says that some were not done, `made` how many widgets are new; what is no farther out of view than `reach`
    stays shown if it was.
    """

    def __init__(self, seconds: float) -> None:
        self.owed, self.made, self.reach = False, 0, 0
        self.focus = QApplication.focusWidget()
        self._deadline = time.perf_counter() + seconds
        self._begun = False

    def has_focus(self, widget: QWidget | None) -> bool:
        """Whether the focus is in a widget, which then cannot be hidden without losing it."""
        return bool(widget and self.focus and (widget is self.focus or widget.isAncestorOf(self.focus)))

    def may(self) -> bool:
        """Whether another piece may be made or measured now."""
        if self._begun and time.perf_counter() >= self._deadline:
            self.owed = True
            return False
        self._begun = True
        return True


class Piece(Protocol):
    """A widget that knows its height for a width. Above `top` and below `bottom`, in its own coordinates, no one looks.

    Asked again for what it has done already, it answers at once. While it is `in_use`, it must not be made anew.
    """

    def fit(self, width: int, top: int, bottom: int, work: Work) -> int:
        """Lay out what is in view and answer the height."""

    def controls(self) -> list[QWidget]:
        """What Tab stops at, from top to bottom."""

    @property
    def in_use(self) -> bool:
        """Whether a person changed or selected something in it."""


@dataclass(slots=True, eq=False)
class Entry:
    """One piece of a column, made when it comes into view. `measured` is the width its `height` was found at."""

    make: Callable[[], Piece]
    guess: Callable[[int], int]
    gap: int = 0
    piece: Piece | None = None
    top: int = 0
    height: int = 0
    measured: int = 0
    place: tuple[int, int, int, int] | None = None

    def expected(self, width: int) -> int:
        """The height as far as it is known without laying anything out."""
        if self.measured == width:
            return self.height
        if self.measured:
            return self.height * self.guess(width) // max(1, self.guess(self.measured))
        return self.guess(width)

    @property
    def widget(self) -> QWidget | None:
        """The piece as the widget that it is."""
        return cast("QWidget | None", self.piece)

    def show_at(self, x: int, y: int, width: int, height: int) -> None:
        """Show the piece at x and y in a width and a height."""
        widget, place = self.widget, (x, y, width, height)
        if widget is not None and place != self.place:
            widget.setGeometry(*place)
            if self.place is None:
                widget.show()
            self.place = place

    def hide(self) -> None:
        """Do not show the piece."""
        if self.widget is not None and self.place is not None:
            self.widget.hide()
        self.place = None

    def drop(self) -> None:
        """Give the widget back; the height stays known."""
        if self.widget is not None:
            self.widget.hide()
            self.widget.deleteLater()
        self.piece = self.place = None


class Column:
    """Pieces below one another."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def fit(self, x: int, y: int, width: int, top: int, bottom: int, work: Work) -> int:
        """Place all from `y` on, and lay out those between `top` and `bottom`; answers where the last one ends."""
        for index, entry in enumerate(self.entries):
            y += entry.gap if index else 0
            height = entry.expected(width)
            if y + height >= top and y <= bottom:
                height = self._fit_entry(entry, width, top - y, bottom - y, work)
                entry.show_at(x, y, width, height)
            elif entry.place is not None:
                near = y + height >= top - work.reach and y <= bottom + work.reach
                if near or work.has_focus(entry.widget):
                    entry.show_at(x, y, width, height)
                else:
                    entry.hide()
            entry.top, y = y, y + height
        return y

    def _fit_entry(self, entry: Entry, width: int, top: int, bottom: int, work: Work) -> int:
        if entry.piece is None:
            if not work.may():
                return entry.expected(width)
            entry.piece = entry.make()
            work.made += 1
        entry.height, entry.measured = entry.piece.fit(width, top, bottom, work), width
        return entry.height

    def hide(self) -> None:
        """Show none of the pieces."""
        for entry in self.entries:
            entry.hide()

    def controls(self) -> list[QWidget]:
        """What Tab stops at in the pieces that are shown."""
        shown = [entry.piece for entry in self.entries if entry.piece is not None and entry.place is not None]
        return [control for piece in shown for control in piece.controls()]

    def trim(self, kept: int) -> None:
        """Give back the widgets that are out of view, once there are many: each costs time when the looks change."""
        hidden = [entry for entry in self.entries if entry.piece is not None and entry.place is None]
        if len(hidden) > kept:
            for entry in hidden:
                if entry.piece is not None and not entry.piece.in_use:
                    entry.drop()

    @property
    def in_use(self) -> bool:
        """Whether one of the pieces is."""
        return any(entry.piece is not None and entry.piece.in_use for entry in self.entries)

    def leaf_between(self, top: int, bottom: int) -> QWidget | None:
        """The first widget that is in view between two heights: what must not move when something above it grows."""
        for entry in self.entries:
            if entry.place is None or entry.top + entry.height <= top:
                continue
            if entry.top >= bottom:
                break
            inner = getattr(entry.widget, "column", None)
            found = inner.leaf_between(top - entry.top, bottom - entry.top) if isinstance(inner, Column) else None
            return found or entry.widget
        return None
