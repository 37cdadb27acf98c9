"""The caches of the rows that are being sampled: prompts are read, rows join, rows leave. Knows no sampling.

Rows are few and change all the time; a row joins at any moment, and what it has not lived through is hidden from it.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Generator, Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from engine.events import Event, Progress
from engine.grpo.row_layout import RowLayout
from engine.grpo.shared_prompts import CompletionCache

PIECE = 512
"""Prompts are read in pieces of this many tokens a prompt."""


class SharedRows:
    """Rows that share their prompts: each prompt is read once, and kept while a row of it is there or waits.

    Attributes:
        layers: the caches that the model takes, None while there is no row.
    """

    together = True
    """Whether rows of several prompts go on side by side."""

    def __init__(self, model: Any, prompts: Sequence[list[int]]) -> None:
        """`prompts` are all those of the rollout, without their last tokens."""
        self._model, self._prompts = model, prompts
        self.layers: list[CompletionCache] | None = None
        self._known: list[int] = []
        # Of each row: the number of its prompt, and the place in the buffers where its own tokens begin.
        self._of, self._starts = np.zeros(0, int), np.zeros(0, int)
        self._told = _Reading(prompts)

    def admit(self, numbers: Sequence[int]) -> Generator[Event, None, None]:
        """Append rows that continue the prompts of these numbers."""
        new = [number for number in dict.fromkeys(numbers) if number not in self._known]
        layers = self.layers
        now = layers[0].count if layers else 0
        self._known += new
        self._of = np.concatenate([self._of, np.array(numbers, int)])
        self._starts = np.concatenate([self._starts, np.full(len(numbers), now)])
        read = yield from self._read(new)
        layout = self._layout()
        if layers is None:
            self.layers = CompletionCache.of_rows(read, layout)
            return
        for layer, known in zip(layers, read or itertools.repeat(None), strict=False):
            layer.join(known, len(numbers), layout)

    def keep(self, places: list[int], waiting: Collection[int]) -> None:
        """Go on with the rows at these places alone; the prompts of these numbers have rows to come."""
        needed = {*self._of[list(places)].tolist(), *waiting}
        prompts = [place for place, number in enumerate(self._known) if number in needed]
        layers = self.layers or []
        self._known = [self._known[place] for place in prompts]
        self._of, self._starts = self._of[list(places)], self._starts[list(places)]
        if not self._known:
            self.layers = None
            return
        front = int(self._starts.min(initial=layers[0].count))
        self._starts -= front
        layout = self._layout()
        longest = max(1, *(len(self._prompts[number]) for number in self._known))
        for layer in layers:
            layer.keep(prompts, places, front, longest, layout)

    def unused(self, places: list[int]) -> int:
        """How many positions at the buffers' front only rows at other places use."""
        return int(self._starts[list(places)].min(initial=self.length))

    @property
    def length(self) -> int:
        """Positions in the buffers."""
        return self.layers[0].count if self.layers else 0

    def _layout(self) -> RowLayout:
        place = {number: place for place, number in enumerate(self._known)}
        lengths = np.array([len(self._prompts[number]) for number in self._known])
        return RowLayout.of(np.array([place[number] for number in self._of.tolist()], int), self._starts, lengths)

    def _read(self, numbers: Sequence[int]) -> Generator[Event, None, list[tuple[mx.array, mx.array]]]:
        """Keys and values of these prompts in each layer, padded on the right."""
        from mlx_lm.models.cache import KVCache

        if not numbers:
            return []
        rest = [self._prompts[number] for number in numbers]
        lengths = [len(ids) for ids in rest]
        longest = max(1, *lengths)
        padded = np.zeros((len(rest), longest), np.int32)
        for row, ids in zip(padded, rest, strict=True):
            row[: len(ids)] = ids
        layers = [KVCache() for _ in self._model.layers]
        for start in range(0, longest, PIECE):
            self._model(mx.array(padded[:, start : start + PIECE]), cache=layers)
            mx.eval([layer.state for layer in layers])
            yield self._told.after(sum(min(max(length - start, 0), PIECE) for length in lengths))
        return [(layer.keys[..., :longest, :], layer.values[..., :longest, :]) for layer in layers]


class CopiedRows:
    """Rows of one prompt after the other, each with the whole cache of its prompt.

    Attributes:
        layers: the caches that the model takes, None while there is no row.
    """

    together = False
    length = 0

    def __init__(self, model: Any, prompts: Sequence[list[int]]) -> None:
        """`prompts` are all those of the rollout, without their last tokens."""
        self._model, self._prompts = model, prompts
        self.layers: list[Any] | None = None
        self._told = _Reading(prompts)

    def admit(self, numbers: Sequence[int]) -> Generator[Event, None, None]:
        """Begin with rows that all continue the prompt of this number."""
        from mlx_lm.models.cache import make_prompt_cache

        ids = self._prompts[numbers[0]]
        self.layers = make_prompt_cache(self._model)
        for start in range(0, len(ids), PIECE):
            piece = ids[start : start + PIECE]
            self._model(mx.array(piece)[None], cache=self.layers)
            mx.eval([layer.state for layer in self.layers])
            yield self._told.after(len(piece))
        for layer in self.layers:
            _each_array(layer, lambda array: mx.repeat(array, len(numbers), axis=0))

    def keep(self, places: list[int], _waiting: Collection[int]) -> None:
        """Go on with the rows at these places alone."""
        if not places:
            self.layers = None
            return
        rows = mx.array(places)
        for layer in self.layers or []:
            _each_array(layer, lambda array: array[rows])

    def unused(self, _places: list[int]) -> int:
        """None: all rows began together."""
        return 0


class _Reading:
    """How much of all prompts has been read."""

    def __init__(self, prompts: Sequence[list[int]]) -> None:
        self._done, self._total = 0, sum(map(len, prompts))

    def after(self, tokens: int) -> Progress:
        """So many tokens more."""
        self._done += tokens
        return Progress("Reading prompts", self._done, self._total, "tokens")


def _each_array(cache: Any, change: Any) -> None:
    """Change every array of a cache whose first axis is the batch."""
    for inner in getattr(cache, "caches", ()):
        _each_array(inner, change)
    for name in ("keys", "values"):
        if isinstance(getattr(cache, name, None), mx.array):
            setattr(cache, name, change(getattr(cache, name)))
    if isinstance(held := getattr(cache, "cache", None), list):
        cache.cache = [change(array) if isinstance(array, mx.array) else array for array in held]
