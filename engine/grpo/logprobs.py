"""Log-probabilities of completion tokens under a model, with gradient and little memory. Knows no loss.

A model is taken apart into its body (ids to hidden states) and its head (hidden states to logits), so that logits exist
only at completion tokens and only a chunk at a time.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import mlx.core as mx
from mlx.utils import tree_flatten, tree_unflatten

from engine.errors import UserError
from engine.exponentials import log_shares

if TYPE_CHECKING:
    from mlx.nn.layers.base import Module

_BODIES = ("model", "transformer", "backbone")
# Tokens whose logits are there at once: at least so many, or as many as give logits of so many bytes.
_CHUNK_TOKENS, CHUNK_BYTES = 64, 1024**2


class Weights:
    """The trainable weights that a model's head may depend on: those outside its layers."""

    def __init__(self, model: Any) -> None:
        self._model = model
        inside = {id(array) for layer in model.layers for _, array in _leaves(layer.parameters())}
        self.names = [name for name, array in _leaves(model.trainable_parameters()) if id(array) not in inside]

    def read(self) -> list[mx.array]:
        """The weights as they are."""
        there = dict(_leaves(self._model.trainable_parameters()))
        return [there[name] for name in self.names]

    def put(self, arrays: list[mx.array]) -> None:
        """Set them."""
        self._model.update(tree_unflatten(list(zip(self.names, arrays, strict=True))))


def _leaves(tree: Any) -> list[tuple[str, mx.array]]:
    leaves: Any = tree_flatten(tree)
    return list(leaves)


class _Capture:
    """Stands for a model's body: runs it and remembers what it gave, or gives what it was told to."""

    def __init__(self, body: Any, given: mx.array | None = None) -> None:
        self._body: Any = body
        self.seen: Any = given
        self._replays = given is not None

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if not self._replays:
            self.seen = self._body(*arguments, **named)
        return self.seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)


class SplitModel:
    """A model's body and head, told apart by calling the model itself with another body in its place."""

    def __init__(self, model: Module) -> None:
        self.model: Any = model
        while "language_model" in self.model:
            self.model = self.model["language_model"]
        # Classes of our own say what their parts are.
        self._parted = hasattr(type(self.model), "hidden") and hasattr(type(self.model), "head")
        names = [name for name in _BODIES if name in self.model]
        if not names:
            raise UserError(
                "This kind of model cannot be trained yet.",
                "{kind} has no part that gives hidden states.",
                "Choose a model of another architecture.",
                kind=type(model).__module__.rpartition(".")[2],
            )
        self._body = names[0]

    def hidden(self, ids: mx.array, cache: list[Any] | None = None) -> mx.array:
        """Hidden states (batch, time, width) before the head."""
        if self._parted:
            found: mx.array = self.model.hidden(ids, cache)
            return found
        capture = _Capture(self.model[self._body])
        self._called(capture, ids, cache)
        seen: mx.array = capture.seen
        return seen

    def head(self, hidden: mx.array) -> mx.array:
        """Logits (batch, time, vocabulary) of hidden states (batch, time, width)."""
        if self._parted:
            logits: mx.array = self.model.head(hidden)
            return logits
        return self._called(_Capture(self.model[self._body], hidden), mx.zeros(hidden.shape[:2], mx.int32), None)

    def _called(self, body: _Capture, ids: mx.array, cache: list[Any] | None) -> mx.array:
        shadow = copy.copy(self.model)
        shadow[self._body] = body
        logits: mx.array = shadow(ids, cache=cache)
        return logits


