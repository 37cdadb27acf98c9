"""What is painted beneath running text: grounds of code, bars of quotes, bullets, boxes, rules. Knows no widget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QTextBlock, QTextBlockFormat, QTextDocument, QTextLine

from gui import theme
from gui.chat import tables
from gui.chat.typesetting import Request

LINE = 22  # the height of a line of running text
QUOTE_INDENT = theme.LARGE
_BASELINE = 17.6  # of the text in such a line


@dataclass(slots=True)
class Marks:
    """Where the marks of a document are: inline code by position and length, the others by the number of their block.

    `quotes` and `bullets` come with their depth; `boxes` with whether they are ticked. `awaited` are the formulas whose
    pictures are not there yet.
    """

    inline_code: list[tuple[int, int]] = field(default_factory=list)
    code_blocks: list[int] = field(default_factory=list)
    quotes: list[tuple[int, int]] = field(default_factory=list)
    bullets: list[tuple[int, int]] = field(default_factory=list)
    boxes: list[tuple[int, bool]] = field(default_factory=list)
    rules: list[int] = field(default_factory=list)
    awaited: list[Request] = field(default_factory=list)
    _grids: list[tables.Grid] = field(default_factory=list)
    _chips: list[QRectF] = field(default_factory=list)
    _grounds: list[QRectF] = field(default_factory=list)
    _bars: list[QRectF] = field(default_factory=list)
    _dots: list[tuple[QPointF, int]] = field(default_factory=list)
    _ticks: list[tuple[QRectF, bool]] = field(default_factory=list)

    def place(self, document: QTextDocument, width: int) -> None:
        """Find the marks' places in the document as it is laid out now."""
        self._chips = list(self._place_chips(document))
        self._grids = tables.grids(document)
        grounds = [_ground(document, number, width) for number in self.code_blocks]
        self._grounds = [ground.adjusted(0, -6, 0, 4) for ground in _joined(grounds)]
        bars: dict[int, list[QRectF]] = {}
        for number, depth in self.quotes:
            band = _band(document, number)
            for level in range(depth):
                bars.setdefault(level, []).append(QRectF(level * QUOTE_INDENT, band.top() + 1, 3, band.height()))
        self._bars = [bar for level in bars.values() for bar in _joined(level, reach=13)]
        for number in self.rules:
            self._bars.append(QRectF(0, round(_band(document, number).center().y()), width, 1))
        self._dots = []
        for number, depth in self.bullets:
            first = _beginning(document, number)
            self._dots.append((QPointF(first.x() - 12, first.y() - 4.8), depth))
        self._ticks = []
        for number, ticked in self.boxes:
            first = _beginning(document, number)
            self._ticks.append((QRectF(round(first.x()) - 20.5, round(first.y()) - 11.5, 13, 13), ticked))

    def paint(self, painter: QPainter) -> None:
        """Paint them in the colours in force."""
        colours = theme.current().colours
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        for grid in self._grids:
            grid.paint(painter)
        painter.setBrush(QColor(colours.code))
        for rect in self._grounds:
            painter.drawRoundedRect(rect, 6, 6)
        painter.setBrush(QColor(colours.bubble))
        for rect in self._chips:
            painter.drawRoundedRect(rect, 4, 4)
        painter.setBrush(QColor(colours.line))
        for rect in self._bars:
            painter.drawRoundedRect(rect, min(1.5, rect.height() / 2), min(1.5, rect.height() / 2))
        muted = QColor(colours.muted)
        for centre, depth in self._dots:
            # The dots are filled and hollow in turn.
            painter.setBrush(muted if depth % 2 else Qt.BrushStyle.NoBrush)
            painter.setPen(Qt.PenStyle.NoPen if depth % 2 else QPen(muted, 1.2))
            painter.drawEllipse(centre, 2.5, 2.5)
        for box, ticked in self._ticks:
            painter.setPen(QPen(muted, 1.2))
            painter.setBrush(muted if ticked else Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box, 3.5, 3.5)
            if ticked:
                ends = (Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)
                painter.setPen(QPen(QColor(colours.window), 1.6, *ends))
                painter.drawPolyline([box.topLeft() + QPointF(*at) for at in ((3.3, 6.8), (5.6, 9.1), (9.8, 4.2))])

    def _place_chips(self, document: QTextDocument) -> Iterator[QRectF]:
        for start, length in self.inline_code:
            block = document.findBlock(start)
            at = document.documentLayout().blockBoundingRect(block).topLeft()
            for line in _lines(block):
                first = max(start - block.position(), line.textStart())
                last = min(start - block.position() + length, line.textStart() + line.textLength())
                if first < last:
                    left, right = _x(line, first), _x(line, last)
                    chip = QRectF(left - 4, line.y() + line.ascent() - 13, right - left + 5, 17)
                    yield chip.translated(at)


def _band(document: QTextDocument, number: int) -> QRectF:
    """A block's whole lines; Qt's own rectangle leaves out what a fixed line height adds."""
    block = document.findBlockByNumber(number)
    rect = document.documentLayout().blockBoundingRect(block)
    if block.blockFormat().lineHeightType() == QTextBlockFormat.LineHeightTypes.FixedHeight.value:
        rect.setHeight(block.layout().lineCount() * block.blockFormat().lineHeight())
    return rect


def _ground(document: QTextDocument, number: int, width: int) -> QRectF:
    """What lies beneath a line of code, as far as the right edge."""
    band = _band(document, number)
    layout = document.findBlockByNumber(number).blockFormat()
    left = max(0.0, layout.leftMargin() - theme.MEDIUM) + layout.indent() * document.indentWidth()
    return QRectF(left, band.top(), width - left, band.height())


def _beginning(document: QTextDocument, number: int) -> QPointF:
    """Where the first line of a block begins, on the line that its letters stand on."""
    block = document.findBlockByNumber(number)
    rect = document.documentLayout().blockBoundingRect(block)
    first = next(_lines(block), None)
    if first is None:
        return rect.topLeft() + QPointF(0, _BASELINE)
    return rect.topLeft() + QPointF(first.x(), first.y() + first.ascent())


def _lines(block: QTextBlock) -> Iterator[QTextLine]:
    layout = block.layout()
    return (layout.lineAt(number) for number in range(layout.lineCount()))


def _x(line: QTextLine, position: int) -> float:
    found: Any = line.cursorToX(position)  # the position comes back with it
    return float(found[0])


def _joined(rects: list[QRectF], reach: float = 1) -> list[QRectF]:
    """Rectangles with those that follow one another made one."""
    joined: list[QRectF] = []
    for rect in rects:
        if joined and abs(joined[-1].left() - rect.left()) < 1 and rect.top() - joined[-1].bottom() <= reach:
            joined[-1] = joined[-1].united(rect)
        else:
            joined.append(QRectF(rect))
    return joined
