"""Writes many answers side by side with mlx_lm's continuous batching. Knows a model and token ids, no files.

What prompts have in common is read once: the beginning that all share, and the prompt that several answers share. Rows
join as others end. An answer is a function of its prompt and its seed, whatever else is written beside it.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from engine import backend, memory
from engine.batch.writing import Ask, Writing, Written
from engine.chat.sampling import PENALTY_CONTEXT, Draw, penalty
from engine.config import Sampling
from engine.errors import UserError

if TYPE_CHECKING:
    from engine.session import ModelSession

ROWS = 32
"""Answers written at once where nobody says how many: more of them hardly raise the speed."""
# Prompts read at once, and how much of them: parameters x tokens that take about half a second.
_PROMPTS, _WORK, _WORK_OF_A_GPU = 8, 3e10, 1e12
# A common beginning of fewer tokens is not worth a pass of its own.
_BEGINNING = 8
# Rows change once this share of them has ended: every change copies the caches of all.
_WORTH_CHANGING = 1 / 8
# No row ends by mlx_lm's count or by its stop sequences: `Writing` tells.
_ENDLESS = 1 << 40


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
    ) -> None:
        """`asks` come prompt by prompt, each with at least one; `rows` is how many go on at once, 0 for what pays."""
        self._session, self._sampling, self._stops = session, sampling, stops
        self._model = _InFloat32(session)
        self._most, self._budget = rows or ROWS, memory.available(memory_limit) // 4
        self._asks, self._waiting = asks, deque[list[Ask]]()
        self._ready: deque[tuple[Ask, list[Any]]] = deque()
        self._reading: _Reading | None = None
        self._beginning: _Beginning | None = None
        self._draw = _RowsDraw(sampling)
        self._processors = [penalty(sampling)] if sampling.repetition_penalty != 1.0 else []
        self._batch: Any = None
        self._rows: list[Writing] = []
        self._piece = _piece(session)
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
        if self._batch is None:
            return None
        return self._step()

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
        taken = [self._waiting.popleft() for _ in range(min(_PROMPTS, len(self._waiting)))]
        prompts = [asks[0].prompt for asks in taken]
        if self._beginning is None:
            common = _common(prompts) if len(prompts) > 1 else 0
            self._beginning = _Beginning(self._session, self._model, prompts[0][:common])
        self._reading = _Reading(self._model, taken, self._beginning, self._piece)

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
            if keep:
                self._batch.filter(keep)
            else:
                self._batch = None
        joining = [self._ready.popleft() for _ in range(min(self._free(), len(self._ready)))]
        if not joining:
            return
        rows = [Writing(ask, self._session.tokenizer, [*self._sampling.stop, *self._stops]) for ask, _ in joining]
        self._draw.rows = rows
        batch = self._joined([ask for ask, _ in joining], [cache for _, cache in joining])
        if self._batch is None:
            self._batch = batch
        else:
            self._batch.extend(batch)
        self._rows += rows

    def _joined(self, asks: list[Ask], caches: list[list[Any]]) -> Any:
        """New rows as a batch of their own, whose first tokens are being drawn."""
        from mlx_lm.generate import PromptProcessingBatch

        before = [ask.prompt[:-1][-PENALTY_CONTEXT:] if self._processors else [] for ask in asks]
        batch = PromptProcessingBatch(
            self._model,
            [ask.place for ask in asks],
            caches,
            tokens=before,
            samplers=[self._draw] * len(asks),
            logits_processors=[self._processors] * len(asks),
            max_tokens=[_ENDLESS] * len(asks),
        )
        return batch.generate([ask.prompt[-1:] for ask in asks])

    def _step(self) -> list[Written]:
        self._draw.rows = self._rows
        responses = self._batch.next()
        self._draw.require_numbers(self._session.files.name)
        ended: list[Written] = []
        for row, response in zip(self._rows, responses, strict=True):
            if row.reason is None:
                self.tokens += 1
                row.take(response.token)
                if row.reason is not None:
                    ended.append(row.written())
        return ended


class _InFloat32:
    """The model of a session, whose logits are float32 as those of a chat are when tokens are drawn.

    It goes with the session: once that is closed, nothing here keeps the weights.
    """

    def __init__(self, session: ModelSession) -> None:
        self._session = session

    def __call__(self, ids: Any, cache: Any = None) -> Any:
        import mlx.core as mx

        return self._session.model(ids, cache=cache).astype(mx.float32)


class _RowsDraw:
    """Draws the next token of all rows in one call; `rows` are those that the next call is about."""

    def __init__(self, sampling: Sampling) -> None:
        self._draw = Draw(sampling)
        self._greedy = sampling.temperature == 0.0
        self.rows: list[Writing] = []
        self._drawn: list[Any] = []

    def __call__(self, logprobs: Any) -> Any:
        import mlx.core as mx
        import numpy as np

        from engine.drawing import at

        numbers = None if self._greedy else np.array([row.number() for row in self.rows])
        tokens = self._draw(logprobs, numbers)
        self._drawn.append(at(logprobs, tokens))
        mx.async_eval(tokens, self._drawn[-1])  # type: ignore[no-untyped-call]
        return tokens

    def require_numbers(self, name: str) -> None:
        """Refuse a model whose probabilities are none. Those drawn last are still being computed: nothing waits for them.

        Raises:
            UserError: the tokens before have probabilities that are no numbers.
        """
        import mlx.core as mx

        *known, last = self._drawn
        self._drawn = [last]
        if any(bool(mx.isnan(drawn).any().item()) for drawn in known):
            raise UserError(
                "{name} computes no numbers.",
                "Its weights hold values that are not numbers (NaN), or grow beyond all bounds.",
                "Get the model again, or convert it once more from its source.",
                name=name,
            )


class _Beginning:
    """What prompts begin with in common, read once."""

    def __init__(self, session: ModelSession, model: _InFloat32, ids: list[int]) -> None:
        self._session, self.ids = session, ids if len(ids) >= _BEGINNING else []
        self._cache = self.fresh()
        self.rest = list(self.ids)
        self._model = model

    def fresh(self) -> list[Any]:
        """An empty cache."""
        from mlx_lm.models.cache import make_prompt_cache

        return make_prompt_cache(self._session.model)  # type: ignore[no-any-return]

    def read(self, count: int) -> None:
        """Read a piece of it."""
        import mlx.core as mx

        piece, self.rest = self.rest[:count], self.rest[count:]
        self._model(mx.array([piece], dtype=mx.uint32), cache=self._cache)
        mx.eval([layer.state for layer in self._cache])
        mx.clear_cache()

    def before(self, prompt: Sequence[int]) -> tuple[int, list[Any]]:
        """How much of a prompt has been read with this, and the cache of that; it is not to be changed."""
        count = len(self.ids)
        return (count, self._cache) if count and prompt[:count] == self.ids else (0, self.fresh())


class _Reading:
    """Some prompts being read side by side, all but their last tokens."""

    def __init__(self, model: _InFloat32, asks: list[list[Ask]], beginning: _Beginning, piece: int) -> None:
        self.asks = asks
        self._model, self._beginning, self._piece = model, beginning, piece
        self._batch: Any = None
        self._rest: list[list[int]] = []

    def advance(self) -> list[list[Any]] | None:
        """Read a piece; at last the cache of each prompt."""
        from mlx_lm.generate import PromptProcessingBatch

        if self._beginning.rest:
            self._beginning.read(self._piece)
            return None
        if self._batch is None:
            prompts = [asks[0].prompt for asks in self.asks]
            known = [self._beginning.before(prompt[:-1]) for prompt in prompts]
            self._rest = [prompt[count:-1] for prompt, (count, _) in zip(prompts, known, strict=True)]
            self._batch = PromptProcessingBatch(
                self._model, list(range(len(known))), [cache for _, cache in known], prefill_step_size=self._piece
            )
        step = max(1, self._piece // len(self._rest))
        if any(self._rest):
            self._batch.prompt([ids[:step] for ids in self._rest])
            self._rest = [ids[step:] for ids in self._rest]
        if any(self._rest):
            return None
        return [self._batch.extract_cache(row) for row in range(len(self.asks))]


def _piece(session: ModelSession) -> int:
    """How many tokens are read at once: so few that others on the thread need not wait, whatever the machine does.

    It depends on the model alone: pieces of other lengths round otherwise.
    """
    from mlx_lm.utils import get_total_parameters

    work = _WORK_OF_A_GPU if backend.has_gpu() else _WORK
    return max(64, min(2048, 1 << int(work / max(1, int(get_total_parameters(session.model)))).bit_length()))


def _common(prompts: Sequence[Sequence[int]]) -> int:
    """The tokens that all prompts begin with, short of the last of any."""
    shortest = min(len(prompt) for prompt in prompts) - 1
    first = prompts[0]
    return next(
        (place for place in range(shortest) if any(prompt[place] != first[place] for prompt in prompts)),
        max(0, shortest),
    )
