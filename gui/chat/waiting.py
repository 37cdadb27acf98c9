"""What stands in the place of an answer's text: the wait before it, and the error. Knows no conversation."""

from __future__ import annotations

from PySide6.QtCore import QEasingCurve, QSize, Qt, QVariantAnimation
from PySide6.QtGui import QColor, QHideEvent, QPainter, QPaintEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QLabel, QProgressBar, QSizePolicy, QWidget

from gui import theme
from gui.text import number, tr


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

    def show_preparing(self, what: str, done: float, total: float | None) -> None:
        """Show what is done before the prompt is read; `total` None where the end is not known."""
        self._bar.setRange(0, round(total) if total else 0)
        self._bar.setValue(round(done))
        self._label.setText(tr(what))
        self._bar.show()
        self._label.show()
        self._arrange()

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
