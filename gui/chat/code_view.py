"""Shows a block of code with its language, a copy button and colours. Knows no message."""

from __future__ import annotations

import re
import time
from math import ceil

from PySide6.QtCore import QMimeData, Qt, QTimer
from PySide6.QtGui import (
    QColor,
    QResizeEvent,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextFormat,
    QTextLayout,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QLabel, QTextEdit, QWidget

from gui import theme
from gui.chat import harmless, highlight
from gui.chat.buttons import CopyButton
from gui.chat.column import Work
from gui.chat.prose_view import QuietText
from gui.chat.segments import Segment
from gui.text import tr

_LINE, _HEADER, _SIDE, _BELOW, _BAR = 19, 34, 14, 12, 10
_STEP = 16_000  # characters laid out in one go
_PAUSE, _PROPORTION = 0.3, 10  # seconds between two readings of arriving code; at least this many times their cost
_SLICE = 0.004  # seconds for which lines are coloured in one go


# A line is laid out as a whole: an endless one is broken, so that it can grow without holding up the window.
_LONGEST = 4_000
_ENDLESS = re.compile(rf"([^\n]{{{_LONGEST}}})(?=[^\n])")


def guess_height(text: str) -> int:
    """The height of code, but for a scroll bar."""
    return _HEADER + _LINE * (text.count("\n") + 1) + _BELOW


class _Source(QuietText):
    """The code itself: turns sideways under the wheel, and leaves up and down to the transcript."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll sideways only."""
        turn = event.pixelDelta() if not event.pixelDelta().isNull() else event.angleDelta() / 2
        by_key = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier) and not turn.x()
        distance = turn.y() if by_key else turn.x()
        bar = self.horizontalScrollBar()
        if bar.maximum() and (by_key or abs(distance) > abs(turn.y())):
            bar.setValue(bar.value() - distance)
            event.accept()
        else:
            event.ignore()

    def createMimeDataFromSelection(self) -> QMimeData:  # noqa: N802
        """The code without the breaks in endless lines."""
        data = super().createMimeDataFromSelection()
        data.setText(re.sub(rf"(?m)^(.{{{_LONGEST}}})\n", r"\1", data.text()))
        return data


