"""The strip above a conversation: model, loading progress and the panel switch. Knows model events, no answers."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QToolButton, QVBoxLayout, QWidget

from engine.events import ModelLoaded, Progress
from gui import theme
from gui.models.picker import ModelPicker
from gui.text import number, size, tr

HEIGHT = 52
_BAR = 3


class ChatHeader(QFrame):
    """Names the model in use, shows how far its loading is, and opens the side panel."""

    panel_toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("header")
        self.picker = ModelPicker()
        self.state = QLabel()
        self.state.setProperty("role", "caption")
        self.bar = QProgressBar(textVisible=False)
        self.bar.setAccessibleName(tr("Loading progress"))
        self.bar.setFixedHeight(_BAR)
        self.panel = QToolButton()
        self.panel.setCheckable(True)
        self.panel.setAccessibleName(tr("Settings of this conversation"))
        self.panel.setToolTip(tr("Show the settings of this conversation"))
        self.panel.toggled.connect(self.panel_toggled)
        row = QHBoxLayout()
        row.setContentsMargins(theme.MEDIUM, _BAR, theme.MEDIUM, 0)
        row.setSpacing(theme.SMALL)
        row.addWidget(self.picker)
        row.addWidget(self.state, 1)
        row.addWidget(self.panel)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(row, 1)
        column.addWidget(self.bar)
        self.setFixedHeight(HEIGHT)
        policy = self.bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.bar.setSizePolicy(policy)
        self.bar.hide()
        theme.current().changed.connect(self._restyle)
        self._restyle()

    def show_progress(self, event: Progress) -> None:
        """The model is being loaded."""
        self.bar.setRange(0, 1000 if event.total else 0)
        if event.total:
            self.bar.setValue(int(1000 * event.done / event.total))
        self.bar.show()
        if event.unit == "bytes" and event.total:
            amount = tr("{done} of {total}", done=size(event.done), total=size(event.total))
            self.state.setText(f"{tr(event.what)}: {amount}")
        else:
            self.state.setText(f"{tr(event.what)}…")

    def show_model(self, model: ModelLoaded, *, trains: bool = False) -> None:
        """The model is ready; `trains`: it is what a run trains just now."""
        self.bar.hide()
        millions = model.parameters / 1e6
        parameters = tr("{count} M parameters", count=number(millions, 0 if millions >= 10 else 1))
        facts = [parameters, size(model.memory)]
        if trains:
            facts.insert(0, tr("trains now: each answer is that of its latest step"))
        if model.demonstration:
            facts.insert(0, tr("demonstration model"))
        self.state.setText(" · ".join(facts))

    def show_failure(self) -> None:
        """The model could not be loaded."""
        self.bar.hide()
        self.state.setText(tr("not loaded"))

    def _restyle(self) -> None:
        self.panel.setIcon(theme.icon("panel"))
