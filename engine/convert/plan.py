"""Says what a conversion would make of a source, and whether it fits this machine. Imports no MLX."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine import library, memory, places
from engine.conversion_events import ConversionPlanned
from engine.convert import check, safetensors_files
from engine.convert.estimate import WIDTHS, estimate, matrices
from engine.convert.settings import ConversionSettings
from engine.convert.source import Source, TensorInfo
from engine.errors import UserError

# How MLX and others pack several weights into one number, and what they need to unpack it.
_PACKED = {"uint32", "int32"}
_SCALES = (".scales", ".biases", ".qzeros")
_FLOATS = {"float32", "float16", "bfloat16", "float64", "float8_e4m3", "float8_e5m2"}


def make(source: Source, output: Path, settings: ConversionSettings) -> ConversionPlanned:
    """The plan for turning `source` into a model in the folder `output`.

    Raises:
        UserError: the configuration states more layers than there are tensors.
    """
    config = source.config
    nested = config.get("text_config")
    text = config | nested if isinstance(nested, dict) else config
    layers = _whole(text, "num_hidden_layers", "n_layer", "num_layers", "n_layers")
    if layers > len(source.tensors):
        # Building them first would take hours and all of the memory.
        raise UserError(
            "The configuration of {name} does not fit its weights.",
            "It states {layers:,} layers, and the weight files hold {tensors:,} tensors in all.",
            "Get the model again; its weights or its configuration belong to another model.",
            name=source.name,
            layers=layers,
            tensors=len(source.tensors),
        )
    tensors = _unpacked(source)
    parameters, dtype = _parameters(source, tensors)
    applied, others = matrices(tensors, layers)
    size = source.size
    plan = ConversionPlanned(
        source=str(source.path),
        output=str(output),
        kind=source.kind,
        name=source.name,
        model_type=str(config.get("model_type", "")),
        parameters=parameters,
        dtype=dtype,
        shards=len(source.files),
        layers=layers,
        context=_whole(text, "max_position_embeddings", "n_positions", "n_ctx"),
        tokenizer=source.tokenizer,
        has_chat_template=source.has_chat_template,
        source_bytes=size,
        result_bytes=0,
        result_bits=0.0,
        peak_memory=0,
        disk_needed=0,
        free_disk=shutil.disk_usage(_existing(output)).free,
        checked=source.kind in {"hugging face", "mlx"} and check.worth_checking(parameters, memory.available()),
        matrices=applied,
        other_weights=others,
        largest_tensor=max((tensor.size for tensor in source.tensors.values()), default=0),
        scratch_bytes=_rewritten(source),
        weight_bytes=_weight_bytes(source, dtype),
        warnings=source.warnings,
    )
    return estimate(plan, settings)


def output_folder(name: str, source: Source, settings: ConversionSettings) -> Path:
    """The folder a result goes to: the one that was named, else one of the program's own."""
    if name:
        return places.expand(name).absolute()
    return library.folder_for(source.name, settings.label())


def require(plan: ConversionPlanned, overwrite: bool) -> None:
    """Refuse what cannot succeed, before anything is read.

    Raises:
        UserError: the output exists, is the source, or cannot be written; or the disk is too full.
    """
    output, source = Path(plan.output), Path(os.path.realpath(plan.source))
    if Path(os.path.realpath(output)) in {source, *source.parents}:
        raise UserError(
            "The result cannot be written over its own source.",
            "{output} is the folder of the checkpoint itself, or holds it.",
            "Choose another output folder.",
            output=output,
        )
    obstacle = next(place for place in (*reversed(output.parents), output) if not place.is_dir() or place == output)
    if obstacle != output and os.path.lexists(obstacle):
        raise UserError(
            "There can be no folder {output}.",
            "{obstacle} is in the way: it is a file, or a link that leads to no folder.",
            "Choose another output folder.",
            output=output,
            obstacle=obstacle,
        )
    if os.path.lexists(output) and not overwrite:
        raise UserError(
            "The output folder exists already: {output}",
            "Nothing is replaced unless you say so.",
            "Choose another folder with --mlx-path, or replace this one with --overwrite.",
            output=output,
        )
    if os.path.lexists(output) and not _replaceable(output):
        raise UserError(
            "{output} is not replaced.",
            "It is a link to another place." if output.is_symlink() else "It is not a model folder.",
            "Give the folder that the link leads to, or choose another output folder."
            if output.is_symlink()
            else "Choose another output folder.",
            output=output,
        )
    if not os.access(_existing(output.parent), os.W_OK):
        raise UserError(
            "Nothing can be written to {folder}.",
            "The folder may belong to somebody else, be locked, or lie on a disk that is read-only.",
            "Choose another output folder, or change the permissions of this one.",
            folder=_existing(output.parent),
        )
    if plan.disk_needed > plan.free_disk:
        raise UserError(
            "There is not enough room on the disk.",
            "The conversion needs about {needed:,.1f} MB, and {free:,.1f} MB are free where {folder} is.",
            "Free some space, choose an output folder on another disk, or quantise to fewer bits.",
            needed=plan.disk_needed / 1e6,
            free=plan.free_disk / 1e6,
            folder=output.parent,
        )


