"""Finds stop strings in text that arrives in pieces. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Passes text on until one of the stop strings appears; the string itself and what follows are held back."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        """The part of all text so far that can safely be shown and was not returned before."""
        if self.found:
            return ""
        self._held += text
        starts = [start for stop in self._stops if (start := self._held.find(stop)) >= 0]
        if starts:
            self.found = True
            return self._release(min(starts))
        return self._release(len(self._held) - self._possible_beginning())

    def finish(self) -> str:
        """What was held back because it might have become a stop string, and did not."""
        return "" if self.found else self._release(len(self._held))

    def _possible_beginning(self) -> int:
        """The length of the longest end of the held text with which some stop string begins."""
        longest = 0
        for stop in self._stops:
            for length in range(min(len(stop) - 1, len(self._held)), longest, -1):
                if self._held.endswith(stop[:length]):
                    longest = length
                    break
        return longest

    def _release(self, length: int) -> str:
        text, self._held = self._held[:length], self._held[length:]
        return text
