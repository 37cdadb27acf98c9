"""Keeps KV caches of conversations on disk, so that a long one is read from there and not by the model again.

Knows mlx_lm's caches and token ids; nothing of what is said. What is damaged, of another model or of older weights is
no error: it is removed, and the model reads. A cache is a folder of parts, so that the lane is never busy with a large
one for long; only a whole one gets its name.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.chat.reading import Held, common

_ENDING = ".kv"
_PARTIAL = ".partial"
_ABOUT = "about.json"
_FORMAT = 2
# A cache is written anew once this many more tokens are known.
WORTH_KEEPING = 256
# Layers are read and written together up to this many bytes.
_PART = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose cache it is: a conversation's with a model. `identity` says which weights and what precision it has."""

    conversation: int
    model: str
    identity: str


class KeptCaches:
    """The caches in one folder, `limit` bytes of them at most; those used last stay."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit

    def tokens(self, owner: Owner) -> list[int]:
        """The ids that a kept cache stands for; none where there is no such cache."""
        about = self._about(owner)
        return about["tokens"] if about else []

    def fetch(self, owner: Owner) -> Generator[tuple[int, int], None, Held | None]:
        """What was kept, read part by part; yields how many of how many bytes are read."""
        about = self._about(owner)
        if about is None:
            return None
        place, cache, read = self._place(owner), list[Any](), 0
        try:
            for number, size in enumerate(about["sizes"]):
                cache += _read_part(place / _part(number), size)
                read += size
                yield read, sum(about["sizes"])
        except Exception:  # of a damaged file, mlx says anything
            _remove(place)
            return None
        with contextlib.suppress(OSError):
            os.utime(place)
        return Held(about["tokens"], cache)

    def keep(self, owner: Owner, held: Held) -> Generator[tuple[int, int], None, bool]:
        """Write a cache where it is worth it, part by part; whether it was written. A full disk is no error.

        Yields:
            how many of how many bytes are written.
        """
        if len(held.tokens) < WORTH_KEEPING or not all(map(_restorable, held.cache)):
            return False
        if len(held.tokens) - common(self.tokens(owner), held.tokens) < WORTH_KEEPING:
            return False
        layers = [_trimmed(layer) for layer in held.cache]
        total = sum(layer.nbytes for layer in layers)
        if total > self._limit:
            return False
        place = self._place(owner)
        partial = place.with_name(f"{place.name}.{os.getpid()}{_PARTIAL}")
        sizes, written = list[int](), 0
        try:
            partial.mkdir(parents=True, exist_ok=True)
            for number, part in enumerate(_parts(layers)):
                sizes.append(_write_part(partial / _part(number), part))
                written += sum(layer.nbytes for layer in part)
                yield written, total
            _write_about(partial / _ABOUT, owner, held.tokens, sizes)
            _remove(place)
            partial.rename(place)
        except (OSError, RuntimeError, ValueError):
            return False
        finally:
            _remove(partial)
        self.make_room()
        return True

    def sweep(self, conversations: Collection[int]) -> None:
        """Remove what is of no conversation among these, and what a killed program left half-written."""
        for place in self._folder.glob("*"):
            number = place.name.partition("-")[0]
            if not number.isdecimal() or int(number) not in conversations or not place.name.endswith(_ENDING):
                _remove(place)

    def make_room(self) -> None:
        """Remove those that were not used for longest until the rest is within the limit."""
        found = []
        for place in self._folder.glob(f"*{_ENDING}"):
            with contextlib.suppress(OSError):
                found.append((place.stat().st_mtime, sum(file.stat().st_size for file in place.iterdir()), place))
        total = sum(size for _, size, _ in found)
        for _, size, place in sorted(found):
            if total <= self._limit:
                break
            _remove(place)
            total -= size

    def _place(self, owner: Owner) -> Path:
        model = hashlib.sha256(owner.model.encode()).hexdigest()[:16]
        return self._folder / f"{owner.conversation}-{model}{_ENDING}"

    def _about(self, owner: Owner) -> dict[str, Any] | None:
        place = self._place(owner)
        if not place.exists():
            return None
        try:
            about = json.loads((place / _ABOUT).read_text("ascii"))
            numbers = [*about["tokens"], *about["sizes"]]
            known = about["format"] == _FORMAT and about["made_by"] == _made_by()
            if known and about["identity"] == owner.identity and all(type(number) is int for number in numbers):
                return dict(about)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass
        _remove(place)
        return None


def _made_by() -> str:
    """What wrote a cache: another version of the library may lay it out in another way."""
    import mlx_lm

    return f"mlx_lm {mlx_lm.__version__}"


def _part(number: int) -> str:
    return f"{number:04}.safetensors"


def _parts(layers: Sequence[Any]) -> Iterator[list[Any]]:
    """The layers in order, as many together as a part takes."""
    part: list[Any] = []
    for layer in layers:
        if part and sum(each.nbytes for each in part) + layer.nbytes > _PART:
            yield part
            part = []
        part.append(layer)
    if part:
        yield part


def _read_part(path: Path, size: int) -> list[Any]:
    import mlx.core as mx
    from mlx_lm.models.cache import load_prompt_cache

    if path.stat().st_size != size:
        raise ValueError("it ends too early")
    layers: list[Any] = load_prompt_cache(str(path))
    # Arrays are read when they are needed, and the file may be gone by then.
    mx.eval([layer.state for layer in layers])
    return layers


def _write_part(path: Path, layers: list[Any]) -> int:
    """Write layers; the size of their file."""
    from mlx_lm.models.cache import save_prompt_cache

    save_prompt_cache(str(path), layers)
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    return path.stat().st_size


def _write_about(path: Path, owner: Owner, tokens: Sequence[int], sizes: Sequence[int]) -> None:
    about = {"format": _FORMAT, "made_by": _made_by(), "identity": owner.identity}
    with path.open("w", encoding="ascii") as file:
        json.dump(about | {"tokens": list(tokens), "sizes": list(sizes)}, file)
        file.flush()
        os.fsync(file.fileno())


def _restorable(layer: Any) -> bool:
    """Whether mlx_lm makes this layer again of what it stores of it: a class of its own, from its state alone."""
    from mlx_lm.models import cache

    if getattr(cache, type(layer).__name__, None) is not type(layer) or layer.empty():
        return False
    try:
        type(layer).from_state(layer.state)
    except Exception:  # a class of its own may want anything
        return False
    return True


def _trimmed(layer: Any) -> Any:
    """The layer without the room that it holds ready for more tokens."""
    from mlx_lm.models.cache import KVCache, QuantizedKVCache

    if type(layer) in (KVCache, QuantizedKVCache):
        layer = copy.copy(layer)
        layer.keys, layer.values = layer.keys_and_values()
    return layer


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            place.unlink(missing_ok=True)
