"""The child program that reads torch files, weights only, and writes them as safetensors. Knows no MLX and no model.

It never lets a file run code: torch's own reader for weights refuses every name that is not a tensor's.
"""

from __future__ import annotations

import json
import pickletools
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.convert.child import Message, Say, serve
from engine.errors import UserError

if TYPE_CHECKING:
    import torch

# What training scripts call the weights inside a checkpoint that holds more.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "module")
_PIECE = 16 * 1024**2
_NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e8m0fnu": "F8_E8M0",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
    "complex64": "C64",
}
# MLX reads neither; the one loses digits that no model has use for, the other nothing.
_REPLACED = {"float64": "float32", "float8_e5m2": "float16"}


def main(request: Message, say: Say) -> Any:
    """Answer a request: `files` to look into, and where to write each anew, `targets`, if at all."""
    files = [Path(file) for file in request["files"]]
    if "targets" not in request:
        return [_described(_read(file, say)) for file in files]
    sizes = [file.stat().st_size for file in files]
    for number, (file, target) in enumerate(zip(files, request["targets"], strict=True)):
        tensors = _read(file, say)
        for share in _write(tensors, Path(target)):
            done = sum(sizes[:number]) + share * sizes[number]
            say({"done": int(done), "total": sum(sizes), "detail": file.name})
        narrowed = [name for name, tensor in tensors.items() if _dtype(tensor) == "float64"]
        if narrowed:
            say({"note": f"Double precision became single precision in {file.name}: {_some(narrowed)}"})
    return None


def _read(file: Path, say: Say) -> dict[str, torch.Tensor]:
    """The tensors of a file by name, lazily mapped from disk where its form allows it.

    Raises:
        UserError: the file carries code, is damaged, or holds no weights.
    """
    tensors = _unwrapped(_load(file), file, say)
    for name, tensor in tensors.items():
        if _dtype(tensor) not in _NAMES or str(tensor.layout) != "torch.strided" or tensor.is_meta:
            raise UserError(
                "{tensor} in {file} has a form that cannot be converted.",
                "It is a tensor of type {dtype} and layout {layout}.",
                "Save the model anew with ordinary (strided) tensors.",
                tensor=name,
                file=file,
                dtype=_dtype(tensor),
                layout="meta" if tensor.is_meta else tensor.layout,
            )
        if tensor.nbytes > file.stat().st_size:
            raise UserError(
                "{tensor} in {file} is larger than the file.",
                "Its shape, {shape}, claims {size} bytes, and the file has {there}: one number stands for many.",
                "Get the file again from where the model came; it may be made to fill memory and disk.",
                tensor=name,
                file=file,
                shape=list(tensor.shape),
                size=tensor.nbytes,
                there=file.stat().st_size,
            )
    return tensors


def _load(file: Path) -> Any:
    import torch

    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    zipped = zipfile.is_zipfile(file)
    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=zipped and _can_be_mapped(file))
    except (UserError, MemoryError, PermissionError):
        raise
    except Exception as error:  # what a damaged file may raise has no end
        if (wanted := _foreign(file, str(error), zipped)) is not None:
            raise _dangerous(file, wanted) from error
        raise UserError(
            "{file} cannot be read as a torch file.",
            "Its end is missing."
            if _begins_zipped(file) and not zipped
            else "It is damaged or of another kind: {reason}",
            "Get the file again; the download or copy was probably interrupted.",
            file=file,
            reason=_reason(error),
        ) from error


def _can_be_mapped(file: Path) -> bool:
    """Whether the numbers lie plainly in the file: mapped, a compressed entry would be taken for the numbers."""
    with zipfile.ZipFile(file) as archive:
        if any(name.endswith("/constants.pkl") or "/code/" in name for name in archive.namelist()):
            raise _dangerous(file, "a TorchScript program")
        return all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())