def _replaceable(output: Path) -> bool:
    """Whether a folder is empty or a model and no more, so that nothing else is lost with it."""
    if output.is_symlink() or not output.is_dir():
        return False
    named = (output / "config.json").is_file() and any(output.glob("*.safetensors"))
    return named or not any(output.iterdir())


def _unpacked(source: Source) -> Mapping[str, TensorInfo]:
    """The weights with the shapes they have when they are not packed, without the scales that packing needs."""
    quantization = source.config.get("quantization") or source.config.get("quantization_config")
    if source.kind == "gguf" or not isinstance(quantization, dict):
        return source.tensors
    found = {}
    for name, tensor in source.tensors.items():
        if name.endswith(_SCALES):
            continue
        if tensor.dtype in _PACKED and tensor.shape:
            row = tensor.shape[-1] * 32 // _bits(quantization, name.rpartition(".")[0])
            tensor = replace(tensor, shape=(*tensor.shape[:-1], row))  # noqa: PLW2901
        found[name] = tensor
    return found


def _bits(quantization: dict[str, Any], layer: str) -> int:
    """The bits of a layer's weights; 4 where nothing is said, as most packings have it."""
    own = quantization.get(layer)
    bits = (own if isinstance(own, dict) else quantization).get("bits")
    return bits if isinstance(bits, int) and bits > 0 else 4


def _parameters(source: Source, tensors: Mapping[str, TensorInfo]) -> tuple[int, str]:
    """The number of weights, and in which number format they are."""
    quantization = source.config.get("quantization") or source.config.get("quantization_config")
    if source.kind != "gguf" and isinstance(quantization, dict):
        mode = str(quantization.get("mode") or quantization.get("quant_method") or "")
        return sum(tensor.elements for tensor in tensors.values()), f"{mode} {_bits(quantization, '')}-bit".strip()
    formats = {tensor.dtype for tensor in tensors.values() if tensor.dtype in _FLOATS or source.kind == "gguf"}
    count = sum(tensor.elements for tensor in tensors.values())
    if source.kind == "gguf":
        # Norms stay float32 in every .gguf; the format is that of most weights.
        counted: Counter[str] = Counter()
        for tensor in tensors.values():
            counted[tensor.dtype] += tensor.elements
        most = counted.most_common(1)[0][0]
        return count, {"F16": "float16", "F32": "float32", "BF16": "bfloat16"}.get(most, most)
    return count, formats.pop() if len(formats) == 1 else "mixed"


def _weight_bytes(source: Source, dtype: str) -> float:
    """The bytes of one weight that is not quantised; made whole again, weights take the type of their scales."""
    if dtype in WIDTHS:
        return WIDTHS[dtype]
    scales = {tensor.dtype for name, tensor in source.tensors.items() if name.endswith(".scales")}
    if source.kind == "gguf" or dtype != "mixed":
        return WIDTHS.get(scales.pop(), 2) if len(scales) == 1 else 2
    return source.size / max(1, sum(tensor.elements for tensor in source.tensors.values()))


def _rewritten(source: Source) -> int:
    """The bytes of weights that are rewritten before MLX can read them."""
    if source.kind == "gguf":
        from engine.convert import gguf

        return gguf.size_as_read(source)
    foreign = (file.suffix != ".safetensors" or safetensors_files.is_foreign(file) for file in source.files)
    return source.size if any(foreign) else 0


def _whole(config: dict[str, object], *keys: str) -> int:
    values = (config.get(key) for key in keys)
    return next((value for value in values if isinstance(value, int) and not isinstance(value, bool) and value > 0), 0)


def _existing(folder: Path) -> Path:
    """The nearest folder above that is there already."""
    return next(parent for parent in (folder, *folder.parents) if parent.is_dir())
