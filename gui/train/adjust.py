"""The dialog that gives a run other settings while it trains. Knows which can change, and not how they act."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QVBoxLayout, QWidget

from engine.grpo.controls import CHANGEABLE, Command
from engine.grpo.settings import TrainConfig
from engine.training_events import SettingChanged
from gui import theme
from gui.form import Form
from gui.parts import button, words
from gui.text import tr


class Adjust(QDialog):
    """The settings in force that can change; what is changed is told when the person says so."""

    wanted = Signal(object)  # a Command

    def __init__(self, settings: TrainConfig, changes: list[SettingChanged], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Adjust the Run"))
        now = {change.name: change.after for change in changes if change.name in CHANGEABLE}
        values = dict(settings) | {name: type(getattr(settings, name))(value) for name, value in now.items()}
        self._before = TrainConfig.model_validate(values)
        self.form = Form(
            self._before,
            compact=True,
            exclude=[name for name in TrainConfig.model_fields if name not in CHANGEABLE],
            defaults=self._before,
        )
        cancel = button(tr("Cancel"))
        self.apply = button(tr("Apply"), primary=True)
        self.apply.setDefault(True)
        self.apply.setEnabled(False)
        cancel.clicked.connect(self.reject)
        self.apply.clicked.connect(self._tell)
        self.form.changed.connect(self._judge)
        self.form.judged.connect(self._judge)
        buttons = QHBoxLayout()
        buttons.addStretch()
        buttons.addWidget(cancel)
        buttons.addWidget(self.apply)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.HUGE, theme.LARGE, theme.HUGE, theme.LARGE)
        column.setSpacing(theme.MEDIUM)
        column.addWidget(words(tr("Adjust the Run"), "heading"))
        column.addWidget(
            words(
                tr("Changes count from the next step on. They are noted in the run and marked in its charts."), "muted"
            )
        )
        column.addWidget(self.form)
        column.addLayout(buttons)
        self.setMinimumWidth(440)

    def commands(self) -> list[Command]:
        """What the run has to be told."""
        now = self.form.current
        return [
            Command("set", name, float(getattr(now, name)))
            for name in CHANGEABLE
            if getattr(now, name) != getattr(self._before, name)
        ]

    def _judge(self, _settings: object = None) -> None:
        self.apply.setEnabled(self.form.valid and bool(self.commands()))

    def _tell(self) -> None:
        self.form.settings()
        if self.form.valid:
            for command in self.commands():
                self.wanted.emit(command)
            self.accept()
