"""Reads prompts into KV caches, as far as they are not remembered. Knows a loaded model, no conversation."""

from __future__ import annotations

import copy
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from engine import memory
from engine.events import Event, Note, PromptRead

if TYPE_CHECKING:
    from engine.session import ModelSession

# Pieces end at multiples of their length, whatever was remembered, so that rounding is the same from run to run. A
# larger model takes longer for each, and must still be stopped within about a second: weights in bytes, tokens.
_PIECES = ((2e9, 1024), (8e9, 512))
_SMALLEST_PIECE = 256
_GROUPS = (64, 32)


def remembered(session: ModelSession, bits: int) -> tuple[str, int]:
    """The key of what a session remembers of prompts, whose caches are of this precision."""
    return session.identity or str(session.files.folder), bits


def bound(session: ModelSession, limit: int) -> None:
    """Have what the session remembers take at most `limit` bytes; 0 is a quarter of what there is."""
    session.prompts.max_bytes = limit or memory.available() // 4
    session.prompts.trim_to(n_bytes=session.prompts.max_bytes)


def precision(session: ModelSession, bits: int) -> Generator[Event, None, int]:
    """The bits that the session's caches can have: `bits`, or 0 where the model computes with whole ones alone.

    Yields:
        a Note, once a session, where it cannot.
    """
    if not bits:
        return 0
    if session.quantises is None:
        session.quantises = _tries(session)
        if not session.quantises:
            yield Note("This model cannot work with a compressed memory of the conversation; it is kept whole.")
    return bits if session.quantises else 0


def read(session: ModelSession, ids: Sequence[int], bits: int = 0) -> Generator[Event, None, tuple[list[Any], int]]:
    """Fill a cache with all but the last of the ids; the cache, and how many tokens were known already.

    Args:
        ids: token ids, shape (time,).
        bits: of the numbers in the cache, 0 as the model computes; what `precision` allows.
    """
    import mlx.core as mx
    from mlx_lm.models.cache import can_trim_prompt_cache, make_prompt_cache

    place, ids = remembered(session, bits), list(ids)
    cache, rest = session.prompts.fetch_nearest_cache(place, ids[:-1])
    cache = cache if cache is not None else make_prompt_cache(session.model)
    cached = done = len(ids) - 1 - len(rest)
    yield PromptRead(cached, len(ids), cached)
    step = next((tokens for weights, tokens in _PIECES if session.files.weights < weights), _SMALLEST_PIECE)
    try:
        while done < len(ids) - 1:
            piece = ids[done : min((done // step + 1) * step, len(ids) - 1)]
            session.model(mx.array([piece], dtype=mx.uint32), cache=cache)
            quantise(cache, bits)
            mx.eval([layer.state for layer in cache])
            done += len(piece)
            mx.clear_cache()
            yield PromptRead(done, len(ids), cached)
    except GeneratorExit:
        session.prompts.insert_cache(place, ids[:done], cache, cache_type="user")
        raise
    if done > cached and not can_trim_prompt_cache(cache):
        # A cache that cannot be cut back serves the next turn only from here, where the answer has not begun.
        session.prompts.insert_cache(place, ids[:done], copy.deepcopy(cache), cache_type="user")
    return cache, cached


def known(session: ModelSession, bits: int, ids: Sequence[int]) -> int:
    """How many of the ids the session remembers."""
    # What is fetched is a copy that is never made, as nobody asks for its numbers.
    _, rest = session.prompts.fetch_nearest_cache(remembered(session, bits), list(ids))
    return len(ids) - len(rest)


def common(left: Sequence[int], right: Sequence[int]) -> int:
    """How many ids two sequences begin with alike."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(left), len(right)))


def quantise(cache: list[Any], bits: int) -> None:
    """Compress the layers that are still whole and can be; 0 bits leave all as they are."""
    from mlx_lm.models.cache import KVCache

    for number, layer in enumerate(cache):
        if bits and type(layer) is KVCache and layer.offset:
            widths = layer.keys.shape[-1], layer.values.shape[-1]
            group = next((size for size in _GROUPS if not any(width % size for width in widths)), 0)
            if group:
                cache[number] = layer.to_quantized(group_size=group, bits=bits)


def _tries(session: ModelSession) -> bool:
    """Whether the model goes on from a compressed cache."""
    import mlx.core as mx
    from mlx_lm.models.cache import QuantizedKVCache, make_prompt_cache

    cache = make_prompt_cache(session.model)
    token = mx.array([[0, 0]], dtype=mx.uint32)
    mx.eval(session.model(token, cache=cache))
    quantise(cache, 8)
    if not any(isinstance(layer, QuantizedKVCache) for layer in cache):
        return False
    try:
        mx.eval(session.model(token[:, :1], cache=cache))
    except Exception:  # other people's models fail in ways of their own
        return False
    return True
