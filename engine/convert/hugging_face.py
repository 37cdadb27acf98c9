"""Reads Hugging Face and MLX model folders: safetensors, sharded or not, and pytorch_model.bin. Knows no other form."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import library, model_config, stored_weights
from engine.architectures import layouts
from engine.convert import nanochat_tokenizer, safetensors_files, tokenizer_files, torch_files
from engine.convert.settings import ConversionSettings
from engine.convert.source import Source, TensorInfo
from engine.errors import UserError
from engine.events import Event

if TYPE_CHECKING:
    import mlx.core as mx

_TORCH = "pytorch_model"
# nanochat's tokenizer beside a config.json, as the original project's converter left its folders.
_PICKLED = "tokenizer.pkl"


def examine(folder: Path) -> Source:
    """Look at a model folder: its config.json and the headers of its weight files.

    Raises:
        UserError: a file is missing or damaged.
    """
    config = model_config.read(folder)
    name = library.display_name(folder)
    library.model_type(config, name)
    files = _weight_files(folder, name)
    if files[0].suffix == ".safetensors":
        tensors = safetensors_files.headers(files, folder / "model.safetensors.index.json")
    else:
        tensors = safetensors_files.merge(torch_files.look_all(files), folder / f"{_TORCH}.bin.index.json")
    return Source(
        kind="mlx" if "quantization" in config or _is_mlx(files[0]) else "hugging face",
        path=folder,
        name=name,
        config=config,
        tensors=tensors,
        files=tuple(files),
        tokenizer=tokenizer_files.describe(folder) or (_PICKLED if (folder / "tokenizer.pkl").is_file() else ""),
        has_chat_template=tokenizer_files.has_chat_template(folder),
        warnings=tuple(_warnings(folder, config, tensors)),
    )


def has_weights(folder: Path) -> bool:
    """Whether a folder holds weights in a form of Hugging Face's."""
    return any(folder.glob("*.safetensors*")) or any(folder.glob(f"{_TORCH}*.bin*"))


def weights(source: Source, scratch: Path) -> Generator[Event, None, dict[str, mx.array]]:
    """The weights, read from their files when they are evaluated; what MLX cannot read is rewritten first."""

    files = list(source.files)
    foreign = [file for file in files if file.suffix != ".safetensors" or safetensors_files.is_foreign(file)]
    rewritten = [scratch / f"{file.stem}.safetensors" for file in foreign]
    if not all(file.is_file() for file in rewritten):
        rewritten = yield from torch_files.rewrite(foreign, scratch)
    files = [file for file in files if file not in foreign] + rewritten
    return stored_weights.opened(files)


def save_tokenizer(source: Source, output: Path, settings: ConversionSettings) -> dict[str, Any]:
    """Write the tokenizer's files; the keys of config.json that follow from it."""
    if source.tokenizer == _PICKLED:
        context = source.config.get("max_position_embeddings") or source.config.get("sequence_len") or 2048
        pickled = source.path / "tokenizer.pkl"
        return nanochat_tokenizer.save(pickled, output, context=context, eos_token=settings.eos_token)
    return tokenizer_files.save(
        source.path, output, eos_token=settings.eos_token, trust_remote_code=settings.trust_remote_code
    )


def _weight_files(folder: Path, name: str) -> list[Path]:
    """The weight files of any form, safetensors first."""
    if (folder / "model.safetensors.index.json").is_file() or any(folder.glob("model*.safetensors")):
        return library.weight_files(folder, name)
    others = [path for path in sorted(folder.glob("*.safetensors")) if path.name != "adapter_model.safetensors"]
    if len(others) == 1:
        return others
    torch_index = folder / f"{_TORCH}.bin.index.json"
    if torch_index.is_file():
        return library.indexed_files(torch_index, name)
    whole = folder / f"{_TORCH}.bin"
    found = [whole] if whole.is_file() else sorted(folder.glob(f"{_TORCH}-*-of-*.bin"))
    if found:
        return found
    if (folder / "adapter_config.json").is_file():
        raise only_an_adapter(folder)
    raise UserError(
        "{name} has no weights.",
        "There is no model.safetensors and no pytorch_model.bin in {folder}.",
        "Get the missing files from where the model came.",
        name=name,
        folder=folder,
    )


def only_an_adapter(folder: Path) -> UserError:
    """The refusal of a folder that holds an adapter and no model."""
    return UserError(
        "{name} is an adapter, not a whole model.",
        "It holds only the changes that a fine-tuning made.",
        "Merge it into its model: mlx-grpo fuse --model MODEL --adapter {folder} --mlx-path OUT",
        name=library.display_name(folder),
        folder=folder,
    )


def _is_mlx(file: Path) -> bool:
    return safetensors_files.metadata(file).get("format") == "mlx" if file.suffix == ".safetensors" else False


def _warnings(folder: Path, config: dict[str, Any], tensors: dict[str, TensorInfo]) -> list[str]:
    found = []
    code = sorted({path.name for path in folder.glob("*.py")} | _named_code(config))
    if code:
        what = f"It comes with Python code ({', '.join(code)}), which could do anything."
        found.append(f"{what} It is not run unless you allow it.")
    senses = sum(layouts.OTHER_SENSES.search(name) is not None for name in tensors)
    if senses:
        found.append(f"Only the text part is converted; {senses} tensors for pictures or sound are left out.")
    return found


def _named_code(config: dict[str, Any]) -> set[str]:
    """The files that an `auto_map` would have run."""
    named = config.get("auto_map")
    words: list[Any] = list(named.values()) if isinstance(named, dict) else []
    flat = [word for entry in words for word in (entry if isinstance(entry, list) else [entry])]
    return {f"{word.split('--')[-1].split('.')[0]}.py" for word in flat if isinstance(word, str)}
