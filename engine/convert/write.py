"""Writes a lazily assembled model as safetensors shards, one tensor in memory at a time. Knows no source and no plan.

The files are those of mlx_lm.utils.save_model: the same names, the same index; only the memory differs, since a shard
is never in memory as a whole.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from engine import stored_weights
from engine.assemble import Assembled
from engine.convert import safetensors_files
from engine.errors import UserError
from engine.events import Event, Progress

if TYPE_CHECKING:
    import mlx.core as mx

_BLOCK = 32 * 1024**2
_NAMES = {dtype: name for name, (dtype, _) in safetensors_files.TYPES.items()}


def write_weights(
    assembled: Assembled, folder: Path, wholes: dict[str, mx.array] | None = None, dtype: str = "stored"
) -> Generator[Event, None, int]:
    """Evaluate and write every weight, freeing each; the model is empty afterwards. The result is the bytes written.

    Args:
        wholes: weights by name as they are before quantisation, which would hide that one is not a number; emptied.
        dtype: the type the weights were put into, "stored" where they keep their own.

    Raises:
        UserError: a weight is not a number, or the disk is full; the folder is left as it is then.
    """
    import mlx.core as mx
    from mlx.utils import tree_map

    model = assembled.model
    shards, listing = sharded(model)
    model.update(tree_map(lambda _: mx.array([]), model.parameters()))  # type: ignore[no-untyped-call]
    wholes = {} if wholes is None else wholes
    total: int = listing["metadata"]["total_size"]
    for name in wholes.keys() - listing["weight_map"].keys():
        # Scales of a source that was quantised: part of no weight that is written.
        del wholes[name]
    done = 0
    for file, shard in shards.items():
        with (folder / file).open("wb") as out:
            out.write(_header(shard))
            for name in list(shard):
                # Popped, so that nothing holds the array once it is written.
                array = shard.pop(name)
                for tensor in {id(each): each for each in (wholes.pop(name, array), array)}.values():
                    _evaluate(name, tensor, dtype)
                for count in _write(out, array):
                    done += count
                    yield Progress("Writing the weights", done, total, "bytes", name)
            out.flush()
            os.fsync(out.fileno())
    write_listing(folder, listing)
    return total


def sharded(model: Any) -> tuple[dict[str, dict[str, mx.array]], dict[str, Any]]:
    """The files of a model with the weights in each, and the listing of them."""
    from mlx.utils import tree_flatten
    from mlx_lm.utils import get_total_parameters, make_shards

    leaves: Any = tree_flatten(model.parameters())
    shards: list[dict[str, mx.array]] = make_shards(dict(leaves))
    names = [f"model-{n + 1:05}-of-{len(shards):05}.safetensors" for n in range(len(shards))]
    files = dict(zip(names if len(shards) > 1 else ["model.safetensors"], shards, strict=True))
    metadata = {
        "total_size": sum(array.nbytes for _, array in leaves),
        "total_parameters": int(get_total_parameters(model)),
    }
    index = {name: file for file, shard in files.items() for name in shard}
    return files, {"metadata": metadata, "weight_map": dict(sorted(index.items()))}


def write_listing(folder: Path, listing: dict[str, Any]) -> None:
    """Write the listing of a model's files beside them."""
    (folder / "model.safetensors.index.json").write_text(json.dumps(listing, indent=4), "utf-8")


def _header(shard: dict[str, mx.array]) -> bytes:
    """The beginning of a safetensors file: its length, and where which tensor stands."""
    entries: dict[str, Any] = {"__metadata__": {"format": "mlx"}}
    offset = 0
    for name, array in shard.items():
        kind = _NAMES[str(array.dtype).rpartition(".")[2]]
        entries[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _evaluate(name: str, array: mx.array, dtype: str) -> None:
    """Read and compute one array.

    Raises:
        UserError: the source cannot be read, or a value is not a number.
    """

    stored_weights.evaluate([array], name)
    try:
        stored_weights.require_finite(name, array)
    except UserError as error:
        if dtype != "float16":
            raise
        raise UserError(
            "The weight {tensor} cannot be stored in float16.",
            "Some of its values are beyond 65504, the largest number of float16, or are no numbers at all.",
            "Choose bfloat16 (--dtype bfloat16), which reaches further; if that is refused too, the model is damaged.",
            tensor=name,
        ) from error


def _write(out: BinaryIO, array: mx.array) -> Generator[int, None, None]:
    """Write one array in blocks; yields the bytes of each."""
    import mlx.core as mx

    flat = mx.contiguous(array).reshape(-1).view(mx.uint8)
    mx.eval(flat)
    data = memoryview(flat)  # type: ignore[arg-type]
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK]
        out.write(block)
        yield len(block)
    if data.nbytes == 0:
        yield 0
