"""Turns a piece of Markdown into a styled document. Knows fonts and distances, not the view that shows it.

Qt reads the Markdown; what it leaves plain (line height, distances, tables, inline code, quotes) is set here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from PySide6.QtCore import QUrl
from PySide6.QtGui import (
    QColor,
    QFont,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextListFormat,
    QTextTable,
)

from gui import theme
from gui.chat import formula_blocks, harmless, tables
from gui.chat.formula_object import OBJECT, source_of
from gui.chat.formulas import Formula, extract, restore
from gui.chat.text_marks import LINE, QUOTE_INDENT, Marks

PARAGRAPH, ITEM = 12, 5  # the distance after a paragraph, and between two items of a list
_CODE_LINE, _CELL_LINE = 18, 19
_HEADINGS = {1: (20, 22), 2: (17, 20), 3: (15, 18)}  # level: size, distance above
# Less two extensions that Qt adds to GitHub's: `_word_` is emphasis, and no data about the document stands at its head.
_UNDERLINE, _FRONT_MATTER = 0x4000, 0x100000
_FEATURES = QTextDocument.MarkdownFeature(
    (QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML).value
    & ~(_UNDERLINE | _FRONT_MATTER)
)
_FIXED = QTextBlockFormat.LineHeightTypes.FixedHeight.value
_AT_LEAST = QTextBlockFormat.LineHeightTypes.MinimumHeight.value
_ROOM_ABOVE, _ROOM_BELOW = 19, 8  # what a formula may take of its line and of the space between two
_SCHEMES = ("http", "https", "mailto")
_BREAK = "\u2028"
_BREAK_IN_SPACES, _ASTRAL = re.compile(f" {_BREAK} "), re.compile("[\U00010000-\U0010ffff]")
_RULE_OR_HEADING = r"\s*(?:#{1,6}\s|[-=*_]{2,}\s*\Z|`{3}|~{3})"
# A line that may be joined with the one before: not blank, no list item, quote, table, rule, heading, indented code.
_GOES_ON = re.compile(rf"(?!{_RULE_OR_HEADING})(?!\s*(?:>|(?:[-*+]|\d{{1,9}}[.)])(?:\s|\Z)))(?!.*\|)(?! {{4}}|\t)\s*\S")
_IS_TEXT = re.compile(rf"(?!{_RULE_OR_HEADING})(?!.*\|)(?! {{4}}|\t)\s*\S")
_QUOTE_MARKS = re.compile(r"(?:\s*>\s?)*")
_Property = QTextFormat.Property


def may_open(url: str) -> bool:
    """Whether a link of a model's answer may be opened: nothing on this computer, nothing that runs."""
    return QUrl(url).scheme().lower() in _SCHEMES


def distance_above(markdown: str) -> int:
    """The distance to what stands before."""
    level = len(markdown) - len(markdown.lstrip("#"))
    return _HEADINGS.get(level, (0, PARAGRAPH))[1]


def fill(document: QTextDocument, markdown: str, *, colour: str = "") -> Marks:
    """Replace the document's content. The layout is made when the view asks for it, once.

    `colour` is that of the text, for the formulas.
    """
    marks = Marks()
    markdown, formulas = extract(harmless.markdown(markdown))
    document.setLayoutEnabled(False)
    document.setMarkdown(_with_breaks(markdown), _FEATURES)
    document.setIndentWidth(theme.HUGE)
    cursor = QTextCursor(document)
    cursor.beginEditBlock()
    if _BREAK in document.toRawText():
        _mend_breaks(document, cursor)
    if "![" in markdown:
        _replace_images(document, cursor)
    if formulas:
        colour = colour or theme.current().colours.text
        marks.awaited = formula_blocks.place(
            document, cursor, formulas, size_of=_size_of, colour=colour, is_code=_is_code
        )
    for frame in document.rootFrame().childFrames():
        if isinstance(frame, QTextTable):
            tables.style(frame, below=PARAGRAPH)
    block, last = document.begin(), document.lastBlock()
    while block.isValid():
        _style_block(cursor, block, marks, first=block.position() == 0, last=block == last)
        _style_fragments(cursor, block, marks, formulas)
        block = block.next()
    cursor.endEditBlock()
    document.setLayoutEnabled(True)
    return marks


def fill_plain(document: QTextDocument, text: str) -> Marks:
    """Replace the document's content by a text in which nothing has a meaning of its own."""
    document.setLayoutEnabled(False)
    document.clear()
    cursor = QTextCursor(document)
    layout = QTextBlockFormat()
    layout.setLineHeight(LINE, _FIXED)
    cursor.setBlockFormat(layout)
    cursor.insertText(harmless.plain(text))
    document.setLayoutEnabled(True)
    return Marks()


