"""Measures how long a model thought before it answered. Knows the tags of reasoning, no model and no clock.

Reasoning stands between tags at the beginning of a line; an end without a beginning closes what a chat template opened.
"""

from __future__ import annotations

import re

NAMES = ("think", "thinking", "reasoning")
_TAG = re.compile(rf"<(/?)({'|'.join(NAMES)})>")
_LONGEST = max(map(len, NAMES)) + len("</>")


class ThoughtClock:
    """Takes an answer in any pieces, each with the time it came at in seconds, and adds up what was reasoning."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._since: float | None = None
        self._tag = ""
        self._rest = ""
        self._at_line_start, self._has_words, self._seen_tag = True, False, False
        self._seconds: float | None = None

    def feed(self, text: str, now: float) -> None:
        """Take the next piece of the answer."""
        if self._first is None:
            if not text:
                return
            self._first = now
        text, start = self._rest + text, 0
        for tag in _TAG.finditer(text):
            if tag.start() >= start:
                self._pass(text[start : tag.start()])
                self._meet(tag, now)
                start = tag.end()
        beginning = text.rfind("<", max(start, len(text) - _LONGEST + 1))
        end = beginning if beginning >= 0 else len(text)
        self._pass(text[start:end])
        self._rest = text[end:]

    def finish(self, now: float) -> float | None:
        """End the answer, and reasoning that was not closed; answers `seconds`."""
        self._pass(self._rest)
        self._rest = ""
        if self._since is not None:
            self._stop(now)
        return self.seconds

    @property
    def seconds(self) -> float | None:
        """How long the reasoning took that is over; None where there was none."""
        return self._seconds

    def _pass(self, text: str) -> None:
        self._has_words = self._has_words or bool(text.strip())
        line = text.rpartition("\n")
        self._at_line_start = (bool(line[1]) or self._at_line_start) and not line[2].strip()

    def _meet(self, tag: re.Match[str], now: float) -> None:
        closes, name = bool(tag[1]), tag[2]
        if self._since is not None:
            if closes and name == self._tag:
                self._stop(now)
                return
        elif self._at_line_start and not closes:
            # What came before, at most white space, belongs to it.
            self._since = now if self._has_words or self._seen_tag else self._first
            self._tag, self._has_words, self._seen_tag = name, False, True
            return
        elif self._at_line_start and name.startswith("think") and not self._seen_tag and self._has_words:
            self._seen_tag, self._since = True, self._first
            self._stop(now)
            return
        self._pass(tag[0])

    def _stop(self, now: float) -> None:
        """Count the reasoning unless it is empty, as that of models which were told not to think."""
        if self._has_words and self._since is not None:
            self._seconds = (self._seconds or 0.0) + max(0.0, now - self._since)
        # What follows on the line of the end may be a beginning again.
        self._since, self._at_line_start, self._has_words = None, True, False
