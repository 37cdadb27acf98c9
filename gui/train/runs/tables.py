"""A table that is read and not edited: rows one can choose, and no frame. Knows nothing of what stands in it."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem

from gui import theme
from gui.text import tr

HEAD, ROW = 30, 28
"""The heights of the head and of a row."""
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class PlainTable(QTableWidget):
    """As high as the rows that are shown."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        header = self.horizontalHeader()
        header.setDefaultAlignment(LEFT)
        header.setHighlightSections(False)
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
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

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
        """Be as high as the rows."""
        rows = sum(not self.isRowHidden(row) for row in range(self.rowCount()))
        self.setFixedHeight(HEAD + ROW * rows + 2)

    def texts(self) -> list[tuple[str, ...]]:
        """What the rows that are shown say, for tests and screen readers."""
        return [
            tuple(self.item(row, place).text() for place in range(self.columnCount()))
            for row in range(self.rowCount())
            if not self.isRowHidden(row)
        ]
