"""Attention caches in which the completions of a group share their prompt. Knows one layer's tensors, no model.

A group's prompt is computed and kept once; its completions attend to it and to their own tokens. In rollouts that
saves the copies, in the update the prompt is computed once a group, with gradient (the idea of PrefixGrouper, arXiv
2506.05433). A model takes these caches like mlx_lm's own. The keys and values it gets back are whole, but only put
together if it looks at them: where it hands them to mlx_lm's `scaled_dot_product_attention`, `model_calls` lets that
call work on the parts instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from engine.grpo.attention import Keys, attend
from engine.grpo.row_layout import RowLayout

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
    """A layer's cache of `size` completions for each prompt; rows are prompt-major unless a `layout` says otherwise.

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
        self.layout: RowLayout | None = None
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

    @classmethod
    def of_rows(cls, known: Sequence[tuple[Any, Any]], layout: RowLayout) -> list[CompletionCache]:
        """A cache for each layer, whose prompts have these keys and values, for rows that come and go."""
        caches = cls.of_layers(known, layout.lengths, layout.size, padded=layout.padded)
        for cache in caches:
            cache.layout = layout
        return caches

    @property
    def offset(self) -> mx.array:
        """Position of the next token of each row, (rows,)."""
        if self.layout is not None:
            return self.layout.before + self.count
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
        whole_keys = mx.concatenate([self._by_row(self.prompt_keys), own_keys], axis=2)
        whole_values = mx.concatenate([self._by_row(self.prompt_values), own_values], axis=2)
        self._handed_out = whole_keys, whole_values
        return self._handed_out

    def own(self) -> tuple[mx.array, mx.array]:
        """Keys and values of the completions themselves, (rows, heads, time, width)."""
        return self.keys[..., : self.count, :], self.values[..., : self.count, :]

    def _by_row(self, array: mx.array) -> mx.array:
        """What each row's prompt has of an array (prompts, ...)."""
        return mx.repeat(array, self.size, axis=0) if self.layout is None else array[self.layout.prompts]

    def _grow(self, more: int) -> None:
        room = self.keys.shape[2]
        if self.count + more <= room:
            return
        # As much as a buffer that was never cut at its front.
        added = 1 + (self.count + more + GROWTH - 2) // GROWTH * GROWTH - self.count

        def longer(array: mx.array) -> mx.array:
            *front, _, width = array.shape
            return mx.concatenate([array[..., : self.count, :], mx.zeros((*front, added, width), array.dtype)], axis=2)

        self.keys, self.values = longer(self.keys), longer(self.values)

    def make_mask(self, count: int, return_array: bool = False, window_size: int | None = None) -> mx.array:
        """Which keys each of the next `count` tokens of a row sees, (rows, 1, count, longest prompt + own)."""
        del return_array
        longest = self.prompt_keys.shape[2]
        prompt = mx.arange(longest)
        own = mx.arange(self.count + count)
        here = mx.arange(self.count, self.count + count)[:, None]
        lengths = self._by_row(self.lengths)[:, None, None]
        rows = len(lengths)
        sees_prompt = mx.broadcast_to(prompt < lengths, (rows, count, longest))
        sees_own = own <= here
        if self.layout is not None and self.layout.starts is not None:
            sees_own = sees_own & (own >= self.layout.starts[:, None, None])
        if window_size is not None:
            position = self.offset[:, None, None] + mx.arange(count)[:, None]
            sees_prompt = sees_prompt & (position < prompt + window_size)
            sees_own = sees_own & (here < own + window_size)
        sees_own = mx.broadcast_to(sees_own, (rows, count, self.count + count))
        mask = mx.concatenate([sees_prompt, sees_own], axis=-1)[:, None]
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
        heads, count = queries.shape[1:3]
        prompts, kv_heads = self.prompt_keys.shape[:2]
        repeats = heads // kv_heads
        prompt_mask, own_mask = self._masks(mask, count, repeats)
        places = None if self.layout is None else self.layout.places

        def by_row(array: mx.array) -> mx.array:
            parts = array.reshape(prompts, kv_heads, self.size, repeats * count, -1).swapaxes(1, 2)
            parts = parts.reshape(prompts * self.size, kv_heads, repeats * count, -1)
            return parts if places is None else parts[places]

        def by_prompt(array: mx.array) -> mx.array:
            array = self._spread(array)
            parts = array.reshape(prompts, self.size, kv_heads, repeats * count, -1).swapaxes(1, 2)
            return parts.reshape(prompts, kv_heads, self.size * repeats * count, -1)

        prompt = Keys(self.prompt_keys, self.prompt_values, prompt_mask, by_prompt, by_row)
        return attend(queries * scale, [prompt, Keys(own_keys, own_values, own_mask)])

    def _masks(self, mask: Any, count: int, repeats: int) -> tuple[mx.array | None, mx.array | None]:
        """The mask in the shapes of the two score arrays; None where every key is seen."""
        prompts, longest = len(self.lengths), self.prompt_keys.shape[2]
        if mask is not None and not any(mask is made for made in self._masks_made):
            rows = self.keys.shape[0]
            seen = mx.broadcast_to(mask, (rows, 1, count, longest + self.count))
            seen = mx.broadcast_to(seen, (rows, repeats, count, longest + self.count))
            by_prompt = self._spread(seen[..., :longest]).reshape(prompts, 1, self.size * repeats * count, longest)
            return by_prompt, seen[..., longest:].reshape(rows, 1, repeats * count, self.count)
        prompt_mask = (mx.arange(longest) < self.lengths[:, None])[:, None, None] if self.padded else None
        own_mask = None if self.layout is None else self.layout.own_mask(self.count)
        if count > 1:
            here = mx.arange(self.count - count, self.count)[:, None]
            causal = mx.concatenate([mx.arange(self.count) <= here] * repeats, axis=0)
            own_mask = causal if own_mask is None else own_mask & causal
        return prompt_mask, own_mask

    def _spread(self, array: mx.array) -> mx.array:
        """Rows laid out prompt by prompt, as many for each."""
        return array if self.layout is None or self.layout.spread is None else array[self.layout.spread]

    def keep(self, prompts: list[int], rows: list[int], front: int, longest: int, layout: RowLayout) -> None:
        """Go on with these prompts, of up to `longest` tokens, and rows alone, without the buffer's first positions.

        Args:
            front: how many positions none of the rows uses.
            layout: the rows as they are then.
        """
        self._handed_out = None
        numbers = mx.array(prompts)
        self.prompt_keys = self.prompt_keys[..., :longest, :][numbers]
        self.prompt_values = self.prompt_values[..., :longest, :][numbers]
        self.count -= front
        if rows:
            places = mx.array(rows)
            self.keys, self.values = self.keys[..., front:, :][places], self.values[..., front:, :][places]
        else:
            self.keys = self.values = None
        self._arrange(layout)
        # One layer after the other, so that no more than one is there twice.
        mx.eval(
            [array for array in (self.prompt_keys, self.prompt_values, self.keys, self.values) if array is not None]
        )

    def join(self, read: tuple[mx.array, mx.array] | None, rows: int, layout: RowLayout) -> None:
        """Append rows, and prompts with these keys and values, (prompts, heads, time, width).

        Args:
            layout: the rows as they are then.
        """
        if read is not None:
            self.prompt_keys = _appended(self.prompt_keys, read[0])
            self.prompt_values = _appended(self.prompt_values, read[1])
        if self.keys is not None and self.values is not None:
            # What the others did before: hidden from the new rows, so any finite number will do.
            self.keys, self.values = (
                mx.concatenate([array, mx.zeros((rows, *array.shape[1:]), array.dtype)])
                for array in (self.keys, self.values)
            )
        self._arrange(layout)

    def _arrange(self, layout: RowLayout) -> None:
        self.layout, self.lengths, self.size, self.padded = layout, layout.lengths, layout.size, layout.padded

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


def _appended(known: mx.array, read: mx.array) -> mx.array:
    """Both one after the other, padded on the right to the longer's time."""
    longest = max(known.shape[2], read.shape[2])
    padded = [mx.pad(array, [(0, 0), (0, 0), (0, longest - array.shape[2]), (0, 0)]) for array in (known, read)]
    return mx.concatenate(padded)
