"""The axis of a chart with its grid, drawn anew in a tenth of the time that pyqtgraph's own takes. Knows no figures."""

from __future__ import annotations

from collections.abc import Callable

import pyqtgraph
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

from gui import theme
from gui.train.charts.ticks import Ticks

LEFT, BOTTOM = 52, 20  # how much room the writing has
_CLOSE, _FLAT = 60, 30  # pixels between two ticks to the right, and upwards
_FONT = 10


class Axis(pyqtgraph.AxisItem):  # type: ignore[misc]  # pyqtgraph has no types
    """Writes at round numbers, and draws a line through the chart at each; `ticks` finds them."""

    def __init__(self, side: str, box: pyqtgraph.ViewBox, ticks: Callable[[float, float, int], Ticks]) -> None:
        super().__init__(side)
        self._box, self._ticks = box, ticks
        self._upright = side == "left"
        if self._upright:
            self.setWidth(LEFT)
        else:
            self.setHeight(BOTTOM)
        # Its label is not used, and would be set anew with every range.
        self.enableAutoSIPrefix(False)
        self.linkToView(box)
        box.sigResized.connect(self._resize)
        # Behind the curves; that of the ground is behind its own view.
        self.setZValue(-1000)
        self.setFlag(self.GraphicsItemFlag.ItemNegativeZStacksBehindParent)

    def boundingRect(self) -> QRectF:  # noqa: N802
        """The writing, and the lines from the left through the chart."""
        if self._upright:
            return QRectF(0, -8, LEFT + self._box.width(), self.height() + 16)
        return QRectF(-LEFT, -1, self.width() + LEFT, self.height() + 1)

    def _resize(self) -> None:
        self.prepareGeometryChange()
        self.update()

    def drawn(self) -> Ticks:
        """What is written now, and where."""
        low, high = self.range
        room = self._box.height() / _FLAT if self._upright else self._box.width() / _CLOSE
        return self._ticks(low, high, max(2, int(room)))

    def paint(self, painter: QPainter, _option: QStyleOptionGraphicsItem, _widget: QWidget | None = None) -> None:
        """The numbers, and the lines of the grid."""
        low, high = self.range
        if not high > low:
            return
        colours = theme.current().colours
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setFont(theme.ui_font(_FONT))
        grid, ink = QPen(QColor(colours.line), 1), QPen(QColor(colours.muted))
        # The chart's inside lies at the right of the one axis and above the other.
        inside = self._box.size()
        area = QRectF(LEFT if self._upright else 0, 0, inside.width(), inside.height())
        if not self._upright:
            area.moveBottom(0)
        for value, text in self.drawn():
            share = (value - low) / (high - low)
            if not -1e-9 <= share <= 1 + 1e-9:
                continue
            painter.setPen(grid)
            if self._upright:
                y = round(area.bottom() - share * area.height())
                painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
                painter.setPen(ink)
                place = QRectF(0, y - 8, LEFT - 6, 16)
                painter.drawText(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
            else:
                x = round(area.left() + share * area.width())
                painter.drawLine(QPointF(x, area.bottom()), QPointF(x, area.bottom() + 3))
                painter.setPen(ink)
                self._write_below(painter, area, x, text)

    def _write_below(self, painter: QPainter, area: QRectF, x: float, text: str) -> None:
        wide = painter.fontMetrics().horizontalAdvance(text) + 2
        left = min(max(x - wide / 2, area.left() - LEFT / 2), area.right() - wide)
        painter.drawText(QRectF(left, area.bottom() + 4, wide, BOTTOM - 4), Qt.AlignmentFlag.AlignCenter, text)
