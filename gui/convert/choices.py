"""The settings of one conversion as a person chooses them: cards, and forms for the rest. Knows no lane, no file."""

from __future__ import annotations

from typing import cast

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from engine.conversion_events import ConversionPlanned
from engine.convert.estimate import estimate
from engine.convert.settings import ConversionSettings
from gui import theme
from gui.convert.presets import CUSTOM, FOUR, KEPT, PRESETS, QUANTISED_PRESETS, Preset, PresetCards
from gui.convert.words import is_quantised
from gui.disclosure import Disclosure
from gui.form import Form
from gui.text import size, tr

_NUMBERS = ("quantize", "bits", "group_size", "mode", "recipe", "dtype")
_NANOCHAT = ("rope_theta", "softcap", "qk_scale")
_QUANTISED = ("bits", "group_size", "mode", "recipe")
_FIELDS = set(ConversionSettings.model_fields)


class Choices(QWidget):
    """Holds valid settings at any time; `valid` is false while something typed or chosen is not in force."""

    changed = Signal()
    judged = Signal()  # whether all of it is in force may be another answer now

    def __init__(self, plan: ConversionPlanned) -> None:
        super().__init__()
        self._plan = plan
        self._quantised = is_quantised(plan)
        self.cards = PresetCards(QUANTISED_PRESETS if self._quantised else PRESETS)
        self.numbers = Form(
            ConversionSettings(quantize=True),
            defaults=ConversionSettings(quantize=True),
            exclude=_FIELDS - set(_NUMBERS),
        )
        hidden = {*_NUMBERS, "dequantize"} | (set() if plan.kind == "nanochat" else set(_NANOCHAT))
        self.others = Form(ConversionSettings(), exclude=hidden)
        self._hidden = hidden
        more = Disclosure(tr("More settings"), self.others)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.MEDIUM)
        for widget in (self.cards, self.numbers, more, self.others):
            column.addWidget(widget)
        for form in (self.numbers, self.others):
            form.setMaximumWidth(16_777_215)
            form.changed.connect(self._on_changed)
            form.judged.connect(self.judged)
        self.cards.chosen.connect(self._on_chosen)
        self.cards.choose(KEPT if self._quantised else FOUR)

    @property
    def valid(self) -> bool:
        """Whether everything that can be seen is in force."""
        return self.others.valid and (self.cards.preset is not CUSTOM or self.numbers.valid)

    def settings(self) -> ConversionSettings:
        """What is chosen; a text that is still being typed counts."""
        others = cast(ConversionSettings, self.others.settings())
        self.numbers.settings()
        return self._combined(self.cards.preset, others)

    def settings_in_force(self) -> ConversionSettings:
        """What is chosen, without a text that is still being typed."""
        return self._combined(self.cards.preset, cast(ConversionSettings, self.others.current))

    def _combined(self, preset: Preset, others: ConversionSettings) -> ConversionSettings:
        chosen = self.numbers.current.model_dump(include=set(_NUMBERS)) if preset.values is None else preset.values
        if preset is CUSTOM and self._quantised and not chosen["quantize"]:
            # Whoever switches it off for a quantised model wants the weights whole again.
            chosen = chosen | {"dequantize": True}
        rest = others.model_dump(exclude=self._hidden)
        return ConversionSettings.model_validate(rest | chosen)

    def _on_chosen(self, preset: Preset) -> None:
        self.numbers.setVisible(preset is CUSTOM)
        self._on_changed()

    def _on_changed(self) -> None:
        numbers = cast(ConversionSettings, self.numbers.current)
        self.numbers.enable(_QUANTISED, numbers.quantize)
        others = cast(ConversionSettings, self.others.current)
        for preset in self.cards.presets:
            planned = estimate(self._plan, self._combined(preset, others))
            self.cards.show_size(preset, size(planned.result_bytes))
        self.changed.emit()
