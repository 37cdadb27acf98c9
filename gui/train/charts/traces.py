"""What a chart shows inside its axes: curves and bands below, the cursor above. Knows figures as pixels, no record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from gui import theme
from gui.train.charts import strokes
from gui.train.charts.series import Stretch

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LINE, _THIN = 1.6, 1.0
_BAND, _FAINT, _FAINTEST = (
    0.16,
    0.5,
    0.34,
)  # how much of its colour a band has, and a curve behind its smoothed one, thin or as a ground
_TALL = 3.0  # pixels; where most bars are taller nobody sees the line in them


@dataclass
class Layer:
    """A run's curve as it is drawn: its colour, and what of its figures is seen."""

    colour: str
    line: Stretch
    smooth: Stretch | None = None
    low: Stretch | None = None
    high: Stretch | None = None
    dotted: bool = False


@dataclass(frozen=True, slots=True)
class Flag:
    """A vertical line or a small mark at the foot of a chart."""

    x: float
    kind: str
    text: str


class _Inside(pyqtgraph.GraphicsObject):  # type: ignore[misc]  # pyqtgraph has no types
    """Something drawn in the pixels of a chart's inside."""

    def __init__(self, box: pyqtgraph.ViewBox) -> None:
        super().__init__()
        self.box = box
        self.setParentItem(box)
        box.sigResized.connect(self._resize)

    def boundingRect(self) -> QRectF:  # noqa: N802
        """All of the inside."""
        return QRectF(self.box.rect())

    def _resize(self) -> None:
        self.prepareGeometryChange()
        self.update()

    def across(self, values: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Pixels from the left."""
        (low, high), width = self.box.viewRange()[0], self.box.width()
        return strokes.near((np.asarray(values) - low) * (width / (high - low)), width)

    def down(self, values: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Pixels from the top."""
        (low, high), height = self.box.viewRange()[1], self.box.height()
        return strokes.near(height - (np.asarray(values) - low) * (height / (high - low)), height)


class Traces(_Inside):
    """The curves with their bands, and what happened in the run. Painted once and kept while the cursor moves."""

    def __init__(self, box: pyqtgraph.ViewBox) -> None:
        super().__init__(box)
        self.layers: list[Layer] = []
        self.flags: list[Flag] = []
        self.setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)

    def paint(self, painter: QPainter, _option: QStyleOptionGraphicsItem, _widget: QWidget | None = None) -> None:
        """The bands below all curves, the first run's curve above the others."""
        for flag in self.flags:
            self._flag(painter, flag)
        for layer in reversed(self.layers):
            self._band(painter, layer)
        for layer in reversed(self.layers):
            ground = theme.current().colours.raised
            colour = QColor(layer.colour)
            if layer.smooth is None:
                self._curve(painter, layer.line, colour, _LINE)
            else:
                faint = _FAINTEST if layer.line.dense else _FAINT
                self._curve(painter, layer.line, strokes.blended(layer.colour, ground, faint), _THIN)
                self._curve(painter, layer.smooth, colour, _LINE)
            if layer.dotted and not layer.line.dense:
                strokes.dots(painter, self.across(layer.line.x), self.down(layer.line.lows), colour, 6)

    def _curve(self, painter: QPainter, curve: Stretch, colour: QColor, width: float) -> None:
        if not len(curve.x):
            return
        x = self.across(curve.x)
        tops, bottoms = self.down(curve.highs), self.down(curve.lows)
        if not curve.dense:
            strokes.line(painter, x, tops, colour, width)
            return
        strokes.bars(painter, x, tops, bottoms, colour, _THIN)
        # Not numpy's median, which imports masked arrays for the first one.
        if np.count_nonzero(bottoms - tops < _TALL) > np.count_nonzero(bottoms - tops >= _TALL):
            middles = x + np.diff(x, append=x[-1]) / 2
            strokes.line(painter, middles, (tops + bottoms) / 2, colour, width)

    def _band(self, painter: QPainter, layer: Layer) -> None:
        if layer.low is not None and layer.high is not None and len(layer.low.x):
            colour = QColor(layer.colour)
            colour.setAlphaF(_BAND)
            tops, bottoms = self.down(layer.high.highs), self.down(layer.low.lows)
            strokes.band(painter, self.across(layer.low.x), tops, bottoms, colour)

    def _flag(self, painter: QPainter, flag: Flag) -> None:
        if not np.isfinite(flag.x):
            return
        colours, x, foot = theme.current().colours, float(self.across(flag.x)), self.box.height()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if flag.kind in {"setting", "resumed"}:
            style = Qt.PenStyle.DashLine if flag.kind == "setting" else Qt.PenStyle.DotLine
            painter.setPen(QPen(QColor(colours.warning if flag.kind == "setting" else colours.muted), 1, style))
            painter.drawLine(QPointF(x, 0), QPointF(x, foot))
            return
        best = flag.kind == "best"
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours.good if best else colours.muted))
        wide, high = (4, 7) if best else (3, 5)
        painter.drawPolygon(QPolygonF([QPointF(x - wide, foot), QPointF(x + wide, foot), QPointF(x, foot - high)]))


