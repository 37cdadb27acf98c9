"""Prepares the process for MLX before MLX is imported. Knows no model.

Every room that computes calls `prepare()` first; the import of MLX itself stays in those rooms.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
from collections.abc import Iterator

from engine.events import Progress

# The order matters for the window: small pieces, so that no single import holds the interpreter for long.
_MODULES = (
    "numpy",
    "mlx.core",
    "mlx.nn",
    "jinja2",
    "huggingface_hub",
    "tokenizers",
    "transformers",
    "transformers.tokenization_utils_base",
    "transformers.tokenization_utils_tokenizers",
    "transformers.models.auto.tokenization_auto",
    "mlx_lm.tokenizer_utils",
    "mlx_lm.utils",
    "mlx_lm.generate",
)


def prepare() -> None:
    """Make float32 fast on Linux, keep torch out of sight, and set MLX up for the device it has.

    Safe to call more than once, on the thread that will use MLX.
    """
    hide_torch()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if "mlx.core" not in sys.modules:
        _load_openblas()
    import mlx.core as mx

    if not has_gpu():
        # mx.compile on the CPU calls a C++ compiler at run time: 20 s, or an error where there is none.
        mx.disable_compile()


def imports() -> Iterator[Progress]:
    """Import what loading and chatting need, one module a step, so that a window stays alive meanwhile."""
    import importlib

    hide_torch()
    for done, module in enumerate(_MODULES):
        yield Progress("Starting the engine", done, len(_MODULES), "modules", module)
        if module == "mlx.core":
            prepare()
        importlib.import_module(module)
    yield Progress("Starting the engine", len(_MODULES), len(_MODULES), "modules")


def hide_torch() -> None:
    """Make torch look absent to transformers, which imports it wherever it finds it (1.3 s, 180 MB, long GC stalls)."""
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]


def collect_garbage() -> None:
    """Free what only cycles hold; on the main thread alone.

    On another one it would destroy objects of the window, which belong to the window's thread; there the window
    collects by itself.
    """
    if threading.current_thread() is threading.main_thread():
        gc.collect()


def has_gpu() -> bool:
    """Whether MLX computes on a GPU here (Metal on a Mac)."""
    import mlx.core as mx

    return bool(mx.default_device() == mx.gpu)


def _load_openblas() -> None:
    """The Linux wheel of MLX links a reference BLAS; OpenBLAS loaded first takes its symbols (12x in float32)."""
    if sys.platform != "linux":
        return
    # One thread beats two on small matrices and leaves the other core to the window.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        ctypes.CDLL("libopenblas.so.0", mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return  # it works without, only slower; `mlx-grpo doctor` says so
