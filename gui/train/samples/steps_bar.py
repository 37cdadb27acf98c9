"""Chooses a step: a slider, a number field, one step back and forth, and the newest. Knows no completion."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QHBoxLayout, QSpinBox, QToolButton, QWidget

from gui import theme
from gui.controls import Slider
from gui.parts import words
from gui.text import tr


class StepsBar(QWidget):
    """`chosen` is emitted with a step that a person wants to see; `newest` tells whether the last one is followed."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._title = words(tr("Step"), "section")
        self._title.setWordWrap(False)
        self._before, self._after = QToolButton(), QToolButton()
        self._slider = Slider(1)
        self._slider.setAccessibleName(tr("Step"))
        self._field = QSpinBox()
        self._field.setAccessibleName(tr("Number of the step"))
        self._field.setKeyboardTracking(False)
        self._field.setGroupSeparatorShown(True)
        self._newest = QToolButton()
        self._newest.setText(tr("Newest"))
        self._newest.setAccessibleName(tr("Newest step"))
        self._newest.setToolTip(tr("Show the newest step, and each new one while the run trains"))
        self._newest.setCheckable(True)
        self._newest.setChecked(True)
        for button, name in ((self._before, tr("The step before")), (self._after, tr("The next step"))):
            button.setAccessibleName(name)
            button.setToolTip(name)
            button.setAutoRepeat(True)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.TINY)
        row.addWidget(self._title)
        row.addSpacing(theme.TINY)
        row.addWidget(self._before)
        row.addWidget(self._slider, 1)
        row.addWidget(self._after)
        row.addSpacing(theme.TINY)
        row.addWidget(self._field)
        row.addWidget(self._newest)
        self._before.clicked.connect(self._go_back)
        self._after.clicked.connect(self._go_on)
        self._slider.valueChanged.connect(self._choose)
        self._field.valueChanged.connect(self._choose)
        self._newest.toggled.connect(self._on_newest)
        theme.current().changed.connect(self._restyle)
        self.set_range(0, 0)
        self._restyle()

    @property
    def newest(self) -> bool:
        """Whether the newest step is to be shown, whichever it is."""
        return self._newest.isChecked()

    @property
    def step(self) -> int:
        """The step that is shown or was asked for, 0 where there is none."""
        return self._field.value()

    @property
    def first(self) -> int:
        """The first step there is, 0 for none."""
        return self._field.minimum()

    @property
    def last(self) -> int:
        """The last step there is."""
        return self._field.maximum()

    def set_range(self, first: int, last: int) -> None:
        """The steps there are, 0 to 0 for none; a step that is not among them any more gives way to the nearest."""
        for control in (self._slider, self._field):
            with QSignalBlocker(control):
                control.setRange(first, last)
        self._slider.setPageStep(max(1, (last - first) // 10))
        self._enable()

    def set_step(self, step: int) -> None:
        """Show that this is the step; says nothing."""
        for control in (self._slider, self._field):
            with QSignalBlocker(control):
                control.setValue(step)
        self._enable()

    def follow(self, newest: bool) -> None:
        """Follow the newest step, or stay where it is; says nothing."""
        with QSignalBlocker(self._newest):
            self._newest.setChecked(newest)

    def make_room(self, wide: bool) -> None:
        """Name what is chosen where there is room for a word."""
        self._title.setVisible(wide)

    def turn(self, steps: int) -> None:
        """Go some steps on, or back."""
        step = min(max(self._field.minimum(), self.step + steps), self.last)
        if step != self.step:
            self._choose(step)

    def _go_back(self) -> None:
        self.turn(-1)

    def _go_on(self) -> None:
        self.turn(1)

    def _choose(self, step: int) -> None:
        self.follow(False)
        self.set_step(step)
        self.chosen.emit(step)

    def _on_newest(self, newest: bool) -> None:
        if newest and self.last:
            self.set_step(self.last)
            self.chosen.emit(self.last)

    def _enable(self) -> None:
        several = self.last > self._field.minimum()
        for control in (self._slider, self._field, self._newest):
            control.setEnabled(several or (control is self._newest and bool(self.last)))
        self._before.setEnabled(self.step > self._field.minimum())
        self._after.setEnabled(self.step < self.last)

    def _restyle(self) -> None:
        self._before.setIcon(theme.icon("chevron-left"))
        self._after.setIcon(theme.icon("chevron-right"))
