"""Reads the header of a .gguf file and where its tensors lie. Knows no architecture, reads no weights, imports no MLX.

The layout is that of ggml's docs/gguf.md, versions 2 and 3. Nothing a file claims is believed before it was measured
against the file's own length, so that a damaged one can neither read past its end nor ask for memory it has no use for.
"""

from __future__ import annotations

import math
import mmap
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UserError

MAGIC = b"GGUF"
_ALIGNMENT = 32
_STRING, _ARRAY = 8, 9
# The fixed-size value types of the format, by number.
_FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_MAXIMUM_DIMENSIONS = 4
_PART = re.compile(r"^(.*)-(\d{5})-of-(\d{5})\.gguf$")
_DOWNLOAD_AGAIN = "Download the file again, or choose another one."


@dataclass(frozen=True, slots=True)
class GGUFTensor:
    """One tensor: its shape with rows first (as numpy has it), the name of its number format, and its bytes' place."""

    name: str
    kind: str
    shape: tuple[int, ...]
    file: Path
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Header:
    """All that a model's files say before the weights: its metadata, its tensors by name, the files in their order."""

    metadata: Mapping[str, Any]
    tensors: Mapping[str, GGUFTensor]
    files: tuple[Path, ...]

    @property
    def architecture(self) -> str:
        """The name llama.cpp gives this kind of model, such as "qwen2"; "" where there is none."""
        return str(self.metadata.get("general.architecture", ""))

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key of this architecture: get("block_count") reads "llama.block_count"."""
        return self.metadata.get(f"{self.architecture}.{key}", default)


def read_header(path: Path) -> Header:
    """The header of a .gguf file, or those of all parts of a model that was split into several.

    Raises:
        UserError: a part is missing, or a file is damaged, incomplete or of a form that is not read.
        OSError: a file cannot be read.
    """
    metadata: dict[str, Any] = {}
    tensors: dict[str, GGUFTensor] = {}
    files = parts(path)
    for file in files:
        found, described = _Reader(file).read()
        metadata = metadata or found
        for tensor in described:
            if tensor.name in tensors:
                raise _damaged(file, "it holds the tensor {tensor} twice", tensor=tensor.name)
            tensors[tensor.name] = tensor
    stated = metadata.get("split.tensors.count", len(tensors))
    if stated != len(tensors):
        raise _damaged(
            files[0], "it announces {stated} tensors and {found} are there", stated=stated, found=len(tensors)
        )
    return Header(metadata, tensors, files)


def parts(path: Path) -> tuple[Path, ...]:
    """The files of the model that `path` is, or is a part of, by their names "...-00001-of-00003.gguf".

    Raises:
        UserError: one of them is not there.
    """
    match = _PART.match(path.name)
    if match is None:
        return (path,)
    stem, _, count = match.groups()
    files = tuple(path.with_name(f"{stem}-{number:05}-of-{count}.gguf") for number in range(1, int(count) + 1))
    missing = [file.name for file in files if not file.is_file()]
    if missing or not files:
        raise UserError(
            "{name} is one of {count} parts, and not all of them are here.",
            "Missing beside it: {missing}",
            "Put all parts into one folder under their original names.",
            name=path.name,
            count=int(count),
            missing=", ".join(missing[:3]),
        )
    return files


class _Reader:
    """Walks over one file; `_at` is where it stands."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._at = 0
        self._data: mmap.mmap | bytes = b""
        self._end = file.stat().st_size

    def read(self) -> tuple[dict[str, Any], list[GGUFTensor]]:
        with self._file.open("rb") as stream:
            if stream.read(len(MAGIC)) != MAGIC:
                raise _damaged(self._file, "it does not begin with the letters GGUF")
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as self._data:
                self._at = len(MAGIC)
                return self._read()

    def _read(self) -> tuple[dict[str, Any], list[GGUFTensor]]:
        version = self._number("I")
        if version not in (2, 3):
            raise self._unread_version(int(version))
        tensor_count, key_count = self._count(24), self._count(13)
        metadata: dict[str, Any] = {}
        for _ in range(key_count):
            key = self._string()
            metadata[key] = self._value(self._number("I"), key)
        alignment = metadata.get("general.alignment", _ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise _damaged(self._file, "its alignment is {alignment}, not a power of two", alignment=alignment)
        described = [self._tensor() for _ in range(tensor_count)]
        start = -(-self._at // alignment) * alignment
        return metadata, [self._placed(tensor, start, alignment) for tensor in described]

    def _tensor(self) -> tuple[str, int, tuple[int, ...], int]:
        name = self._string()
        dimensions = self._number("I")
        if dimensions > _MAXIMUM_DIMENSIONS:
            raise _damaged(self._file, "its tensor {tensor} has {count} dimensions", tensor=name, count=dimensions)
        shape = tuple(self._number("Q") for _ in range(dimensions))
        return name, self._number("I"), shape[::-1], self._number("Q")

    def _placed(self, tensor: tuple[str, int, tuple[int, ...], int], start: int, alignment: int) -> GGUFTensor:
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

        name, number, shape, offset = tensor
        if number not in set(GGMLQuantizationType):
            raise UserError(
                "{name} stores {tensor} in a number format this program does not know.",
                "The format has the number {number}; it is newer than this program, or the file is damaged.",
                "Choose another file of this model, such as Q8_0 or Q4_K_M.",
                name=self._file.name,
                tensor=name,
                number=number,
            )
        kind = GGMLQuantizationType(number)
        block, width = GGML_QUANT_SIZES[kind]
        elements = math.prod(shape)
        size = elements // block * width
        if (shape and shape[-1] % block) or offset % alignment:
            raise _damaged(self._file, "the place or shape of its tensor {tensor} cannot be right", tensor=name)
        if start + offset + size > self._end:
            raise _damaged(
                self._file,
                "its tensor {tensor} should end at byte {needed}, but the file has only {end}",
                tensor=name,
                needed=start + offset + size,
                end=self._end,
            )
        return GGUFTensor(name, kind.name, shape, self._file, start + offset, size)

    def _value(self, kind: int, key: str) -> Any:
        if kind == _STRING:
            return self._string()
        if kind in _FORMATS:
            return self._number(_FORMATS[kind])
        if kind != _ARRAY:
            raise _damaged(self._file, "the value of {key} is of no known type", key=key)
        item = self._number("I")
        if item == _STRING:
            return self._strings(self._count(8))
        if item not in _FORMATS:
            raise _damaged(self._file, "the value of {key} is a list of no known type", key=key)
        form = _FORMATS[item]
        count = self._count(struct.calcsize("<" + form))
        return list(struct.unpack(f"<{count}{form}", self._bytes(count * struct.calcsize("<" + form))))

    def _count(self, least: int) -> int:
        """A number of things to follow, each of which takes at least so many bytes."""
        count = int(self._number("Q"))
        if count * least > self._end - self._at:
            raise _damaged(self._file, "it announces {count} things to follow and is too short for them", count=count)
        return count

    def _number(self, form: str) -> Any:
        return struct.unpack("<" + form, self._bytes(struct.calcsize("<" + form)))[0]

    def _string(self) -> str:
        # Vocabularies may hold pieces that are no text by themselves.
        return self._bytes(self._number("Q")).decode("utf-8", "replace")

    def _strings(self, count: int) -> list[str]:
        """As many strings; a vocabulary has hundreds of thousands, hence without a call for each."""
        data, at, end = self._data, self._at, self._end
        strings = []
        for _ in range(count):
            start = at + 8
            at = start + int.from_bytes(data[start - 8 : start], "little")
            if at > end:
                raise _damaged(self._file, "it ends in the middle of its header")
            strings.append(data[start:at].decode("utf-8", "replace"))
        self._at = at
        return strings

    def _bytes(self, count: int) -> bytes:
        start, self._at = self._at, self._at + count
        if self._at > self._end:
            raise _damaged(self._file, "it ends in the middle of its header")
        return self._data[start : self._at]

    def _unread_version(self, version: int) -> UserError:
        swapped = version & 0xFFFF == 0 and version
        return UserError(
            "{name} is a GGUF file of a form this program does not read.",
            "It was written for computers with the other byte order." if swapped else "It has version {version}.",
            "Get the model as a current GGUF file (version 3), or as a Hugging Face folder.",
            name=self._file.name,
            version=version,
        )


def _damaged(file: Path, reason: str, **values: Any) -> UserError:
    return UserError(
        "{name} cannot be read as a GGUF file.",
        f"The file is damaged or incomplete: {reason}.",
        _DOWNLOAD_AGAIN,
        name=file.name,
        **values,
    )
