"""Shows a piece of running text, as tall as it is and selectable. Knows no message.

A link of an answer opens nothing but web pages and mail; a picture is never fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from math import ceil

from PySide6.QtCore import QMimeData, Qt, QUrl
from PySide6.QtGui import (
    QContextMenuEvent,
    QDesktopServices,
    QFocusEvent,
    QGuiApplication,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPixmap,
    QTextCursor,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QMenu, QScrollArea, QTextBrowser, QTextEdit, QWidget

from gui import theme
from gui.chat import formula_blocks, rich_text, typesetting
from gui.chat.column import Work
from gui.chat.segments import Segment
from gui.chat.text_marks import LINE, Marks
from gui.text import tr

_SCROLLING = {Qt.Key.Key_PageUp, Qt.Key.Key_PageDown, Qt.Key.Key_Home, Qt.Key.Key_End}
_MOVING = {Qt.Key.Key_Up, Qt.Key.Key_Down}
_EDGE = 12  # pixels kept between the mouse that selects and the edge of the view
_TAB = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)


def guess_height(text: str) -> Callable[[int], int]:
    """About the height of running text that was not laid out, for a width."""
    length, lines = len(text), text.count("\n")
    return lambda width: round(LINE * (length * 7.2 / max(1, width) + 0.6 * lines + 0.7))


class QuietText(QTextBrowser):
    """Text without a frame or a ground of its own that can be read, selected and copied, and scrolls nothing itself."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setUndoRedoEnabled(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextBrowserInteraction | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.document().setDocumentMargin(0)
        self.setCursorWidth(0)

    @property
    def in_use(self) -> bool:
        """Whether something is selected."""
        return self.textCursor().hasSelection()

    def deselect(self) -> None:
        """Select nothing."""
        cursor = self.textCursor()
        cursor.clearSelection()
        self.setTextCursor(cursor)

    def controls(self) -> list[QWidget]:
        """The text itself."""
        return [self]

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave it to the transcript."""
        event.ignore()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Bring what is being selected into view."""
        super().mouseMoveEvent(event)
        area = self.parentWidget()
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parentWidget()
        content = area.widget() if area is not None else None
        if area is not None and content is not None and event.buttons() & Qt.MouseButton.LeftButton:
            at = self.viewport().mapTo(content, event.position().toPoint())
            area.ensureVisible(at.x(), at.y(), 0, _EDGE)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Leave to the transcript what scrolls, unless there is a caret that the key moves."""
        keys = _SCROLLING if self.cursorWidth() else _SCROLLING | _MOVING
        if event.key() in keys and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """A click elsewhere ends the selection, as there is one at a time."""
        if event.reason() == Qt.FocusReason.MouseFocusReason:
            self.deselect()
        super().focusOutEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show a caret to who came by keyboard, and only then."""
        self.setCursorWidth(2 if event.reason() in _TAB else 0)
        super().focusInEvent(event)

    def loadResource(self, _kind: int, _name: QUrl | str) -> object:
        """Nothing, instead of a file of this computer or of another."""
        return QPixmap(1, 1)

    def createMimeDataFromSelection(self) -> QMimeData:  # noqa: N802
        """The words alone: colours and fonts of this window are of no use elsewhere."""
        data = QMimeData()
        data.setText(rich_text.selected_text(self.textCursor()))
        return data

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Copy, copy the link, select all."""
        menu = QMenu(self)
        copy = menu.addAction(tr("Copy"), self.copy)
        copy.setEnabled(self.textCursor().hasSelection())
        link = self.anchorAt(event.pos())
        if link:
            menu.addAction(tr("Copy Link"), lambda: QGuiApplication.clipboard().setText(link))
        menu.addAction(tr("Select All"), self.selectAll)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(event.globalPos())


class ProseView(QuietText):
    """One prose segment."""

    def __init__(self, parent: QWidget, *, muted: bool = False, plain: bool = False) -> None:
        """`plain` shows the text as it is, without reading Markdown in it."""
        super().__init__(parent)
        self.setProperty("role", "thought" if muted else "prose")
        self.setAccessibleName(tr("Text"))
        self.setLineWrapMode(QTextEdit.LineWrapMode.FixedPixelWidth)
        self.anchorClicked.connect(_open)
        self.highlighted.connect(self._show_target)
        self._plain, self._muted = plain, muted
        self._text = ""
        self._shown: tuple[str, theme.Colours] | None = None
        self._width = self._height = 0
        self._marks = Marks()

    def set_segment(self, segment: Segment) -> None:
        """Show another text; it is read when it comes into view."""
        self._text = segment.text

    def fit(self, width: int, _top: int, _bottom: int, work: Work) -> int:
        """Lay out the text for a width."""
        wanted = (self._text, theme.current().colours)
        if any(typesetting.current().knows(request) for request in self._marks.awaited):
            self._shown = None
        elif width != self._width and formula_blocks.widest(self.document()) > min(width, self._width):
            # Qt asks once how large a formula is.
            self._shown = None
        if wanted == self._shown and width == self._width:
            return self._height
        if not work.may():
            return self._height or guess_height(self._text)(width)
        if width != self._width:
            self._width = width
            self.setLineWrapColumnOrWidth(width)
        if wanted != self._shown:
            self._fill()
            self._shown = wanted
        self._height = ceil(self.document().size().height())
        self._marks.place(self.document(), width)
        self.viewport().update()
        return self._height

    def natural_width(self) -> int:
        """The width the text would take by itself."""
        return ceil(self.document().idealWidth())

    def paintEvent(self, event: QPaintEvent) -> None:
        """The grounds of code and the bars of quotes, then the text."""
        painter = QPainter(self.viewport())
        self._marks.paint(painter)
        painter.end()
        super().paintEvent(event)

    def _fill(self) -> None:
        self.ensurePolished()
        old = self.textCursor()
        anchor, position = old.anchor(), old.position()
        if self._plain:
            self._marks = rich_text.fill_plain(self.document(), self._text)
        else:
            colours = theme.current().colours
            colour = colours.muted if self._muted else colours.text
            self._marks = rich_text.fill(self.document(), self._text, colour=colour)
            self._describe()
        if anchor != position:
            # The text grew at its end: what was selected is where it was.
            end = self.document().characterCount() - 1
            cursor = self.textCursor()
            cursor.setPosition(min(anchor, end))
            cursor.setPosition(min(position, end), QTextCursor.MoveMode.KeepAnchor)
            self.setTextCursor(cursor)

    def _describe(self) -> None:
        """Say what a picture cannot: the text with its formulas as they were written."""
        words = ""
        if formula_blocks.widest(self.document()):
            whole = QTextCursor(self.document())
            whole.select(QTextCursor.SelectionType.Document)
            words = rich_text.selected_text(whole)
        if words or self.accessibleDescription():
            self.setAccessibleDescription(words)

    def _show_target(self, url: QUrl) -> None:
        self.viewport().setToolTip(f"<qt>{escape(_spelled(url))}</qt>" if not url.isEmpty() else "")


def _spelled(url: QUrl) -> str:
    """An address in letters that stay in their order and are what they look like."""
    shown = url.toDisplayString()
    return shown if shown.isprintable() else url.toString(QUrl.ComponentFormattingOption.FullyEncoded)


def _open(url: QUrl) -> None:
    if rich_text.may_open(url.toString()):
        QDesktopServices.openUrl(url)
