"""Lets a model compute its cache anew when its text outgrows the short rotary factors. Knows longrope's limit only."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.architectures.rope import Rope

if TYPE_CHECKING:
    import mlx.core as mx


@dataclass(slots=True)
class _Seen:
    """What a cache was computed from, piece by piece of shape (1, time), and whether with the factors of long texts."""

    pieces: list[mx.array]
    length: int
    long: bool

    def cut(self, length: int) -> None:
        """Forget what has been trimmed from the cache since."""
        import mlx.core as mx

        if self.length > length:
            self.pieces, self.length = [mx.concatenate(self.pieces, axis=1)[:, :length]], length


class Recomputing:
    """Goes before the class of a model with longrope.

    Keys rotated with the short factors mean nothing to queries rotated with the long ones, so transformers' Phi-3
    drops its cache at the limit and computes the whole text again (`prepare_inputs_for_generation`). This does the
    same, in either direction: what follows the limit is what one forward pass over the whole text gives. A batch has
    no memory of its tokens; in one, keys from before the limit stay as they are.
    """

    def __call__(self, inputs: mx.array, *args: Any, cache: Any = None, **kwargs: Any) -> mx.array:
        import mlx.core as mx
        from mlx_lm.models.cache import make_prompt_cache

        call = super().__call__  # type: ignore[misc]
        if cache is None or self.limit is None or not isinstance(getattr(cache[0], "offset", None), int):
            return call(inputs, *args, cache=cache, **kwargs)  # type: ignore[no-any-return]
        before, time = cache[0].offset, inputs.shape[1]
        seen: _Seen | None = getattr(cache[0], "seen", None)
        long = before + time > self.limit
        if before == 0:
            seen = _Seen([], 0, long)
        if seen is not None:
            seen.cut(before)
            seen.pieces.append(inputs)
            seen.length += time
            if seen.long != long:
                for old, new in zip(cache, make_prompt_cache(self), strict=True):
                    old.__dict__.update(new.__dict__)
                inputs, seen.long = mx.concatenate(seen.pieces, axis=1), long
        logits: mx.array = call(inputs, *args, cache=cache, **kwargs)
        cache[0].seen = seen
        return logits[:, -time:]

    @functools.cached_property
    def limit(self) -> int | None:
        """The length in tokens up to which the short factors hold; None where one kind is kept."""
        layers: list[Any] = self.layers  # type: ignore[attr-defined]
        modules = (module for layer in layers for _, module in layer.named_modules() if "rope" in module)
        limits = [module.rope.limit for module in modules if isinstance(module.rope, Rope)]
        return next((limit for limit in limits if limit is not None), None)
