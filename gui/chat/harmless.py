"""Takes out of a text what Qt's documents would stumble over or keep for themselves. Knows no widget.

What is left out is seen as U+FFFD; what is copied by a button is the text itself.
"""

from __future__ import annotations

import re

from gui.chat.line_rules import is_table_rule

_INSTEAD = "\ufffd"
# Qt's marks of frames and objects, and what is half a character.
_MARKS = re.compile("[\ufdd0-\ufdef\ufffc\ud800-\udfff]")
_BREAKS = re.compile("[\r\u2028\u2029]")
_REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,10}));")
_MOST_COLUMNS = 64  # of a table; its layout takes a second with a few thousand


def plain(text: str) -> str:
    """A text of which only the lines have a meaning."""
    return text if text.isascii() else _MARKS.sub(_INSTEAD, text).replace("\u2029", "\n")


def code(text: str) -> str:
    """A text whose lines are ended by a line feed and nothing else."""
    if text.isascii() and "\r" not in text:
        return text
    return _BREAKS.sub(_INSTEAD, _MARKS.sub(_INSTEAD, text))


def markdown(text: str) -> str:
    """A text in which Markdown is read."""
    text = plain(text)
    if "&#" in text:
        text = _REFERENCE.sub(_reference, text)
    if text.count("|") > _MOST_COLUMNS:
        lines = text.split("\n")
        text = "\n".join(
            f"\\{line}" if line.count("|") > _MOST_COLUMNS and is_table_rule(line) else line for line in lines
        )
    return text


def _reference(reference: re.Match[str]) -> str:
    number = int(reference[1], 16) if reference[1] else int(reference[2])
    letter = chr(min(number, 0x10FFFF))
    return _INSTEAD if _MARKS.match(letter) or _BREAKS.match(letter) else reference[0]
