"""One chart's axes and curves. Knows series and which part of them to show, no card around it and no mouse."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph
from PySide6.QtCore import Signal
from PySide6.QtGui import QColor, QResizeEvent
from PySide6.QtWidgets import QWidget

from gui import theme
from gui.text import number, tr
from gui.train.charts import ticks
from gui.train.charts.axis import Axis
from gui.train.charts.marks import Mark, place
from gui.train.charts.series import STEPS, Point, Series, Stretch
from gui.train.charts.span import Span
from gui.train.charts.traces import Flag, Hint, Layer, Overlay, Traces

_ROOM, _HEM = 0.08, 0.05  # above and below the curves, and below 0 where nothing is
_FOOT = -1e3  # where the power of ten of nothing stands: below everything
_BANDS = 2  # with more runs their bands would hide each other


class Canvas(pyqtgraph.GraphicsView):  # type: ignore[misc]  # pyqtgraph has no types
    """A chart of some runs; `sync` takes over what is new and must be called for a canvas that is seen."""

    changed = Signal()  # a person chose another part of the height
    resized = Signal()  # the curves are still right, but may be too coarse or too fine

    def __init__(self, span: Span, name: str, unit: ticks.Unit, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.span, self.unit = span, unit
        self.series: list[Series] = []
        self._colours: list[str] = []
        self._marks: list[Mark] = []
        self._log = False
        self.led = False  # the cursor is led from here, and what it meets is said here
        self._height: tuple[float, float] | None = None  # a part that a person chose
        self.setAccessibleName(name)
        self.box = pyqtgraph.ViewBox(enableMouse=False, enableMenu=False)
        self.box.disableAutoRange()
        self.left, self.bottom = Axis("left", self.box, self._values), Axis("bottom", self.box, self._places)
        grid = self.centralLayout
        grid.setContentsMargins(0, 6, 8, 0)
        grid.setSpacing(0)
        grid.addItem(self.left, 0, 0)
        grid.addItem(self.box, 0, 1)
        grid.addItem(self.bottom, 1, 1)
        self.traces, self.overlay = Traces(self.box), Overlay(self.box)
        self.restyle()

    def show_series(self, series: Sequence[Series], colours: Sequence[str], marks: Sequence[Mark] = ()) -> None:
        """Draw these, the first above the others, with the marks of the first."""
        self.series, self._colours, self._marks = list(series), list(colours), list(marks)

    def restyle(self) -> None:
        """Take the colours in force."""
        self.setBackground(QColor(theme.current().colours.raised))
        for item in (self.left, self.bottom, self.traces, self.overlay):
            item.update()

    @property
    def log(self) -> bool:
        """Whether the height counts powers of ten."""
        return self._log

    def set_log(self, log: bool) -> None:
        """Have the height count powers of ten, or not."""
        self._log, self._height = log, None

    @property
    def is_seen(self) -> bool:
        """Whether any of it is on the screen."""
        return self.isVisible() and not self.viewport().visibleRegion().isEmpty()

    @property
    def zoomed_in(self) -> bool:
        """Whether a part of the height is shown."""
        return self._height is not None

    def choose_height(self, part: tuple[float, float] | None) -> None:
        """Show this part of the height, all of it where None."""
        self._height = part

    def smooth(self, span: float) -> None:
        """Average figures of steps over about so many; evaluations are too few."""
        for series in self.series:
            series.smoothed(span if series.chart.source == "steps" else 1)

    def sync(self) -> None:
        """Take over new figures, the part that is shown and the cursor, so that the next paint is right."""
        if self.box.width() < 1 or self.box.height() < 1:
            return
        for series in self.series:
            series.take()
        self.traces.layers = [
            self._layer(series, colour) for series, colour in zip(self.series, self._colours, strict=True)
        ]
        self.traces.flags = self._flags()
        low, high = self._height or self._reach(self.traces.layers)
        self.box.setRange(xRange=self.span.view, yRange=(low, high), padding=0, disableAutoRange=False)
        # Now, and not while painting, which would paint everything twice.
        self.box.updateMatrix()
        self.bottom.update()
        self.left.update()
        self.traces.update()
        self.sync_cursor()

    def sync_cursor(self) -> None:
        """Have the cursor where the span has it."""
        cursor = self.span.cursor
        hint = None if cursor is None else self._hint(cursor)
        if hint is not None or self.overlay.hint is not None:
            self.overlay.hint = hint
            self.overlay.update()

    def at_cursor(self) -> list[Point | None]:
        """The figures of each run at the cursor, the latest where there is no cursor."""
        axis, cursor = self.span.axis, self.span.cursor
        return [each.last(axis) if cursor is None else each.at(axis, cursor) for each in self.series]

    def _layer(self, series: Series, colour: str) -> Layer:
        axis, (left, right), bins = self.span.axis, self.span.view, max(16, int(self.box.width()))
        parts = [series.line, *([series.smooth] if series.span > 1 else [])]
        if len(series.low) and len(self.series) <= _BANDS:
            parts += [series.low, series.high]
        seen = [self._scaled(series.drawn(part, axis, left, right, bins)) for part in parts]
        layer = Layer(colour, seen.pop(0), dotted=series.chart.source != "steps")
        if series.span > 1:
            layer.smooth = seen.pop(0)
        if seen:
            layer.low, layer.high = seen
            if self._log:
                # What reaches below 0 reaches to the foot.
                deep = np.where(np.isnan(layer.low.lows) & np.isfinite(layer.high.highs), _FOOT, layer.low.lows)
                layer.low = Stretch(layer.low.x, deep, layer.low.highs, layer.low.dense)
        return layer

    def _scaled(self, stretch: Stretch) -> Stretch:
        if not self._log:
            return stretch
        lows, highs = _decimal_log(stretch.lows), _decimal_log(stretch.highs)
        # A part that is above 0 only now and then begins at the least that can be shown.
        return Stretch(stretch.x, np.where(np.isnan(lows), highs, lows), highs, stretch.dense)

    def _reach(self, layers: Sequence[Layer]) -> tuple[float, float]:
        """From where to where the height must go for all that is seen."""
        parts = [part for layer in layers for part in (layer.line, layer.smooth, layer.low, layer.high) if part]
        left, right = self.span.view
        lows: list[float] = []
        highs: list[float] = []
        for part in parts:
            inside = slice(*np.searchsorted(part.x, (left, right)).tolist())
            chosen = inside if inside.start < inside.stop else slice(None)
            some = part.lows[chosen]
            lows.append(float(np.fmin.reduce(some[some > _FOOT] if self._log else some, initial=np.nan)))
            highs.append(float(np.fmax.reduce(part.highs[chosen], initial=np.nan)))
        low, high = (float(better.reduce(ends, initial=np.nan)) for better, ends in ((np.fmin, lows), (np.fmax, highs)))
        if not math.isfinite(low) or not math.isfinite(high):
            return (-1.0, 0.0) if self._log else (0.0, 1.0)
        # Figures that are all the same stand in the middle.
        room = _ROOM * (high - low) or (0.3 if self._log else 0.1 * abs(low) or 0.5)
        # Nothing that cannot be negative seems to go there.
        bottom = low - room if self._log or low < 0 or low - room > 0 else -_HEM * (high + room)
        return bottom, high + room

    def _flags(self) -> list[Flag]:
        if not self.series:
            return []
        record, axis = self.series[0].record, self.span.axis
        return [Flag(place(record, mark, axis), mark.kind, mark.text) for mark in self._marks]

    def _hint(self, cursor: float) -> Hint:
        axis = self.span.axis
        hint = Hint(cursor)
        points = [each.at(axis, cursor) for each in self.series]
        for point, colour in zip(points, self._colours, strict=True):
            value = math.nan if point is None else point.average if math.isfinite(point.average) else point.value
            shown = _log_of(value) if self._log else value
            if point is not None and math.isfinite(shown):
                hint.dots.append((point.x, shown, colour))
        if self.led:
            hint.text = self._words(cursor)
        return hint

    def _words(self, cursor: float) -> str:
        left, right = self.span.view
        close = 5 * (right - left) / max(1.0, self.box.width())
        where = self.place_text(cursor)
        near = [flag.text for flag in self.traces.flags if abs(flag.x - cursor) <= close]
        return " · ".join([where, *dict.fromkeys(near)])

    def place_text(self, where: float) -> str:
        """A place on the axis in words."""
        if self.span.axis == STEPS:
            return tr("Step {step}", step=number(round(where)))
        return tr("After {time}", time=ticks.clock(where))

    def _values(self, low: float, high: float, most: int) -> ticks.Ticks:
        return (ticks.powers if self._log else ticks.linear)(low, high, most, self.unit)

    def _places(self, low: float, high: float, most: int) -> ticks.Ticks:
        if self.span.axis == STEPS:
            return ticks.linear(low, high, most, "count", whole=True)
        return ticks.times(low, high, most)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        if hasattr(self, "overlay"):  # the base class calls this while it is made
            self.centralLayout.activate()
            self.resized.emit()


def _decimal_log(values: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(values > 0, np.log10(values), np.nan)


def _log_of(value: float) -> float:
    return math.log10(value) if value > 0 else math.nan
