"""A table that is read and not edited: rows one can choose, and no frame. Knows nothing of what stands in it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from gui import theme
from gui.text import tr

HEAD, ROW = 30, 28
"""The heights of the head and of a row."""
_NAMES = 0.4  # the most of the width that the first column may take where others share the rest
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class PlainTable(QTableWidget):
    """As high as the rows that are shown."""

    def __init__(self, name: str, narrowest: int = 100) -> None:
        super().__init__()
        self._narrowest = narrowest  # the least width of a column
        self.setAccessibleName(name)
        self._width = 0
        header = self.horizontalHeader()
        header.setDefaultAlignment(LEFT)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(narrowest)
        header.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        header.setFixedHeight(HEAD)
        header.setAccessibleName(tr("Names of the columns"))
        self.verticalHeader().setAccessibleName(tr("Rows"))
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)

    def set_titles(self, titles: Sequence[str], width: int = 0) -> None:
        """Have these columns: the first as wide as its texts or `width`, and the others alike."""
        self._width = width
        self.setColumnCount(len(titles))
        header = self.horizontalHeader()
        for place, title in enumerate(titles):
            item = QTableWidgetItem(title)
            item.setToolTip(title)
            item.setTextAlignment(LEFT)
            self.setHorizontalHeaderItem(place, item)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Fixed)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The first column leaves room for the others."""
        super().resizeEvent(event)
        self.fit()

    def put(
        self, row: int, place: int, text: str, tip: str = "", *, strong: bool = False, side: Qt.AlignmentFlag = LEFT
    ) -> None:
        """Write into a cell; what is the same as before is not touched."""
        item = self.item(row, place)
        if item is None:
            item = QTableWidgetItem()
            self.setItem(row, place, item)
        if (item.text(), item.toolTip(), item.font().bold()) != (text, tip, strong):
            font = theme.ui_font()
            font.setBold(strong)
            item.setFont(font)
            item.setText(text)
            item.setToolTip(tip)
            item.setTextAlignment(side)

    def fit(self) -> None:
        """Be as high as the rows, and share the width among the columns."""
        self.setFixedHeight(self.height_of_rows())

    def height_of_rows(self) -> int:
        """Share the width among the columns; what height shows all rows then."""
        rows = sum(not self.isRowHidden(row) for row in range(self.rowCount()))
        others = sum(not self.isColumnHidden(place) for place in range(1, self.columnCount()))
        first = 0
        if self.columnCount():
            wanted = max(self.sizeHintForColumn(0), self._width)
            first = max(self._narrowest, min(wanted, int(_NAMES * self.width())))
            self.setColumnWidth(0, first)
        crowded = first + self._narrowest * others > self.width()
        bar = self.horizontalScrollBar().sizeHint().height() if crowded else 0
        return HEAD + ROW * rows + bar + 2

    def texts(self) -> list[tuple[str, ...]]:
        """What the rows that are shown say, for tests and screen readers."""
        return [self.row_texts(row) for row in range(self.rowCount()) if not self.isRowHidden(row)]

    def row_texts(self, row: int) -> tuple[str, ...]:
        """What one row says."""
        items = [self.item(row, place) for place in range(self.columnCount())]
        return tuple(item.text() if item is not None else "" for item in items)
