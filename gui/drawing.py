"""The drawings that several controls share: a field's ground, a knob, an arrow. Knows colours, no control."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

if TYPE_CHECKING:
    from gui.theme import Colours

ROUND = (Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)
EDGE = QColor(128, 128, 140, 105)  # the border of a field, light enough on any ground
_RADIUS = 6.0


def draw_field(
    painter: QPainter, rect: QRect, colours: Colours, *, focused: bool, wrong: bool, hovered: bool = False
) -> None:
    """The rounded ground of a field with its border: red where the input is wrong, the accent where the focus is."""
    width = 2.0 if focused else 1.0
    inset = width / 2
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(QColor(colours.hover if hovered else colours.raised))
    colour = QColor(colours.error) if wrong else QColor(colours.accent) if focused else EDGE
    painter.setPen(QPen(colour, width))
    painter.drawRoundedRect(QRectF(rect).adjusted(inset, inset, -inset, -inset), _RADIUS - inset, _RADIUS - inset)


def draw_knob(painter: QPainter, rect: QRectF) -> None:
    """The white knob of a slider or a switch, with a hint of a shadow."""
    painter.setBrush(QColor("#ffffff"))
    painter.setPen(QPen(QColor(0, 0, 0, 70), 1))
    painter.drawEllipse(rect.adjusted(0.5, 0.5, -0.5, -0.5))


def draw_chevron(painter: QPainter, centre: QPointF, *, up: bool) -> None:
    """A small arrow in the painter's pen."""
    rise = -1.5 if up else 1.5
    tip, side = centre + QPointF(0, rise), centre - QPointF(0, rise)
    painter.drawPolyline([side - QPointF(3, 0), tip, side + QPointF(3, 0)])
