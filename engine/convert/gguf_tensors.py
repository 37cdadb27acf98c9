"""Turns the blocks of a .gguf file into weights MLX reads lazily, without loss where it can. Knows no architecture.

MLX cannot read a part of a .gguf file later (its loader reads all of it at once), so the weights are written into one
safetensors file, some rows at a time, and read lazily from there.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from engine.convert.gguf_names import Part
from engine.errors import UserError
from engine.events import Progress

if TYPE_CHECKING:
    import mlx.core as mx
    import numpy as np

    Array = np.ndarray[Any, Any]

GROUP = 32  # weights that share a scale, in these formats as in MLX's affine ones
# Formats that say the same as an MLX one, with its bits and mode.
NATIVE = {"Q4_0": (4, "affine"), "Q4_1": (4, "affine"), "Q8_0": (8, "affine"), "MXFP4": (4, "mxfp4")}
_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "U32": 4, "U8": 1}
_CHUNK = 8 * 2**20  # numbers held as float32 at once
_FILE = "gguf-weights.safetensors"
_WHAT = "Reading the weights"


def dtype_of(kinds: Sequence[tuple[str, int]]) -> str:
    """The format of all that is not quantised, from the formats of the matrices and their numbers of elements."""
    counted: Counter[str] = Counter()
    for kind, elements in kinds:
        # Models in MXFP4 were made with bfloat16, and its scales do not ask for float16.
        counted["BF16" if kind == "MXFP4" else kind] += elements
    if set(counted) <= {"F32", "F64"}:
        return "F32"
    return "BF16" if counted["BF16"] > counted.total() / 2 else "F16"


def mlx_name(kind: str) -> str:
    """MLX's name of a plain number format, or the format's own name."""
    return _NAMES.get(kind, kind)


def is_native(part: Part) -> bool:
    """Whether a weight stays quantised, block for block."""
    return part.tensor.kind in NATIVE and len(part.shape) > 1 and not part.shift


def size_as_read(kind: str, shape: tuple[int, ...], dtype: str) -> int:
    """The bytes a tensor of this format takes when read into a model whose other weights are of MLX's type `dtype`."""
    elements = math.prod(shape)
    if kind in NATIVE and len(shape) > 1:
        bits, mode = NATIVE[kind]
        return elements * bits // 8 + elements // GROUP * (4 if mode == "affine" else 1)
    return elements * (4 if dtype == "float32" else 2)


def quantization(parts: Sequence[Part]) -> dict[str, Any]:
    """The `quantization` of a config.json for weights that stay quantised, or nothing where none does."""
    formats = {part.name.removesuffix(".weight"): NATIVE[part.tensor.kind] for part in parts if is_native(part)}
    if not formats:
        return {}
    settings = {own: {"group_size": GROUP, "bits": own[0], "mode": own[1]} for own in formats.values()}
    common = Counter(formats.values()).most_common(1)[0][0]
    return {**settings[common], **{path: settings[own] for path, own in formats.items() if own != common}}


def stored(parts: Sequence[Part], scratch: Path) -> Generator[Progress, None, dict[str, mx.array]]:
    """Write these weights into the folder `scratch`, unless they are there, and return them, lazily read from there.

    Quantised weights come as `.weight` (packed, uint32), `.scales` and, in affine formats, `.biases`; all others as
    float32, float16 or bfloat16. Vectors are narrowed from float32 only where no digit is lost.

    Raises:
        UserError: a number format has no reader.
    """
    import mlx.core as mx

    path = scratch / _FILE
    if not path.is_file():
        yield from _write(parts, path)
    return cast("dict[str, mx.array]", mx.load(str(path)))


def _write(parts: Sequence[Part], path: Path) -> Generator[Progress, None, None]:
    dtype = dtype_of([(part.tensor.kind, math.prod(part.shape)) for part in parts if len(part.shape) > 1])
    vectors = dtype if all(_fits(part, dtype) for part in parts if len(part.shape) < 2) else "F32"
    total = sum(part.tensor.size for part in parts)
    done = 0
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as stream:
        writer = _Writer(stream, 600 * len(parts) + 1000)
        for part in parts:
            yield Progress(_WHAT, done, total, "bytes", part.tensor.name)
            if is_native(part):
                _write_native(part, writer)
            else:
                _write_plain(part, writer, dtype if len(part.shape) > 1 else vectors)
            done += part.tensor.size
        writer.finish()
    unfinished.rename(path)
    yield Progress(_WHAT, total, total, "bytes")


class _Writer:
    """A safetensors file whose header, at most `room` bytes long, is written last: regions are handed out in order."""

    def __init__(self, stream: BinaryIO, room: int) -> None:
        self._stream = stream
        self._room = room
        self._end = 0
        self._header: dict[str, Any] = {}

    def region(self, name: str, dtype: str, shape: tuple[int, ...]) -> int:
        """Room for a tensor; the place where its bytes begin."""
        start = self._end
        self._end += math.prod(shape) * _BYTES[dtype]
        self._header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, self._end]}
        return start

    def write(self, at: int, data: Array) -> int:
        """Put bytes into a region; the place where the next ones go."""
        self._stream.seek(8 + self._room + at)
        self._stream.write(data.tobytes())
        return at + data.nbytes

    def finish(self) -> None:
        self._stream.truncate(8 + self._room + self._end)
        text = json.dumps({"__metadata__": {"format": "mlx"}, **self._header}).encode()
        self._stream.seek(0)
        self._stream.write(self._room.to_bytes(8, "little") + text.ljust(self._room))


