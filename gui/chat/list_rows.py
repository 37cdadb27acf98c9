"""Paints the rows of the list of conversations and of what a search found. Knows roles, no store."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from engine.chat_events import MessageFound
from gui import theme
from gui.chat.conversation_model import ID, PINNED

_Index = QModelIndex | QPersistentModelIndex
FOUND = Qt.ItemDataRole.UserRole + 2  # a MessageFound

_ROW, _RESULT, _INSET = 30, 46, 8


class ConversationRow(QStyledItemDelegate):
    """A title with a pin where it is pinned; a heading in small letters."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        """Draw one row."""
        colours, place = theme.current().colours, option.rect
        heading = index.data(ID) is None
        painter.save()
        if heading:
            painter.setFont(theme.ui_font(theme.CAPTION, QFont.Weight.DemiBold))
            painter.setPen(QColor(colours.muted))
            line = place.adjusted(_INSET, 6, -_INSET, 0)
            painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, str(index.data()))
        else:
            _ground(painter, option)
            room = place.adjusted(_INSET, 0, -_INSET, 0)
            if index.data(PINNED):
                room.setRight(room.right() - 18)
                theme.icon("pin", colours.muted).paint(painter, room.right() + 4, place.center().y() - 6, 14, 14)
            painter.setFont(theme.ui_font())
            painter.setPen(QColor(colours.text))
            text = painter.fontMetrics().elidedText(_line(index.data()), Qt.TextElideMode.ElideRight, room.width())
            painter.drawText(room, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        """The same for all, so that thousands are laid out at once."""
        return QSize(option.rect.width(), _ROW)

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: _Index) -> None:  # noqa: N802
        """The whole row."""
        editor.setGeometry(option.rect.adjusted(0, 1, 0, -1))


class FoundRow(QStyledItemDelegate):
    """A title, and below it the words around what was found."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        """Draw one row."""
        found: MessageFound = index.data(FOUND)
        colours = theme.current().colours
        painter.save()
        _ground(painter, option)
        room = option.rect.adjusted(_INSET, 5, -_INSET, -5)
        title = QRect(room.left(), room.top(), room.width(), 18)
        painter.setFont(theme.ui_font())
        painter.setPen(QColor(colours.text))
        shown = painter.fontMetrics().elidedText(str(index.data()), Qt.TextElideMode.ElideRight, title.width())
        painter.drawText(title, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)
        _excerpt(painter, QRect(room.left(), title.bottom() + 1, room.width(), 16), found)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        """Two lines."""
        return QSize(option.rect.width(), _RESULT)


def _excerpt(painter: QPainter, place: QRect, found: MessageFound) -> None:
    """The match in bold with what fits of the text around it."""
    colours = theme.current().colours
    plain, bold = theme.ui_font(theme.CAPTION), theme.ui_font(theme.CAPTION, QFont.Weight.Bold)
    end = found.start + found.length
    before, match, after = (
        _line(part) for part in (found.excerpt[: found.start], found.excerpt[found.start : end], found.excerpt[end:])
    )
    elide, x = Qt.TextElideMode, place.left()
    parts = (
        (before, plain, elide.ElideLeft, place.width() // 3, colours.muted),
        (match, bold, elide.ElideRight, place.width(), colours.text),
        (after, plain, elide.ElideRight, place.width(), colours.muted),
    )
    for text, font, how, most, colour in parts:
        room = min(most, place.right() - x)
        if room <= 0 or not text:
            continue
        metrics = QFontMetrics(font)
        shown = metrics.elidedText(text, how, room)
        painter.setFont(font)
        painter.setPen(QColor(colour))
        painter.drawText(QRect(x, place.top(), room + 2, place.height()), Qt.AlignmentFlag.AlignVCenter, shown)
        x += metrics.horizontalAdvance(shown)


def _ground(painter: QPainter, option: QStyleOptionViewItem) -> None:
    colours = theme.current().colours
    chosen = bool(option.state & QStyle.StateFlag.State_Selected)
    if not chosen and not option.state & QStyle.StateFlag.State_MouseOver:
        return
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colours.selected if chosen else colours.hover))
    painter.drawRoundedRect(option.rect, 6, 6)


def _line(text: object) -> str:
    """In one line, breaks as spaces; spaces at the ends stay, as they part the match from the words around it."""
    return "".join(" " if sign.isspace() or not sign.isprintable() else sign for sign in str(text))
