"""Lays cards out in one, two or three columns by the room there is. Knows no chart."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QWidget

from gui import theme

_NARROWEST = 300  # a card's width before a column is given up
_MOST = 3


class Board(QWidget):
    """A grid of cards of the same size."""

    def __init__(self) -> None:
        super().__init__()
        self._cards: list[QWidget] = []
        self._columns = 1
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, theme.LARGE, theme.LARGE)
        self._grid.setSpacing(theme.MEDIUM)
        self._grid.setAlignment(Qt.AlignmentFlag.AlignTop)

    @property
    def columns(self) -> int:
        """How many cards stand side by side."""
        return self._columns

    def arrange(self, cards: Sequence[QWidget]) -> None:
        """Show these in this order, and hide all others."""
        if list(cards) != self._cards:
            for card in self._cards:
                self._grid.removeWidget(card)
                card.setVisible(card in cards)
            self._cards = list(cards)
            self._lay_out()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As many columns as there is room for."""
        super().resizeEvent(event)
        room = self.width() - theme.LARGE + theme.MEDIUM
        columns = max(1, min(_MOST, room // (_NARROWEST + theme.MEDIUM)))
        if columns != self._columns:
            self._columns = columns
            for card in self._cards:
                self._grid.removeWidget(card)
            self._lay_out()

    def _lay_out(self) -> None:
        for index, card in enumerate(self._cards):
            self._grid.addWidget(card, *divmod(index, self._columns))
            card.show()
        for column in range(_MOST):
            self._grid.setColumnStretch(column, 1 if column < self._columns else 0)
