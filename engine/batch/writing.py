"""One answer of a batch while it is written: its tokens, its text, and what ends it. Knows no model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.chat.stop_strings import StopStrings
from engine.drawing import Uniforms
from engine.events import StopReason

if TYPE_CHECKING:
    from mlx_lm.tokenizer_utils import TokenizerWrapper


@dataclass(frozen=True, slots=True)
class Ask:
    """An answer that is wanted: `place` is its number in the batch, from 0.

    It has at most `limit` tokens, and `limit_reason` says what ends it there.
    """

    place: int
    prompt: list[int]
    seed: int
    limit: int
    limit_reason: StopReason


@dataclass(frozen=True, slots=True)
class Written:
    """An answer that has ended; `seconds` runs from when it was begun."""

    place: int
    text: str
    stop_reason: StopReason
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    seed: int


class Writing:
    """Takes the tokens of one answer until it ends; `reason` says why it did."""

    def __init__(self, ask: Ask, tokenizer: TokenizerWrapper, stops: Sequence[str]) -> None:
        self.ask = ask
        self.reason: StopReason | None = None
        self._ends = tokenizer.eos_token_ids
        self._detokenizer = tokenizer.detokenizer
        self._watch = StopStrings(stops)
        self._uniforms, self._drawn = Uniforms(ask.seed), 0
        self._pieces: list[str] = []
        self._count = 0
        self._began = time.perf_counter()

    def number(self) -> float:
        """The number that the next token is drawn by."""
        number = self._uniforms.at(self._drawn)[0]
        self._drawn += 1
        return float(number)

    def take(self, token: int) -> None:
        """Append a token, and tell what it ends."""
        self._count += 1
        if token in self._ends:
            self.reason = "end"
            return
        self._detokenizer.add_token(token)
        self._pieces.append(self._watch.feed(self._detokenizer.last_segment))
        if self._watch.found:
            self.reason = "stop string"
        elif self._count == self.ask.limit:
            self.reason = self.ask.limit_reason

    def written(self) -> Written:
        """The whole answer, once it has ended."""
        self._detokenizer.finalize()
        self._pieces.append(self._watch.feed(self._detokenizer.last_segment) + self._watch.finish())
        return Written(
            place=self.ask.place,
            text="".join(self._pieces),
            stop_reason="stop string" if self._watch.found else self.reason or "stopped",
            prompt_tokens=len(self.ask.prompt),
            completion_tokens=self._count,
            seconds=time.perf_counter() - self._began,
            seed=self.ask.seed,
        )
