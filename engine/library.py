"""Models on this computer's disk: finding them by name and describing them. Loads nothing and knows no model class."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import places
from engine.errors import UserError

ALIASES = {"starter": "the demonstration model that comes with the program"}
# A person copies the address of a model's page.
HUB_ADDRESS = "https://huggingface.co/"
# Of a repository of .gguf files one may be named: owner/model/file.gguf, or owner/model:Q4_K_M.
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(/.+\.gguf|:[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """What a model folder says about itself without being loaded.

    `weights` is the size of the weight files in bytes, `bits` the stated quantisation (0: none), `context` the
    tokens it can attend to (0: not stated).
    """

    name: str
    folder: Path
    model_type: str
    weights: int
    bits: int
    context: int
    demonstration: bool


def is_hub_id(name: str) -> bool:
    """Whether a name has the form `owner/model` and is not a folder here."""
    return bool(_HUB_ID.fullmatch(name.removeprefix(HUB_ADDRESS))) and not places.expand(name).exists()


def locate(name: str) -> Path | None:
    """The folder of a model named by alias, folder or Hub id; None for a Hub id that is not on this computer.

    Raises:
        UserError: the name is empty, or names a folder that does not exist or is a file.
    """
    name = name.strip().removeprefix(HUB_ADDRESS)
    if not name:
        raise UserError("No model is named.", "", "Give a model folder, a Hugging Face id, or: starter")
    if name in ALIASES:
        return places.starter_folder()
    folder = places.expand(name)
    if folder.is_dir():
        return folder.absolute()
    if folder.is_file():
        raise UserError(
            "{name} is a file, not a model folder.",
            "A model is a folder with config.json, weights and a tokenizer.",
            "Give the folder the file is in.",
            name=name,
        )
    converted = places.models_folder() / name
    if converted.is_dir():
        return converted
    if is_hub_id(name):
        from engine import hub

        return hub.cached(name)
    raise UserError(
        "There is no model at {name}.",
        "The folder does not exist.",
        "Check the path, give a Hugging Face id such as mlx-community/Qwen2.5-0.5B-Instruct-4bit, or use: starter",
        name=name,
    )


def describe(folder: Path, name: str = "") -> ModelFiles:
    """Read what a model folder says about itself.

    Raises:
        UserError: it is no model folder, or a part of it is missing or damaged.
    """
    name = name or display_name(folder)
    config = read_config(folder)
    nested = config.get("text_config")
    text = nested if isinstance(nested, dict) else {}
    quantization = config.get("quantization") or config.get("quantization_config") or {}
    context = config.get("max_position_embeddings") or text.get("max_position_embeddings") or 0
    return ModelFiles(
        name=name,
        folder=folder,
        model_type=model_type(config, name),
        weights=sum(path.stat().st_size for path in weight_files(folder, name)),
        bits=_whole(quantization.get("bits")) if isinstance(quantization, dict) else 0,
        context=_whole(context),
        demonstration=folder == places.starter_folder(),
    )


def model_type(config: dict[str, Any], name: str) -> str:
    """What kind of model a config.json says it is.

    Raises:
        UserError: it does not say.
    """
    stated = config.get("model_type")
    if not isinstance(stated, str) or not stated:
        raise UserError(
            "{name} does not say what kind of model it is.",
            "Its config.json has no model_type.",
            "Get the folder again from where it came, or convert the original checkpoint.",
            name=name,
        )
    return stated


def _whole(value: object) -> int:
    """A positive whole number of a config that may hold anything; 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def read_config(folder: Path) -> dict[str, Any]:
    """The content of config.json.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        missing_folder = not folder.is_dir()
        raise UserError(
            "There is no model at {folder}." if missing_folder else "{folder} is not a model folder.",
            "The folder does not exist." if missing_folder else "It has no config.json.",
            "Choose the folder that holds config.json, the weights (.safetensors) and the tokenizer.",
            folder=folder,
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        config = error
    if not isinstance(config, dict):
        raise UserError(
            "The config.json in {folder} is damaged.",
            "{reason}",
            "Get this file again from where the model came.",
            folder=folder,
            reason=config if isinstance(config, Exception) else "It does not hold a JSON object.",
        )
    return config


def weight_files(folder: Path, name: str = "") -> list[Path]:
    """The weight files that belong to the model: those its index names, else model.safetensors, else all of its shards.

    Raises:
        UserError: there are none, or one that the index names is missing.
    """
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return indexed_files(index, name)
    whole = folder / "model.safetensors"
    # Beside a whole model other files are strays; mlx_lm and transformers agree on the name.
    files = [whole] if whole.is_file() else sorted(folder.glob("model*.safetensors"))
    shards = [re.fullmatch(r"(.+)-\d{5}-of-(\d{5})\.safetensors", file.name) for file in files]
    complete = {
        f"{shard[1]}-{number:05}-of-{shard[2]}.safetensors"
        for shard in filter(None, shards)
        for number in range(1, int(shard[2]) + 1)
    }
    missing = sorted(complete - {file.name for file in files})
    if files and not missing:
        return files
    raise UserError(
        "{name} has no weights." if not files else "Weight files of {name} are missing.",
        "There is no model.safetensors in {folder}." if not files else "Not there: {missing}",
        "If the model has other weight files (.bin, .pt, .gguf), convert it first; else get it again.",
        name=name or display_name(folder),
        folder=folder,
        missing=", ".join(missing[:5]),
    )


def indexed_files(index: Path, name: str = "") -> list[Path]:
    """The weight files that an index file names.

    Raises:
        UserError: the index is damaged, or a file that it names is missing.
    """
    try:
        named = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        files = [_inside(index.parent, file) for file in named]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            "The list of weight files in {folder} is damaged.",
            "{index} cannot be read: {reason}",
            "Get this file again from where the model came.",
            folder=index.parent,
            index=index.name,
            reason=error,
        ) from error
    missing = [path.name for path in files if not path.is_file()]
    if missing or not files:
        raise UserError(
            "Weight files of {name} are missing.",
            "Not there: {missing}" if files else "The index names no file.",
            "Get these files from where the model came.",
            name=name or display_name(index.parent),
            missing=", ".join(missing[:5]),
        )
    return files


def _inside(folder: Path, file: str) -> Path:
    if Path(file).name != file:
        raise ValueError(f"it names {file}, which is elsewhere")
    return folder / file


def display_name(folder: Path) -> str:
    """What to call a model folder: the alias, the Hub id of a cache folder, or the folder's own name."""
    if folder == places.starter_folder():
        return "starter"
    if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--"):
        return folder.parent.parent.name.removeprefix("models--").replace("--", "/")
    return folder.name


def folder_for(name: str, label: str) -> Path:
    """Where a conversion of the model of this name goes in the program's own folder: NAME-4bit, NAME-mlx unlabelled."""
    plain = name.rstrip("/").rsplit("/", 1)[-1].removesuffix(".gguf")
    return places.models_folder() / f"{plain}-{label.replace('-bit', 'bit') or 'mlx'}"


def on_disk() -> Iterator[ModelFiles]:
    """Every usable model in the program, the Models folder and the Hugging Face cache; broken ones are passed over."""
    for folder in _candidates():
        try:
            yield describe(folder)
        except (UserError, OSError, ValueError, TypeError):
            continue


def _candidates() -> Iterator[Path]:
    yield places.starter_folder()
    yield from sorted(path.parent for path in places.models_folder().glob("*/config.json"))
    from huggingface_hub import constants

    for repository in sorted(Path(constants.HF_HUB_CACHE).glob("models--*")):
        snapshots = sorted(repository.glob("snapshots/*/config.json"), key=lambda path: path.stat().st_mtime)
        if snapshots:
            yield snapshots[-1].parent
