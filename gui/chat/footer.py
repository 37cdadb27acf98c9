"""What stands around an answer's text: the wait before it, figures and buttons below it, the error in its place."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from PySide6.QtCore import QEasingCurve, QSize, Qt, QVariantAnimation, Signal
from PySide6.QtGui import QColor, QHideEvent, QPainter, QPaintEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QLabel, QProgressBar, QSizePolicy, QWidget

from gui import theme
from gui.chat.buttons import CopyButton, IconButton
from gui.text import number, size, tr

if TYPE_CHECKING:
    from engine.chat.conversations import Message

_ENDINGS = {
    "end": "complete",
    "stop string": "ended at a stop string",
    "length": "stopped at the maximum length",
    "context full": "stopped because the context is full",
    "stopped": "stopped by you",
    "interrupted": "interrupted when the program closed",
}


def summary(message: Message) -> str:
    """The figures of an answer in one line: how long, how fast, and how it ended."""
    words, stats = [], message.stats
    if stats is not None:
        count = stats.completion_tokens
        words.append(tr("1 token") if count == 1 else tr("{count} tokens", count=number(count)))
        if stats.tokens_per_second:
            words.append(tr("{speed} tokens/s", speed=number(stats.tokens_per_second, 1)))
        words.append(tr("first token {seconds} s", seconds=number(stats.first_token_seconds, 2)))
    ending = message.state if message.state in _ENDINGS else stats.stop_reason if stats is not None else ""
    if ending and message.state != "failed":
        words.append(tr(_ENDINGS[ending]))
    return " · ".join(words)


def details(message: Message) -> str:
    """What else is known of an answer, a line each."""
    lines, stats = [], message.stats
    if message.model:
        lines.append(tr("Model: {name}", name=message.model))
    if stats is not None:
        lines.append(
            tr(
                "Prompt: {count} tokens, {cached} of them known from before",
                count=number(stats.prompt_tokens),
                cached=number(stats.cached_tokens),
            )
        )
        lines.append(tr("Peak memory: {size}", size=size(stats.peak_memory)))
        lines.append(tr("Seed: {seed}", seed=stats.seed))
    return "\n".join(lines)


class Footer(QWidget):
    """Copy, regenerate, and the figures."""

    regenerate = Signal()

    def __init__(self, parent: QWidget, text: Callable[[], str]) -> None:
        super().__init__(parent)
        self._text = text
        self._copy = CopyButton(self, tr("Copy the answer"), text)
        self._again = IconButton(self, "refresh", tr("Answer again"))
        self._again.clicked.connect(self.regenerate)
        self._again.hide()
        self._figures = QLabel(self)
        self._figures.setProperty("role", "caption")
        self._figures.setTextFormat(Qt.TextFormat.PlainText)
        self._summary = ""

    def show_message(self, message: Message) -> None:
        """Show the figures of an answer."""
        self._summary = summary(message)
        lines = "\n".join(part for part in (self._summary, details(message)) if part)
        # A model's name may hold anything: none of it is to be read as markup.
        self._figures.setToolTip(f"<qt>{escape(lines).replace(chr(10), '<br>')}</qt>" if lines else "")
        self._figures.setAccessibleName(self._summary)
        self._copy.setVisible(bool(self._text()))
        self._arrange()

    def set_last(self, last: bool) -> None:
        """Whether this answer can be asked for again."""
        self._again.setVisible(last)
        self._arrange()

    def controls(self) -> list[QWidget]:
        """The buttons that are shown."""
        return [button for button in (self._copy, self._again) if not button.isHidden()]

    def restyle(self) -> None:
        """Take the colours in force."""
        self._copy.restyle()
        self._again.restyle()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Shorten the figures to the room there is."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        x, height = 2, self.height()
        for button in (self._copy, self._again):
            if not button.isHidden():
                hint = button.sizeHint()
                button.setGeometry(x, (height - hint.height()) // 2, hint.width(), hint.height())
                x += hint.width() + 2
        left = x + theme.TINY
        room = max(0, self.width() - left)
        self._figures.setGeometry(left, 0, room, height)
        elide = Qt.TextElideMode.ElideRight
        self._figures.setText(self._figures.fontMetrics().elidedText(self._summary, elide, room))


class Waiting(QWidget):
    """Stands where an answer's first word will come: a pulsing dot, and how much of the prompt was read."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._label = QLabel(self)
        self._label.setProperty("role", "muted")
        self._bar = QProgressBar(self, textVisible=False)
        self._bar.setAccessibleName(tr("Reading the prompt"))
        self._bar.hide()
        self._pulse = QVariantAnimation(self, duration=1400)
        self._pulse.setLoopCount(-1)
        self._pulse.setKeyValues([(0.0, 0.25), (0.5, 1.0), (1.0, 0.25)])
        self._pulse.setEasingCurve(QEasingCurve.Type.InOutSine)
        self._pulse.valueChanged.connect(lambda _: self.update(0, 0, 16, 22))
        self.setAccessibleName(tr("Waiting for the answer"))

    def showEvent(self, event: QShowEvent) -> None:
        """Begin to pulse."""
        self._pulse.start()
        super().showEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        """Rest while nobody looks."""
        self._pulse.stop()
        super().hideEvent(event)

    def sizeHint(self) -> QSize:
        """The height of one line of text."""
        return QSize(200, 22)

    def show_reading(self, done: int, total: int) -> None:
        """Show how much of the prompt was read."""
        self._bar.setRange(0, max(1, total))
        self._bar.setValue(done)
        words = tr("Reading the prompt, {done} of {total} tokens", done=number(done), total=number(total))
        self._label.setText(words)
        self._bar.show()
        self._label.show()
        self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Place the words beside the bar."""
        super().resizeEvent(event)
        self._arrange()

    def paintEvent(self, _: QPaintEvent) -> None:
        """The dot, until there is more to tell."""
        if self._bar.isHidden():
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setOpacity(float(self._pulse.currentValue() or 0.5))
            painter.setBrush(QColor(theme.current().colours.muted))
            painter.drawEllipse(1, 6, 10, 10)

    def _arrange(self) -> None:
        self._bar.setGeometry(0, 9, 120, 4)
        self._label.setGeometry(132, 0, max(0, self.width() - 132), 22)


class ErrorCard(QFrame):
    """Why there is no answer, or no more of it."""

    def __init__(self, parent: QWidget, words: str) -> None:
        super().__init__(parent)
        self.setProperty("role", "failure")
        words = words or tr("The answer failed.")
        self._icon = QLabel(self)
        self._label = QLabel(words, self)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setWordWrap(True)
        self._label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self._label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setAccessibleName(tr("Error"))
        self.setAccessibleDescription(words)

    def height_for(self, width: int) -> int:
        """The height that the words need."""
        self._icon.setPixmap(theme.icon("warning", theme.current().colours.error).pixmap(QSize(20, 20)))
        room = width - 44 - theme.LARGE
        height = max(20, self._label.heightForWidth(room))
        self._icon.setGeometry(14, 12, 20, 20)
        self._label.setGeometry(44, 12 + (1 if height > 20 else 0), room, height)
        return height + 24
