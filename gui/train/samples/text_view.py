"""Shows a text in tinted parts, however long it is and whatever is in it. Knows kinds of parts, not what they tell.

A text arrives in slices between which the window lives; a very long line is broken, since a line is laid out as one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from PySide6.QtCore import QMimeData, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFont, QTextCharFormat, QTextCursor, QTextDocument
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit

from gui import theme
from gui.train.samples.looks import tint
from gui.train.samples.marks import Kind, Part, displayable

_LINE, _PIECE = 4000, 1000  # characters
_SLICE = 0.004  # seconds
_MARKS = 200  # of a word that is searched for
_BROKEN = 1  # the state of a block that goes on with the line before


class PartsView(QPlainTextEdit):
    """A text that can be selected and copied, not changed; `filled` is emitted when all of it is there."""

    filled = Signal()

    def __init__(self, name: str) -> None:
        super().__init__(readOnly=True)
        self.setAccessibleName(name)
        self.setProperty("role", "sample")
        self.setFont(theme.ui_font())
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setUndoRedoEnabled(False)
        self.setTabChangesFocus(True)
        self.document().setDocumentMargin(theme.SMALL)
        self._parts: Sequence[Part] = ()
        self._waiting: Iterator[tuple[Kind, str, bool]] = iter(())
        self._filling = False
        self._wanted = ""
        self._turn = QTimer(self, singleShot=True, interval=0)
        self._turn.timeout.connect(self._fill)
        theme.current().changed.connect(self._restyle)

    def show_parts(self, parts: Sequence[Part], wanted: str = "") -> None:
        """Show this text from its beginning; `wanted` is marked where it stands."""
        if tuple(parts) == tuple(self._parts) and wanted == self._wanted:
            return
        self._parts, self._wanted = parts, wanted
        self._begin()

    @property
    def filling(self) -> bool:
        """Whether some of the text is still to come."""
        return self._filling

    def createMimeDataFromSelection(self) -> QMimeData:  # noqa: N802
        """What was selected, with long lines in one piece as they were."""
        cursor = self.textCursor()
        pieces: list[str] = []
        start, end = cursor.selectionStart(), cursor.selectionEnd()
        block = self.document().findBlock(start)
        while block.isValid() and block.position() <= end:
            text = block.text().encode("utf-16-le")
            first = max(0, start - block.position())
            last = min(len(text) // 2, end - block.position())
            if pieces and block.userState() != _BROKEN:
                pieces.append("\n")
            pieces.append(text[2 * first : 2 * last].decode("utf-16-le", "replace"))
            block = block.next()
        data = QMimeData()
        data.setText("".join(pieces))
        return data

    def _begin(self) -> None:
        self.setExtraSelections([])
        self.clear()
        self._formats: dict[Kind, QTextCharFormat] = {}
        self._waiting, self._filling = _pieces(self._parts), True
        self._fill()

    def _fill(self) -> None:
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        until = time.perf_counter() + _SLICE
        cursor.beginEditBlock()
        while self._filling and time.perf_counter() < until:
            piece = next(self._waiting, None)
            if piece is None:
                self._filling = False
                break
            kind, text, broken = piece
            if broken:
                cursor.insertBlock()
                cursor.block().setUserState(_BROKEN)
            cursor.insertText(text, self._format(kind))
        cursor.endEditBlock()
        if self._filling:
            self._turn.start()
        else:
            self._mark()
            self.filled.emit()

    def _mark(self) -> None:
        """Mark what was searched for, and bring the first of it into view."""
        if not self._wanted:
            return
        found: list[QTextEdit.ExtraSelection] = []
        cursor = QTextCursor(self.document())
        while len(found) < _MARKS:
            cursor = self.document().find(displayable(self._wanted), cursor, QTextDocument.FindFlag(0))
            if cursor.isNull():
                break
            selection = QTextEdit.ExtraSelection()
            selection.cursor = cursor
            selection.format.setBackground(tint(theme.current().colours.warning, 0.4))
            found.append(selection)
        self.setExtraSelections(found)
        if found:
            place = QTextCursor(found[0].cursor)
            place.clearSelection()
            self.setTextCursor(place)
            self.ensureCursorVisible()

    def _format(self, kind: Kind) -> QTextCharFormat:
        if kind not in self._formats:
            self._formats[kind] = _formatted(kind)
        return self._formats[kind]

    def _restyle(self) -> None:
        place = self.verticalScrollBar().value()
        self._begin()
        self.verticalScrollBar().setValue(place)


def _pieces(parts: Iterable[Part]) -> Iterator[tuple[Kind, str, bool]]:
    """Pieces that are laid out quickly: kind, text, and whether a line has to be broken before it."""
    column = 0
    for part in parts:
        for start in range(0, len(part.text), _PIECE):
            piece = displayable(part.text[start : start + _PIECE])
            first, last = piece.find("\n"), piece.rfind("\n")
            broken = column + (first if first >= 0 else len(piece)) > _LINE
            column = len(piece) - last - 1 if last >= 0 else len(piece) + (0 if broken else column)
            yield part.kind, piece, broken


def _formatted(kind: Kind) -> QTextCharFormat:
    colours, made = theme.current().colours, QTextCharFormat()
    made.setForeground(QColor(colours.text))
    match kind:
        case "prefill":
            made.setForeground(QColor(colours.muted))
        case "tag":
            made.setForeground(QColor(colours.link))
            made.setBackground(tint(colours.accent, 0.1))
        case "loose tag":
            made.setForeground(QColor(colours.warning))
            made.setUnderlineStyle(QTextCharFormat.UnderlineStyle.WaveUnderline)
            made.setUnderlineColor(QColor(colours.warning))
        case "reasoning":
            made.setBackground(tint(colours.accent, 0.1))
        case "answer" | "right" | "wrong":
            colour = {"right": colours.good, "wrong": colours.error}.get(kind, colours.link)
            made.setForeground(QColor(colour))
            made.setBackground(tint(colour, 0.14))
            made.setFontWeight(QFont.Weight.DemiBold)
        case "other":
            made.setBackground(tint(colours.warning, 0.28))
            made.setFontUnderline(True)
        case "rest":
            made.setForeground(QColor(colours.muted))
    return made
