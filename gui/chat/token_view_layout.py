"""Lays tokens out as running text: where each stands, and which stands at a point. Knows widths, paints nothing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple

_SIGNS = str.maketrans({" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍"})
_NARROWEST = 8.0


class Box(NamedTuple):
    """A token, or the part of one that stands in a line."""

    token: int
    text: str
    x: float
    width: float


def visible(text: str) -> str:
    """The text with signs for its spaces and line breaks."""
    return text.translate(_SIGNS)


class Flow:
    """Boxes in lines of a width; tokens are added at the end, and all flow anew for another width."""

    def __init__(self, measure: Callable[[str], float], gap: float = 1.0) -> None:
        self._measure, self._gap = measure, gap
        self._widths: dict[str, float] = {}
        self._texts: list[str] = []
        self._width = 600.0
        self.lines: list[list[Box]] = [[]]
        self._place = 0.0
        self._first: list[int] = []  # the line where each token begins

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, text: str) -> None:
        """One more token."""
        self._texts.append(text)
        self._lay(len(self._texts) - 1)

    def clear(self) -> None:
        """No token."""
        self._texts.clear()
        self._begin()

    def set_width(self, width: float) -> None:
        """Flow in lines of another width."""
        if width != self._width:
            self._width = width
            self._begin()
            for token in range(len(self._texts)):
                self._lay(token)

    def line_of(self, token: int) -> int:
        """The line in which a token begins."""
        return self._first[token]

    def boxes(self, token: int) -> Iterator[tuple[int, Box]]:
        """The parts of a token, each with its line."""
        for line in range(self._first[token], len(self.lines)):
            for box in self.lines[line]:
                if box.token == token:
                    yield line, box
                elif box.token > token:
                    return

    def token_at(self, line: int, x: float, *, near: bool = False) -> int:
        """The token at this place of a line, -1 for none; `near` takes the nearest of the line."""
        if not 0 <= line < len(self.lines) or not self.lines[line]:
            return -1
        boxes = self.lines[line]
        place = bisect_right(boxes, x, key=lambda box: box.x) - 1
        box = boxes[max(0, place)]
        return box.token if near or box.x <= x <= box.x + box.width else -1

    def _begin(self) -> None:
        self.lines, self._place = [[]], 0.0
        self._first.clear()

    def _lay(self, token: int) -> None:
        pieces = self._texts[token].splitlines(keepends=True) or [""]
        for number, piece in enumerate(pieces):
            width = min(self._width, self._wide(visible(piece)))
            if self._place and self._place + width > self._width:
                self._next_line()
            if number == 0:
                self._first.append(len(self.lines) - 1)
            self.lines[-1].append(Box(token, visible(piece), self._place, width))
            self._place += width + self._gap
            if piece.endswith("\n"):
                self._next_line()

    def _next_line(self) -> None:
        self.lines.append([])
        self._place = 0.0

    def _wide(self, text: str) -> float:
        width = self._widths.get(text)
        if width is None:
            width = self._widths[text] = max(_NARROWEST, self._measure(text))
        return width
