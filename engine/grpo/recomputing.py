"""Recomputes a layer's activations for its gradient instead of keeping them. Knows layers, no loss.

As mlx_lm's `grad_checkpoint`, for layers whose caches carry gradient from a prompt to its completions: what a layer
leaves in a cache and what it takes from it become inputs and outputs of the recomputed function.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import mlx.core as mx
from mlx.utils import tree_flatten

from engine.grpo.shared_prompts import CompletionCache, PromptCache

if TYPE_CHECKING:
    from mlx.nn.layers.base import Module


def recompute_layers(model: Module) -> None:
    """Make every layer of the model forget its activations while it is in training mode."""
    for layer in model.layers:
        if not hasattr(type(layer), "recomputes"):
            kind: Any = type(layer)
            layer.__class__ = _recomputing(kind)


@functools.cache
def _recomputing(kind: Any) -> Any:
    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        given = [*arguments, *named.values()]
        caches = [value for value in given if isinstance(value, PromptCache | CompletionCache)]
        leaves: Any = tree_flatten(given)
        inputs = [leaf for _, leaf in leaves if isinstance(leaf, mx.array) and mx.issubdtype(leaf.dtype, mx.floating)]
        if not self.training or len(inputs) != 1 or len(caches) > 1 or not any(inputs[0] is value for value in given):
            return kind.__call__(self, *arguments, **named)
        cache = caches[0] if caches else None
        weights = self.trainable_parameters()

        def inner(weights: Any, x: mx.array, held: list[mx.array]) -> Any:
            self.update(weights)
            fresh = cache.spawn(held) if cache is not None else None

            def swapped(value: Any) -> Any:
                if cache is not None and value is cache:
                    return fresh
                return x if value is inputs[0] else value

            result = kind.__call__(
                self, *map(swapped, arguments), **{name: swapped(value) for name, value in named.items()}
            )
            # As arrays of their own: mx.checkpoint loses a gradient where one array is given twice.
            return result, [array + 0 for array in fresh.outputs()] if fresh is not None else []

        result, left = mx.checkpoint(inner)(weights, inputs[0], cache.inputs() if cache is not None else [])
        # The next call in the same gradient must see the weights that the gradient is taken of.
        self.update(weights)
        if cache is not None:
            cache.absorb(left)
        return result

    return type(kind.__name__, (kind,), {"__call__": call, "recomputes": True, "__module__": kind.__module__})
