"""The choices a person understands without reading anything: a card each. Knows settings, not what they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from gui import theme
from gui.parts import words
from gui.text import tr


@dataclass(frozen=True)
class Preset:
    """A card: its name and sentence, and what it sets (None: what the person chooses in the form)."""

    title: str
    about: str
    values: dict[str, Any] | None


EXACT = Preset("Exact copy", "Nothing is rounded.", {})
EIGHT = Preset("8-bit", "Nearly exact, and much smaller.", {"quantize": True, "bits": 8})
FOUR = Preset("4-bit", "Recommended: small and fast.", {"quantize": True, "bits": 4})
CUSTOM = Preset("Custom…", "Choose bits, mode and recipe yourself.", None)
PRESETS = (EXACT, EIGHT, FOUR, CUSTOM)
# For a model that is quantised already.
KEPT = Preset("Exact copy", "Recommended: keeps the bits it has, and loses nothing.", {})
WHOLE = Preset("Unquantised", "Undoes the quantisation: larger, and no more exact.", {"dequantize": True})
AGAIN = Preset("4-bit", "Quantises it a second time, which loses a little more.", {"quantize": True, "bits": 4})
QUANTISED_PRESETS = (KEPT, WHOLE, AGAIN, CUSTOM)


class PresetCards(QWidget):
    """The cards in a row; one of them is chosen."""

    chosen = Signal(object)  # a Preset

    def __init__(self, presets: tuple[Preset, ...] = PRESETS) -> None:
        super().__init__()
        self.presets = presets
        self.setAccessibleName(tr("Settings to choose from"))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SMALL)
        group = QButtonGroup(self)
        self.cards = {preset.title: _PresetCard(preset) for preset in presets}
        for card in self.cards.values():
            group.addButton(card)
            row.addWidget(card, 1)
            card.toggled.connect(lambda on, preset=card.preset: self.chosen.emit(preset) if on else None)
        self.preset = presets[0]
        self.chosen.connect(self._remember)

    def choose(self, preset: Preset) -> None:
        """Choose a card."""
        self.cards[preset.title].setChecked(True)

    def show_size(self, preset: Preset, text: str) -> None:
        """Say on a card how large the result would be."""
        self.cards[preset.title].show_size(text)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        width = (self.width() - (len(self.cards) - 1) * theme.SMALL) // len(self.cards)
        height = max(card.height_for(width) for card in self.cards.values())
        for card in self.cards.values():
            card.setFixedHeight(height)

    def _remember(self, preset: Preset) -> None:
        self.preset = preset


class _PresetCard(QPushButton):
    """A button that says what it chooses in three lines."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.preset = preset
        self.setProperty("role", "preset")
        self.setCheckable(True)
        self.setAutoDefault(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._title, self._about, self.size_label = words(tr(preset.title), "strong"), words(tr(preset.about)), QLabel()
        self._about.setProperty("role", "caption")
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.MEDIUM, theme.MEDIUM, theme.MEDIUM, theme.MEDIUM)
        column.setSpacing(theme.TINY)
        for label in (self._title, self._about, self.size_label):
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        column.addWidget(self._title)
        column.addWidget(self._about)
        column.addStretch()
        column.addWidget(self.size_label)
        self.show_size("")

    def show_size(self, text: str) -> None:
        """How large the result would be."""
        self.size_label.setText(text)
        self.setAccessibleName(tr(self.preset.title))
        self.setAccessibleDescription(f"{tr(self.preset.about)} {text}")

    def sizeHint(self) -> QSize:
        """What its texts need."""
        return QSize(150, self.height_for(150))

    def minimumSizeHint(self) -> QSize:
        """Narrow cards wrap their texts."""
        return QSize(110, 60)

    def height_for(self, width: int) -> int:
        """The height its texts take in a width."""
        inner = max(40, width - 2 * theme.MEDIUM)
        heights = [label.heightForWidth(inner) for label in (self._title, self._about)]
        return sum(heights) + self.size_label.sizeHint().height() + 2 * theme.MEDIUM + 2 * theme.TINY + 4
