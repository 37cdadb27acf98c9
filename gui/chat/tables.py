"""How a table of running text looks: its distances, its head, its lines. Knows no Markdown.

The lines are painted here, since Qt takes five times as long for those of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QRectF
from PySide6.QtGui import (
    QColor,
    QFont,
    QPainter,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextTable,
    QTextTableFormat,
)

from gui import theme

_ROOMY = 5  # columns of a table; with more of them, there is less around the words


def style(table: QTextTable, below: int) -> None:
    """Give a table its looks, and a distance to what follows."""
    layout = QTextTableFormat(table.format())
    layout.setBorder(0)
    layout.setBorderCollapse(False)
    layout.setCellSpacing(0)
    layout.setCellPadding(theme.SMALL if table.columns() <= _ROOMY else theme.TINY)
    layout.setMargin(0)
    layout.setTopMargin(theme.SMALL)
    layout.setBottomMargin(below)
    table.setFormat(layout)
    first = table.cellAt(0, 0)
    if first.firstCursorPosition() != first.lastCursorPosition() and not first.firstCursorPosition().block().text():
        # Qt begins the first cell of a table after a quote with an empty paragraph.
        first.firstCursorPosition().deleteChar()
    bold = QTextCharFormat()
    bold.setFontWeight(QFont.Weight.DemiBold)
    for column in range(table.columns()):
        cell = table.cellAt(0, column)
        if table.rows() > 1:
            # Qt reads how a column is aligned for its rows alone.
            aligned = QTextBlockFormat()
            aligned.setAlignment(table.cellAt(1, column).firstCursorPosition().blockFormat().alignment())
            cell.firstCursorPosition().mergeBlockFormat(aligned)
        inside = cell.firstCursorPosition()
        inside.setPosition(cell.lastCursorPosition().position(), QTextCursor.MoveMode.KeepAnchor)
        inside.mergeCharFormat(bold)


@dataclass(frozen=True, slots=True)
class Grid:
    """The head's ground and the lines of a table, where it is laid out now."""

    head: QRectF
    lines: list[QRectF]

    def paint(self, painter: QPainter) -> None:
        """Paint them in the colours in force."""
        colours = theme.current().colours
        painter.fillRect(self.head, QColor(colours.code))
        line = QColor(colours.line)
        for each in self.lines:
            painter.fillRect(each, line)


def grids(document: QTextDocument) -> list[Grid]:
    """The grids of a document's tables."""
    return [_grid(document, frame) for frame in document.rootFrame().childFrames() if isinstance(frame, QTextTable)]


def _grid(document: QTextDocument, table: QTextTable) -> Grid:
    look, layout = table.format(), document.documentLayout()
    # Of that rectangle the size is right, with the distances above and below; its place is that of the first words.
    size = layout.frameBoundingRect(table).size()

    def corner(row: int, column: int) -> tuple[int, int]:
        inside = layout.blockBoundingRect(table.cellAt(row, column).firstCursorPosition().block())
        return round(inside.left() - look.cellPadding()), round(inside.top() - look.cellPadding())

    rows = [corner(row, 0)[1] for row in range(table.rows())]
    columns = [corner(0, column)[0] for column in range(table.columns())]
    left, top, right = columns[0], rows[0], columns[0] + round(size.width()) - 1
    bottom = top + round(size.height() - look.topMargin() - look.bottomMargin()) - 1
    head = QRectF(left, top, right - left, (rows[1] if len(rows) > 1 else bottom) - top)
    across = [QRectF(left, y, right - left + 1, 1) for y in (*rows, bottom)]
    return Grid(head, [*across, *(QRectF(x, top, 1, bottom - top + 1) for x in (*columns, right))])