def _begins_zipped(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04"


def _dangerous(file: Path, wanted: str) -> UserError:
    return UserError(
        "{file} carries code; it was not run, and the file is dangerous.",
        "To open it in full, {wanted} would have to run, which is no part of a model's weights. Such code can do"
        " anything on this computer.",
        "Do not open this file with other programs either. Get the model as .safetensors, which cannot carry code.",
        file=file,
        wanted=wanted,
    )


def _reason(error: Exception) -> str:
    """The first line that says something; torch's first lines advise to load the file unsafely."""
    lines = [line.strip() for line in str(error).splitlines()]
    plain = [line for line in lines if line and "weights_only" not in line and "Weights only" not in line]
    return (plain[0] if plain else type(error).__name__)[:200]


def _foreign(file: Path, said: str, zipped: bool) -> str | None:
    """The name of the function or class that the file wants and weights do not need; None where there is none."""
    from torch._weights_only_unpickler import _get_allowed_globals

    if named := re.search(r"GLOBAL ([\w.]+)", said):
        return named[1]
    for name in _globals(file, zipped):
        if name not in _get_allowed_globals():
            return name
    return None


def _globals(file: Path, zipped: bool) -> Iterator[str]:
    """The names that the pickles in a file refer to, found without running them."""
    if zipped:
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                if name.endswith(".pkl"):
                    with archive.open(name) as stream:
                        yield from _referred(stream)
    else:
        # The old form is a row of pickles followed by numbers.
        with file.open("rb") as stream:
            for _ in range(5):
                yield from _referred(stream)


def _referred(stream: Any) -> Iterator[str]:
    words: list[str] = []
    memory: dict[int, str] = {}
    try:
        for code, argument, _ in pickletools.genops(stream):
            if code.name in ("GLOBAL", "INST"):
                yield str(argument).replace(" ", ".")
            elif code.name == "STACK_GLOBAL":
                yield ".".join(words[-2:])
            elif "UNICODE" in code.name or "STRING" in code.name:
                words.append(str(argument))
            elif code.name == "MEMOIZE":
                memory[len(memory)] = words[-1] if words else ""
            elif "PUT" in code.name:
                memory[int(str(argument))] = words[-1] if words else ""
            elif "GET" in code.name:
                words.append(memory.get(int(str(argument)), ""))
    except Exception:  # the end of what is a pickle at all
        return


def _unwrapped(loaded: Any, file: Path, say: Say) -> dict[str, torch.Tensor]:
    """The named tensors, taken out of what training scripts put around them."""
    import torch

    left: list[str] = []
    # A dictionary may hold itself, so the depth has an end.
    for _ in range(len(_WRAPPERS)):
        if not isinstance(loaded, Mapping):
            break
        tensors = {str(name): value for name, value in loaded.items() if isinstance(value, torch.Tensor)}
        wrapper = next((name for name in _WRAPPERS if isinstance(loaded.get(name), Mapping)), None)
        if tensors or wrapper is None:
            left += [str(name) for name in loaded if str(name) not in tensors]
            if not tensors:
                break
            if left:
                say({"note": f"Left out of {file.name}, being no weights: {_some(left)}"})
            return tensors
        left += [str(name) for name in loaded if name != wrapper]
        loaded = loaded[wrapper]
    found = _some([str(name) for name in loaded]) if isinstance(loaded, Mapping) else type(loaded).__name__
    raise UserError(
        "{file} holds no weights.",
        "A table of named tensors was expected; it holds: {found}",
        "Choose the file with the model's weights; optimiser and training states have none.",
        file=file,
        found=found or "nothing",
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _described(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return {name: (_NAMES[_dtype(tensor)], list(tensor.shape), tensor.nbytes) for name, tensor in tensors.items()}


def _write(tensors: Mapping[str, torch.Tensor], target: Path) -> Iterator[float]:
    """Write a safetensors file, one tensor in memory at a time; yields the share that is written."""
    import torch

    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        kept = _REPLACED.get(_dtype(tensor), _dtype(tensor))
        start, end = end, end + tensor.numel() * getattr(torch, kept).itemsize
        header[name] = {"dtype": _NAMES[kept], "shape": list(tensor.shape), "data_offsets": [start, end]}
    words = json.dumps(header).encode()
    words += b" " * (-len(words) % 8)
    done = 0
    with target.open("wb") as stream:
        stream.write(struct.pack("<Q", len(words)) + words)
        for tensor in tensors.values():
            kept = _REPLACED.get(_dtype(tensor), _dtype(tensor))
            row = tensor.detach().to(getattr(torch, kept)).reshape(-1)
            # A repeated or lone number may keep a stride that cannot be seen as bytes.
            numbers = (row if row.stride(0) == 1 else torch.empty(row.shape, dtype=row.dtype).copy_(row)).view(
                torch.uint8
            )
            for first in range(0, len(numbers), _PIECE):
                stream.write(numbers[first : first + _PIECE].numpy().data)
                done += min(_PIECE, len(numbers) - first)
                yield done / end
    yield 1.0


if __name__ == "__main__":
    serve(main)
