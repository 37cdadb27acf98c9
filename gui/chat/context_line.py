"""The line above the first message that the model still reads. Knows how many are above it, not what they say."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QWidget

from gui import theme
from gui.chat.buttons import IconButton
from gui.chat.column import Column, Entry, Work
from gui.chat.prose_view import ProseView
from gui.chat.segment_column import SegmentColumn
from gui.chat.segments import plain_segments
from gui.text import number, tr

HEIGHT = 24
_GAP, _INDENT, _ABOVE = 6, 8, 18


class ContextLine(QWidget):
    """A thin line with words in its middle; a summary that stands for what is above is read on a click."""

    reshaped = Signal(QWidget)

    def __init__(self, parent: QWidget, left_out: int, *, summarised: bool, summary: str) -> None:
        super().__init__(parent)
        self._open = False
        text = self.words(left_out, summarised=summarised)
        self.setAccessibleName(text)
        self._fold = IconButton(self, "chevron-right", text, named=True) if summarised and summary else None
        self._label = QLabel(text, self)
        self._label.setProperty("role", "caption")
        self._label.setVisible(self._fold is None)
        self.column = SegmentColumn({"prose": lambda: ProseView(self, muted=True, plain=True)}, paragraph=0)
        self.column.set_segments(plain_segments(summary))
        if self._fold is not None:
            self._fold.setToolTip(tr("Show the summary"))
            self._fold.setAccessibleDescription(tr("Folded"))
            self._fold.clicked.connect(self._toggle)

    @staticmethod
    def words(left_out: int, *, summarised: bool) -> str:
        """What became of the messages above."""
        if summarised and left_out == 1:
            return tr("The model reads a summary of the message above")
        if summarised:
            return tr("The model reads a summary of the {count} messages above", count=number(left_out))
        if left_out == 1:
            return tr("The message above is no longer read by the model")
        return tr("The {count} messages above are no longer read by the model", count=number(left_out))

    def fit(self, width: int, top: int, bottom: int, work: Work) -> int:
        """Lay out the words and, if it is open, the summary."""
        middle: QWidget = self._label if self._fold is None else self._fold
        if self._fold is not None:
            self._fold.restyle()
        size = middle.sizeHint().boundedTo(QSize(width, HEIGHT))
        middle.setGeometry((width - size.width()) // 2, (HEIGHT - size.height()) // 2, size.width(), size.height())
        self.update()
        if not self._open:
            self.column.hide()
            return HEIGHT
        return self.column.fit(_INDENT, HEIGHT + _GAP, width - 2 * _INDENT, top, bottom, work)

    def controls(self) -> list[QWidget]:
        """The words that open the summary, and the summary."""
        found: list[QWidget] = [] if self._fold is None else [self._fold]
        return [*found, *self.column.controls()] if self._open else found

    @property
    def in_use(self) -> bool:
        """Whether the summary is read."""
        return self._open

    def paintEvent(self, _: QPaintEvent) -> None:
        """The line at both sides of the words."""
        painter, colour = QPainter(self), QColor(theme.current().colours.line)
        middle = self._label if self._fold is None else self._fold
        left, right = middle.x() - theme.SMALL, middle.x() + middle.width() + theme.SMALL
        painter.fillRect(8, HEIGHT // 2, max(0, left - 8), 1, colour)
        painter.fillRect(right, HEIGHT // 2, max(0, self.width() - 8 - right), 1, colour)

    def _toggle(self) -> None:
        self._open = not self._open
        if self._fold is not None:
            words = tr("Hide the summary") if self._open else tr("Show the summary")
            self._fold.show_as("chevron-down" if self._open else "chevron-right", self._fold.text())
            self._fold.setToolTip(words)
            self._fold.setAccessibleDescription(tr("Shown") if self._open else tr("Folded"))
        self.reshaped.emit(self)


class LineAbove:
    """The one line of a column of messages, where there is one."""

    def __init__(self, content: QWidget, column: Column, reshape: Callable[[QWidget], None]) -> None:
        self._content, self._column, self._reshape = content, column, reshape
        self._entry: Entry | None = None
        self._shown = (0, False, "")

    def show(self, count: int, *, summarised: bool, summary: str) -> bool:
        """Stand below the oldest `count` messages, nowhere for 0; whether anything changed."""
        wanted = (count, summarised, summary) if count else (0, False, "")
        if wanted == self._shown:
            return False
        self.remove()
        if count:
            self._shown = wanted
            self._entry = Entry(make=lambda: self._make(*wanted), guess=lambda _: HEIGHT, gap=_ABOVE)
            self._column.entries.insert(count, self._entry)
        return True

    def remove(self) -> None:
        """Stand nowhere."""
        if self._entry is not None:
            self._entry.drop()
            self._column.entries.remove(self._entry)
            self._entry = None
        self._shown = (0, False, "")

    def _make(self, count: int, summarised: bool, summary: str) -> ContextLine:
        line = ContextLine(self._content, count, summarised=summarised, summary=summary)
        line.reshaped.connect(self._reshape)
        return line
