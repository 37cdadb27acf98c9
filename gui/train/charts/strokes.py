"""Draws lines, bands and dots of many points at once. Knows pixels, no figures.

What looks the obvious way is slow here: a polygon line wider than a pixel takes Qt's software painter 50 ms where its
segments one by one take half a millisecond, and a filled outline of noise 6 ms where bars take a tenth of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pyqtgraph import functions
from pyqtgraph.Qt.internals import PrimitiveArray
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.float64]

_FAR = 4000.0  # pixels beyond which nothing is seen, and beyond which Qt's painter may overflow
_DOT = 4.0
_MOST_PIECES, _MANY = 64, 200  # beyond these a band is drawn as bars


def near(pixels: Pixels, size: float) -> Pixels:
    """Pixels that Qt can draw; NaN stays."""
    return np.clip(pixels, -_FAR, size + _FAR)


def line(painter: QPainter, x: Pixels, y: Pixels, colour: QColor, width: float) -> None:
    """A line through points; a gap at NaN, a dot where a point has no neighbour."""
    found = np.isfinite(y)
    joined = found[1:] & found[:-1]
    segments = PrimitiveArray(QLineF, 4)
    segments.resize(int(joined.sum()))
    places = segments.ndarray()
    places[:, 0], places[:, 1] = x[:-1][joined], y[:-1][joined]
    places[:, 2], places[:, 3] = x[1:][joined], y[1:][joined]
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    # Caps that reach over would make a bead of every joint.
    painter.setPen(QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap))
    painter.drawLines(*segments.drawargs())
    alone = found.copy()
    alone[1:] &= ~found[:-1]
    alone[:-1] &= ~found[1:]
    if alone.any():
        dots(painter, x[alone], y[alone], colour, max(_DOT, 2 * width))


def dots(painter: QPainter, x: Pixels, y: Pixels, colour: QColor, diameter: float = _DOT) -> None:
    """Round dots."""
    points = PrimitiveArray(QPointF, 2)
    points.resize(len(x))
    places = points.ndarray()
    places[:, 0], places[:, 1] = x, y
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(colour, diameter, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    painter.drawPoints(*points.drawargs())


def bars(painter: QPainter, x: Pixels, tops: Pixels, bottoms: Pixels, colour: QColor, thinnest: float) -> None:
    """From each place to the next a bar from its top to its bottom."""
    found = np.isfinite(tops) & np.isfinite(bottoms)
    if not found.any():
        return
    widths = np.diff(x, append=2 * x[-1] - x[-2] if len(x) > 1 else x[-1] + 1)
    more = np.maximum(0.0, thinnest - (bottoms - tops)[found])
    rectangles = PrimitiveArray(QRectF, 4)
    rectangles.resize(int(found.sum()))
    places = rectangles.ndarray()
    places[:, 0], places[:, 2] = x[found], widths[found]
    places[:, 1], places[:, 3] = tops[found] - more / 2, (bottoms - tops)[found] + more
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawRects(*rectangles.drawargs())


def band(painter: QPainter, x: Pixels, tops: Pixels, bottoms: Pixels, colour: QColor) -> None:
    """The ground between two lines; none at gaps. For so few points that their lines are seen."""
    found = np.isfinite(tops) & np.isfinite(bottoms)
    edges = np.flatnonzero(np.diff(found, prepend=False, append=False))
    pieces = edges.reshape(-1, 2).tolist()
    if len(pieces) > _MOST_PIECES or len(x) > _MANY:
        bars(painter, x, tops, bottoms, colour, 0)
        return
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    for start, stop in pieces:
        if stop - start == 1:
            painter.drawRect(QRectF(x[start] - 1, tops[start], 2, bottoms[start] - tops[start]))
            continue
        there = np.concatenate([x[start:stop], x[start:stop][::-1]])
        back = np.concatenate([tops[start:stop], bottoms[start:stop][::-1]])
        painter.drawPolygon(functions.arrayToQPolygonF(there, back))


def blended(colour: str, ground: str, share: float) -> QColor:
    """So much of a colour on a ground: not translucent, so that crossings are no darker."""
    ink, paper = QColor(colour), QColor(ground)
    pairs = ((ink.red(), paper.red()), (ink.green(), paper.green()), (ink.blue(), paper.blue()))
    return QColor(*(round(share * a + (1 - share) * b) for a, b in pairs))
