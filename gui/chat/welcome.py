"""What a conversation shows before its first message: what to do. Knows the model's description only."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from engine.events import ModelLoaded
from gui import theme
from gui.text import number, tr

_SUMS = ("What is 47 + 38?", "What is 83 - 27?", "What is 64 + 19?")
_TEXT_WIDTH = 460


class Welcome(QWidget):
    """The empty state of the chat page."""

    suggested = Signal(str)
    model_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = QLabel(alignment=Qt.AlignmentFlag.AlignHCenter)
        self._title.setProperty("role", "title")
        self._about = QLabel(wordWrap=True, alignment=Qt.AlignmentFlag.AlignHCenter)
        self._about.setProperty("role", "muted")
        self._about.setFixedWidth(_TEXT_WIDTH)
        self._sums = QWidget()
        row = QHBoxLayout(self._sums)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SMALL)
        for question in _SUMS:
            button = QPushButton(question)
            button.setProperty("role", "suggestion")
            button.clicked.connect(lambda _=False, question=question: self.suggested.emit(question))
            row.addWidget(button)
        self._get = QPushButton(tr("Get a real model…"))
        self._get.setProperty("role", "link")
        self._get.clicked.connect(self.model_wanted)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.SMALL, theme.HUGE, theme.SMALL, theme.HUGE)
        column.setSpacing(theme.MEDIUM)
        column.addStretch(2)
        centre = Qt.AlignmentFlag.AlignHCenter
        column.addWidget(self._title, 0, centre)
        column.addWidget(self._about, 0, centre)
        column.addSpacing(theme.SMALL)
        column.addWidget(self._sums, 0, centre)
        column.addWidget(self._get, 0, centre)
        column.addStretch(3)
        self.show_model(None)

    def show_model(self, model: ModelLoaded | None) -> None:
        """Say what this model is for; None while none is loaded."""
        demonstration = model is not None and model.demonstration
        self._sums.setVisible(demonstration)
        self._get.setVisible(demonstration)
        if model is None:
            self._title.setText(tr("Getting ready"))
            self._say(tr("The model is being read into memory."))
        elif demonstration:
            self._title.setText(tr("Ask for a sum"))
            self._say(
                tr(
                    "This is a tiny demonstration model that comes with the program. It only adds and subtracts "
                    "two-digit numbers, and it is often wrong: training can make it better."
                )
            )
        else:
            self._title.setText(tr("Ask {model}", model=model.name.rsplit("/", 1)[-1]))
            facts = [tr("{count} million parameters", count=number(model.parameters / 1e6))]
            if model.bits < 16:
                facts.append(tr("{bits} bits a weight", bits=f"{model.bits:g}"))
            if model.context:
                facts.append(tr("reads up to {context} tokens", context=number(model.context)))
            if not model.has_chat_template:
                facts.append(tr("not made for conversations: it has no chat template"))
            self._say(" · ".join(facts))

    def _say(self, text: str) -> None:
        self._about.setText(text)
        # A centred label is given its width only; its height is ours to set.
        self._about.setFixedHeight(self._about.heightForWidth(_TEXT_WIDTH))

    def show_failure(self) -> None:
        """There is no model; the reason is shown elsewhere."""
        self._title.setText(tr("No model is loaded"))
        self._say(tr("Choose one above, or get one from Hugging Face."))
        self._sums.hide()
        self._get.setVisible(True)
