"""Replaces the marks of formulas in a document by their pictures, or by what was written. Reads no LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QTextBlock, QTextBlockFormat, QTextCharFormat, QTextCursor, QTextDocument

from gui.chat import typesetting
from gui.chat.formula_object import FormulaObject
from gui.chat.formulas import MARK, MARK_LENGTH, Formula, number_of
from gui.chat.typesetting import Request

_BREAK = "\u2028"
_AFTER = 3  # so many characters may follow a formula on its line: a full stop, a number
_Move = QTextCursor.MoveMode


def place(
    document: QTextDocument,
    cursor: QTextCursor,
    formulas: Sequence[Formula],
    *,
    size_of: Callable[[QTextBlock], int],
    colour: str,
    is_code: Callable[[QTextBlock], bool],
) -> list[Request]:
    """Show the formulas as far as their pictures are there, and answer the requests of those that are being made.

    `size_of` says how large the letters of a block are.
    """
    objects = _objects(document)
    objects.clear()
    awaited: list[Request] = []
    found = document.find(MARK)
    while not found.isNull():
        cursor.setPosition(found.selectionStart())
        cursor.setPosition(found.selectionStart() + MARK_LENGTH, _Move.KeepAnchor)
        formula, look, block = formulas[number_of(cursor.selectedText())], cursor.charFormat(), cursor.block()
        picture = None
        if not look.fontFixedPitch() and not is_code(block):
            request = Request(formula.latex, formula.display, size_of(block))
            picture = typesetting.current().picture(request)
            if picture is None and not typesetting.current().knows(request):
                awaited.append(request)
        if picture is None:
            cursor.insertText(formula.source.replace("\n", _BREAK), look)
        else:
            objects.insert(cursor, picture, formula.source, QTextCharFormat(look), colour)
            if formula.display and cursor.currentTable() is None and not block.blockFormat().headingLevel():
                _set_apart(cursor)
        found = document.find(MARK, cursor)
    return awaited


def has_tall(document: QTextDocument, block: QTextBlock, above: float, below: float) -> bool:
    """Whether a formula of the block reaches farther up or down than a line has room."""
    objects = _objects(document)
    each = block.begin()
    while not each.atEnd():
        picture = objects.picture_of(each.fragment().charFormat())
        if picture is not None and (picture.ascent > above or picture.descent > below):
            return True
        each += 1
    return False


def widest(document: QTextDocument) -> float:
    """The width of the widest formula in a document; 0 where there is none."""
    objects = document.findChild(FormulaObject)
    return objects.widest if isinstance(objects, FormulaObject) else 0


def _objects(document: QTextDocument) -> FormulaObject:
    found = document.findChild(FormulaObject)
    return found if isinstance(found, FormulaObject) else FormulaObject(document)


def _set_apart(cursor: QTextCursor) -> None:
    """Make a paragraph in the middle of the formula before the cursor, and leave the cursor behind it."""
    end = cursor.position()
    block = cursor.block()
    rest = block.position() + block.length() - 1 - end
    if rest > _AFTER or (rest and _character(cursor, end) == _BREAK):
        _split(cursor, end)
        end = cursor.position() - 1
    cursor.setPosition(end - 1)
    if not cursor.atBlockStart():
        _split(cursor, end - 1)
        end = cursor.position() + 1
    cursor.setPosition(end)
    middle = QTextBlockFormat()
    middle.setAlignment(Qt.AlignmentFlag.AlignHCenter)
    cursor.mergeBlockFormat(middle)


def _split(cursor: QTextCursor, at: int) -> None:
    """End the paragraph at a place, and begin another of the same list item; a line break there is used up."""
    for before in (at - 1, at):
        if _character(cursor, before) in (_BREAK, " "):
            cursor.setPosition(before)
            cursor.deleteChar()
            at -= before < at
    cursor.setPosition(at)
    items = cursor.currentList()
    cursor.insertBlock()
    if items is not None:
        items.remove(cursor.block())
        inside = QTextBlockFormat()
        inside.setIndent(items.format().indent())
        cursor.mergeBlockFormat(inside)


def _character(cursor: QTextCursor, position: int) -> str:
    return str(cursor.document().characterAt(position))