def chunk_size(vocabulary: int, width: int) -> int:
    """The tokens whose logits are there at once.

    They grow with the width of the hidden states, so that logits stay smaller than the head that makes them.
    """
    return max(_CHUNK_TOKENS, width // 8, CHUNK_BYTES // (4 * vocabulary))


def of_tokens(
    head: Callable[[mx.array], mx.array],
    hidden: mx.array,
    tokens: mx.array,
    temperature: float,
    vocabulary: int,
    weights: Weights | None,
    *,
    gradient: bool = True,
) -> mx.array:
    """Natural-log probabilities (count,) of `tokens` (count,) given the hidden states before them (count, width).

    Args:
        head: logits (1, count, vocabulary) of hidden states (1, count, width).
        temperature: logits are divided by it.
        weights: the head's trainable weights; None where it is frozen. Its chunks are computed a second time for the
            gradient; those of a frozen head give their gradient along the way.
        gradient: whether one is taken.
    """

    def chosen(hidden: mx.array, tokens: mx.array) -> mx.array:
        logits = head(hidden[None])[0].astype(mx.float32)
        if temperature != 1.0:
            logits = logits * (1.0 / temperature)
        shares: Any = log_shares(logits, tokens)
        return shares  # type: ignore[no-any-return]

    size = chunk_size(vocabulary, hidden.shape[-1])
    if len(tokens) <= size:
        return chosen(hidden, tokens)
    if not gradient:
        return _in_chunks(chosen, hidden, tokens, size)
    if weights is not None:
        return _recomputed(chosen, weights, size)(hidden, tokens)
    return _in_chunks(_with_gradient(chosen), hidden, tokens, size)


def _in_chunks(
    chunk: Callable[[mx.array, mx.array], mx.array], hidden: mx.array, tokens: mx.array, size: int
) -> mx.array:
    parts: list[mx.array] = []
    for start in range(0, len(tokens), size):
        piece = hidden[start : start + size]
        if parts:
            # One after the other, or all their logits would be in memory at once.
            (piece,) = mx.depends([piece], [parts[-1]])
        parts.append(chunk(piece, tokens[start : start + size]))
    return mx.concatenate(parts)


def _with_gradient(chosen: Callable[[mx.array, mx.array], mx.array]) -> Callable[[mx.array, mx.array], mx.array]:
    """Each token's value depends on its own hidden state alone, so its gradient is known as soon as the value is."""

    @mx.custom_function
    def values_and_slopes(hidden: mx.array, tokens: mx.array) -> tuple[mx.array, mx.array]:
        (values,), (slopes,) = mx.vjp(lambda states: chosen(states, tokens), [hidden], [mx.ones(len(tokens))])
        # A chunk is over when its gradient is there too, or the logits of several wait for it.
        (values,) = mx.depends([values], [slopes])
        return values, slopes

    @values_and_slopes.vjp
    def _(primals: Any, cotangents: Any, outputs: Any) -> tuple[mx.array, mx.array]:
        gradient = cotangents[0][:, None].astype(outputs[1].dtype) * outputs[1]
        return gradient, mx.zeros_like(primals[1])

    def values(hidden: mx.array, tokens: mx.array) -> mx.array:
        both: Any = values_and_slopes(hidden, tokens)
        return both[0]  # type: ignore[no-any-return]

    return values


def _recomputed(
    chosen: Callable[[mx.array, mx.array], mx.array], weights: Weights, size: int
) -> Callable[[mx.array, mx.array], mx.array]:
    """All chunks, whose gradients for the head's weights are added up as they come: each is as large as the head."""
    outer = weights.read()

    @mx.custom_function
    def values(hidden: mx.array, tokens: mx.array, *arrays: mx.array) -> mx.array:
        weights.put(list(arrays))
        return _in_chunks(chosen, hidden, tokens, size)

    @values.vjp
    def _(primals: Any, cotangent: Any, _output: Any) -> tuple[mx.array, ...]:
        hidden, tokens, *arrays = primals
        sums: list[mx.array] = []
        slopes: list[mx.array] = []
        for start in range(0, len(tokens), size):
            part = slice(start, start + size)
            piece, chunk_tokens = hidden[part], tokens[part]
            if sums:
                piece, *sums = mx.depends([piece, *sums], [slopes[-1]])

            def inner(piece: mx.array, *arrays: mx.array, chunk_tokens: mx.array = chunk_tokens) -> mx.array:
                weights.put(list(arrays))
                return chosen(piece, chunk_tokens)

            _, (slope, *gradients) = mx.vjp(inner, [piece, *arrays], [cotangent[part]])
            sums = [a + b for a, b in zip(sums, gradients, strict=True)] if sums else list(gradients)
            slopes.append(slope)
            # The sum before the next chunk, or all chunks' gradients would wait for it.
            slopes[-1], *sums = mx.depends([slopes[-1], *sums], sums)
        return mx.concatenate(slopes), mx.zeros_like(tokens), *sums

    def run(hidden: mx.array, tokens: mx.array) -> mx.array:
        found: Any = values(hidden, tokens, *outer)
        weights.put(outer)
        return found  # type: ignore[no-any-return]

    return run
