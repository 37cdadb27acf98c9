"""What settings cost, as a sentence, a table and a plot. Knows measured figures, measures nothing."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from engine.conversion_events import QualityMeasured
from gui import theme
from gui.convert.plot import LossPlot, loss
from gui.parts import words
from gui.text import number, size, tr

_COLUMNS = (
    ("Setting", "The setting; the chosen one is marked."),
    ("Size", "What the model takes on the disk and in memory."),
    ("Bits a weight", "Of all weights, the unquantised ones too."),
    ("KL divergence", "How far the predictions are from the unquantised model's, on average; 0 is identical."),
    ("Top-1 agreement", "How often the most likely next token is the same as the unquantised model's."),
    ("Perplexity", "How surprised the model is by the text; lower is better."),
    ("Tokens a second", "How fast it writes on this computer."),
)
_BITS, _ROOMY = 2, 540


class QualityView(QWidget):
    """The figures of one measurement."""

    def __init__(self) -> None:
        super().__init__()
        self.sentence = words()
        self.table = QTableWidget(0, len(_COLUMNS))
        self.table.setAccessibleName(tr("What each setting costs"))
        for place, (title, tip) in enumerate(_COLUMNS):
            item = QTableWidgetItem(tr(title))
            item.setToolTip(tr(tip))
            if not place:
                item.setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
            self.table.setHorizontalHeaderItem(place, item)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        for place in (0, 1):
            # A name or a size that is cut off misleads.
            header.setSectionResizeMode(place, QHeaderView.ResizeMode.ResizeToContents)
        wrapped = Qt.AlignmentFlag(Qt.TextFlag.TextWordWrap.value)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter | wrapped)
        header.setHighlightSections(False)
        header.setMinimumHeight(40)
        header.setAccessibleName(tr("Names of the columns"))
        self.table.verticalHeader().setAccessibleName(tr("Rows"))
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(28)
        self.table.setShowGrid(False)
        self.table.setWordWrap(True)
        self.table.setTabKeyNavigation(False)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.setTextElideMode(Qt.TextElideMode.ElideNone)
        self.plot = LossPlot()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.MEDIUM)
        for widget in (self.sentence, self.table, self.plot):
            column.addWidget(widget)
        self.show_figures(())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """What follows from the size gives way where there is little room."""
        super().resizeEvent(event)
        self.table.setColumnHidden(_BITS, self.width() < _ROOMY)

    def show_figures(self, figures: Sequence[QualityMeasured]) -> None:
        """Show these; nothing where there are none."""
        self.setVisible(bool(figures))
        ordered = sorted(figures, key=lambda figure: -figure.size)
        self.table.setRowCount(len(ordered))
        for row, figure in enumerate(ordered):
            cells = (
                f"✓ {figure.setting}" if figure.chosen else figure.setting,
                size(figure.size),
                number(figure.bits, 2),
                loss(figure.divergence),
                f"{number(100 * figure.agreement, 1)}\u00a0%",
                number(figure.perplexity, 2 if figure.perplexity < 1000 else 0),
                number(figure.tokens_per_second, 1) if figure.tokens_per_second else "–",
            )
            for place, text in enumerate(cells):
                self.table.setItem(row, place, _cell(text, figure.chosen, first=place == 0))
        self.table.setFixedHeight(self.table.horizontalHeader().minimumHeight() + 28 * len(ordered) + 4)
        self.plot.show_figures(figures)
        self.plot.setVisible(len(figures) > 1)
        self.sentence.setText(_in_words(ordered))
        self.sentence.setVisible(bool(self.sentence.text()))


def _cell(text: str, chosen: bool, *, first: bool) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    side = Qt.AlignmentFlag.AlignLeft if first else Qt.AlignmentFlag.AlignRight
    item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
    if chosen:
        font = theme.ui_font()
        font.setBold(True)
        item.setFont(font)
    return item


def _in_words(figures: Sequence[QualityMeasured]) -> str:
    chosen = next((figure for figure in figures if figure.chosen), None)
    if chosen is None:
        return ""
    return tr(
        "{setting} chooses the same next token as the unquantised model at {agreement}\u00a0% of {tokens} places.",
        setting=chosen.setting,
        agreement=number(100 * chosen.agreement, 1),
        tokens=number(chosen.tokens),
    )
