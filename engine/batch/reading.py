"""Reads the prompts of a batch: what they have in common once, the rest side by side. Knows a model, draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from engine import backend
from engine.batch.rows import InFloat32
from engine.batch.writing import Ask

# A common beginning of fewer tokens is not worth a pass of its own.
_BEGINNING = 8
# Caches that look a few tokens back take one token for one that is written, among which there is no padding.
_FEWEST = 2
SHORTEST = _FEWEST + 1
"""Tokens of a prompt that can be read beside others."""
# Parameters x tokens of a pass that takes about half a second.
_WORK, _WORK_OF_A_GPU = 3e10, 1e12


class Beginning:
    """What prompts begin with in common, read once."""

    def __init__(self, model: InFloat32, ids: list[int]) -> None:
        self._model, self.ids = model, ids if len(ids) >= _BEGINNING else []
        self.rest, self._cache = list(self.ids), model.fresh_cache()

    def read(self, count: int) -> None:
        """Read a piece of it."""
        piece, self.rest = self.rest[:count], self.rest[count:]
        self._model(mx.array([piece], dtype=mx.uint32), cache=self._cache)
        mx.eval([layer.state for layer in self._cache])
        mx.clear_cache()

    def before(self, prompt: Sequence[int]) -> tuple[int, list[Any]]:
        """How much of a prompt has been read with this, and the cache of that; it is not to be changed."""
        count = len(self.ids)
        return (count, self._cache) if count and prompt[:count] == self.ids else (0, self._model.fresh_cache())


class Reading:
    """Some prompts being read side by side, all but their last tokens."""

    def __init__(self, model: InFloat32, asks: list[list[Ask]], beginning: Beginning, piece: int) -> None:
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
            caches = [cache for _, cache in known]
            if not any(count for count, _ in known) and not any(self._rest):
                return caches
            self._batch = PromptProcessingBatch(
                self._model, list(range(len(caches))), caches, prefill_step_size=self._piece
            )
        if any(self._rest):
            step = max(_FEWEST, self._piece // len(self._rest))
            if max(map(len, self._rest)) < step + _FEWEST:
                step += _FEWEST
            self._batch.prompt([ids[:step] for ids in self._rest])
            self._rest = [ids[step:] for ids in self._rest]
        if any(self._rest):
            return None
        read = [self._batch.extract_cache(row) for row in range(len(self.asks))]
        # Each by itself, so that none keeps the memory of all.
        mx.eval([layer.state for cache in read for layer in cache])
        return read


def piece_length(model: InFloat32) -> int:
    """How many tokens are read at once: so few that others on the thread need not wait, whatever the machine does.

    It depends on the model alone: pieces of other lengths round otherwise.
    """
    from mlx_lm.utils import get_total_parameters

    work = _WORK_OF_A_GPU if backend.has_gpu() else _WORK
    parameters = max(1, int(get_total_parameters(model.whole)))
    return max(64, min(2048, 1 << (int(work / parameters).bit_length() - 1)))


def common(prompts: Sequence[Sequence[int]]) -> int:
    """The tokens that all prompts begin with, short of the last of any, and of a few that are read with it."""
    shortest = max(0, min(len(prompt) for prompt in prompts) - 1 - _FEWEST)
    first = prompts[0]
    return next(
        (place for place in range(shortest) if any(prompt[place] != first[place] for prompt in prompts)),
        shortest,
    )
