"""Writes many answers side by side with mlx_lm's continuous batching. Knows a model and token ids, no files.

What prompts have in common is read once: the beginning that all share, and the prompt that several answers share. Rows
join as others end. An answer is a function of its prompt and its seed, whatever else is written beside it.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from engine import memory
from engine.batch.reading import SHORTEST, Beginning, Reading, common, piece_length
from engine.batch.rows import InFloat32, MergedRows, Rows, RowsDraw, SharingRows
from engine.batch.writing import Ask, Writing, Written
from engine.config import Sampling

if TYPE_CHECKING:
    from engine.session import ModelSession

ROWS, SHARING_ROWS = 32, 64
"""Answers written at once where nobody says how many, and where answers share prompts: more hardly raise the speed."""
# Prompts read side by side: at most so many, and so many tokens of more than one.
_PROMPTS, _PROMPT_TOKENS = 8, 16_384
# Rows change once this share of them has ended: every change copies the caches of all.
_WORTH_CHANGING = 1 / 8


class SideBySide:
    """Answers being written, and those that wait; each call of `advance` does a little.

    Attributes:
        tokens: how many were generated so far.
    """

    def __init__(
        self,
        session: ModelSession,
        sampling: Sampling,
        asks: Iterator[list[Ask]],
        *,
        stops: Sequence[str] = (),
        rows: int = 0,
        memory_limit: int = 0,
        sharing: bool = False,
    ) -> None:
        """Nothing is computed yet.

        Args:
            asks: prompt by prompt, at least one of each.
            rows: how many go on at once; 0 for what pays.
            memory_limit: as `LoadModel.memory_limit`; a quarter is for what is remembered of the texts.
            sharing: whether the answers to a prompt may share its keys and values (`engine.batch.trial`).
        """
        self._session, self._sampling, self._stops = session, sampling, stops
        self._model = InFloat32(session)
        self._most, self._budget = rows or (SHARING_ROWS if sharing else ROWS), memory.available(memory_limit) // 4
        self._asks, self._waiting = asks, deque[list[Ask]]()
        self._ready: deque[tuple[Ask, list[Any]]] = deque()
        self._reading: Reading | None = None
        self._beginning: Beginning | None = None
        self._draw = RowsDraw(sampling)
        # mlx_lm's penalty wants the tokens of each row.
        shares = sharing and sampling.repetition_penalty == 1.0
        self._side: Rows = (
            SharingRows(self._model, self._draw) if shares else MergedRows(self._model, sampling, self._draw)
        )
        self._rows: list[Writing] = []
        self._piece = piece_length(self._model)
        self.tokens = 0

    @property
    def open(self) -> int:
        """Answers being written now."""
        return sum(row.reason is None for row in self._rows)

    def unfinished(self) -> list[Ask]:
        """What was begun, or taken from `asks`, and has not ended, in the order it was asked."""
        waiting = [*(self._reading.asks if self._reading else ()), *self._waiting]
        begun = [row.ask for row in self._rows if row.reason is None] + [ask for ask, _ in self._ready]
        return sorted([*begun, *itertools.chain.from_iterable(waiting)], key=lambda ask: ask.place)

    def advance(self) -> list[Written] | None:
        """Read a piece of some prompts or write one token of each row; what has ended by it. None: all is done."""
        if self._reading is not None:
            self._read()
            return []
        if self._wants_rows():
            if len(self._ready) < self._free() and self._fetch(_PROMPTS):
                self._begin_reading()
                return []
            self._change()
        return self._step() if self._rows else None

    def _free(self) -> int:
        return self._most - self.open

    def _wants_rows(self) -> bool:
        """Whether it is time to drop rows that have ended and let others take their places."""
        ended = len(self._rows) - self.open
        if not self.open:
            return True
        if ended >= max(1, _WORTH_CHANGING * len(self._rows)):
            return True
        return self._free() >= max(1, _WORTH_CHANGING * self._most) and bool(self._ready or self._fetch(1))

    def _fetch(self, count: int) -> bool:
        """Have `count` prompts wait, as far as there are any; whether any does."""
        self._waiting.extend(itertools.islice(self._asks, max(0, count - len(self._waiting))))
        return bool(self._waiting)

    def _begin_reading(self) -> None:
        """Take the next prompts from those that wait."""
        taken = [self._waiting.popleft()]
        while self._waiting and len(taken) < _PROMPTS:
            lengths = [len(asks[0].prompt) for asks in (*taken, self._waiting[0])]
            if sum(lengths) > _PROMPT_TOKENS or min(lengths) < SHORTEST:
                break
            taken.append(self._waiting.popleft())
        prompts = [asks[0].prompt for asks in taken]
        if self._beginning is None:
            shared = common(prompts) if len(prompts) > 1 else 0
            self._beginning = Beginning(self._model, prompts[0][:shared])
        self._reading = Reading(self._model, taken, self._beginning, self._piece)

    def _read(self) -> None:
        reading = self._reading
        caches = reading.advance() if reading else None
        if reading is None or caches is None:
            return
        self._reading = None
        for asks, cache in zip(reading.asks, caches, strict=True):
            self._ready.extend((ask, cache) for ask in asks)
            size = sum(layer.nbytes for layer in cache) / max(1, len(asks[0].prompt) - 1)
            longest = len(asks[0].prompt) + max(ask.limit for ask in asks)
            self._most = max(1, min(self._most, int(self._budget / max(1.0, size * longest))))

    def _change(self) -> None:
        """Drop the rows that have ended, and let those that are ready join."""
        keep = [place for place, row in enumerate(self._rows) if row.reason is None]
        if len(keep) < len(self._rows):
            self._rows = [self._rows[place] for place in keep]
            self._side.keep(keep)
        joining = [self._ready.popleft() for _ in range(min(self._free(), len(self._ready)))]
        if joining:
            stops = [*self._sampling.stop, *self._stops]
            rows = [Writing(ask, self._session.tokenizer, stops) for ask, _ in joining]
            self._side.join(rows, [cache for _, cache in joining])
            self._rows += rows

    def _step(self) -> list[Written]:
        tokens = self._side.step(self._rows)
        self._draw.require_numbers(self._session)
        ended: list[Written] = []
        for row, token in zip(self._rows, tokens, strict=True):
            if token is not None and row.reason is None:
                self.tokens += 1
                row.take(token)
                if row.reason is not None:
                    ended.append(row.written())
        return ended
