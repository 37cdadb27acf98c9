"""Figures that become more, with the lowest and highest of every 2, 4, 8 ... of them. Knows numpy, no chart.

A hundred thousand figures fit on some hundred pixels without a look at each of them, and no peak is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEWEST = 256  # a level with fewer entries saves nobody work


class Buffer:
    """Numbers that become more or change at their end; room is made by quarters."""

    def __init__(self) -> None:
        self._room: NDArray[np.float64] = np.empty(0)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def values(self) -> NDArray[np.float64]:
        """The numbers so far, not to be changed."""
        return self._room[: self._count]

    def put(self, start: int, values: NDArray[np.float64]) -> None:
        """From the place `start` on these are the numbers."""
        self._count = start + len(values)
        if self._count > len(self._room):
            room = np.empty(256 + self._count + self._count // 4)
            room[:start] = self._room[:start]
            self._room = room
        self._room[start : self._count] = values

    def clear(self) -> None:
        """Have none."""
        self._count = 0


@dataclass(frozen=True, slots=True)
class Window:
    """Some figures in a row: from the index `first` on the lowest and highest of every `bucket` of them."""

    first: int
    bucket: int
    lows: NDArray[np.float64]
    highs: NDArray[np.float64]


class Levels:
    """Figures and, for powers of two, their extremes; NaN counts as none."""

    def __init__(self) -> None:
        self._figures = Buffer()
        self._lows: list[Buffer] = []
        self._highs: list[Buffer] = []

    def __len__(self) -> int:
        return len(self._figures)

    @property
    def values(self) -> NDArray[np.float64]:
        """The figures, not to be changed."""
        return self._figures.values

    def clear(self) -> None:
        """Have none."""
        for buffer in (self._figures, *self._lows, *self._highs):
            buffer.clear()

    def extend(self, values: NDArray[np.float64]) -> None:
        """Add figures at the end."""
        before = len(self._figures)
        self._figures.put(before, values)
        lows = highs = self._figures.values
        level = 0
        while len(lows) > _FEWEST:
            if level == len(self._lows):
                self._lows.append(Buffer())
                self._highs.append(Buffer())
            # The last pair may have been half a pair; a level that is new begins at its start.
            start = min(before >> (level + 1), len(self._lows[level]))
            self._lows[level].put(start, _pairs(lows[2 * start :], np.fmin))
            self._highs[level].put(start, _pairs(highs[2 * start :], np.fmax))
            lows, highs = self._lows[level].values, self._highs[level].values
            level += 1

    def window(self, start: int, stop: int, bins: int) -> Window:
        """The figures from `start` to `stop`, in at most about `2 * bins` parts which show every peak."""
        level = 0
        while (stop - start) >> level > 2 * bins and level < len(self._lows) and len(self._lows[level]):
            level += 1
        if level == 0:
            part = self._figures.values[start:stop]
            return Window(start, 1, part, part)
        # Buckets stand at fixed places, so that the picture does not flicker while it is moved.
        first, last = start >> level, -(-stop >> level)
        lows, highs = self._lows[level - 1].values[first:last], self._highs[level - 1].values[first:last]
        return Window(first << level, 1 << level, lows, highs)


def _pairs(values: NDArray[np.float64], better: np.ufunc) -> NDArray[np.float64]:
    """One of every two; a last one without a second stands for itself."""
    even = len(values) // 2 * 2
    found: NDArray[np.float64] = better(values[:even:2], values[1:even:2])
    return np.append(found, values[even:])
