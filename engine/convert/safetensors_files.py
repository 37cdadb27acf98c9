"""Reads what safetensors files say they hold, and doubts every word of it. Reads no numbers and imports no MLX.

The form: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.convert.source import TensorInfo
from engine.errors import UserError

# By the name in the file: MLX's name, and bits a number takes. MLX reads F8_E4M3 and F8_E8M0 as uint8, and neither F64
# nor the rest of those that have no name in MLX.
TYPES = {
    "BOOL": ("bool", 8),
    "U8": ("uint8", 8),
    "I8": ("int8", 8),
    "U16": ("uint16", 16),
    "I16": ("int16", 16),
    "U32": ("uint32", 32),
    "I32": ("int32", 32),
    "U64": ("uint64", 64),
    "I64": ("int64", 64),
    "F64": ("float64", 64),
    "F32": ("float32", 32),
    "F16": ("float16", 16),
    "BF16": ("bfloat16", 16),
    "C64": ("complex64", 64),
    "F8_E4M3": ("float8_e4m3", 8),
    "F8_E5M2": ("float8_e5m2", 8),
    "F8_E8M0": ("float8_e8m0", 8),
    "F8_E4M3FNUZ": ("float8_e4m3fnuz", 8),
    "F8_E5M2FNUZ": ("float8_e5m2fnuz", 8),
    "F6_E2M3": ("float6_e2m3", 6),
    "F6_E3M2": ("float6_e3m2", 6),
    "F4": ("float4", 4),
}
# What mx.load refuses, and the whole file with it.
_FOREIGN = {"float64", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float6_e2m3", "float6_e3m2", "float4"}
# The form's own limit.
_LARGEST_HEADER = 100_000_000
_POINTER = b"version https://git-lfs"


def check_there(path: Path) -> None:
    """Refuse a weight file that is missing, empty, or only the pointer that Git LFS leaves in its place.

    Raises:
        UserError: says which.
    """
    if not path.is_file():
        raise UserError(
            "The weight file {path} is missing.",
            "It may have been moved, renamed or deleted, or the download was not finished.",
            "Get the model again, with all of its files.",
            path=path,
        )
    with path.open("rb") as stream:
        start = stream.read(len(_POINTER))
    if not start:
        raise _damaged(path, "It is empty.")
    if start == _POINTER:
        raise UserError(
            "{path} is not the weights but a pointer to them.",
            "The model was copied with git, without Git LFS, which fetches the large files.",
            "Run `git lfs pull` in that folder, or download the model with MLX-GRPO.",
            path=path,
        )


def header(path: Path) -> dict[str, TensorInfo]:
    """What tensors a safetensors file holds, by name, with every statement checked against the file's length.

    Raises:
        UserError: the file is missing, empty, cut short, too long, or not as its header says.
    """
    told, begin = _told(path)
    told.pop("__metadata__", None)
    length = path.stat().st_size - begin
    places = sorted((_place(path, name, entry) for name, entry in told.items()), key=lambda place: place[:2])
    end = 0
    for first, last, name, _ in places:
        if first != end:
            raise _damaged(path, f"The tensor {name} does not begin where the one before it ends.")
        end = last
    if end > length:
        raise _damaged(path, f"It is cut short: {end - length} of {begin + end} bytes are missing.")
    if end < length:
        raise _damaged(path, f"It is {length - end} bytes longer than its header says.")
    infos = {name: info for _, _, name, info in places}
    return {name: infos[name] for name in told}


def is_foreign(path: Path) -> bool:
    """Whether MLX refuses to read the file, because of the type of some of its tensors.

    Raises:
        UserError: as `header`.
    """
    return any(info.dtype in _FOREIGN for info in header(path).values())


def metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says about itself, such as {"format": "pt"}; empty where it says nothing.

    Raises:
        UserError: as `header`.
    """
    said = _told(path)[0].get("__metadata__", {})
    return {str(name): str(value) for name, value in said.items()} if isinstance(said, dict) else {}


