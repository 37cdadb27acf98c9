"""Puts typeset formulas into a document's lines, and gives their LaTeX back when they are copied. Reads no Markdown."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRect, QRectF, QSizeF
from PySide6.QtGui import (
    QFontMetrics,
    QPainter,
    QPyTextObject,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
)

from gui.chat.typesetting import Picture

OBJECT = "\ufffc"
_TYPE = QTextFormat.ObjectTypes.UserObject.value + 1
_NUMBER = QTextFormat.Property.UserProperty.value + 1
_SOURCE, _COLOUR = _NUMBER + 1, _NUMBER + 2


class FormulaObject(QPyTextObject):
    """Draws the formulas of one document."""

    def __init__(self, document: QTextDocument) -> None:
        super().__init__(document)
        self._pictures: list[Picture] = []
        document.documentLayout().registerHandler(_TYPE, self)

    @property
    def widest(self) -> float:
        """The width of the widest formula."""
        return max((picture.width for picture in self._pictures), default=0)

    def picture_of(self, look: QTextFormat) -> Picture | None:
        """The formula that stands where the text looks so; None for anything else."""
        return self._pictures[look.intProperty(_NUMBER)] if look.objectType() == _TYPE else None

    def clear(self) -> None:
        """Forget the formulas, before the document is filled anew."""
        self._pictures.clear()

    def insert(self, cursor: QTextCursor, picture: Picture, source: str, look: QTextCharFormat, colour: str) -> None:
        """Put a formula in the place of what is selected."""
        mine = QTextCharFormat(look)
        mine.setObjectType(_TYPE)
        mine.setProperty(_NUMBER, len(self._pictures))
        mine.setProperty(_SOURCE, source)
        mine.setProperty(_COLOUR, colour)
        # Of Qt's places for an object, the one that leaves room below the line that letters stand on.
        mine.setVerticalAlignment(QTextCharFormat.VerticalAlignment.AlignMiddle)
        self._pictures.append(picture)
        cursor.insertText(OBJECT, mine)

    def intrinsicSize(self, document: QTextDocument, _position: int, look: QTextFormat) -> QSizeF:  # noqa: N802
        """High enough that the place of the base line, which Qt chooses, is that of the formula."""
        picture = self._pictures[look.intProperty(_NUMBER)]
        scale, lift = _scale(document, picture), _lift(look)
        height = max(2 * picture.ascent * scale - lift, 2 * picture.descent * scale + lift)
        return QSizeF(picture.width * scale, height)

    def drawObject(  # noqa: N802
        self, painter: QPainter, rect: QRectF | QRect, document: QTextDocument, _position: int, look: QTextFormat
    ) -> None:
        """Draw it on whole dots, where it is sharp."""
        picture = self._pictures[look.intProperty(_NUMBER)]
        scale, ratio = _scale(document, picture), painter.device().devicePixelRatioF()
        image = picture.image(str(look.property(_COLOUR)), ratio)
        rect = QRectF(rect)
        at = QPointF(rect.left(), rect.center().y() + _lift(look) / 2 - picture.ascent * scale)
        at = QPointF(round(at.x() * ratio) / ratio, round(at.y() * ratio) / ratio)
        if scale == 1:
            painter.drawImage(at, image)
        else:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(QRectF(at, image.deviceIndependentSize() * scale), image)


def source_of(look: QTextCharFormat) -> str:
    """How a formula was written; "" for anything else."""
    return str(look.property(_SOURCE)) if look.objectType() == _TYPE else ""


def _lift(look: QTextFormat) -> float:
    """Twice the height at which Qt puts an object's middle: a quarter of an x above the line that letters stand on.

    From `QTextDocumentLayout::resizeInlineObject`.
    """
    return QFontMetrics(look.toCharFormat().font()).xHeight() / 2


def _scale(document: QTextDocument, picture: Picture) -> float:
    room = document.textWidth()
    return min(1.0, room / picture.width) if room > 0 else 1.0
