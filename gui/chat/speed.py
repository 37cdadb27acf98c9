"""What guessing ahead did for an answer: measured, in words. Knows an answer's figures, no widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gui.text import number, tr

if TYPE_CHECKING:
    from engine.chat.conversations import Message


class Speeds:
    """How fast each model last answered without a draft model, since the program was started."""

    def __init__(self) -> None:
        self._plain: dict[str, float] = {}

    def note(self, message: Message) -> None:
        """Take note of an answer that has ended."""
        stats = message.stats
        if stats is not None and not stats.drafted and stats.tokens_per_second:
            self._plain[message.model] = stats.tokens_per_second

    def effect(self, message: Message) -> str:
        """What guessing ahead did for an answer; "" where none did."""
        stats = message.stats
        if stats is None or not stats.drafted:
            return ""
        words = guesses(message)
        plain = self._plain.get(message.model)
        if plain and stats.tokens_per_second:
            times = number(stats.tokens_per_second / plain, 1)
            return tr(
                "The last answer: {guesses}, {times}x the speed of the last one without", guesses=words, times=times
            )
        return tr("The last answer: {guesses}", guesses=words)


def guesses(message: Message) -> str:
    """The share of guesses that were right; "" where there were none."""
    stats = message.stats
    if stats is None or not stats.drafted:
        return ""
    return tr("{share} % of guesses right", share=number(100 * stats.accepted / stats.drafted))


def tokens_a_pass(message: Message) -> float:
    """Tokens of an answer for each time the model itself was run: 1 without a draft model."""
    stats = message.stats
    return stats.completion_tokens / max(1, stats.completion_tokens - stats.accepted) if stats is not None else 1.0