def _write_native(part: Part, writer: _Writer) -> None:
    *rows, columns = part.shape
    bits, mode = NATIVE[part.tensor.kind]
    stem = part.name.removesuffix(".weight")
    groups = (*rows, columns // GROUP)
    places = [writer.region(part.name, "U32", (*rows, columns * bits // 32))]
    if mode == "affine":
        places += [writer.region(f"{stem}.{name}", "F16", groups) for name in ("scales", "biases")]
    else:
        places.append(writer.region(f"{stem}.scales", "U8", groups))
    for chunk in _chunks(part):
        arrays = _unpacked(chunk, part.tensor.kind)
        places = [writer.write(place, array) for place, array in zip(places, arrays, strict=True)]


def _unpacked(rows: Array, kind: str) -> tuple[Array, ...]:
    """MLX's packed codes, scales and, in affine formats, biases: a weight is scale x code + bias.

    The layout of a block is that of ggml's block_q4_0, block_q4_1, block_q8_0 and block_mxfp4 (ggml-common.h): a
    float16 scale (MXFP4: the 8 bits of a power of two), for Q4_1 a float16 offset, then 32 codes. Four-bit codes i and
    i + 16 share a byte there, 2i and 2i + 1 in MLX.
    """
    import numpy as np

    head = {"Q4_1": 4, "MXFP4": 1}.get(kind, 2)
    blocks = rows.reshape(-1, head + GROUP * NATIVE[kind][0] // 8)
    first, codes = np.ascontiguousarray(blocks[:, :head]), blocks[:, head:]
    if kind == "MXFP4":
        return _paired(codes), first
    numbers = first.view(np.float16)
    scale = numbers[:, 0]
    if kind == "Q8_0":
        # From signed to unsigned: code + 128.
        return codes ^ np.uint8(0x80), scale, scale * np.float16(-128)
    return _paired(codes), scale, numbers[:, 1] if kind == "Q4_1" else scale * np.float16(-8)


def _paired(codes: Array) -> Array:
    """Four-bit codes with neighbours in one byte."""
    import numpy as np

    pairs = np.ascontiguousarray(codes).view("<u2")
    low, high = pairs & 0x0F | pairs >> 4 & 0xF0, pairs >> 4 & 0x0F | pairs >> 8 & 0xF0
    return np.concatenate([low, high], axis=1).astype(np.uint8)


def _write_plain(part: Part, writer: _Writer, dtype: str) -> None:
    at = writer.region(part.name, dtype, part.shape)
    for rows in _chunks(part):
        same = part.tensor.kind == dtype and not part.shift
        at = writer.write(at, rows if same else _cast(_values(rows, part), dtype))


def _values(rows: Array, part: Part) -> Array:
    """The numbers in rows of bytes, as float32."""
    import gguf
    import numpy as np

    if part.tensor.kind == "F64":
        return rows.view(np.float64).astype(np.float32) + np.float32(part.shift)
    try:
        values = gguf.dequantize(rows, gguf.GGMLQuantizationType[part.tensor.kind])
    except NotImplementedError as error:
        raise UserError(
            "{name} stores {tensor} as {kind}, which this program cannot read.",
            "No reader of this number format is installed.",
            "Choose another file of this model, such as Q8_0 or Q4_K_M.",
            name=part.tensor.file.name,
            tensor=part.tensor.name,
            kind=part.tensor.kind,
        ) from error
    return values + np.float32(part.shift) if part.shift else values


def _cast(values: Array, dtype: str) -> Array:
    """Float32 numbers in another format, rounded to the nearest; bfloat16 as bits, since numpy has no type for it."""
    import numpy as np

    if dtype == "F32":
        return values
    if dtype == "F16":
        # What float16 cannot reach becomes infinite, which the writer of the model refuses.
        with np.errstate(over="ignore"):
            return values.astype(np.float16)
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def _fits(part: Part, dtype: str) -> bool:
    """Whether a vector's numbers are the same in this format."""
    import numpy as np

    for rows in _chunks(part):
        values = _values(rows, part)
        narrow = _cast(values, dtype)
        back = (narrow.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else narrow.astype(np.float32)
        if not np.array_equal(values, back):
            return False
    return True


def _chunks(part: Part) -> Iterator[Array]:
    """The bytes of a weight's rows in their order, a bounded number of rows at a time."""
    import numpy as np

    shape, file = part.tensor.shape, part.tensor.file
    count = math.prod(shape[:-1]) if len(shape) > 1 else math.prod(shape)
    width = part.tensor.size // max(count, 1)
    step = max(1, _CHUNK // max(1, shape[-1] if len(shape) > 1 else 1))
    if part.rows is not None:
        rows = np.memmap(file, np.uint8, "r", part.tensor.offset, (count, width))
        for start in range(0, len(part.rows), step):
            yield np.ascontiguousarray(rows[part.rows[start : start + step]])
        return
    # Not mapped: the pages of a mapped embedding would count as the program's memory.
    with file.open("rb") as stream:
        stream.seek(part.tensor.offset)
        for start in range(0, count, step):
            yield np.fromfile(stream, np.uint8, min(step, count - start) * width).reshape(-1, width)
