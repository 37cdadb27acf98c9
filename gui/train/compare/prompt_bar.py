"""Where the prompt for both models is written, and how they are to answer. Knows no model and no run."""

from __future__ import annotations

import sys

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPlainTextEdit, QVBoxLayout, QWidget

from gui import theme
from gui.controls import NumberBox
from gui.parts import button, words
from gui.text import tr

_HOTTEST = 2.0
_LARGEST_SEED = 2**31 - 1
_SEED_WIDTH = 70
_FEWEST, _MOST = 2, 5  # lines


class PromptEdit(QPlainTextEdit):
    """A field that grows with its text; Return with the Command key (Ctrl elsewhere) asks."""

    sent = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("Prompt for both models"))
        self.setPlaceholderText(tr("Ask both models the same…"))
        self.setTabChangesFocus(True)
        self.setFont(theme.ui_font(theme.READING))
        self.textChanged.connect(self._fit)
        self._fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        returned = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if returned and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.sent.emit()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        # The height of a plain text's document counts lines.
        lines = min(_MOST, max(_FEWEST, int(self.document().size().height())))
        self.setFixedHeight(lines * self.fontMetrics().lineSpacing() + 2 * theme.MEDIUM)


class PromptBar(QWidget):
    """The prompt, temperature and seed, and the buttons that ask, stop, and go to the next prompt of the data."""

    changed = Signal()
    asked = Signal()
    stopped = Signal()
    next_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.prompt = PromptEdit()
        self.about = words(role="caption")
        self.temperature = NumberBox(0.0, _HOTTEST, step=0.1)
        self.temperature.set_number(0.0)
        self.seed = NumberBox(0, _LARGEST_SEED, whole=True, step=1)
        self.seed.set_number(0)
        self.seed.setMaximumWidth(_SEED_WIDTH)
        self.next = button(tr("Next Prompt"))
        self.next.setToolTip(tr("The next prompt of the run's last step"))
        self.ask = button(tr("Answer"), primary=True)
        self.ask.setToolTip("⌘↩" if sys.platform == "darwin" else tr("Ctrl+Return"))
        self.stop = button(tr("Stop"))
        self._lay_out()
        self.prompt.textChanged.connect(self.changed)
        self.prompt.sent.connect(self.ask.click)
        self.temperature.edited.connect(self.changed)
        self.seed.edited.connect(self.changed)
        self.ask.clicked.connect(self.asked)
        self.stop.clicked.connect(self.stopped)
        self.next.clicked.connect(self.next_wanted)

    @property
    def text(self) -> str:
        """What is to be asked."""
        return self.prompt.toPlainText()

    @property
    def heat(self) -> float:
        """The temperature, within its bounds."""
        return min(_HOTTEST, max(0.0, float(self.temperature.property("value"))))

    @property
    def number(self) -> int:
        """The seed, within its bounds."""
        return int(min(_LARGEST_SEED, max(0.0, float(self.seed.property("value")))))

    def set_state(self, *, running: bool, ready: bool, more: bool) -> None:
        """Whether answers are under way, whether there is somebody to ask, and whether there is a next prompt."""
        focused = self.ask.hasFocus() or self.stop.hasFocus()
        self.ask.setVisible(not running)
        self.stop.setVisible(running)
        self.ask.setEnabled(ready and not running and bool(self.text.strip()))
        self.next.setEnabled(more and not running)
        self.prompt.setReadOnly(running)
        self.temperature.setEnabled(not running)
        # The most likely word is the same whatever the dice say.
        self.seed.setEnabled(not running and self.heat > 0.0)
        if focused:
            (self.stop if running else self.ask).setFocus()

    def _lay_out(self) -> None:
        foot = QHBoxLayout()
        foot.setSpacing(theme.SMALL)
        for title, box, tip in (
            (tr("Temperature"), self.temperature, tr("0 always takes the most likely word; more varies more.")),
            (tr("Seed"), self.seed, tr("Decides the chance in both answers; without a temperature there is none.")),
        ):
            label = QLabel(title)
            label.setProperty("role", "caption")
            label.setBuddy(box)
            box.setAccessibleName(title)
            for widget in (label, box):
                widget.setToolTip(tip)
                foot.addWidget(widget)

        foot.addStretch()
        for push in (self.next, self.ask, self.stop):
            foot.addWidget(push)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SMALL)
        column.addWidget(self.prompt)
        column.addWidget(self.about)
        column.addLayout(foot)
