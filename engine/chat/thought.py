"""Measures how long a model thought before it answered. Knows the tags around thinking, nothing else of the text."""

from __future__ import annotations

import re

_TAG = re.compile(r"<(/?)(think|thinking|reasoning)>")
_LONGEST_TAG = len("</reasoning>")


class ThoughtClock:
    """Takes the pieces of an answer as they come, and adds up the seconds between the tags.

    Some templates end in an opening tag: of an answer that has the closing one alone, all before it is thinking.
    """

    def __init__(self) -> None:
        self._tail = ""
        self._first: float | None = None
        self._since: float | None = None
        self._sum = 0.0
        self._seen = False

    def feed(self, text: str, now: float) -> None:
        """Take the next piece, which came at this time in seconds."""
        self._first = now if self._first is None else self._first
        text = self._tail + text
        read = 0
        for tag in _TAG.finditer(text):
            read = tag.end()
            if tag[1]:
                since = self._since if self._since is not None or self._seen else self._first
                if since is not None:
                    self._sum += now - since
                self._since = None
            elif self._since is None:
                self._since = now
            self._seen = True
        # A tag may come in several pieces; one that was read is not to be read again.
        self._tail = text[read:][-_LONGEST_TAG:]

    def seconds(self, now: float) -> float | None:
        """The seconds of thinking so far, None where there was none."""
        if not self._seen:
            return None
        return self._sum + (now - self._since if self._since is not None else 0.0)
