"""Models on the Hugging Face Hub: what the cache holds and how a model gets into it. Knows no model class and no view.

The cache has huggingface_hub's own form, so that every other tool finds the model too. Only the bytes are fetched by
ourselves (`hub_files`): huggingface_hub throws an unfinished file away, and cannot be stopped between two blocks.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from engine import hub_errors, hub_files
from engine.errors import UserError
from engine.events import Event, Progress
from engine.hub_files import HubFile

if TYPE_CHECKING:
    import httpx2

_INDEX = "model.safetensors.index.json"
_WEIGHTS = re.compile(r"model[^/]*\.safetensors")
_SHARD = re.compile(r"(.+-)\d{5}(-of-(\d{5})\.safetensors)")
# Code (.py) is fetched and not run: some tokenizers consist of it, and the person may allow it later.
_BESIDES = re.compile(r"[^/]+\.(json|txt|jinja|tiktoken|model|py)|additional_chat_templates/[^/]+\.jinja")
_COMMIT = re.compile(r"[0-9a-f]{40}")

_STEP = 0.1  # seconds between two events
_PARALLEL = 4  # files at a time


def cached(repo_id: str, revision: str | None = None) -> Path | None:
    """The folder of a model that is complete in the Hugging Face cache, else None. Uses no network."""
    from huggingface_hub import constants

    revision = revision or constants.DEFAULT_REVISION
    folder = _folder(repo_id)
    ref = folder / "refs" / revision
    commit = ref.read_text("utf-8").strip() if ref.is_file() else revision
    snapshot = folder / "snapshots" / commit
    if not _COMMIT.fullmatch(commit) or not (snapshot / "config.json").is_file():
        return None
    try:
        weights = _weight_names(snapshot, (path.name for path in snapshot.iterdir()))
        complete = bool(weights) and all((snapshot / name).is_file() for name in weights)
    except (ValueError, KeyError, TypeError, AttributeError):  # a damaged index
        return None
    return snapshot if complete else None


def download(repo_id: str, revision: str | None = None) -> Generator[Event, None, Path]:
    """Fetch what a model needs into the Hugging Face cache; the result is its folder.

    It has no thread: bytes flow while the next event is asked for, on an event loop of its own (so never call it
    from a coroutine). Closing it keeps what was fetched; run again, it fetches only what is missing.

    Raises:
        UserError: the model cannot be had; the sentences say why.
    """
    transfer = _Transfer(repo_id, revision)
    loop = asyncio.new_event_loop()
    task = loop.create_task(transfer.run())
    try:
        while not task.done():
            loop.run_until_complete(asyncio.wait({task}, timeout=_STEP))
            yield Progress("Downloading", sum(transfer.here.values()), transfer.total, "bytes", transfer.detail)
        return task.result()
    except UserError:
        raise
    except Exception as error:
        raise hub_errors.in_words(error, repo_id, transfer.revision) from error
    finally:
        task.cancel()
        loop.run_until_complete(asyncio.wait({task}))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


class _Transfer:
    """One repository's way into the cache; `here` counts the bytes that are on this disk, by file."""

    client: httpx2.AsyncClient
    commit: str
    snapshot: Path

    def __init__(self, repo_id: str, revision: str | None) -> None:
        from huggingface_hub import constants

        self.repo_id = repo_id
        self.revision = revision or constants.DEFAULT_REVISION
        self.folder = _folder(repo_id)
        self.here: dict[str, int] = {}
        self.total: int | None = None
        self.detail = ""
        self.slots = asyncio.Semaphore(_PARALLEL)

    async def run(self) -> Path:
        from huggingface_hub import constants, get_async_session
        from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

        validate_repo_id(self.repo_id)
        async with get_async_session() as self.client:
            self.client.headers = _headers()
            self.client.timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
            files = await self._list()
            # These two decide what else is fetched, and whether anything is.
            for name in ("config.json", _INDEX):
                if name in files:
                    await self._fetch(files[name])
            needed = self._needed(files)
            self.here = {file.path: self._bytes_here(file) for file in needed}
            self.total = sum(file.size for file in needed)
            self._check_disk(self.total - sum(self.here.values()))
            try:
                async with asyncio.TaskGroup() as group:
                    for file in needed:
                        group.create_task(self._fetch(file))
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None
        # Only now does the revision mean this commit: until here, an older complete one stays usable.
        if self.revision != self.commit:
            _write(self.folder / "refs" / self.revision, self.commit)
        return self.snapshot

    async def _list(self) -> dict[str, HubFile]:
        """Every file of the repository. Sets `commit` and `snapshot`."""
        from huggingface_hub import constants

        address = f"{constants.ENDPOINT}/api/models/{self.repo_id}/revision/{quote(self.revision, safe='')}"
        response = await self.client.get(address, params={"blobs": True})
        response.raise_for_status()
        try:
            listing = response.json()
            files = {file.path: file for file in map(HubFile.listed, listing["siblings"])}
            self.commit = _COMMIT.fullmatch(listing["sha"])[0]  # type: ignore[index]
        except (ValueError, KeyError, TypeError) as error:
            raise hub_errors.not_the_hub() from error
        self.snapshot = self.folder / "snapshots" / self.commit
        if "config.json" not in files or not any(path == _INDEX or _WEIGHTS.fullmatch(path) for path in files):
            raise UserError(
                "{repo_id} holds no model that can be used here.",
                "It has no {missing}.",
                "Look for a repository of the same model with config.json and safetensors weights.",
                repo_id=self.repo_id,
                missing="model.safetensors" if "config.json" in files else "config.json",
            )
        return files

    def _needed(self, files: dict[str, HubFile]) -> list[HubFile]:
        """What a model needs: settings, tokenizer and chat template, and of the weights one set of safetensors."""
        try:
            weights = sorted(_weight_names(self.snapshot, files))
            return [files[name] for name in (*filter(_BESIDES.fullmatch, files), *weights)]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                "{repo_id} is damaged on Hugging Face.",
                "Its list of weight files cannot be read, or names a file that is not there: {reason}",
                "Choose another revision or another repository of this model.",
                repo_id=self.repo_id,
                reason=error,
            ) from error

    def _bytes_here(self, file: HubFile) -> int:
        blob = self._blob(file)
        if (self.snapshot / file.path).is_file() or blob.is_file():
            return file.size
        partial = hub_files.partial(blob)
        return min(partial.stat().st_size, file.size) if partial.is_file() else 0

    def _check_disk(self, missing: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if missing > free:
            raise UserError(
                "There is not enough room for {repo_id}.",
                "{missing} GB are still to be fetched, and {free} GB are free where {folder} is.",
                "Free some space, or set HF_HOME to a folder on a larger disk and start the program again.",
                repo_id=self.repo_id,
                missing=f"{missing / 1e9:.1f}",
                free=f"{free / 1e9:.1f}",
                folder=self.folder,
            )

    async def _fetch(self, file: HubFile) -> None:
        """Have a file in the cache, under its name in the snapshot."""
        from huggingface_hub import constants

        blob, pointer = self._blob(file), self.snapshot / file.path
        if not pointer.is_file():
            address = f"{constants.ENDPOINT}/{self.repo_id}/resolve/{self.commit}/{quote(file.path)}"
            lock = self.folder.parent / ".locks" / self.folder.name / f"{file.blob}.lock"
            async with self.slots:
                self.detail = file.path
                async for count in hub_files.fetch(self.client, address, file, blob, lock):
                    self.here[file.path] = count
        if not pointer.is_file():  # by now another download may have made it
            pointer.parent.mkdir(parents=True, exist_ok=True)
            pointer.unlink(missing_ok=True)
            try:
                pointer.symlink_to(os.path.relpath(blob, pointer.parent))
            except OSError:  # a disk without symbolic links; huggingface_hub moves the file there too
                blob.replace(pointer)
        self.here[file.path] = file.size

    def _blob(self, file: HubFile) -> Path:
        return self.folder / "blobs" / file.blob


def _folder(repo_id: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).expanduser() / f"models--{repo_id.replace('/', '--')}"


def _weight_names(snapshot: Path, names: Iterable[str]) -> set[str]:
    """The weight files of a complete model: those its index names, else `model*.safetensors` with every shard."""
    if (snapshot / _INDEX).is_file():
        return set(json.loads((snapshot / _INDEX).read_bytes())["weight_map"].values())
    found = set(filter(_WEIGHTS.fullmatch, names))
    for shard in [*filter(None, map(_SHARD.fullmatch, found))]:
        found |= {f"{shard[1]}{number:05}{shard[2]}" for number in range(1, int(shard[3]) + 1)}
    return found


def _headers() -> dict[str, str]:
    """Who asks. Not huggingface_hub's own headers: to make those it calls home, and waits for the answer."""
    from huggingface_hub import __version__, constants, get_token

    headers = {"User-Agent": f"mlx-grpo-app; hf_hub/{__version__}", "Accept-Encoding": "identity"}
    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    if token is None:
        return headers
    if not (token.isascii() and token.isprintable()):
        raise hub_errors.bad_token()
    return headers | {"Authorization": f"Bearer {token}"}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)
