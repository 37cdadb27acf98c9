"""A chart in a window of its own, which follows the run like that of the page. Knows a card, no record."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui import theme
from gui.text import tr
from gui.train.charts.card import Card


class OwnWindow(QWidget):
    """One chart, as large as a person likes; nothing of it is kept."""

    closed = Signal(str)  # the chart's key

    def __init__(self, card: Card, run: str, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.card = card
        card.offer_window(False)
        self.name_run(run)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.MEDIUM, theme.MEDIUM, theme.MEDIUM, theme.MEDIUM)
        column.addWidget(card)
        for keys in (QKeySequence.StandardKey.Close, QKeySequence.StandardKey.Cancel):
            QShortcut(keys, self, self.close)
        self.resize(720, 460)
        card.canvas.setFocus()

    def name_run(self, run: str) -> None:
        """Say in the title which run this is."""
        self.setWindowTitle(tr("{chart} – {run}", chart=self.card.chart.title, run=run))

    def closeEvent(self, event: QCloseEvent) -> None:
        """Tell that it is gone."""
        self.closed.emit(self.card.chart.key)
        super().closeEvent(event)
