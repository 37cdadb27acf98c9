"""The rows of a batch that are being written: they join, draw their next tokens, and leave. Knows no text and no file.

`MergedRows` gives each row a whole cache, as mlx_lm's continuous batching does. `SharingRows` keeps the keys and values
of a prompt once for all its answers; it takes an architecture that allows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import mlx.core as mx
import numpy as np

from engine.batch.writing import Ask, Writing
from engine.chat.sampling import PENALTY_CONTEXT, Draw, penalty
from engine.chat.streaming import require_number
from engine.config import Sampling
from engine.drawing import at
from engine.grpo import model_calls
from engine.grpo.rows import SharedRows

if TYPE_CHECKING:
    from collections.abc import Generator

    from engine.events import Event
    from engine.session import ModelSession

# No row ends by mlx_lm's count or by its stop sequences: `Writing` tells.
_ENDLESS = 1 << 40


class Drawing(Protocol):
    """Draws the next token of rows in one call; `rows` are those that the next call is about."""

    rows: Sequence[Writing]

    def __call__(self, logprobs: mx.array) -> mx.array:
        """Tokens (rows,) from log-probabilities (rows, vocabulary)."""


class Rows(Protocol):
    """Rows that go on side by side."""

    def join(self, rows: Sequence[Writing], caches: Sequence[list[Any]]) -> None:
        """Append rows; each comes with the cache of its prompt but the last token, which is not changed."""

    def keep(self, places: list[int]) -> None:
        """Go on with the rows at these places alone."""

    def step(self, rows: Sequence[Writing]) -> list[int | None]:
        """The next token of each row, None where there is none yet; those after them are being computed then."""


class InFloat32:
    """The model of a session, whose logits are float32 as those of a chat are when tokens are drawn.

    It goes with the session: once that is closed, nothing here keeps the weights.
    """

    def __init__(self, session: ModelSession) -> None:
        self._session = session

    def __call__(self, ids: mx.array, cache: Any = None) -> mx.array:
        logits: mx.array = self.whole(ids, cache=cache)
        return logits.astype(mx.float32)

    @property
    def whole(self) -> Any:
        """The model itself."""
        return self._session.model

    def fresh_cache(self) -> list[Any]:
        """An empty cache for one text."""
        from mlx_lm.models.cache import make_prompt_cache

        return make_prompt_cache(self.whole)  # type: ignore[no-any-return]


class MergedRows:
    """Rows of mlx_lm's continuous batching, each with its own cache."""

    def __init__(self, model: InFloat32, sampling: Sampling, draw: Drawing) -> None:
        self._model, self._draw = model, draw
        self._processors = [penalty(sampling)] if sampling.repetition_penalty != 1.0 else []
        self._batch: Any = None

    def join(self, rows: Sequence[Writing], caches: Sequence[list[Any]]) -> None:
        """Append rows, whose first tokens are drawn at once."""
        from mlx_lm.generate import PromptProcessingBatch

        asks = [row.ask for row in rows]
        batch = PromptProcessingBatch(
            self._model,
            [ask.place for ask in asks],
            list(caches),
            tokens=[ask.prompt[:-1][-PENALTY_CONTEXT:] if self._processors else [] for ask in asks],
            samplers=[self._draw] * len(asks),
            logits_processors=[self._processors] * len(asks),
            max_tokens=[_ENDLESS] * len(asks),
        )
        self._draw.rows = rows
        joined = batch.generate([ask.prompt[-1:] for ask in asks])
        if self._batch is None:
            self._batch = joined
        else:
            self._batch.extend(joined)

    def keep(self, places: list[int]) -> None:
        """Go on with the rows at these places alone."""
        if places:
            self._batch.filter(places)
        else:
            self._batch = None

    def step(self, rows: Sequence[Writing]) -> list[int | None]:
        """The next token of each row."""
        self._draw.rows = rows
        return [response.token for response in self._batch.next()]


