"""Reads a .gguf file, llama.cpp's form of a model: weights, tokenizer and chat template. Knows no other form."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.convert import gguf_names, gguf_tensors, gguf_tokenizer
from engine.convert.gguf_config import hugging_face_config
from engine.convert.gguf_header import MAGIC, Header, read_header
from engine.convert.settings import ConversionSettings
from engine.convert.source import Source, TensorInfo
from engine.errors import UserError
from engine.events import Event

if TYPE_CHECKING:
    import mlx.core as mx

# Files that go along with a model, by what they say they are.
_NO_MODELS = {"mmproj": "the part of a model that sees or hears", "adapter": "an adapter", "imatrix": "a measurement"}


def recognise(path: Path) -> bool:
    """Whether a file is a GGUF file, whole or not."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def examine(path: Path) -> Source:
    """Look at a .gguf file, or at any part of one that was split: its header only.

    Raises:
        UserError: it is damaged, incomplete, no language model, or one of a kind that cannot be read.
    """
    header = read_header(path)
    _require_model(header)
    config = hugging_face_config(header)
    parts = list(gguf_names.parts(header, config))
    quantization = gguf_tensors.quantization(parts)
    matrices = [(part.tensor.kind, part.tensor.size) for part in parts if len(part.shape) > 1]
    config |= gguf_tokenizer.special_ids(header)
    config["dtype"] = gguf_tensors.mlx_name(gguf_tensors.dtype_of(matrices))
    if quantization:
        config["quantization"] = quantization
    return Source(
        kind="gguf",
        path=path,
        name=path.stem,
        config=config,
        tensors={
            tensor.name: TensorInfo(tensor.shape, gguf_tensors.mlx_name(tensor.kind), tensor.size)
            for tensor in header.tensors.values()
        },
        files=header.files,
        tokenizer="gguf" if gguf_tokenizer.is_known(header) else "",
        has_chat_template=bool(header.metadata.get(gguf_tokenizer.TEMPLATE)),
        warnings=tuple(_warnings(header, parts)),
    )


def weights(source: Source, scratch: Path) -> Generator[Event, None, dict[str, mx.array]]:
    """The weights by the names of the model class, rewritten in `scratch` and read when they are evaluated.

    Q4_0, Q4_1, Q8_0 and MXFP4 stay quantised, exactly; other quantised formats become float16 or bfloat16.
    """
    parts = list(gguf_names.parts(read_header(source.path), source.config))
    return (yield from gguf_tensors.stored(parts, scratch))


def size_as_read(source: Source) -> int:
    """The bytes its weights take when read, in `scratch` as in an unchanged result: more than the file's for many."""
    return sum(
        gguf_tensors.size_as_read(tensor.dtype, tensor.shape, source.config["dtype"])
        for tensor in source.tensors.values()
    )


def save_tokenizer(source: Source, output: Path, settings: ConversionSettings) -> dict[str, Any]:
    """Write the tokenizer's files into `output`; the keys of config.json that follow from it.

    Raises:
        UserError: there is no tokenizer, it is of an unknown form or damaged, or it lacks the token asked for.
    """
    return gguf_tokenizer.save(read_header(source.path), output, settings.eos_token)


def _require_model(header: Header) -> None:
    kind = str(header.metadata.get("general.type", "model"))
    if header.architecture == "clip":
        kind = "mmproj"
    if kind in _NO_MODELS:
        raise UserError(
            "{name} is not a language model.",
            "It is {kind}, which only works together with one.",
            "Choose the model's own .gguf file.",
            name=header.files[0].name,
            kind=_NO_MODELS[kind],
        )


def _warnings(header: Header, parts: list[gguf_names.Part]) -> list[str]:
    found = gguf_tokenizer.warnings(header)
    lossy = {part.tensor.kind for part in parts if len(part.shape) > 1}
    lossy -= {*gguf_tensors.NATIVE, "F32", "F16", "BF16", "F64"}
    if lossy:
        kinds = ", ".join(sorted(lossy))
        found.append(
            f"MLX has no format like {kinds}; these weights become 16 bits wide unless they are quantised anew."
        )
    return found
