"""Keeps the memory of a long run on the GPU and its cache small, and puts both limits back. Knows no model.

Call `engine.backend.prepare()` before importing this module: it imports MLX.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import mlx.core as mx

_CACHED_SHARE = 0.25
"""Of the recommended working set: freed buffers that MLX may keep for reuse."""


@contextmanager
def for_training() -> Iterator[None]:
    """Wire the recommended working set and bound MLX's cache of freed buffers while inside.

    Wired memory is not paged out, without which macOS slows down large models; an unbounded cache grows to several
    times what a run needs, as its shapes change. Nothing changes where MLX computes on a CPU, or on another GPU than
    Apple's. Leaving waits for computations under way: the wired limit must not change during one.
    """
    recommended = _recommended()
    if not recommended:
        yield
        return
    wired = mx.set_wired_limit(recommended)
    try:
        cached = mx.set_cache_limit(int(recommended * _CACHED_SHARE))
        try:
            yield
        finally:
            mx.set_cache_limit(cached)
    finally:
        mx.synchronize()
        mx.set_wired_limit(wired)


def _recommended() -> int:
    """Bytes of memory that the system recommends for the GPU; 0 where there is no limit to set."""
    if not mx.metal.is_available() or mx.default_device() != mx.gpu:
        return 0
    return int(mx.device_info().get("max_recommended_working_set_size", 0))
