"""Says what this machine can run, and what is wrong with it. Knows the system, no model."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from engine import backend, library, memory, places
from engine.errors import UserError, explain
from engine.events import Event, Finding

_LIBRARIES = ("mlx", "mlx-lm", "transformers", "huggingface_hub", "PySide6-Essentials")
_LOW_DISK = 10e9


def examine() -> Iterator[Event]:
    """Look at one thing after another; a Finding each."""
    yield _system()
    yield Finding("Python", "ok", platform.python_version())
    for name in _LIBRARIES:
        yield _library(name)
    yield from _device()
    yield _memory()
    yield _disk()
    yield _starter()


def _system() -> Finding:
    if sys.platform != "darwin":
        found = f"{platform.system()} {platform.machine()}"
        return Finding("System", "hint", found, "MLX is made for Apple Silicon; here it computes on the processor.")
    version = platform.mac_ver()[0]
    found = f"macOS {version} {platform.machine()}"
    if platform.machine() != "arm64":
        return Finding("System", "wrong", found, "MLX needs a Mac with Apple Silicon (M1 or later).")
    if int(version.split(".")[0]) < 14:
        return Finding("System", "wrong", found, "MLX needs macOS 14 or later. Update macOS.")
    return Finding("System", "ok", found)


def _library(name: str) -> Finding:
    try:
        return Finding(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "wrong", "not installed", "Set the program up again: make run")


def _device() -> Iterator[Finding]:
    try:
        backend.prepare()
        import mlx.core as mx

        info = mx.device_info()
        name = str(info.get("device_name", "unknown"))
    except Exception as error:
        yield Finding("Device", "wrong", explain(error).why, "Set the program up again: make run")
        return
    if backend.has_gpu():
        limit = int(info.get("max_recommended_working_set_size", 0))
        yield Finding("Device", "ok", f"{name}, {limit / 1e9:.0f} GB for the GPU")
        return
    yield Finding("Device", "hint", f"{name}, no GPU", "Everything works, but slowly; use small models.")
    try:
        ctypes.CDLL("libopenblas.so.0")
        yield Finding("OpenBLAS", "ok", "installed")
    except OSError:
        remedy = "float32 is 12 times slower without it: sudo apt-get install libopenblas0-pthread"
        yield Finding("OpenBLAS", "hint", "not installed", remedy)


def _memory() -> Finding:
    total, usable = memory.installed(), memory.available()
    found = f"{total / 1e9:.0f} GB, {usable / 1e9:.0f} GB of it for a model"
    if usable < 4e9:
        return Finding("Memory", "hint", found, "Close other programs before loading a model.")
    return Finding("Memory", "ok", found)


def _disk() -> Finding:
    folder = places.models_folder()
    for kept in (places.settings_file(), places.conversations_file(), folder):
        if not _usable(kept.parent):
            remedy = "Change its permissions, or set MLX_GRPO_HOME to a folder of yours."
            return Finding("Disk", "wrong", f"nothing can be written in {kept.parent}", remedy)
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.0f} GB free for models in {places.models_folder()}"
    if free < _LOW_DISK:
        return Finding("Disk", "hint", found, "Real models take 1 to 40 GB. Free some space first.")
    return Finding("Disk", "ok", found)


def _usable(folder: Path) -> bool:
    """Whether the folder is there and can be written in, or could be made."""
    while not folder.exists():
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)


def _starter() -> Finding:
    folder: Path = places.starter_folder()
    try:
        files = library.describe(folder)
    except UserError as error:
        return Finding("Demonstration model", "wrong", error.what, error.remedy)
    return Finding("Demonstration model", "ok", f"{files.model_type}, {files.weights / 1e6:.1f} MB")