def selected_text(cursor: QTextCursor) -> str:
    """The selected words, with the marks of lists that Qt leaves out."""
    document, start, end = cursor.document(), cursor.selectionStart(), cursor.selectionEnd()
    block, lines = document.findBlock(start), []
    while block.isValid() and block.position() < max(end, start + 1):
        mark, items = "", block.textList()
        if items is not None and block.position() >= start:
            number = items.itemText(block) if items.format().style() == QTextListFormat.Style.ListDecimal else "-"
            mark = "  " * (items.format().indent() - 1) + f"{number} "
        lines.append(mark + _written(block, start, end))
        if block.blockFormat().bottomMargin() >= PARAGRAPH and block.position() + block.length() < end:
            lines.append("")
        block = block.next()
    return "\n".join(lines).replace(_BREAK, "\n")


def _written(block: QTextBlock, start: int, end: int) -> str:
    """What stands in a block between two positions, formulas as their LaTeX. Qt counts in units of UTF-16."""
    parts, each = [], block.begin()
    while not each.atEnd():
        fragment = each.fragment()
        first, last = max(start - fragment.position(), 0), min(end - fragment.position(), fragment.length())
        if first < last:
            source = source_of(fragment.charFormat())
            units = fragment.text().encode("utf-16-le", "surrogatepass")[2 * first : 2 * last]
            parts.append(source * (last - first) or units.decode("utf-16-le", "surrogatepass"))
        each += 1
    return "".join(parts)


def _with_breaks(markdown: str) -> str:
    """Keep the line breaks of running text, which Markdown would join; Qt makes paragraphs of its hard breaks."""
    lines = markdown.split("\n")
    parts = [_QUOTE_MARKS.match(line) for line in lines]
    quotes = [match[0].count(">") if match else 0 for match in parts]
    texts = [
        line[match.end() :] if match and match[0].strip() else line for line, match in zip(lines, parts, strict=True)
    ]
    for at in range(len(lines) - 1):
        if quotes[at] == quotes[at + 1] and _IS_TEXT.match(texts[at]) and _GOES_ON.match(texts[at + 1]):
            lines[at] = lines[at].rstrip().removesuffix("\\") + f" {_BREAK}"
    return "\n".join(lines)


def _mend_breaks(document: QTextDocument, cursor: QTextCursor) -> None:
    """Take away the spaces that stand around a break for the Markdown reader."""
    block = document.begin()
    while block.isValid():
        text = block.text()
        if _BREAK in text:
            # Qt counts in units of UTF-16.
            for spaces in reversed(list(_BREAK_IN_SPACES.finditer(_ASTRAL.sub("xx", text)))):
                _select(cursor, block.position() + spaces.start(), 3)
                cursor.insertText(_BREAK, cursor.charFormat())
        block = block.next()


def _replace_images(document: QTextDocument, cursor: QTextCursor) -> None:
    """Put the words in an image's place: nothing is fetched, and no file of this computer is opened."""
    block = document.begin()
    while block.isValid():
        for look, start, length in reversed(list(_fragments(block))):
            if look.isImageFormat():
                words = look.property(_Property.ImageAltText) or look.toImageFormat().name()
                plain = QTextCharFormat()
                plain.setFontItalic(True)
                _select(cursor, start, length)
                cursor.insertText(str(words) * length, plain)
        block = block.next()


