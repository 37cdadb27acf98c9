"""Finds what to colour in code, on a thread of its own. Knows Pygments and no widget.

Pygments is imported there and at the first need: neither that nor the reading of long code holds up the window.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, QThreadPool, Signal
from shiboken6 import isValid

# Start, length (in UTF-16 units) and role of each coloured stretch of a line.
Line = tuple[tuple[int, int, str], ...]
LIMIT = 150_000  # characters; longer code stays in one colour

ROLES = {
    "Keyword": "code_keyword",
    "Keyword.Type": "code_type",
    "Operator.Word": "code_keyword",
    "Name.Builtin": "code_function",
    "Name.Function": "code_function",
    "Name.Class": "code_type",
    "Name.Tag": "code_keyword",
    "Name.Attribute": "code_type",
    "Name.Decorator": "code_function",
    "Name.Exception": "code_type",
    "Name.Constant": "code_number",
    "Literal.String": "code_string",
    "Literal.Number": "code_number",
    "Comment": "code_comment",
    "Generic.Heading": "code_keyword",
    "Generic.Subheading": "code_keyword",
    "Generic.Inserted": "code_string",
    "Generic.Deleted": "code_number",
    "Generic.Prompt": "code_comment",
}


def read(text: str, language: str) -> list[Line]:
    """The coloured stretches of each line; empty where the language is not known."""
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return []
    roles: dict[Any, str] = {}
    lines: list[Line] = []
    current: list[tuple[int, int, str]] = []
    column = 0
    for _, token, value in lexer.get_tokens_unprocessed(text):
        role = roles.get(token)
        if role is None:
            role = roles[token] = _role(str(token).removeprefix("Token."))
        for number, part in enumerate(value.split("\n")):
            if number:
                lines.append(tuple(current))
                current, column = [], 0
            length = len(part) if part.isascii() else len(part.encode("utf-16-le")) // 2
            if role and length:
                start, joined = column, length
                if current and current[-1][2] == role and sum(current[-1][:2]) == column:
                    start, joined = current[-1][0], current.pop()[1] + length
                current.append((start, joined, role))
            column += length
    return [*lines, tuple(current)]


def _role(token: str) -> str:
    """The role of the nearest kind of token that has one."""
    parts = token.split(".")
    kinds = itertools.accumulate(parts, lambda left, right: f"{left}.{right}")
    return next((ROLES[kind] for kind in reversed(list(kinds)) if kind in ROLES), "")


class _Reader(QObject):
    """Reads one piece of code after the other, and brings the result to the window's thread."""

    _read = Signal(int, object)

    def __init__(self, parent: QObject | None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._waiting: dict[int, weakref.WeakMethod[Callable[[list[Line]], None]]] = {}
        self._tickets = itertools.count()
        self._read.connect(self._hand_out)

    def request(self, text: str, language: str, receive: Callable[[list[Line]], None]) -> None:
        ticket = next(self._tickets)
        self._waiting[ticket] = weakref.WeakMethod(receive)
        self._pool.start(lambda: self._work(ticket, text, language))

    def _work(self, ticket: int, text: str, language: str) -> None:
        waiting = self._waiting.get(ticket)
        # Nobody may want it any more, after a conversation was left.
        lines = read(text, language) if waiting and waiting() else []
        if isValid(self):
            self._read.emit(ticket, lines)

    def _hand_out(self, ticket: int, lines: list[Line]) -> None:
        receive = self._waiting.pop(ticket)()
        if receive is not None and isValid(getattr(receive, "__self__", None)):
            receive(lines)


_reader: list[_Reader] = []


def request(text: str, language: str, receive: Callable[[list[Line]], None]) -> None:
    """Read code elsewhere and call the bound method `receive` on this thread, unless its object is gone by then."""
    if not _reader or not isValid(_reader[0]):
        _reader[:] = [_Reader(QCoreApplication.instance())]
    _reader[0].request(text, language, receive)
