"""Reads nanochat checkpoints: torch weights, JSON metadata, pickled tokenizer. Runs no code, knows no model class."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from engine.convert import nanochat_epochs, nanochat_places, nanochat_tokenizer, torch_files
from engine.convert.settings import ConversionSettings
from engine.convert.source import Source
from engine.errors import UserError
from engine.events import Event

if TYPE_CHECKING:
    import mlx.core as mx

recognise = nanochat_places.recognise

# What torch.compile puts before the name of each tensor.
_PREFIX = "_orig_mod."


def examine(path: Path, overrides: Mapping[str, float] | None = None, step: int | None = None) -> Source:
    """Look at a checkpoint: its metadata, what tensors it has, and its tokenizer.

    Args:
        path: a model_*.pt, the folder of a run, a folder of runs, or nanochat's base folder.
        overrides: rope_theta, softcap and qk_scale where the person states them; else they follow from the tensors.
        step: the step to take; None for the newest.

    Raises:
        UserError: a part is missing, damaged, dangerous or unknown, or belongs to another model.
    """
    checkpoint = nanochat_places.find(path, step)
    metadata = checkpoint.metadata()
    file = checkpoint.model
    nanochat_epochs.check(metadata, file)
    tokenizer = checkpoint.tokenizer()
    facts = _tokenizer_of(tokenizer, metadata["vocab_size"])
    tensors = torch_files.look(file)
    plain = {name.removeprefix(_PREFIX): info for name, info in tensors.items()}
    described = nanochat_epochs.describe(metadata, plain, overrides or {}, file)
    config, warnings = described.config, [*checkpoint.choices, *described.warnings]
    if facts is not None:
        config |= {"bos_token_id": facts.specials[nanochat_tokenizer.BEGIN], "eos_token_id": facts.stops()}
    return Source(
        kind="nanochat",
        path=path,
        name=checkpoint.name,
        config=config,
        tensors=tensors,
        files=(file,),
        tokenizer="" if tokenizer is None else "tiktoken" if tokenizer.suffix == ".pkl" else "tokenizer.json",
        has_chat_template=tokenizer is not None,
        warnings=tuple(warnings),
    )


def _tokenizer_of(file: Path | None, vocabulary: int) -> nanochat_tokenizer.Facts | None:
    """What the tokenizer holds, if there is one; refuses that of another model."""
    if file is None:
        return None
    facts = nanochat_tokenizer.examine(file)
    if facts.size != vocabulary:
        raise UserError(
            "The tokenizer {tokenizer} belongs to another model.",
            "It has {found:,} tokens and the model {expected:,}.",
            "Put the tokenizer.pkl of this model beside its model_*.pt.",
            tokenizer=file,
            found=facts.size,
            expected=vocabulary,
        )
    return facts


def weights(source: Source, scratch: Path) -> Generator[Event, None, dict[str, mx.array]]:
    """The weights by nanochat's names, without torch.compile's prefix and the vocabulary's padding.

    They are rewritten as safetensors in `scratch` and read when they are evaluated.
    """
    import mlx.core as mx

    (file,) = source.files
    rewritten = scratch / f"{file.stem}.safetensors"
    if not rewritten.is_file():
        (rewritten,) = yield from torch_files.rewrite([file], scratch)
    rows = source.config["vocab_size"]

    def cropped(name: str, array: mx.array) -> mx.array:
        padded = nanochat_epochs.has_vocabulary_rows(name) and array.shape[0] > rows
        return array[:rows] if padded else array

    arrays = cast("dict[str, mx.array]", mx.load(str(rewritten)))
    plain = {name.removeprefix(_PREFIX): array for name, array in arrays.items()}
    return {name: cropped(name, array) for name, array in plain.items()}


def save_tokenizer(source: Source, output: Path, settings: ConversionSettings) -> dict[str, Any]:
    """Write the tokenizer's files into `output`; the keys of config.json that follow from it.

    Raises:
        UserError: there is no tokenizer, it is damaged, or it lacks the end-of-text token that was asked for.
    """
    (file,) = source.files
    tokenizer = nanochat_places.Checkpoint(file, source.name).tokenizer()
    if tokenizer is None:
        raise UserError(
            "The checkpoint {file} has no tokenizer.",
            "There is no tokenizer.pkl beside it, nor in nanochat's tokenizer folder.",
            "Copy tokenizer.pkl beside the model_*.pt; it is in ~/.cache/nanochat/tokenizer of the training machine.",
            file=file,
        )
    context = source.config["max_position_embeddings"]
    return nanochat_tokenizer.save(tokenizer, output, context=context, eos_token=settings.eos_token)
