"""Reads torch's .bin, .pt and .pth files through a child process, weights only. Knows no model and imports no torch."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from engine.convert import child, safetensors_files
from engine.convert.source import TensorInfo
from engine.events import Event, Note, Progress

_PROGRAM = "engine.convert.torch_process"


def look(path: Path) -> dict[str, TensorInfo]:
    """What tensors a torch file holds, by name; the numbers are not read (but for files of torch before 1.6).

    Raises:
        UserError: as `look_all`.
    """
    return look_all([path])[path]


def look_all(files: Sequence[Path]) -> dict[Path, dict[str, TensorInfo]]:
    """What tensors each of several torch files holds, by name; one start of torch (1 to 2 s) for all.

    Raises:
        UserError: a file is missing, empty, cut short, no torch file, or carries code, which is never run.
    """
    _check(files)
    asked = child.ask(_PROGRAM, {"files": [str(file.absolute()) for file in files]})
    while True:
        try:
            next(asked)
        except StopIteration as end:
            return {file: _described(tensors) for file, tensors in zip(files, end.value, strict=True)}


def _described(tensors: dict[str, Any]) -> dict[str, TensorInfo]:
    return {
        name: TensorInfo(tuple(shape), safetensors_files.TYPES[stored][0], size)
        for name, (stored, shape, size) in tensors.items()
    }


def rewrite(files: Sequence[Path], folder: Path) -> Generator[Event, None, list[Path]]:
    """Write each torch file anew as safetensors, with the same tensors under the same names.

    Weights inside "state_dict", "model" or "module" are taken out of it. Tensors that share memory are written each.
    Double precision becomes single precision, float8_e5m2 becomes float16 (exactly): MLX reads neither.

    Args:
        files: the torch files.
        folder: an existing folder for the results; what is half written goes when the generator is closed or fails.

    Yields:
        Progress in bytes of the sources; a Note on what was left out because it is no tensor.

    Returns:
        the new files, named as the sources but for their ending, in the same order.

    Raises:
        UserError: a file is missing, empty, cut short, no torch file, or carries code, which is never run.
    """
    _check(files)
    total = sum(file.stat().st_size for file in files)
    targets = [folder.absolute() / f"{file.stem}.safetensors" for file in files]
    asked = child.ask(_PROGRAM, {"files": [str(file.absolute()) for file in files], "targets": list(map(str, targets))})
    progress = Progress("Reading torch files", 0, total, "bytes")
    finished = False
    try:
        while True:
            try:
                message = next(asked)
            except StopIteration:
                finished = True
                return targets
            if message is not None and "note" in message:
                yield Note(message["note"])
                continue
            if message is not None:
                progress = Progress("Reading torch files", message["done"], total, "bytes", message["detail"])
            yield progress
    finally:
        asked.close()
        if not finished:
            for target in targets:
                target.unlink(missing_ok=True)


def _check(files: Sequence[Path]) -> None:
    """Refuse what no torch file can be before a process is started for it."""
    for file in files:
        safetensors_files.check_there(file)
