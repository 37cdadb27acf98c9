"""One file of the Hub, fetched so that it can be continued, and checked. Knows HTTP, and no cache and no model.

Over plain HTTP always: hf_xet writes a file out of order and cannot continue one.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UserError

if TYPE_CHECKING:
    import httpx2

_BLOB = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_INSIDE = re.compile(r"(?!/)(?!(.*/)?\.\.(/|$)).+")  # a path that stays in its folder
_RETRY_WAITS = (0.5, 1, 2, 4, 8)  # seconds; a byte that arrives starts them anew
_LONGEST_WAIT = 60  # seconds a server may ask for before that counts as a refusal
_PASSING = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository; `blob` is the SHA-256 of its content, or git's object id where git itself holds it."""

    path: str
    size: int
    blob: str

    @classmethod
    def listed(cls, entry: dict[str, Any]) -> HubFile:
        """A file as the Hub lists it.

        Raises:
            ValueError, KeyError, TypeError: the entry does not describe a file that may be written here.
        """
        lfs = entry.get("lfs") or {"sha256": entry["blobId"], "size": entry["size"]}
        if not _BLOB.fullmatch(lfs["sha256"]) or not _INSIDE.fullmatch(entry["rfilename"]):
            raise ValueError(f"not a file of a repository: {entry['rfilename']}")
        return cls(entry["rfilename"], int(lfs["size"]), lfs["sha256"])


def partial(blob: Path) -> Path:
    """Where the content of `blob` lies until it is whole."""
    return blob.with_name(f"{blob.name}.incomplete")


async def fetch(client: httpx2.AsyncClient, address: str, file: HubFile, blob: Path, lock: Path) -> AsyncIterator[int]:
    """Have the content of `file` at `blob`; yields the bytes that are there.

    Whoever else fetches the same content, in this process or another, is waited for.

    Raises:
        UserError: the content is not what the Hub states; nothing of it is kept.
        httpx2.HTTPError: the server refused, or the connection failed again and again; what came is kept.
    """
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    blob.parent.mkdir(parents=True, exist_ok=True)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        while not blob.is_file():
            try:
                held.enter_context(WeakFileLock(lock, timeout=0.05))
                break
            except TimeoutError:
                await asyncio.sleep(0.3)
        if not blob.is_file():
            async for here in _receive(client, address, file, partial(blob)):
                yield here
            partial(blob).replace(blob)


async def _receive(client: httpx2.AsyncClient, address: str, file: HubFile, into: Path) -> AsyncIterator[int]:
    """Bring `into` to its full size, going on where it ends, and check it; yields the bytes that are there."""
    import httpx2

    digest = hashlib.sha256() if len(file.blob) == 64 else hashlib.sha1(usedforsecurity=False)
    if digest.name == "sha1":
        digest.update(b"blob %d\0" % file.size)
    waits = iter(_RETRY_WAITS)
    with into.open("ab+") as out:
        out.seek(0)
        while block := out.read(1 << 20):
            digest.update(block)
            await asyncio.sleep(0)  # hashing what is here takes seconds, and the person may close meanwhile
        start = here = out.tell()
        while here < file.size:
            try:
                async for chunk in _stream(client, address, here, file.size):
                    out.write(chunk)
                    digest.update(chunk)
                    here += len(chunk)
                    waits = iter(_RETRY_WAITS) if chunk else waits
                    yield min(here, file.size)
                break
            except httpx2.HTTPError as error:
                wait = max(next(waits, math.inf), _pause(error))
                if wait > _LONGEST_WAIT:
                    raise
            await asyncio.sleep(wait)
    if here == file.size and digest.hexdigest() == file.blob:
        return
    into.unlink()
    if not start:
        raise UserError(
            "{file} arrived damaged.",
            "Its content does not have the size and checksum that Hugging Face states.",
            "Try again. If it happens again, a proxy or virus scanner on the way may be changing files.",
            file=file.path,
        )
    # What lay there may have been another tool's, with holes: once more, from the start.
    async for here in _receive(client, address, file, into):
        yield here


async def _stream(client: httpx2.AsyncClient, address: str, start: int, size: int) -> AsyncIterator[bytes]:
    """The bytes of a file from `start` on."""
    async with client.stream("GET", address, headers={"Range": f"bytes={start}-"} if start else {}) as response:
        response.raise_for_status()
        position = start if response.status_code == 206 else 0  # some proxies ignore the range
        async for chunk in response.aiter_bytes():
            yield chunk[max(0, start - position) :]
            position += len(chunk)
            if position > size:
                return


def _pause(error: httpx2.HTTPError) -> float:
    """The seconds after which another attempt makes sense at the earliest; infinite where none does."""
    import httpx2

    if isinstance(error, httpx2.HTTPStatusError):
        return asked_pause(error.response) if error.response.status_code in _PASSING else math.inf
    passing = (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError)
    return 0 if isinstance(error, passing) else math.inf


def asked_pause(response: httpx2.Response) -> int:
    """The seconds a server asks the client to wait, as `RateLimit: "api";r=0;t=55` or `Retry-After: 55`; else 0."""
    limit, after = (response.headers.get(name, "") for name in ("RateLimit", "Retry-After"))
    asked = re.search(r"r=0;t=(\d+)", limit) or re.fullmatch(r"(\d+)", after)
    return int(asked[1]) if asked else 0
