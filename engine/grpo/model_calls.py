"""Puts functions of ours in the place of those that mlx_lm's models call by name. Knows no weights.

For every cache but ours, and on a GPU for every one, they do what those do. They stay for the life of the process.
"""

from __future__ import annotations

import sys
from typing import Any

import mlx.core as mx

from engine import backend
from engine.exponentials import swiglu
from engine.grpo import attention
from engine.grpo.shared_prompts import CompletionCache, PromptCache


def install(model: Any) -> None:
    """Let the attention calls of the model's modules work on the parts of a `CompletionCache`.

    mlx_lm's models find `scaled_dot_product_attention` in their own module; the function put there does the same for
    every other cache. On the CPU their `swiglu` becomes the faster one too.
    """
    for name in {type(module).__module__ for module in model.modules()}:
        module = sys.modules.get(name)
        original = getattr(module, "scaled_dot_product_attention", None)
        if original is not None and not hasattr(original, "shares_prompts"):
            setattr(module, "scaled_dot_product_attention", _sharing(original))  # noqa: B010  a module's global
        original = getattr(module, "swiglu", None)
        if original is not None and not hasattr(original, "shares_prompts") and not backend.has_gpu():
            setattr(module, "swiglu", _faster(original))  # noqa: B010  a module's global


def _sharing(original: Any) -> Any:
    def scaled_dot_product_attention(
        queries: mx.array, keys: Any, values: Any, cache: Any, scale: float, mask: Any, sinks: Any = None
    ) -> mx.array:
        if isinstance(cache, CompletionCache) and cache.attends(keys, values, mask, sinks):
            return cache.attend(queries, scale, mask)
        extra = {} if sinks is None else {"sinks": sinks}
        # A GPU has a kernel for this, which keeps every score for the gradient.
        lean = not backend.has_gpu() or isinstance(cache, PromptCache)
        if isinstance(mask, str) and not extra and isinstance(keys, mx.array) and lean:
            return attention.causal(queries, keys, values, scale)
        return original(queries, keys, values, cache=cache, scale=scale, mask=mask, **extra)  # type: ignore[no-any-return]

    scaled_dot_product_attention.shares_prompts = True  # type: ignore[attr-defined]
    return scaled_dot_product_attention


def _faster(original: Any) -> Any:
    def gated(gate: mx.array, up: mx.array) -> mx.array:
        # In 16 bits every step of ours would be rounded.
        found: Any = swiglu(gate, up) if gate.dtype == mx.float32 else original(gate, up)
        return found  # type: ignore[no-any-return]

    gated.shares_prompts = True  # type: ignore[attr-defined]
    return gated