class SharingRows:
    """Rows whose prompts are there once for all their answers."""

    def __init__(self, model: InFloat32, draw: Drawing) -> None:
        model_calls.install(model.whole)
        self._model, self._draw = model, draw
        self._cache = _ReadRows(model)
        self._ahead = mx.zeros(0, mx.uint32)
        self._new: list[bool] = []

    def join(self, rows: Sequence[Writing], caches: Sequence[list[Any]]) -> None:
        """Append rows; they draw their first tokens in the next step."""
        numbers = []
        for row, cache in zip(rows, caches, strict=True):
            if cache[0].keys is None:
                # Nothing stands before its only token, but what nothing looks like must be known.
                self._model(mx.array([row.ask.prompt], mx.uint32), cache=cache)
                for layer in cache:
                    layer.trim(1)
            numbers.append(self._cache.number(row.ask, cache))
        for _ in self._cache.admit(numbers):
            pass
        last = mx.array([row.ask.prompt[-1] for row in rows], mx.uint32)
        self._ahead = mx.concatenate([self._ahead, last])
        self._new += [True] * len(rows)

    def keep(self, places: list[int]) -> None:
        """Go on with the rows at these places alone."""
        self._cache.keep(places, ())
        self._ahead = self._ahead[mx.array(places)] if places else self._ahead[:0]
        self._new = [self._new[place] for place in places]

    def step(self, rows: Sequence[Writing]) -> list[int | None]:
        """The next token of each row, None for those that have just joined."""
        now, new = self._ahead, self._new
        logits = self._model(now[:, None], cache=self._cache.layers)[:, -1]
        self._draw.rows = rows
        self._ahead = self._draw(logits - mx.logsumexp(logits, axis=-1, keepdims=True)).astype(mx.uint32)
        mx.async_eval(self._ahead)  # type: ignore[no-untyped-call]
        self._new = [False] * len(rows)
        tokens: list[int] = now.tolist()  # type: ignore[assignment]
        return [None if fresh else token for token, fresh in zip(tokens, new, strict=True)]


class _ReadRows(SharedRows):
    """Rows that share prompts which have been read already."""

    def __init__(self, model: InFloat32) -> None:
        self._asked: list[list[int]] = []
        self._rest: list[list[int]] = []
        super().__init__(model, self._rest)
        self._read_before: dict[int, list[Any]] = {}

    def number(self, ask: Ask, cache: list[Any]) -> int:
        """That of an answer's prompt, which may be the same as that of another."""
        for number in (*self._known, *self._read_before):
            if self._asked[number] is ask.prompt:
                return number
        self._asked.append(ask.prompt)
        self._rest.append(ask.prompt[:-1])
        self._read_before[len(self._asked) - 1] = cache
        return len(self._asked) - 1

    def _read(self, numbers: Sequence[int]) -> Generator[Event, None, list[tuple[mx.array, mx.array]]]:
        """Keys and values of these prompts in each layer, padded on the right."""
        caches = [self._read_before.pop(number) for number in numbers]
        if not caches:
            return []
        longest = max(1, *(cache[0].offset for cache in caches))
        yield from ()
        by_layer = zip(*caches, strict=True)
        return [(_padded(layers, "keys", longest), _padded(layers, "values", longest)) for layers in by_layer]


def _padded(layers: Sequence[Any], name: str, longest: int) -> mx.array:
    """Keys or values of some prompts in one layer, (prompts, heads, longest, width)."""
    arrays = [getattr(layer, name)[..., : layer.offset, :] for layer in layers]
    return mx.concatenate([mx.pad(array, [(0, 0), (0, 0), (0, longest - array.shape[2]), (0, 0)]) for array in arrays])


class RowsDraw:
    """Draws each row's next token by the number of its seed and position."""

    def __init__(self, sampling: Sampling) -> None:
        self._draw = Draw(sampling)
        self._greedy = sampling.temperature == 0.0
        self.rows: Sequence[Writing] = ()
        self._drawn: list[mx.array] = []

    def __call__(self, logprobs: mx.array) -> mx.array:
        """Tokens (rows,) from log-probabilities (rows, vocabulary)."""
        numbers = None if self._greedy else np.array([row.number() for row in self.rows])
        tokens: mx.array = self._draw(logprobs, numbers)
        self._drawn.append(at(logprobs, tokens))
        mx.async_eval(tokens, self._drawn[-1])  # type: ignore[no-untyped-call]
        return tokens

    def require_numbers(self, session: ModelSession) -> None:
        """Refuse a model whose probabilities are none; those drawn last are not waited for.

        Raises:
            UserError: the tokens before have probabilities that are no numbers.
        """
        *known, last = self._drawn
        self._drawn = [last]
        if any(bool(mx.isnan(drawn).any().item()) for drawn in known):
            require_number(math.nan, session)
