"""Tells what a path or name is: Hugging Face folder, MLX model, .gguf, nanochat. Knows which reader reads which."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

from engine import library, places
from engine.convert import hugging_face, nanochat
from engine.convert.settings import ConversionSettings
from engine.convert.source import Kind, Source
from engine.errors import UserError

_READERS: dict[Kind, str] = {
    "hugging face": "hugging_face",
    "mlx": "hugging_face",
    "gguf": "gguf",
    "nanochat": "nanochat",
}

_WEIGHTS = {".safetensors", ".bin", ".pt", ".pth"}


def reader(kind: Kind) -> Any:
    """The module that reads this kind: its `weights` and `save_tokenizer`."""
    return importlib.import_module(f"engine.convert.{_READERS[kind]}")


def look(name: str, settings: ConversionSettings | None = None, revision: str | None = None) -> Source:
    """Look at the checkpoint of this name: a folder, a file of one, an alias, or a Hugging Face id that is here.

    Raises:
        UserError: there is nothing, nothing usable, or something damaged; or the id is not on this computer yet.
    """
    path = _path(name.strip(), revision)
    overrides = (settings or ConversionSettings()).overrides()
    if path.is_file():
        if path.suffix == ".gguf" or _begins(path, b"GGUF"):
            return _gguf(path)
        if nanochat.recognise(path):
            return nanochat.examine(path, overrides)
        return _folder_of(path)
    files = _gguf_files(path)
    described = (path / "config.json").is_file()
    if described and (hugging_face.has_weights(path) or not (files or nanochat.recognise(path))):
        return hugging_face.examine(path)
    if nanochat.recognise(path):
        return nanochat.examine(path, overrides)
    if len(files) == 1:
        return _gguf(files[0])
    if files:
        raise UserError(
            "There are several models in {folder}.",
            "{files}",
            "Give the one .gguf file to convert.",
            folder=path,
            files=", ".join(file.name for file in files[:8]),
        )
    if (path / "adapter_config.json").is_file():
        raise hugging_face.only_an_adapter(path)
    if (path / "model_index.json").is_file():
        raise UserError(
            "{folder} is a diffusion model, which makes pictures or sound.",
            "It consists of several networks, none of which writes text.",
            "Choose a language model.",
            folder=path,
        )
    raise UserError(
        "There is no model in {folder}.",
        "It holds no config.json with weights, no .gguf file and no nanochat checkpoint.",
        "Give the folder of a Hugging Face model, a nanochat checkpoint folder, a .pt or a .gguf file.",
        folder=path,
    )


def _folder_of(file: Path) -> Source:
    """The model folder that a file of it stands for."""
    weights = file.suffix in _WEIGHTS
    if not (file.parent / "config.json").is_file():
        raise UserError(
            "{file} is no model by itself.",
            "Weights alone do not say what to compute with them: there is no config.json beside it."
            if weights
            else "It is no file of weights that is known here.",
            "Put config.json and the tokenizer's files from where the model came beside it."
            if weights
            else "Give the folder of a Hugging Face model, a nanochat checkpoint folder, a .pt or a .gguf file.",
            file=file,
        )
    source = hugging_face.examine(file.parent)
    if weights and file not in source.files:
        raise UserError(
            "{file} is not what the model in its folder is read from.",
            "That model's weights are {used}.",
            "Give the folder to convert that model, or move this file into a folder of its own with its config.json.",
            file=file,
            used=", ".join(used.name for used in source.files[:5]),
        )
    return source


def is_here(name: str, revision: str | None = None) -> bool:
    """Whether a Hugging Face id is complete on this computer."""
    from engine import hub

    return hub.cached(name.removeprefix(library.HUB_ADDRESS), revision, any_kind=True) is not None


def _path(name: str, revision: str | None) -> Path:
    path = places.expand(name)
    if name and path.is_file():
        return path.absolute()
    if library.is_hub_id(name) and not (places.models_folder() / name).is_dir():
        from engine import hub

        found = hub.cached(name.removeprefix(library.HUB_ADDRESS), revision, any_kind=True)
    else:
        found = library.locate(name)
    if found is None:
        raise UserError(
            "{name} is not on this computer yet.",
            "It was not found in the Hugging Face cache.",
            "Download it first: mlx-grpo models download {name}",
            name=name,
        )
    return found


def _gguf_files(folder: Path) -> list[Path]:
    """The .gguf models of a folder: of one in parts the first, and none that only sees."""
    parts = re.compile(r"-(?!00001-)\d{5}-of-\d{5}\.gguf$")
    return [path for path in sorted(folder.glob("*.gguf")) if not (parts.search(path.name) or "mmproj" in path.name)]


def _begins(path: Path, letters: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(letters)) == letters


def _gguf(path: Path) -> Source:
    from engine.convert import gguf

    return gguf.examine(path)
