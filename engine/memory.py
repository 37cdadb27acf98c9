"""How much memory there is and how much a model will need. Knows no model class.

Sizes are in bytes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from engine.errors import UserError
from engine.events import MemoryUse

# Beside the weights: the prompt's activations, the KV cache of a short conversation and MLX's own buffers.
_RESERVE = 256 * 1024**2
_MARGIN = 1.05


def installed() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def available(limit: int = 0) -> int:
    """What a model may take at most: the person's limit if set, else what the system recommends."""
    if limit:
        return limit
    if sys.platform == "linux":
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        import mlx.core as mx
    except ImportError:
        return installed() * 3 // 4
    recommended = mx.device_info().get("max_recommended_working_set_size")
    return int(recommended) if recommended else installed() * 3 // 4


def needed(weights: int) -> int:
    """What a model whose weights take this much needs to chat."""
    return int(weights * _MARGIN) + _RESERVE


def require(name: str, weights: int, limit: int = 0, beside: int = 0) -> None:
    """Refuse a model that will not fit, before anything of it is read; `beside` is what other models take.

    Raises:
        UserError: it needs more than there is.
    """
    # Linux says what is still free, the others and the person how much there is in all.
    taken = beside if limit or sys.platform != "linux" else 0
    there, need = max(0, available(limit) - taken), needed(weights)
    if need > there:
        raise UserError(
            "{name} is too large for this computer's memory.",
            "It needs about {need} and {there} can be used.",
            "Choose a smaller model or one quantised to fewer bits, or close other programs."
            if not limit
            else "Choose a smaller model or one quantised to fewer bits, or raise the memory limit in the settings.",
            name=name,
            need=in_words(need),
            there=in_words(there),
        )


def in_words(size: int) -> str:
    """A size as a person says it."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:,.2f} {unit}"
    return f"{size / 1e3:,.1f} kB"


def measure() -> Iterator[MemoryUse]:
    """One MemoryUse, or none while MLX is not imported yet."""
    if (mx := sys.modules.get("mlx.core")) is not None:
        info = mx.device_info()
        gpu = mx.default_device() == mx.gpu
        device = f"{info.get('device_name', '')}" if gpu else f"CPU, {info.get('device_name', '')}"
        yield MemoryUse(device, int(mx.get_active_memory()), int(mx.get_peak_memory()))
