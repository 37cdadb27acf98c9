"""Which files of a repository make a model: safetensors, torch's .bin, nanochat's .pt, .gguf. Fetches nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserError

SAFETENSORS_INDEX = "model.safetensors.index.json"
TORCH_INDEX = "pytorch_model.bin.index.json"
_SAFETENSORS = re.compile(r"model[^/]*\.safetensors")
_TORCH = re.compile(r"pytorch_model(-\d{5}-of-\d{5})?\.bin")
_SHARD = re.compile(r"(.+-)\d{5}(-of-(\d{5})\.(?:safetensors|bin|gguf))")
# Code (.py) is fetched and not run: some tokenizers consist of it, and the person may allow it later.
_BESIDES = re.compile(r"[^/]+\.(json|txt|jinja|tiktoken|model|py)|additional_chat_templates/[^/]+\.jinja")
_NANOCHAT = re.compile(r"(?P<folder>(?:.*/)?)model_(?P<step>\d+)\.pt")
_NANOCHAT_TOKENIZER = re.compile(r"(?:.*/)?(tokenizer\.pkl|token_bytes\.pt|tokenizer\.json)")
_STAGES = ("base", "mid", "sft", "chatsft", "rl", "chatrl")  # nanochat's, the furthest trained last
_NAMED = re.compile(r"(?P<repository>[^/:]+/[^/:]+)(?:/(?P<file>.+\.gguf)|:(?P<quantisation>[\w.-]+))")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The weight files, what else to fetch with them, and `file` where one file is the model (""; else its folder)."""

    weights: tuple[str, ...]
    besides: tuple[str, ...] = ()
    file: str = ""


def split(name: str) -> tuple[str, str]:
    """The repository of a name, and which of its .gguf files is meant.

    `owner/model/folder/file.gguf` names the file, `owner/model:Q4_K_M` its quantisation; else "".
    """
    found = _NAMED.fullmatch(name)
    return (found["repository"], found["file"] or found["quantisation"]) if found else (name, "")


def choose(
    names: Collection[str], snapshot: Path, *, any_kind: bool, wanted: str = "", sizes: Mapping[str, int] | None = None
) -> Chosen | None:
    """The files that make the model, None where there is none; safetensors go first.

    Args:
        names: every file of the repository.
        snapshot: where config.json and an index already lie, if there is one.
        any_kind: weights that have to be converted will do.
        wanted: the .gguf file or quantisation that is meant.
        sizes: of the files in bytes, to tell them apart in an error.

    Raises:
        UserError: several .gguf files would do, or none is the one that is meant.
        ValueError, KeyError, TypeError, AttributeError: the index is damaged.
    """
    # A model that is converted passes on its licence, which its card states.
    besides = tuple(sorted(name for name in names if _BESIDES.fullmatch(name) or (any_kind and name == "README.md")))
    if not wanted and "config.json" in names:
        weights = _indexed(names, snapshot, SAFETENSORS_INDEX, _SAFETENSORS)
        if not weights and any_kind:
            weights = _indexed(names, snapshot, TORCH_INDEX, _TORCH) or _other_safetensors(names)
        if weights:
            return Chosen(weights, besides)
    if not any_kind:
        return None
    return (None if wanted else _nanochat(names)) or _gguf(names, wanted, sizes or {})


def _indexed(names: Collection[str], snapshot: Path, index: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
    """The weight files of a complete model: those its index names, else those of the usual name with every shard.

    Of an index that is still to be fetched, its own name.
    """
    if index in names:
        path = snapshot / index
        return tuple(sorted(set(json.loads(path.read_bytes())["weight_map"].values()))) if path.is_file() else (index,)
    return tuple(sorted(_all_shards(filter(pattern.fullmatch, names))))


def _other_safetensors(names: Collection[str]) -> tuple[str, ...]:
    """The one file of safetensors that has a name of its own, if there is just one."""
    found = [name for name in names if re.fullmatch(r"[^/]+\.safetensors", name) and not name.startswith("adapter")]
    return tuple(found) if len(found) == 1 else ()


def _all_shards(names: Iterable[str]) -> set[str]:
    """The files with every shard of those that are one, there or not."""
    found = set(names)
    for shard in [*filter(None, map(_SHARD.fullmatch, found))]:
        found |= {f"{shard[1]}{number:05}{shard[2]}" for number in range(1, int(shard[3]) + 1)}
    return found


def _nanochat(names: Collection[str]) -> Chosen | None:
    """The newest step of the furthest trained checkpoint, with its metadata and the tokenizer."""

    def rank(match: re.Match[str]) -> tuple[int, int]:
        stages = [number for number, stage in enumerate(_STAGES) if f"{stage}_checkpoints/" in match["folder"]]
        return (max(stages, default=len(_STAGES)), int(match["step"]))

    models = [*filter(None, map(_NANOCHAT.fullmatch, names))]
    if not models:
        return None
    newest = max(models, key=rank)
    metadata = f"{newest['folder']}meta_{newest['step']}.json"
    besides = [name for name in sorted(names) if _NANOCHAT_TOKENIZER.fullmatch(name) or name == metadata]
    return Chosen((newest[0],), tuple(besides))


def _gguf(names: Collection[str], wanted: str, sizes: Mapping[str, int]) -> Chosen | None:
    """The one .gguf file, or the one that is meant; the parts of a split one are one."""
    files = [name for name in sorted(names) if name.endswith(".gguf") and "mmproj" not in name.lower()]
    firsts = [name for name in files if not (part := _SHARD.fullmatch(name)) or f"{part[1]}00001{part[2]}" == name]
    if wanted:
        exact = [name for name in firsts if wanted in {name, name.rpartition("/")[2]}]
        word = re.compile(rf"(?<![A-Z0-9]){re.escape(wanted)}(?![A-Z0-9_])", re.IGNORECASE)
        matching = exact or [name for name in firsts if word.search(name.removesuffix(".gguf"))]
    else:
        matching = firsts
    if len(matching) == 1:
        return Chosen(tuple(sorted(_all_shards(matching))), file=matching[0])
    if not files and not wanted:
        return None
    listed = {name: sum(sizes.get(part, 0) for part in _all_shards([name])) for name in matching or firsts}
    raise UserError(
        "Several .gguf files would do." if matching else "There is no .gguf file {wanted} in this repository.",
        "There are: {files}",
        "Name the one you want as owner/model/file.gguf, or by its quantisation as owner/model:Q4_K_M.",
        wanted=wanted,
        files=", ".join(f"{name} ({size / 1e9:.2f} GB)" if size else name for name, size in listed.items()) or "none",
    )
