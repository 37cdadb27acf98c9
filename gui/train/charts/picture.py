"""Draws charts into a picture or a drawing, whatever the window shows of them. Knows series and painters.

One chart a turn of the event loop, since many of them at once would hold the window up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QMarginsF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QImageWriter, QPainter, QPen
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QGraphicsItem

from gui import theme
from gui.train.charts import colours
from gui.train.charts.canvas import Canvas
from gui.train.charts.card import texts
from gui.train.charts.marks import Mark
from gui.train.charts.series import Series
from gui.train.charts.span import Span
from gui.train.charts.specification import Chart

SCALE = 2  # a picture has twice the points of a screen
_WIDE, _HIGH, _ALONE = 440, 236, QSize(880, 440)
_TITLE, _EDGE = 30, 16


@dataclass(frozen=True)
class Panel:
    """A chart with the runs it shows."""

    chart: Chart
    series: Sequence[Series]
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Sheet:
    """All that a picture shows: the panels, what they have in common, and the names of the runs."""

    panels: Sequence[Panel]
    span: Span
    log: bool
    names: Sequence[str]
    smoothing: float = 1

    @property
    def columns(self) -> int:
        """How many panels stand side by side."""
        return min(3, len(self.panels))

    @property
    def panel(self) -> QSize:
        """The size of one panel: one alone is larger."""
        return _ALONE if len(self.panels) == 1 else QSize(_WIDE, _HIGH)

    @property
    def size(self) -> QSize:
        """The size of all, in points of a screen."""
        rows = math.ceil(len(self.panels) / self.columns)
        size = self.panel
        return QSize(self.columns * size.width() + 2 * _EDGE, rows * size.height() + 2 * _EDGE + _TITLE)

    def place(self, index: int) -> QRectF:
        """Where a panel stands."""
        row, column = divmod(index, self.columns)
        size = self.panel
        corner = (_EDGE + column * size.width(), _EDGE + _TITLE + row * size.height())
        return QRectF(*corner, size.width(), size.height())


class Drawing:
    """A sheet on its way to bytes: `draw` goes on by one panel, `image` or `svg` holds the result."""

    def __init__(self, sheet: Sheet, kind: str) -> None:
        self._sheet = sheet
        self.image: QImage | None = None
        self._bytes = QByteArray()
        self._buffer = QBuffer(self._bytes)
        if kind == "png":
            self.image = QImage(sheet.size * SCALE, QImage.Format.Format_RGB32)
            self.image.setDevicePixelRatio(SCALE)
            self._device: QImage | QSvgGenerator = self.image
        else:
            self._buffer.open(QIODevice.OpenModeFlag.WriteOnly)
            generator = QSvgGenerator()
            generator.setOutputDevice(self._buffer)
            generator.setSize(sheet.size)
            generator.setViewBox(QRect(0, 0, sheet.size.width(), sheet.size.height()))
            generator.setTitle(", ".join(sheet.names))
            self._device = generator
        self._steps = self._draw()

    def draw(self) -> bool:
        """Draw one more panel; whether there may be another."""
        return next(self._steps, None) is not None

    @property
    def svg(self) -> bytes:
        """The drawing, once all is drawn."""
        return bytes(self._bytes.data())

    def _draw(self) -> Iterator[int]:
        painter = QPainter(self._device)
        painter.fillRect(QRectF(0, 0, self._sheet.size.width(), self._sheet.size.height()), _ground())
        try:
            self._legend(painter)
            for index, panel in enumerate(self._sheet.panels):
                self._panel(painter, self._sheet.place(index), panel)
                yield index
        finally:
            painter.end()

    def _legend(self, painter: QPainter) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.ui_font(theme.BODY))
        left = float(_EDGE + theme.SMALL)
        for name, colour in zip(self._sheet.names, colours.of_runs(len(self._sheet.names)), strict=True):
            painter.setPen(QPen(QColor(colour), 3))
            painter.drawLine(int(left), _EDGE + 8, int(left) + 14, _EDGE + 8)
            painter.setPen(QColor(theme.current().colours.text))
            wide = painter.fontMetrics().horizontalAdvance(name) + 4
            painter.drawText(QRectF(left + 20, _EDGE, wide, 16), Qt.AlignmentFlag.AlignVCenter, name)
            left += 20 + wide + theme.LARGE

    def _panel(self, painter: QPainter, place: QRectF, panel: Panel) -> None:
        inside = place.marginsRemoved(QMarginsF(theme.SMALL, theme.TINY, theme.SMALL, theme.SMALL))
        title = QRectF(inside.left(), inside.top(), inside.width(), 20)
        painter.setFont(theme.ui_font(theme.BODY))
        painter.setPen(QColor(theme.current().colours.text))
        painter.drawText(title, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, panel.chart.title)
        target = inside.adjusted(0, 20, 0, 0)
        canvas = Canvas(self._sheet.span, panel.chart.title, panel.chart.unit)
        canvas.resize(int(target.width()), int(target.height()))
        canvas.resizeEvent(None)
        canvas.set_log(self._sheet.log)
        canvas.show_series(panel.series, colours.of_runs(len(panel.series)), panel.marks)
        canvas.smooth(self._sheet.smoothing)
        canvas.sync()
        canvas.overlay.hide()
        # A kept picture of the curves would make a drawing a picture.
        canvas.traces.setCacheMode(QGraphicsItem.CacheMode.NoCache)
        canvas.scene().prepareForPaint()
        canvas.scene().render(painter, target, QRectF(0, 0, target.width(), target.height()))
        point = panel.series[0].last(self._sheet.span.axis) if len(panel.series) == 1 else None
        if point is not None:
            value = texts(point, panel.chart.unit)[0]
            painter.drawText(title, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, value)
        canvas.deleteLater()


def png(image: QImage) -> bytes:
    """A picture as the bytes of a file; on any thread."""
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    QImageWriter(buffer, QByteArray(b"png")).write(image)
    return bytes(data.data())


def _ground() -> QColor:
    return QColor(theme.current().colours.raised)