def _told(path: Path) -> tuple[dict[str, Any], int]:
    """The header as it stands in the file, and where the numbers begin."""
    check_there(path)
    length = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(8)
        size = struct.unpack("<Q", start)[0] if len(start) == 8 else length
        if size > _LARGEST_HEADER and length > 8:
            raise _damaged(path, "It does not begin as a safetensors file does.")
        if 8 + size > length:
            raise _damaged(path, "It ends within its header.")
        words = stream.read(size)
    try:
        told = json.loads(words.decode("utf-8"), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"Its header cannot be read: {error}") from error
    if not isinstance(told, dict):
        raise _damaged(path, "Its header is no table of tensors.")
    return told, 8 + size


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} stands in it twice")
    return table


def _place(path: Path, name: str, entry: Any) -> tuple[int, int, str, TensorInfo]:
    """First and last byte of a tensor, its name, and what is told about it."""
    try:
        stored, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise _damaged(path, f"Its header does not describe the tensor {name}.") from error
    numbers = [*shape, first, last] if isinstance(shape, list) else [None]
    if not all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers):
        raise _damaged(path, f"The shape or place of the tensor {name} is no row of whole numbers.")
    if not isinstance(stored, str) or stored not in TYPES:
        raise UserError(
            "{path} holds numbers of a type that is not known: {stored}",
            "The tensor {tensor} has it.",
            "Update the program, or get the model in float16, bfloat16 or float32.",
            path=path,
            stored=stored,
            tensor=name,
        )
    dtype, bits = TYPES[stored]
    if math.prod(shape) * bits != (last - first) * 8:
        raise _damaged(
            path, f"The tensor {name} of shape {shape} and type {stored} does not take {last - first} bytes."
        )
    return first, last, name, TensorInfo(tuple(shape), dtype, last - first)


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(
        "The weight file {path} is damaged.",
        "{reason}",
        "Get the file again; the download or copy was probably interrupted.",
        path=path,
        reason=reason,
    )


def headers(files: Sequence[Path], index: Path | None = None) -> dict[str, TensorInfo]:
    """What tensors several safetensors files hold together, by name.

    Args:
        files: the shards.
        index: the model.safetensors.index.json that says which tensor is in which of them; it need not exist.

    Raises:
        UserError: as `header` and `merge`.
    """
    return merge({file: header(file) for file in files}, index)


def merge(held: Mapping[Path, Mapping[str, TensorInfo]], index: Path | None = None) -> dict[str, TensorInfo]:
    """The tensors of several shards of any form, as one table, checked against their index.

    A tensor that a shard holds and the index does not name is taken all the same, as transformers takes it.

    Raises:
        UserError: two shards hold the same tensor, or the index is damaged, names a tensor that its shard does not
            hold, or a shard that is not there.
    """
    merged: dict[str, TensorInfo] = {}
    owner: dict[str, Path] = {}
    for file, tensors in held.items():
        for name, info in tensors.items():
            if name in merged:
                raise UserError(
                    "{tensor} is in two weight files.",
                    "{first} and {second} both hold it, so that it is not clear which one counts.",
                    "Remove the file that does not belong to the model, or get the model again.",
                    tensor=name,
                    first=owner[name],
                    second=file,
                )
            merged[name], owner[name] = info, file
    if index is not None and index.is_file():
        _check_index(index, owner)
    return merged


def _check_index(index: Path, owner: Mapping[str, Path]) -> None:
    try:
        promised = json.loads(index.read_text("utf-8"))["weight_map"]
        pairs = [(str(name), str(file)) for name, file in promised.items()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            "The list of weight files, {index}, is damaged.",
            "{reason}",
            "Get this file again from where the model came.",
            index=index,
            reason=error,
        ) from error
    wrong = [(name, file) for name, file in pairs if name not in owner or owner[name].name != Path(file).name]
    if wrong:
        name, file = wrong[0]
        raise UserError(
            "Weights are missing: {number} tensors are not where {index} says.",
            "{tensor} should be in {file}; it is in none of the weight files."
            if name not in owner
            else "{tensor} should be in {file}; it is in {found}.",
            "Get the model again; files of two versions of it may have been mixed.",
            number=len(wrong),
            index=index.name,
            tensor=name,
            file=file,
            found=owner[name].name if name in owner else "",
        )
