"""Reads a text file that goes with a message, and refuses what is none. Knows no conversation."""

from __future__ import annotations

import codecs
import stat
from pathlib import Path
from typing import Any

from engine.chat.requests import LARGEST_ATTACHMENT
from engine.chat_events import TextFileRead
from engine.errors import UserError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_PLAIN = set("\t\n\r\f\v\x1b")
_MOST_CONTROLS = 0.02  # of the characters of a text, such as the output of a terminal


def read(path: Path) -> TextFileRead:
    """A file's text, decoded from UTF-8 or UTF-16, its line ends as they are.

    Raises:
        UserError: it is no plain file, too large, not text, or cannot be read.
    """
    try:
        # A pipe would keep whoever opens it waiting.
        if not stat.S_ISREG(path.stat().st_mode):
            raise _refusal(path, "It is not a file.", "Choose a text file; open a folder and choose files in it.")
        with path.open("rb") as file:
            data = file.read(LARGEST_ATTACHMENT + 1)
    except OSError as error:
        raise _refusal(
            path, "It cannot be read: {reason}.", "Check that it is there.", reason=error.strerror
        ) from error
    if len(data) > LARGEST_ATTACHMENT:
        raise _refusal(
            path,
            "It is larger than {limit:,} bytes, which is more than models can read at once.",
            "Attach the part of it that matters.",
            limit=LARGEST_ATTACHMENT,
        )
    return TextFileRead(path.name, _decode(path, data))


def _decode(path: Path, data: bytes) -> str:
    try:
        if data.startswith(_UTF32):
            text = data.decode("utf-32")
        elif data.startswith(_UTF16):
            text = data.decode("utf-16")
        else:
            text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    controls = sum(sign < " " and sign not in _PLAIN for sign in text)
    if "\0" in text or controls > _MOST_CONTROLS * len(text):
        raise _refusal(
            path, "It does not hold text in UTF-8 or UTF-16.", "Save it as plain text, or copy the text out of it."
        )
    return text


def _refusal(path: Path, why: str, remedy: str, **values: Any) -> UserError:
    return UserError("{name} cannot be attached.", why, remedy, name=path.name, **values)
