"""The settings that come with the program, a card each. Knows their names and what they are for, reads none."""

from __future__ import annotations

from typing import NamedTuple

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QButtonGroup, QGridLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from gui import theme
from gui.parts import words
from gui.text import tr


class Recipe(NamedTuple):
    """One of them: the name of its file, and what a person reads of it."""

    name: str
    title: str
    about: str


RECIPES = (
    Recipe(
        "starter",
        "First steps",
        "Teach the demonstration model two-digit arithmetic. A few minutes, nothing to download.",
    ),
    Recipe(
        "smollm2_format",
        "Form of an answer",
        "Teach a small model (SmolLM2, 135 million weights) to answer in a fixed form. Minutes.",
    ),
    Recipe(
        "smoke_test",
        "Short trial",
        "See whether a model, its data and this computer work together. It teaches little.",
    ),
    Recipe(
        "prod",
        "School mathematics",
        "Word problems (GSM8K) in earnest, for a model of 1 to 2 billion weights. Takes hours.",
    ),
    Recipe(
        "nanochat_grpo",
        "Your nanochat (d20)",
        "Word problems for a nanochat model of the usual size that you converted here.",
    ),
    Recipe(
        "nanochat_d32",
        "Your nanochat (d32)",
        "Word problems for the larger nanochat model that you converted here.",
    ),
)
_NARROW = 520  # below it the cards stand in one column fewer


class RecipeCards(QWidget):
    """The cards; at most one of them is chosen."""

    chosen = Signal(str)  # the name of a recipe

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("Recipes"))
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(theme.SMALL)
        self._group = QButtonGroup(self)
        self.cards = {recipe.name: _Card(recipe) for recipe in RECIPES}
        for card in self.cards.values():
            self._group.addButton(card)
            card.clicked.connect(self._clicked)
        self._columns = 0
        self._arrange(3)

    def choose(self, name: str) -> None:
        """Mark the card of this name; no card where there is none."""
        self._group.setExclusive(False)
        for card in self.cards.values():
            card.setChecked(card.recipe.name == name)
        self._group.setExclusive(True)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange(2 if self.width() < _NARROW else 3)
        width = (self.width() - (self._columns - 1) * theme.SMALL) // self._columns
        height = max(card.height_for(width) for card in self.cards.values())
        for card in self.cards.values():
            card.setFixedHeight(height)

    def _arrange(self, columns: int) -> None:
        if columns == self._columns:
            return
        for place, card in enumerate(self.cards.values()):
            self._grid.addWidget(card, place // columns, place % columns)
        for column in range(3):
            self._grid.setColumnStretch(column, int(column < columns))
        self._columns = columns

    def _clicked(self) -> None:
        card = self._group.checkedButton()
        if isinstance(card, _Card):
            self.chosen.emit(card.recipe.name)


class _Card(QPushButton):
    """A button that says what it begins with."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(autoDefault=False)
        self.setCheckable(True)
        self.recipe = recipe
        self.setProperty("role", "preset")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._title, self._about = words(tr(recipe.title), "strong"), words(tr(recipe.about), "caption")
        self.setAccessibleName(tr(recipe.title))
        self.setAccessibleDescription(tr(recipe.about))
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.MEDIUM, theme.MEDIUM, theme.MEDIUM, theme.MEDIUM)
        column.setSpacing(theme.TINY)
        for label in (self._title, self._about):
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            column.addWidget(label)
        column.addStretch()

    def sizeHint(self) -> QSize:
        """What its texts need."""
        return QSize(190, self.height_for(190))

    def minimumSizeHint(self) -> QSize:
        """Narrow cards wrap their texts."""
        return QSize(120, 60)

    def height_for(self, width: int) -> int:
        """The height its texts take in a width."""
        inner = max(40, width - 2 * theme.MEDIUM)
        heights = [label.heightForWidth(inner) for label in (self._title, self._about)]
        return sum(heights) + 2 * theme.MEDIUM + theme.TINY + 4
