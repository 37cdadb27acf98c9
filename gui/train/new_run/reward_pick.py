"""A list of rewards to choose from, with the weight of each. Knows names, scores nothing."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QGridLayout, QLabel, QWidget

from gui import theme
from gui.controls import NumberBox, mark, read_number
from gui.parts import words
from gui.text import tr
from gui.train.new_run.known_rewards import Reward

_LARGEST = 1000.0


class RewardPick(QWidget):
    """Rows of a check box, a sentence and a weight."""

    edited = Signal(tuple, tuple)  # names and weights, in the run's order; weights are () where all are 1
    judged = Signal()

    def __init__(self, known: Sequence[Reward]) -> None:
        super().__init__()
        self._names: tuple[str, ...] = ()
        self._weights: dict[str, float] = {}
        self._wrong: set[str] = set()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(theme.MEDIUM)
        self._grid.setVerticalSpacing(theme.TINY)
        self._grid.setColumnStretch(1, 1)
        self.boxes: dict[str, QCheckBox] = {}
        self.weights: dict[str, NumberBox] = {}
        self._known: tuple[Reward, ...] = ()
        self.set_known(known)

    @property
    def valid(self) -> bool:
        """Whether at least one reward is chosen, and all weights are numbers that may be."""
        return bool(self._names) and not self._wrong

    def set_known(self, known: Sequence[Reward]) -> None:
        """Offer these rewards."""
        if tuple(known) == self._known:
            return
        self._known = tuple(known)
        while (item := self._grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        self.boxes, self.weights = {}, {}
        for place, reward in enumerate(self._known):
            self._add(place, reward)
        self._show()

    def set_chosen(self, names: Sequence[str], weights: Sequence[float]) -> None:
        """Show these as chosen; emits nothing."""
        self._names = tuple(names)
        self._weights = dict(zip(names, weights or [1.0] * len(names), strict=True))
        self._wrong.clear()
        self._show()

    def _add(self, place: int, reward: Reward) -> None:
        box = QCheckBox(reward.name.replace("&", "&&"))
        box.setAccessibleDescription(reward.about)
        box.clicked.connect(partial(self._clicked, reward.name))
        about = words(tr(reward.about) if not reward.line else reward.about, "caption")
        about.setToolTip(f"<qt>{html.escape(about.text())}</qt>")
        times = QLabel("×")
        times.setProperty("role", "muted")
        weight = NumberBox(-_LARGEST, _LARGEST, step=0.1)
        weight.setAccessibleName(tr("Weight of {name}", name=reward.name))
        weight.setToolTip(tr("What its score is multiplied by before the scores are added"))
        weight.setFixedWidth(76)
        weight.edited.connect(partial(self._weighed, reward.name))
        policy = weight.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        weight.setSizePolicy(policy)
        for column, widget in enumerate((box, about, times, weight)):
            self._grid.addWidget(widget, place, column)
        self.boxes[reward.name], self.weights[reward.name] = box, weight
        weight.setProperty("times", times)

    def _show(self) -> None:
        for name, box in self.boxes.items():
            chosen = name in self._names
            box.setChecked(chosen)
            weight = self.weights[name]
            # A number that is still being typed, such as 2., stays as it is.
            if chosen and name not in self._wrong and self._weights[name] != read_number(weight.text(), whole=False):
                weight.set_number(self._weights[name])
            weight.setVisible(chosen)
            mark(weight, name in self._wrong)
            times = weight.property("times")
            if isinstance(times, QWidget):
                times.setVisible(chosen)

    def _clicked(self, name: str) -> None:
        if self.boxes[name].isChecked():
            self._names = (*self._names, name)
            self._weights.setdefault(name, 1.0)
        else:
            self._names = tuple(each for each in self._names if each != name)
            self._wrong.discard(name)
        self._tell()

    def _weighed(self, name: str, value: object) -> None:
        if isinstance(value, int | float) and abs(value) <= _LARGEST:
            self._weights[name] = float(value)
            self._wrong.discard(name)
        else:
            self._wrong.add(name)
        mark(self.weights[name], name in self._wrong)
        if not self._wrong:
            self._tell()
        self.judged.emit()

    def _tell(self) -> None:
        self._show()
        weights = tuple(self._weights[name] for name in self._names)
        if self._names:
            self.edited.emit(self._names, () if all(weight == 1.0 for weight in weights) else weights)
        self.judged.emit()
