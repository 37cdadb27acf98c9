"""A field for Python code: line numbers, colours, and a line that is marked as faulty. Knows no reward and no file."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize, Qt, QTimer
from PySide6.QtGui import (
    QColor,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTextCharFormat,
    QTextCursor,
    QTextFormat,
    QTextLayout,
)
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QWidget

from gui import theme
from gui.chat import highlight
from gui.text import tr

_PAUSE = 250  # milliseconds without a key after which the code is read anew
_INDENT = "    "
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class CodeEditor(QPlainTextEdit):
    """Python code as a person writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("Python code"))
        self.setProperty("role", "source")
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setFont(theme.code_font())
        self.setTabStopDistance(4 * self.fontMetrics().horizontalAdvance(" "))
        # Between two scroll bars a field of text would draw a field.
        self.setCornerWidget(QWidget())
        self.fault = 0
        self._lines: list[highlight.Line] = []
        self._numbers = _Numbers(self)
        self._pause = QTimer(self, singleShot=True, interval=_PAUSE)
        self._pause.timeout.connect(self._read)
        self.blockCountChanged.connect(self._make_room)
        self.updateRequest.connect(self._scroll_numbers)
        self.textChanged.connect(self._pause.start)
        theme.current().changed.connect(self._restyle)
        self._make_room()

    def set_code(self, code: str) -> None:
        """Show other code, at its beginning."""
        self.setPlainText(code)
        self.mark_fault(0)
        self._read()

    def mark_fault(self, line: int, *, reveal: bool = False) -> None:
        """Mark a line, counted from 1, as faulty, and put the cursor there to `reveal` it; 0 takes the mark away."""
        self.fault = line
        self._mark()
        if reveal and line:
            block = self.document().findBlockByNumber(line - 1)
            if block.isValid():
                self.setTextCursor(QTextCursor(block))
                self.centerCursor()
        self._numbers.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Tab indents, and a new line begins where the one above does; with Shift, Tab leaves the field."""
        cursor = self.textCursor()
        if event.key() == Qt.Key.Key_Tab and not event.modifiers() and not cursor.hasSelection():
            cursor.insertText(_INDENT[: 4 - cursor.positionInBlock() % 4])
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers():
            before = cursor.block().text()[: cursor.positionInBlock()]
            indent = before[: len(before) - len(before.lstrip())]
            cursor.insertText("\n" + indent + (_INDENT if before.rstrip().endswith(":") else ""))
            self.ensureCursorVisible()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        area = self.contentsRect()
        self._numbers.setGeometry(QRect(area.left(), area.top(), self._numbers.room(), area.height()))

    def paint_numbers(self, painter: QPainter, rect: QRect) -> None:
        """The numbers of the lines that are in view."""
        colours = theme.current().colours
        painter.fillRect(rect, QColor(colours.code))
        painter.setFont(theme.code_font(theme.CAPTION))
        block, width = self.firstVisibleBlock(), self._numbers.width() - theme.SMALL
        while block.isValid():
            place = self.blockBoundingGeometry(block).translated(self.contentOffset())
            if place.top() > rect.bottom():
                break
            faulty = block.blockNumber() + 1 == self.fault
            painter.setPen(QColor(colours.error if faulty else colours.muted))
            line = QRect(0, round(place.top()), width, self.fontMetrics().lineSpacing())
            painter.drawText(
                line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{block.blockNumber() + 1}"
            )
            block = block.next()

    def _make_room(self) -> None:
        self.setViewportMargins(self._numbers.room() + theme.TINY, 0, 0, 0)

    def _scroll_numbers(self, rect: QRect, distance: int) -> None:
        if distance:
            self._numbers.scroll(0, distance)
        else:
            self._numbers.update(0, rect.y(), self._numbers.width(), rect.height())

    def _mark(self) -> None:
        marks = []
        block = self.document().findBlockByNumber(self.fault - 1)
        if self.fault and block.isValid():
            one = QTextEdit.ExtraSelection()
            look = QTextCharFormat()
            look.setBackground(QColor(theme.current().colours.error_surface))
            look.setProperty(QTextFormat.Property.FullWidthSelection, True)
            one.format, one.cursor = look, QTextCursor(block)
            marks.append(one)
        self.setExtraSelections(marks)

    def _restyle(self) -> None:
        self._mark()
        self._colour()
        self._numbers.update()

    def _read(self) -> None:
        text = self.toPlainText()
        if len(text) <= highlight.LIMIT:
            highlight.request(text, "python", self._take)

    def _take(self, lines: list[highlight.Line]) -> None:
        self._lines = lines
        self._colour()

    def _colour(self) -> None:
        """Colour all lines; files of rewards are short."""
        colours, document = theme.current().colours, self.document()
        block = document.firstBlock()
        for line in self._lines:
            if not block.isValid():
                break
            ranges = []
            for start, length, role in line:
                stretch = QTextLayout.FormatRange()
                look = QTextCharFormat()
                look.setForeground(QColor(getattr(colours, role)))
                stretch.start, stretch.length, stretch.format = start, length, look
                ranges.append(stretch)
            block.layout().setFormats(ranges)
            block = block.next()
        document.markContentsDirty(0, document.characterCount())


class _Numbers(QWidget):
    """The strip of numbers at the left."""

    def __init__(self, editor: CodeEditor) -> None:
        super().__init__(editor)
        self._editor = editor

    def room(self) -> int:
        """How wide the strip must be."""
        digits = max(2, len(str(self._editor.blockCount())))
        return self._editor.fontMetrics().horizontalAdvance("0" * digits) + 2 * theme.SMALL

    def sizeHint(self) -> QSize:
        """As wide as the numbers."""
        return QSize(self.room(), 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The editor knows where its lines are."""
        self._editor.paint_numbers(QPainter(self), event.rect())
