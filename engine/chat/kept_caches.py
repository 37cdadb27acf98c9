"""Keeps KV caches of conversations on disk, so that a long one is read from there and not by the model again.

Knows mlx_lm's caches and token ids; nothing of what is said. A file that is damaged, of another model or of older
weights is no error: it is removed, and the model reads.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.chat.reading import common

_ENDING = ".kv.safetensors"
_FORMAT = "1"
# A file is written anew once this many more tokens are known.
WORTH_KEEPING = 256


class KeptCaches:
    """The caches in one folder, `limit` bytes of them at most; those used last stay."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit

    def tokens(self, conversation: int, identity: str) -> list[int]:
        """The ids that the kept cache of a conversation stands for; none where there is no such cache."""
        header = self._header(conversation, identity)
        return header[1] if header else []

    def fetch(self, conversation: int, identity: str) -> tuple[list[int], list[Any]] | None:
        """The ids and the cache that was kept; its arrays are read when they are needed."""
        from mlx_lm.models.cache import load_prompt_cache

        header = self._header(conversation, identity)
        if header is None:
            return None
        path, tokens = header
        try:
            cache = load_prompt_cache(str(path))
            import mlx.core as mx

            # Here, where a file that ends too early can still be told from one that is whole.
            mx.eval([layer.state for layer in cache])
        except Exception:  # of a damaged file, mlx says anything
            path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return tokens, cache

    def keep(self, conversation: int, identity: str, tokens: Sequence[int], cache: list[Any]) -> bool:
        """Write a cache where it is worth it; whether it was written. A full disk is no error."""
        from mlx_lm.models.cache import save_prompt_cache

        size = sum(layer.nbytes for layer in cache)
        if len(tokens) < WORTH_KEEPING or size > self._limit:
            return False
        known = self.tokens(conversation, identity)
        if len(tokens) - common(known, tokens) < WORTH_KEEPING:
            return False
        path = self._path(conversation, identity)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial.safetensors")
        about = {"format": _FORMAT, "identity": identity, "tokens": json.dumps(list(tokens))}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            save_prompt_cache(str(partial), cache, about)
            for other in self._folder.glob(f"{conversation}-*{_ENDING}"):
                other.unlink(missing_ok=True)
            partial.replace(path)
        except (OSError, RuntimeError, ValueError):
            return False
        finally:
            partial.unlink(missing_ok=True)
        self._make_room()
        return True

    def sweep(self, conversations: Sequence[int]) -> None:
        """Remove the files of conversations that are not among these, and what a killed program left half-written."""
        there = set(conversations)
        for path in self._folder.glob("*.safetensors"):
            number = path.name.partition("-")[0]
            if not number.isdecimal() or int(number) not in there or not path.name.endswith(_ENDING):
                path.unlink(missing_ok=True)

    def _path(self, conversation: int, identity: str) -> Path:
        return self._folder / f"{conversation}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}{_ENDING}"

    def _header(self, conversation: int, identity: str) -> tuple[Path, list[int]] | None:
        path = self._path(conversation, identity)
        if not path.is_file():
            return None
        try:
            about = _metadata(path)
            tokens = json.loads(about["0.tokens"])
            if about["0.format"] == _FORMAT and about["0.identity"] == identity and isinstance(tokens, list):
                return path, tokens
        except (OSError, ValueError, KeyError, TypeError):
            pass
        path.unlink(missing_ok=True)
        return None

    def _make_room(self) -> None:
        found = []
        for path in self._folder.glob(f"*{_ENDING}"):
            with contextlib.suppress(OSError):
                facts = path.stat()
                found.append((facts.st_mtime, facts.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._limit:
                break
            path.unlink(missing_ok=True)
            total -= size


def _metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says about itself, from its first bytes."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length < 1 << 28:
            raise ValueError("no header")
        header = json.loads(file.read(length))
    return dict(header["__metadata__"])
