"""One run's figures of one chart, ready to be drawn at any zoom. Knows a record, no widget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gui.train.charts.levels import Buffer, Levels, Window
from gui.train.charts.smoothing import Average
from gui.train.charts.specification import Chart, evaluations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gui.train.record import Record

STEPS, TIME = "step", "elapsed"
"""What an axis to the right may count: steps, or seconds since the start."""
_LARGEST = 1e300  # a drawn range may be no wider than a float can tell


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is to be drawn of some figures: the lowest and highest from `x` on, the same where each is alone.

    `dense`: each entry stands for many figures.
    """

    x: NDArray[np.float64]
    lows: NDArray[np.float64]
    highs: NDArray[np.float64]
    dense: bool


@dataclass(frozen=True, slots=True)
class Point:
    """The figures of one step: `row` is its place among all; `average` is the smoothed value."""

    row: int
    x: float
    value: float
    average: float
    low: float
    high: float


class Series:
    """The figures of a chart for a run: its line, the band around it, and its smoothed line."""

    def __init__(self, chart: Chart, record: Record) -> None:
        self.chart, self.record = chart, record
        self.span = 1.0
        self._x = {STEPS: Buffer(), TIME: Buffer()}
        self.line, self.smooth, self.low, self.high = Levels(), Levels(), Levels(), Levels()
        self._average = Average(1)

    def __len__(self) -> int:
        return len(self.line)

    def clear(self) -> None:
        """Forget all figures: the record is another one."""
        for places in self._x.values():
            places.clear()
        for part in (self.line, self.smooth, self.low, self.high):
            part.clear()
        self._average = Average(self.span)

    def smoothed(self, span: float) -> None:
        """Average over about so many figures."""
        if span != self.span:
            self.span = span
            self._average = Average(span)
            self.smooth.clear()
            if span > 1:
                self.smooth.extend(self._average.extend(self.line.values))

    def take(self) -> bool:
        """Take over what the record has more; whether there was something."""
        columns, steps, seconds = self._new()
        if not len(steps):
            return False
        for axis, values in ((STEPS, steps), (TIME, seconds)):
            self._put(axis, values)
        values = self.chart.values(columns)
        self.line.extend(_drawable(values))
        band = self.chart.bands(columns)
        if band is not None:
            self.low.extend(_drawable(band[0]))
            self.high.extend(_drawable(band[1]))
        if self.span > 1:
            self.smooth.extend(self._average.extend(self.line.values[len(self.smooth) :]))
        return True

    def x(self, axis: str) -> NDArray[np.float64]:
        """Where the figures stand; never falling."""
        return self._x[axis].values

    def drawn(self, part: Levels, axis: str, left: float, right: float, bins: int) -> Stretch:
        """What is seen of the line, a bound of the band, or the smoothed line between two places.

        One figure more at each side, to which lines lead out of the picture.
        """
        places = self.x(axis)[: len(part)]
        start = max(0, int(np.searchsorted(places, left, "left")) - 1)
        stop = min(len(places), int(np.searchsorted(places, right, "right")) + 1)
        seen: Window = part.window(start, stop, bins)
        return Stretch(
            places[seen.first : stop : seen.bucket][: len(seen.lows)], seen.lows, seen.highs, seen.bucket > 1
        )

    def at(self, axis: str, place: float) -> Point | None:
        """The figures nearest to a place; None where there are none."""
        places = self.x(axis)
        if not len(places):
            return None
        row = int(np.searchsorted(places, place))
        if row == len(places) or (row and place - places[row - 1] < places[row] - place):
            row -= 1
        # Of those of one place the last counts.
        row = int(np.searchsorted(places, places[row], "right")) - 1
        return self.point(axis, row)

    def point(self, axis: str, row: int) -> Point:
        """The figures of a row, counted from the end where it is negative."""
        row = range(len(self))[row]
        bounds = [float(part.values[row]) if len(part) else float("nan") for part in (self.smooth, self.low, self.high)]
        return Point(row, float(self.x(axis)[row]), float(self.line.values[row]), *bounds)

    def last(self, axis: str) -> Point | None:
        """The latest figures there are; None where there are none."""
        if len(self) and np.isfinite(self.line.values[-1]):
            return self.point(axis, -1)
        found = np.flatnonzero(np.isfinite(self.line.values))
        return self.point(axis, int(found[-1])) if len(found) else None

    def _put(self, axis: str, values: NDArray[np.float64]) -> None:
        buffer = self._x[axis]
        start = len(buffer)
        last = buffer.values[-1] if start else 0.0
        # A place that is missing, or before the last, would break the search for what is seen.
        buffer.put(start, np.fmax.accumulate(np.append(last, values))[1:])

    def _new(self) -> tuple[list[NDArray[np.float64]], NDArray[np.float64], NDArray[np.float64]]:
        """The columns of the chart, the steps and the seconds of the rows that were not taken yet."""
        if self.chart.source == "steps":
            start = len(self)
            columns = [self.record.column(name)[start:] for name in (*self.chart.columns, STEPS, TIME)]
            return columns[:-2], columns[-2], columns[-1]
        found = evaluations(self.record, self.chart.source)[len(self) :]
        rows = [[getattr(event, name) for name in (*self.chart.columns, STEPS, TIME)] for event in found]
        table = np.array(rows, np.float64).reshape(len(rows), len(self.chart.columns) + 2)
        columns = list(table.T)
        return columns[:-2], columns[-2], columns[-1]


def _drawable(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What can be drawn of some figures: what is not finite is a gap."""
    return np.where(np.isfinite(values), np.clip(values, -_LARGEST, _LARGEST), np.nan)
