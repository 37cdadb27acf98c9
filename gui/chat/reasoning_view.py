"""Shows what a model thought before it answered, folded where it is long. Knows no message."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QEnterEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QLabel, QWidget

from gui import theme
from gui.chat.code_view import CodeView
from gui.chat.column import Work
from gui.chat.prose_view import ProseView
from gui.chat.segment_column import SegmentColumn
from gui.chat.segments import Segment, Splitter
from gui.text import duration, tr

_HEADER, _INDENT, _SHORT, _GAP = 24, 14, 200, 10


class _Fold(QAbstractButton):
    """The heading of a part that can be folded: words and an arrow, nothing around them."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.is_open = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:
        """Room for the words and the arrow."""
        return QSize(self.fontMetrics().horizontalAdvance(self.text()) + 20, _HEADER)

    def enterEvent(self, event: QEnterEvent) -> None:
        """Come forward under the mouse."""
        self.update()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Step back."""
        self.update()
        super().leaveEvent(event)

    def paintEvent(self, _: QPaintEvent) -> None:
        """Words and arrow; underlined in the accent's colour with the focus."""
        colours = theme.current().colours
        colour = colours.accent if self.hasFocus() else colours.text if self.underMouse() else colours.muted
        painter = QPainter(self)
        painter.setPen(QColor(colour))
        words = self.rect().adjusted(0, 0, -20, 0)
        painter.drawText(words, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, self.text())
        if self.hasFocus():
            painter.fillRect(0, self.height() - 3, words.width(), 1, QColor(colour))
        arrow = theme.icon("chevron-down" if self.is_open else "chevron-right", colour)
        arrow.paint(painter, self.width() - 18, (self.height() - 16) // 2 + 1, 16, 16)


class ReasoningView(QWidget):
    """One reasoning segment. While it arrives it stays folded, so that nothing shrinks when it is over."""

    reshaped = Signal()  # the person opened or folded it

    def __init__(self, parent: QWidget, thinking: Callable[[], tuple[bool, float]]) -> None:
        """`thinking` says whether the model is still at it, and for how many seconds it was (0: not known)."""
        super().__init__(parent)
        self._thinking = thinking
        self._segment = Segment("reasoning", "")
        self._splitter, self._fed = Splitter(tags=False), ""
        self._choice: bool | None = None
        self._colours: theme.Colours | None = None
        self.column = SegmentColumn(
            {"prose": lambda: ProseView(self, muted=True), "code": lambda: CodeView(self)}, paragraph=_GAP
        )
        self._header = _Fold(self)
        self._header.clicked.connect(self._toggle)
        self._preview = QLabel(self)
        self._preview.setProperty("role", "muted")
        self._preview.setTextFormat(Qt.TextFormat.PlainText)

    @property
    def is_open(self) -> bool:
        """Whether the reasoning itself is shown: as the person chose, else where it is short and over."""
        if self._choice is not None:
            return self._choice
        return not self._thinking()[0] and len(self._segment.text) < _SHORT

    def set_segment(self, segment: Segment) -> None:
        """Show another state of the reasoning."""
        self._segment = segment

    def fit(self, width: int, top: int, bottom: int, work: Work) -> int:
        """Lay out the heading, and what is in view below it if it is open."""
        self._show_header(width)
        if not self.is_open or not self._segment.text:
            self.column.hide()
            return _HEADER
        self._feed()
        end = self.column.fit(_INDENT, _HEADER + 6, width - _INDENT, top, bottom, work)
        self.update()
        return end + 2

    def controls(self) -> list[QWidget]:
        """The heading and what is shown below it."""
        return [self._header, *self.column.controls()]

    @property
    def in_use(self) -> bool:
        """Whether the person folded or opened it, or selected something."""
        return self._choice is not None or self.column.in_use

    def paintEvent(self, _: QPaintEvent) -> None:
        """A line along the reasoning."""
        if self.is_open and self._segment.text:
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.current().colours.line))
            painter.drawRoundedRect(QRectF(0, _HEADER + 7, 2, self.height() - _HEADER - 8), 1, 1)

    def _feed(self) -> None:
        text = self._segment.text
        if not text.startswith(self._fed):
            self._splitter, self._fed = Splitter(tags=False), ""
        self._splitter.feed(text[len(self._fed) :])
        self._fed = text
        self.column.set_segments(self._splitter.segments(final=not self._thinking()[0]))

    def _show_header(self, width: int) -> None:
        thinking, seconds = self._thinking()
        if thinking:
            words = tr("Thinking…")
        elif seconds:
            words = tr("Thought for {time}", time=duration(max(1, seconds)))
        else:
            words = tr("Reasoning")
        header = self._header
        if header.text() != words:
            header.setText(words)
            header.setAccessibleName(words)
        header.setAccessibleDescription(tr("Shown") if self.is_open else tr("Folded"))
        header.setToolTip(tr("Fold the reasoning") if self.is_open else tr("Show the reasoning"))
        header.is_open = self.is_open
        size = header.sizeHint()
        header.setGeometry(0, 0, min(width, size.width()), _HEADER)
        shown = thinking and not self.is_open
        self._preview.setVisible(shown)
        if shown:
            room = max(0, width - size.width() - theme.SMALL)
            self._preview.setGeometry(size.width() + theme.SMALL, 0, room, _HEADER)
            line = self._segment.text.rstrip().rpartition("\n")[2].lstrip("#>-* ").replace("**", "")[:400]
            elided = self._preview.fontMetrics().elidedText(line, Qt.TextElideMode.ElideRight, room)
            if elided != self._preview.text():
                self._preview.setText(elided)

    def _toggle(self) -> None:
        self._choice = not self.is_open
        self.reshaped.emit()
