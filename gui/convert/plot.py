"""A plot of size against loss, drawn in the colours in force. Knows measured figures, measures nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from engine.conversion_events import QualityMeasured
from gui import theme
from gui.text import number, size, tr

_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 24, 16, 44
_LEAST = 1e-6  # a smaller divergence is rounding, and stands on the axis
_ALIGN = Qt.AlignmentFlag


class LossPlot(QWidget):
    """Each setting as a point: its size to the right, its divergence upwards in powers of ten."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("Size against loss"))
        self.setMinimumHeight(210)
        self._figures: tuple[QualityMeasured, ...] = ()
        theme.current().changed.connect(self.update)

    def show_figures(self, figures: Sequence[QualityMeasured]) -> None:
        """Draw these."""
        self._figures = tuple(sorted(figures, key=lambda figure: figure.size))
        told = [
            tr("{setting}: {size}, KL divergence {loss}", setting=f.setting, size=size(f.size), loss=loss(f.divergence))
            for f in self._figures
        ]
        self.setAccessibleDescription("; ".join(told))
        self.setToolTip("\n".join(told))
        self.update()

    def sizeHint(self) -> QSize:
        """A flat rectangle."""
        return QSize(420, 230)

    def paintEvent(self, _: QPaintEvent) -> None:
        """Axes, the line from point to point, and a name at each."""
        if not self._figures:
            return
        colours, painter = theme.current().colours, QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.ui_font(theme.CAPTION))
        area = QRectF(self.rect()).adjusted(_LEFT, _TOP, -_RIGHT, -_BOTTOM)
        low, high = self._decades()
        self._axes(painter, area, low, high)
        places = [self._place(figure, area, low, high) for figure in self._figures]
        painter.setPen(QPen(QColor(colours.muted), 1.5))
        painter.drawPolyline(places)
        taken = [QRectF(place.x() - 5, place.y() - 5, 10, 10) for place in places]
        # The chosen one has the first choice of a place for its name.
        for figure, place in sorted(zip(self._figures, places, strict=True), key=lambda pair: not pair[0].chosen):
            accent = QColor(colours.accent if figure.chosen else colours.muted)
            painter.setPen(QPen(QColor(colours.raised), 2))
            painter.setBrush(accent)
            radius = 6.5 if figure.chosen else 4.5
            painter.drawEllipse(place, radius, radius)
            painter.setPen(QColor(colours.text if figure.chosen else colours.muted))
            label = self._free(painter.fontMetrics().size(0, figure.setting), place, taken)
            taken.append(label)
            painter.fillRect(label, QColor(colours.raised))
            painter.drawText(label, _ALIGN.AlignCenter, figure.setting)

    def _free(self, size: QSize, place: QPointF, taken: Sequence[QRectF]) -> QRectF:
        """Where a name beside its point hides the least of points and names."""
        wide, high, away = size.width() + 4, size.height(), 9
        room = QRectF(self.rect()).adjusted(_LEFT, 0, 0, -_BOTTOM)
        found = [
            QRectF(place.x() + across, place.y() + up, wide, high)
            for across, up in (
                (away, -high / 2 - 3),
                (-wide / 2, -high - away),
                (-wide - away, -high / 2 - 3),
                (-wide / 2, away),
            )
        ]
        return min(
            found, key=lambda label: (not room.contains(label)) + sum(label.intersects(other) for other in taken)
        )

    def _decades(self) -> tuple[int, int]:
        losses = [figure.divergence for figure in self._figures if figure.divergence > _LEAST] or [_LEAST]
        low, high = math.floor(math.log10(min(losses))), math.ceil(math.log10(max(losses)))
        return low, max(high, low + 1)

    def _place(self, figure: QualityMeasured, area: QRectF, low: int, high: int) -> QPointF:
        right = max(other.size for other in self._figures) * 1.08
        across = figure.size / max(1.0, right)
        up = max(0.0, (math.log10(max(_LEAST, figure.divergence)) - low) / (high - low))
        return QPointF(area.left() + across * area.width(), area.bottom() - up * area.height())

    def _axes(self, painter: QPainter, area: QRectF, low: int, high: int) -> None:
        colours = theme.current().colours
        step = max(1, math.ceil((high - low) / 5))
        for power in range(low, high + 1, step):
            y = area.bottom() - (power - low) / (high - low) * area.height()
            painter.setPen(QPen(QColor(colours.line), 1))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(QColor(colours.muted))
            text = loss(10.0**power)
            painter.drawText(QRectF(0, y - 10, _LEFT - 8, 20), _ALIGN.AlignRight | _ALIGN.AlignVCenter, text)
        right = max(figure.size for figure in self._figures) * 1.08
        for part in (0.0, 0.5, 1.0):
            x = area.left() + part * area.width()
            align = (_ALIGN.AlignLeft, _ALIGN.AlignHCenter, _ALIGN.AlignRight)[int(2 * part)]
            left = x - part * 120
            painter.drawText(QRectF(left, area.bottom() + 6, 120, 16), align, size(part * right))
        axis = QRectF(area.left(), area.bottom() + 22, area.width(), 18)
        painter.drawText(axis, _ALIGN.AlignCenter, tr("Size; upwards: KL divergence, lower is better"))


def loss(divergence: float) -> str:
    """A divergence with the digits that say something."""
    if divergence < _LEAST:
        return number(0)
    decimals = min(6, max(0, 1 - math.floor(math.log10(divergence)))) if divergence < 10 else 0
    return number(divergence, decimals).rstrip("0").rstrip(".,") if divergence < 1 else number(divergence, decimals)