@dataclass
class Hint:
    """What the cursor shows in one chart: its place, a dot on each curve, and words at the foot, "" for none."""

    x: float
    dots: list[tuple[float, float, str]] = field(default_factory=list)
    text: str = ""


class Overlay(_Inside):
    """The cursor, the part that is being chosen, and the ring of the keyboard's focus."""

    def __init__(self, box: pyqtgraph.ViewBox) -> None:
        super().__init__(box)
        self.hint: Hint | None = None
        self.choice: QRectF | None = None
        self.focused = False
        self.setZValue(10)

    def paint(self, painter: QPainter, _option: QStyleOptionGraphicsItem, _widget: QWidget | None = None) -> None:
        """A line from top to bottom with dots and words."""
        colours = theme.current().colours
        if self.hint is not None:
            self._cursor(painter, self.hint)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.choice is not None:
            ground = QColor(colours.accent)
            ground.setAlphaF(0.15)
            painter.setPen(QPen(QColor(colours.accent), 1))
            painter.setBrush(ground)
            painter.drawRect(self.choice)
        if self.focused:
            painter.setPen(QPen(QColor(colours.accent), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(self.boundingRect().adjusted(1, 1, -1, -1), 4, 4)

    def _cursor(self, painter: QPainter, hint: Hint) -> None:
        colours, x = theme.current().colours, round(float(self.across(hint.x))) + 0.5
        if not 0 <= x <= self.box.width() + 1:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(QPen(QColor(colours.muted), 1))
        painter.drawLine(QPointF(x, 0), QPointF(x, self.box.height()))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for place, value, colour in hint.dots:
            painter.setPen(QPen(QColor(colours.raised), 1.5))
            painter.setBrush(QColor(colour))
            painter.drawEllipse(QPointF(float(self.across(place)), float(self.down(value))), 4, 4)
        if hint.text:
            self._words(painter, x, hint.text)

    def _words(self, painter: QPainter, x: float, text: str) -> None:
        """On a plate beside the line, inside the chart."""
        colours = theme.current().colours
        painter.setFont(theme.ui_font(theme.CAPTION))
        metrics, inside = painter.fontMetrics(), self.boundingRect()
        text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, int(inside.width()) - 20)
        wide, high = metrics.horizontalAdvance(text) + 12, metrics.height() + 4
        left = x + 6 if x + 6 + wide <= inside.right() else max(0.0, x - 6 - wide)
        plate = QRectF(left, inside.top() + 2, wide, high)
        painter.setPen(QPen(QColor(colours.line), 1))
        painter.setBrush(QColor(colours.raised))
        painter.drawRoundedRect(plate, 4, 4)
        painter.setPen(QColor(colours.text))
        painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)