class CodeView(QFrame):
    """One code segment."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("role", "code")
        self._segment, self._text = Segment("code", ""), ""
        self._label = QLabel(self)
        self._label.setProperty("role", "caption")
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._copy = CopyButton(self, tr("Copy"), lambda: self._segment.text, named=True)
        self._source = _Source(self)
        self._source.setProperty("role", "source")
        self._source.setLineWrapMode(QTextEdit.LineWrapMode.NoWrap)
        self._look = QTextCharFormat()
        self._look.setFontFamilies(theme.code_font().families())
        self._look.setProperty(QTextFormat.Property.FontPixelSize, theme.BODY)
        self._shown, self._height = "", 0
        self._fitted: tuple[Segment, int] | None = None
        self._lines: list[highlight.Line] = []
        self._coloured: list[highlight.Line | None] = []
        self._colours = theme.current().colours
        self._asked, self._asked_at, self._cost, self._in_flight = "", 0.0, 0.0, False
        self._reading = QTimer(self, singleShot=True)
        self._reading.timeout.connect(self._read)
        self._colouring = QTimer(self, interval=0)
        self._colouring.timeout.connect(self._colour)
        self._start_over()

    def set_segment(self, segment: Segment) -> None:
        """Show other code; it is laid out when it comes into view."""
        self._segment = segment
        self._text = harmless.code(segment.text)
        if len(self._text) > _LONGEST and max(map(len, self._text.split("\n"))) > _LONGEST:
            self._text = _ENDLESS.sub("\\1\n", self._text)

    def fit(self, width: int, _top: int, _bottom: int, work: Work) -> int:
        """Lay out the code; long code in several passes."""
        self._copy.restyle()
        if self._colours is not theme.current().colours:
            self._colours = theme.current().colours
            self._coloured = []
            self._colouring.start()
        if self._fitted == (self._segment, width):
            return self._height
        if self._shown != self._text:
            self._insert(work)
        self._name()
        whole = self._shown == self._text
        self._fitted = (self._segment, width) if whole else None
        if whole:
            self._schedule()
        lines = self._source.document().blockCount() if whole else self._text.count("\n") + 1
        room = width - _SIDE - 1
        wide = ceil(self._source.document().idealWidth()) > room
        policy = Qt.ScrollBarPolicy.ScrollBarAlwaysOn if wide else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        self._source.setHorizontalScrollBarPolicy(policy)
        height = _LINE * lines + (_BAR if wide else 0)
        self._source.setGeometry(_SIDE, _HEADER, room, height)
        self._height = _HEADER + height + (3 if wide else _BELOW)
        return self._height

    def controls(self) -> list[QWidget]:
        """The copy button and the code."""
        return [self._copy, self._source]

    @property
    def in_use(self) -> bool:
        """Whether something is selected."""
        return self._source.in_use

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the copy button at the right edge."""
        super().resizeEvent(event)
        size = self._copy.sizeHint()
        self._copy.setGeometry(self.width() - size.width() - 5, (_HEADER - size.height()) // 2, *size.toTuple())
        self._label.setGeometry(_SIDE, 0, self._copy.x() - _SIDE, _HEADER)

    def _name(self) -> None:
        language = self._segment.language
        self._label.setText(language or tr("code"))
        self._source.setAccessibleName(tr("Code in {language}", language=language) if language else tr("Code"))

    def _start_over(self) -> None:
        self._shown, self._coloured = "", []
        document = self._source.document()
        document.clear()
        cursor = QTextCursor(document)
        layout = QTextBlockFormat()
        layout.setLineHeight(_LINE, QTextBlockFormat.LineHeightTypes.FixedHeight.value)
        cursor.setBlockFormat(layout)
        cursor.setBlockCharFormat(self._look)

    def _insert(self, work: Work) -> None:
        text = self._text
        if not text.startswith(self._shown):
            self._start_over()
        cursor = QTextCursor(self._source.document())
        while len(self._shown) < len(text) and work.may():
            part = text[len(self._shown) : len(self._shown) + _STEP]
            cursor.movePosition(QTextCursor.MoveOperation.End)
            cursor.insertText(part, self._look)
            if not self._shown:
                # The view's own cursor went along, and would have the view scroll to it.
                self._source.moveCursor(QTextCursor.MoveOperation.Start)
            self._shown += part

    def _schedule(self) -> None:
        """Have the code read when it is closed, and now and then while it arrives."""
        text = self._text
        if not self._segment.language or self._in_flight or text == self._asked or len(text) > highlight.LIMIT:
            return
        pause = 0.0 if self._segment.closed else max(_PAUSE, _PROPORTION * self._cost)
        wait = max(0.0, self._asked_at + pause - time.monotonic())
        if not self._reading.isActive() or wait * 1000 < self._reading.remainingTime():
            self._reading.start(round(wait * 1000))

    def _read(self) -> None:
        self._asked, self._asked_at, self._in_flight = self._shown, time.monotonic(), True
        highlight.request(self._asked, self._segment.language, self._take)

    def _take(self, lines: list[highlight.Line]) -> None:
        self._cost, self._in_flight = time.monotonic() - self._asked_at, False
        self._lines = lines
        self._colouring.start()
        self._schedule()

    def _colour(self) -> None:
        """Colour the lines that are not yet as they should be, some at a time."""
        until = time.perf_counter() + _SLICE
        formats = self._formats()
        lines, done = self._lines, self._coloured
        done += [None] * (len(lines) - len(done))
        at = next((number for number, line in enumerate(lines) if line != done[number]), len(lines))
        block = self._source.document().findBlockByNumber(at)
        first = last = block.position()
        while block.isValid() and at < len(lines) and time.perf_counter() < until:
            if lines[at] != done[at]:
                _colour_line(block, lines[at], formats)
                done[at] = lines[at]
                last = block.position() + block.length()
            block = block.next()
            at += 1
        if last > first:
            self._source.document().markContentsDirty(first, last - first)
        if at >= len(lines) or not block.isValid():
            self._colouring.stop()

    def _formats(self) -> dict[str, QTextCharFormat]:
        formats = {}
        for role in set(highlight.ROLES.values()):
            formats[role] = QTextCharFormat()
            formats[role].setForeground(QColor(getattr(self._colours, role)))
        return formats


def _colour_line(block: QTextBlock, line: highlight.Line, formats: dict[str, QTextCharFormat]) -> None:
    ranges = []
    for start, length, role in line:
        stretch = QTextLayout.FormatRange()
        stretch.start, stretch.length, stretch.format = start, length, formats[role]
        ranges.append(stretch)
    block.layout().setFormats(ranges)
