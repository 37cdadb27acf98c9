"""Writes a model as a folder that mlx_lm and the chat load, from what it was loaded from. Knows no training."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import library
from engine.convert.write import sharded, write_listing

if TYPE_CHECKING:
    import mlx.core as mx

    from engine.library import ModelFiles

# Where NVIDIA's exports say how their weights are quantised.
_ELSEWHERE = "hf_quant_config.json"


def save_whole(folder: Path, files: ModelFiles, model: Any) -> None:
    """Write the model as it is into an empty folder, with tokenizer and configuration of the `files` it came from."""
    left_out = {path.name for path in library.weight_files(files.folder, files.name)} | {_ELSEWHERE}
    for path in sorted(files.folder.iterdir()):
        if path.is_file() and path.name not in left_out and not path.name.endswith(".index.json"):
            (folder / path.name).write_bytes(path.read_bytes())
    stated = library.read_config(files.folder)
    if (config := _described(stated, model)) != stated:
        (folder / "config.json").write_text(json.dumps(config, indent=4) + "\n", "utf-8")
    shards, listing = sharded(model)
    for name, shard in shards.items():
        write_arrays(folder / name, shard)
    write_listing(folder, listing)


def write_arrays(path: Path, arrays: dict[str, mx.array]) -> None:
    """Write arrays into a new safetensors file.

    Raises:
        OSError: the system's own; MLX, given a path, would not say that the disk is full.
    """
    import mlx.core as mx

    try:
        with path.open("xb") as file:
            mx.save_safetensors(file, arrays, {"format": "mlx"})
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        # An error of a write names no file.
        raise OSError(error.errno, error.strerror, str(path)) from error


def _described(config: dict[str, Any], model: Any) -> dict[str, Any]:
    """The content of config.json for the model as it is: what other programs wrote of quantisation holds no more."""
    if "quantization" in config:
        return config
    kept = {key: value for key, value in config.items() if key != "quantization_config"}
    if isinstance(text := kept.get("text_config"), dict):
        kept["text_config"] = {key: value for key, value in text.items() if key != "quantization_config"}
    said = {
        name: {"group_size": module.group_size, "bits": module.bits, "mode": module.mode}
        for name, module in model.named_modules()
        if hasattr(module, "bits") and "scales" in module
    }
    return kept | {"quantization": next(iter(said.values())) | said} if said else kept
