"""Attention caches in which the completions of a group share their prompt. Knows one layer's tensors, no model.

A group's prompt is computed and kept once; its completions attend to it and to their own tokens. In rollouts that
saves the copies, in the update the prompt is computed once a group, with gradient (the idea of PrefixGrouper, arXiv
2506.05433). A model takes these caches like mlx_lm's own. The keys and values it gets back are whole, but only put
together if it looks at them: where it hands them to mlx_lm's `scaled_dot_product_attention`, `install` lets that call
work on the parts instead.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from engine import backend
from engine.grpo import attention
from engine.grpo.attention import Keys, attend
from engine.grpo.exponentials import swiglu

GROWTH = 64
"""Tokens by which a cache's buffer grows: MLX copies it each time."""


class PromptCache:
    """Collects a layer's keys and values of right-padded prompts, (prompts, heads, time, width)."""

    offset = 0

    def __init__(self) -> None:
        self.keys: mx.array | None = None
        self.values: mx.array | None = None

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Keep the keys and values of all prompts, which come in one piece."""
        self.keys, self.values = keys, values
        return keys, values

    def make_mask(self, count: int, return_array: bool = False, window_size: int | None = None) -> Any:
        """Causal; padding stands at the right, where no token of a prompt looks."""
        from mlx_lm.models.base import create_causal_mask

        if return_array or (window_size is not None and count > window_size):
            return create_causal_mask(count, window_size=window_size)
        return "causal" if count > 1 else None

    def inputs(self) -> list[mx.array]:
        """The arrays that a recomputed layer depends on besides its input."""
        return []

    def spawn(self, _inputs: list[mx.array]) -> PromptCache:
        """A cache in the same state."""
        return PromptCache()

    def outputs(self) -> list[mx.array]:
        """The arrays that a layer left here."""
        return [] if self.keys is None or self.values is None else [self.keys, self.values]

    def absorb(self, outputs: list[mx.array]) -> None:
        """Take over what a layer left in a spawned cache."""
        self.keys, self.values = outputs


class CompletionCache:
    """A layer's cache of `size` completions for each prompt; rows are prompt-major.

    Args:
        keys, values: of the prompts, (prompts, heads, longest, width), padded on the right.
        lengths: tokens of each prompt, (prompts,).
        size: completions for each prompt.
        padded: whether prompts differ in length.
        masks: the masks that the caches of all layers made; models make one and use it in every layer.
    """

    def __init__(
        self,
        keys: mx.array,
        values: mx.array,
        lengths: mx.array,
        size: int,
        padded: bool,
        masks: list[mx.array] | None = None,
    ) -> None:
        self.prompt_keys, self.prompt_values, self.lengths = keys, values, lengths
        self.size, self.padded = size, padded
        self.count = 0
        self.keys: Any = None
        self.values: Any = None
        self._handed_out: tuple[mx.array, mx.array] | None = None
        self._masks_made: list[mx.array] = [] if masks is None else masks

    @classmethod
    def of_layers(
        cls, known: Sequence[tuple[Any, Any]], lengths: mx.array, size: int, *, padded: bool
    ) -> list[CompletionCache]:
        """A cache for each layer, whose prompts have these keys and values."""
        masks: list[mx.array] = []
        return [cls(keys, values, lengths, size, padded, masks) for keys, values in known]

    @property
    def offset(self) -> mx.array:
        """Position of the next token of each row, (rows,)."""
        return mx.repeat(self.lengths, self.size) + self.count

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Append the rows' own keys and values; all keys and values of each row, its prompt's first."""
        if self.keys is None or self.values is None:
            self.keys, self.values = keys, values
        else:
            self._grow(keys.shape[2])
            end = self.count + keys.shape[2]
            self.keys[..., self.count : end, :] = keys
            self.values[..., self.count : end, :] = values
        self.count += keys.shape[2]
        own_keys, own_values = self.own()
        # Evaluated only by a model that looks at them.
        whole_keys = mx.concatenate([mx.repeat(self.prompt_keys, self.size, axis=0), own_keys], axis=2)
        whole_values = mx.concatenate([mx.repeat(self.prompt_values, self.size, axis=0), own_values], axis=2)
        self._handed_out = whole_keys, whole_values
        return self._handed_out

    def own(self) -> tuple[mx.array, mx.array]:
        """Keys and values of the completions themselves, (rows, heads, time, width)."""
        return self.keys[..., : self.count, :], self.values[..., : self.count, :]

    def _grow(self, more: int) -> None:
        room = self.keys.shape[2]
        if self.count + more <= room:
            return
        added = (more + GROWTH - 1) // GROWTH * GROWTH

        def longer(array: mx.array) -> mx.array:
            *front, _, width = array.shape
            return mx.concatenate([array[..., : self.count, :], mx.zeros((*front, added, width), array.dtype)], axis=2)

        self.keys, self.values = longer(self.keys), longer(self.values)

    def make_mask(self, count: int, return_array: bool = False, window_size: int | None = None) -> mx.array:
        """Which keys each of the next `count` tokens of a row sees, (rows, 1, count, longest prompt + own)."""
        del return_array
        longest = self.prompt_keys.shape[2]
        own = mx.arange(self.count + count)
        here = mx.arange(self.count, self.count + count)[:, None]
        lengths = self.lengths[:, None, None]
        sees_prompt = mx.broadcast_to(mx.arange(longest) < lengths, (len(self.lengths), count, longest))
        sees_own = own <= here
        if window_size is not None:
            sees_prompt = sees_prompt & (lengths + here < mx.arange(longest) + window_size)
            sees_own = sees_own & (here < own + window_size)
        rows = len(self.lengths) * self.size
        parts = [
            mx.repeat(sees_prompt, self.size, axis=0),
            mx.broadcast_to(sees_own, (rows, count, self.count + count)),
        ]
        mask = mx.concatenate(parts, axis=-1)[:, None]
        if window_size is None:
            # Of the step at hand alone: masks of earlier ones are of other lengths.
            self._masks_made[:] = [mask]
        return mask

    def attends(self, keys: Any, values: Any, mask: Any, sinks: Any) -> bool:
        """Whether attention to these is attention to what this cache holds, unchanged, with one mask for all heads."""
        if self._handed_out is None or keys is not self._handed_out[0] or values is not self._handed_out[1]:
            return False
        plain = mask is None or (isinstance(mask, mx.array) and mask.dtype == mx.bool_ and mask.shape[1:2] == (1,))
        return plain and sinks is None

    def attend(self, queries: mx.array, scale: float, mask: Any) -> mx.array:
        """Attention of `queries` (rows, heads, time, width) to the prompt and to the row's own tokens.

        Each prompt's keys and values meet all queries of its group in one product; the softmax is over both parts.
        """
        own_keys, own_values = self.own()
        rows, heads, count = queries.shape[:3]
        prompts, kv_heads = self.prompt_keys.shape[:2]
        repeats = heads // kv_heads
        prompt_mask, own_mask = self._masks(mask, count, repeats)

        def by_row(array: mx.array) -> mx.array:
            parts = array.reshape(prompts, kv_heads, self.size, repeats * count, -1).swapaxes(1, 2)
            return parts.reshape(rows, kv_heads, repeats * count, -1)

        def by_prompt(array: mx.array) -> mx.array:
            parts = array.reshape(prompts, self.size, kv_heads, repeats * count, -1).swapaxes(1, 2)
            return parts.reshape(prompts, kv_heads, self.size * repeats * count, -1)

        prompt = Keys(self.prompt_keys, self.prompt_values, prompt_mask, by_prompt, by_row)
        return attend(queries * scale, [prompt, Keys(own_keys, own_values, own_mask)])

    def _masks(self, mask: Any, count: int, repeats: int) -> tuple[mx.array | None, mx.array | None]:
        """The mask in the shapes of the two score arrays; None where every key is seen."""
        prompts, longest = len(self.lengths), self.prompt_keys.shape[2]
        if mask is not None and not any(mask is made for made in self._masks_made):
            seen = mx.broadcast_to(mask, (prompts * self.size, 1, count, longest + self.count))
            seen = mx.broadcast_to(seen, (prompts * self.size, repeats, count, longest + self.count))
            by_prompt = seen[..., :longest].reshape(prompts, 1, self.size * repeats * count, longest)
            return by_prompt, seen[..., longest:].reshape(prompts * self.size, 1, repeats * count, self.count)
        prompt_mask = (mx.arange(longest) < self.lengths[:, None])[:, None, None] if self.padded else None
        own_mask = None
        if count > 1:
            here = mx.arange(self.count - count, self.count)[:, None]
            own_mask = mx.concatenate([mx.arange(self.count) <= here] * repeats, axis=0)
        return prompt_mask, own_mask

    def keep(self, prompts: mx.array, rows: mx.array, size: int) -> None:
        """Go on with these prompts and rows alone, `size` of them a prompt."""
        self.prompt_keys, self.prompt_values = self.prompt_keys[prompts], self.prompt_values[prompts]
        self.lengths, self.size = self.lengths[prompts], size
        if self.keys is not None and self.values is not None:
            self.keys, self.values = self.keys[rows], self.values[rows]

    def inputs(self) -> list[mx.array]:
        """The arrays that a recomputed layer depends on besides its input."""
        return [self.prompt_keys, self.prompt_values]

    def spawn(self, inputs: list[mx.array]) -> CompletionCache:
        """An empty cache over these keys and values of the prompts."""
        return CompletionCache(inputs[0], inputs[1], self.lengths, self.size, self.padded, self._masks_made)

    def outputs(self) -> list[mx.array]:
        """Nothing: what a completion's layer leaves is needed by no other."""
        return []

    def absorb(self, _outputs: list[mx.array]) -> None:
        """Nothing is left by a layer."""


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