def _style_block(cursor: QTextCursor, block: QTextBlock, marks: Marks, *, first: bool, last: bool) -> None:
    layout = QTextBlockFormat(block.blockFormat())
    layout.setLineHeight(LINE, _FIXED)
    layout.setTopMargin(0)
    layout.setBottomMargin(0 if last else PARAGRAPH)
    cursor.setPosition(block.position())
    if cursor.currentTable() is not None:
        layout.setLineHeight(_CELL_LINE, _FIXED)
        layout.setBottomMargin(0)
    elif layout.hasProperty(_Property.BlockTrailingHorizontalRulerWidth):
        layout.clearProperty(_Property.BlockTrailingHorizontalRulerWidth)
        marks.rules.append(block.blockNumber())
    elif _is_code(block):
        layout.setLineHeight(_CODE_LINE, _FIXED)
        layout.setLeftMargin(theme.MEDIUM)
        if not first and not _is_code(block.previous()):
            layout.setTopMargin(theme.TINY)
        layout.setBottomMargin(0 if _is_code(block.next()) else PARAGRAPH)
        marks.code_blocks.append(block.blockNumber())
    elif level := layout.headingLevel():
        size, above = _HEADINGS.get(level, (theme.READING, theme.LARGE))
        layout.setLineHeight(round(size * 1.35), _FIXED)
        layout.setTopMargin(0 if first else above - PARAGRAPH)
        layout.setBottomMargin(0 if last else 6)
    elif block.textList() is not None:
        _style_item(block, layout, marks, last=last)
    elif not block.text():
        # What Qt puts before and after a table.
        layout.setLineHeight(1, _FIXED)
        layout.setBottomMargin(0)
    if quote := layout.intProperty(_Property.BlockQuoteLevel):
        layout.setLeftMargin(quote * QUOTE_INDENT + (theme.MEDIUM if _is_code(block) else 0))
        layout.setRightMargin(0)
        marks.quotes.append((block.blockNumber(), quote))
    layout.setMarker(QTextBlockFormat.MarkerType.NoMarker)
    if OBJECT in block.text() and formula_blocks.has_tall(block.document(), block, _ROOM_ABOVE, _ROOM_BELOW):
        layout.setLineHeight(layout.lineHeight(), _AT_LEAST)
    cursor.setBlockFormat(layout)


def _style_item(block: QTextBlock, layout: QTextBlockFormat, marks: Marks, *, last: bool) -> None:
    items, number = block.textList(), block.blockNumber()
    layout.setBottomMargin(0 if last else ITEM if block.next().textList() is not None else PARAGRAPH)
    style = items.format()
    if layout.marker() != QTextBlockFormat.MarkerType.NoMarker:
        marks.boxes.append((number, layout.marker() == QTextBlockFormat.MarkerType.Checked))
    elif style.style() != QTextListFormat.Style.ListDecimal:
        marks.bullets.append((number, style.indent()))
    if style.style() not in (QTextListFormat.Style.ListDecimal, QTextListFormat.Style.ListStyleUndefined):
        style.setStyle(QTextListFormat.Style.ListStyleUndefined)
        items.setFormat(style)


def _style_fragments(cursor: QTextCursor, block: QTextBlock, marks: Marks, formulas: list[Formula]) -> None:
    colours, level, is_code = theme.current().colours, block.blockFormat().headingLevel(), _is_code(block)
    size = _size_of(block)
    for look, start, length in list(_fragments(block)):
        if formulas and look.isAnchor():
            look.setAnchorHref(restore(look.anchorHref(), formulas))
        inline_code = look.fontFixedPitch() and not is_code
        if level:
            look.clearProperty(_Property.FontSizeAdjustment)
            look.setProperty(_Property.FontPixelSize, size)
            look.setFontWeight(QFont.Weight.DemiBold)
        if inline_code or is_code:
            look.setFontFamilies(theme.code_font().families())
            look.setProperty(_Property.FontPixelSize, size - 1)
        elif look.isAnchor() and may_open(look.anchorHref()):
            look.setForeground(QColor(colours.link))
            look.setFontUnderline(False)
        elif look.isAnchor():
            for key in (_Property.IsAnchor, _Property.AnchorHref, _Property.ForegroundBrush):
                look.clearProperty(key)
            look.setFontUnderline(False)
        elif not level:
            continue
        _select(cursor, start, length)
        cursor.setCharFormat(look)
        if inline_code:
            marks.inline_code.append((start, length))
            _widen(cursor, start - 1, block)
            _widen(cursor, start + length - 1, block)


def _widen(cursor: QTextCursor, position: int, block: QTextBlock) -> None:
    """Leave room after a character for the ground of the code that begins or ends there."""
    if position >= block.position():
        wide = QTextCharFormat()
        wide.setFontLetterSpacingType(QFont.SpacingType.AbsoluteSpacing)
        wide.setFontLetterSpacing(3)
        _select(cursor, position, 1)
        cursor.mergeCharFormat(wide)


def _size_of(block: QTextBlock) -> int:
    return _HEADINGS.get(block.blockFormat().headingLevel(), (theme.READING, 0))[0]


def _is_code(block: QTextBlock) -> bool:
    return block.isValid() and block.blockFormat().hasProperty(_Property.BlockCodeLanguage)


def _fragments(block: QTextBlock) -> Iterator[tuple[QTextCharFormat, int, int]]:
    each = block.begin()
    while not each.atEnd():
        fragment = each.fragment()
        yield fragment.charFormat(), fragment.position(), fragment.length()
        each += 1


def _select(cursor: QTextCursor, start: int, length: int) -> None:
    cursor.setPosition(start)
    cursor.setPosition(start + length, QTextCursor.MoveMode.KeepAnchor)
