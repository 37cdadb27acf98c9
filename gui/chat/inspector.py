"""The side panel of a conversation: preset, system prompt, sampling, speed. Knows settings models, no answers."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from engine.config import Sampling
from gui import theme
from gui.chat.preset_button import PresetButton
from gui.controls import Switch
from gui.form import Form
from gui.parts import words
from gui.text import tr

WIDTH = 288
_PAUSE_MILLISECONDS = 400


class Inspector(QFrame):
    """Edits how the model is told to answer in this conversation."""

    system_prompt_changed = Signal(str)
    sampling_changed = Signal(object)
    speculative_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inspector")
        self.setFixedWidth(WIDTH)
        self.system_prompt = QPlainTextEdit()
        self.system_prompt.setAccessibleName(tr("System prompt"))
        self.system_prompt.setPlaceholderText(tr("How should the model answer? For example: Answer in one sentence."))
        self.system_prompt.setTabChangesFocus(True)
        self.system_prompt.setFixedHeight(112)
        self.form = Form(Sampling(), compact=True)
        self.form.changed.connect(self.sampling_changed)
        reset = QPushButton(tr("Restore defaults"))
        reset.clicked.connect(self.form.reset)
        self.preset = PresetButton()
        self.speculative = Switch()
        self.speculative.setAccessibleName(tr("Speculative decoding"))
        self.speculative.clicked.connect(self.speculative_changed)
        self.effect = words(role="caption")
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(theme.LARGE, theme.MEDIUM, theme.LARGE, theme.LARGE)
        column.setSpacing(theme.SMALL)
        column.addWidget(_section(tr("Preset")))
        column.addWidget(self.preset)
        column.addSpacing(theme.MEDIUM)
        column.addWidget(_section(tr("System prompt")))
        column.addWidget(self.system_prompt)
        column.addSpacing(theme.MEDIUM)
        column.addWidget(_section(tr("Sampling")))
        column.addWidget(self.form)
        column.addWidget(reset, 0, Qt.AlignmentFlag.AlignLeft)
        column.addSpacing(theme.MEDIUM)
        column.addWidget(_section(tr("Speed")))
        column.addLayout(self._switch_row())
        column.addWidget(self.effect)
        column.addStretch(1)
        area = QScrollArea(widgetResizable=True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(content)
        area.setAccessibleName(tr("Settings of this conversation"))
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)
        self._timer = QTimer(self, singleShot=True, interval=_PAUSE_MILLISECONDS)
        self._timer.timeout.connect(self._announce)
        self._known = ""
        self.system_prompt.textChanged.connect(self._timer.start)

    def show_settings(self, system_prompt: str, sampling: Sampling) -> None:
        """Show these without announcing them as changed."""
        self._known = system_prompt
        if self.system_prompt.toPlainText() != system_prompt:
            self.system_prompt.setPlainText(system_prompt)
        self._timer.stop()
        self.form.set_settings(sampling)

    def show_speculation(self, on: bool, effect: str) -> None:
        """Whether a draft model guesses ahead, and what that did for the last answer, "" where it is not known."""
        self.speculative.setChecked(on)
        usual = tr("A small model guesses ahead, the model checks: the same answers, faster where it pays.")
        self.effect.setText(effect if on and effect else usual)

    def _switch_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        label = QLabel(tr("Speculative decoding"))
        label.setBuddy(self.speculative)
        row.addWidget(label, 1)
        row.addWidget(self.speculative)
        return row

    def flush(self) -> None:
        """Announce what was typed and not announced yet."""
        self.form.settings()
        if self._timer.isActive():
            self._timer.stop()
            self._announce()

    def _announce(self) -> None:
        text = self.system_prompt.toPlainText().strip()
        if text != self._known:
            self._known = text
            self.system_prompt_changed.emit(text)


def _section(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("role", "section")
    return label
