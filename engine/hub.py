"""Models on the Hugging Face Hub: what the cache holds and how a model gets into it. Knows no model class and no view.

The cache has huggingface_hub's own form, so that every other tool finds the model too. Only the bytes are fetched by
ourselves (`hub_files`): huggingface_hub throws an unfinished file away, and cannot be stopped between two blocks.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from engine import hub_errors, hub_files, hub_kinds, places
from engine.errors import UserError
from engine.events import Event, Progress
from engine.hub_files import HubFile
from engine.hub_kinds import Chosen

if TYPE_CHECKING:
    import httpx2

_COMMIT = re.compile(r"[0-9a-f]{40}")

_STEP = 0.1  # seconds between two events
_PARALLEL = 4  # files at a time


def cached(name: str, revision: str | None = None, *, any_kind: bool = False) -> Path | None:
    """The model that is complete in the Hugging Face cache, else None; the arguments are `download`'s. No network."""
    from huggingface_hub import constants

    repo_id, wanted = hub_kinds.split(name) if any_kind else (name, "")
    revision = revision or constants.DEFAULT_REVISION
    folder = _folder(repo_id)
    ref = folder / "refs" / revision
    commit = ref.read_text("utf-8").strip() if ref.is_file() else revision
    snapshot = folder / "snapshots" / commit
    if not _COMMIT.fullmatch(commit) or not snapshot.is_dir():
        return None
    names = {path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file()}
    try:
        chosen = hub_kinds.choose(names, snapshot, any_kind=any_kind, wanted=wanted)
    except (UserError, ValueError, KeyError, TypeError, AttributeError):  # not that file, or a damaged index
        return None
    return snapshot / chosen.file if chosen and names.issuperset(chosen.weights) else None


def download(name: str, revision: str | None = None, *, any_kind: bool = False) -> Generator[Event, None, Path]:
    """Fetch what a model needs into the Hugging Face cache; the result is its folder, or the .gguf file that it is.

    It has no thread: bytes flow while the next event is asked for, on an event loop of its own (so never call it
    from a coroutine). Closing it keeps what was fetched; run again, it fetches only what is missing.

    Args:
        name: `owner/model`; with `any_kind` also `owner/model/file.gguf` or `owner/model:Q4_K_M`.
        revision: a branch, tag or commit.
        any_kind: where there are no safetensors, weights that have to be converted will do.

    Raises:
        UserError: the model cannot be had; the sentences say why.
    """
    repo_id, wanted = hub_kinds.split(name) if any_kind else (name, "")
    transfer = _Transfer(repo_id, revision, any_kind, wanted)
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

    def __init__(self, repo_id: str, revision: str | None, any_kind: bool, wanted: str) -> None:
        from huggingface_hub import constants

        self.repo_id = repo_id
        self.any_kind, self.wanted = any_kind, wanted
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
            for name in ("config.json", hub_kinds.SAFETENSORS_INDEX, hub_kinds.TORCH_INDEX):
                if name in files and not self.wanted and (self.any_kind or name != hub_kinds.TORCH_INDEX):
                    await self._fetch(files[name])
            chosen = self._choose(files)
            needed = [files[name] for name in dict.fromkeys((*chosen.besides, *chosen.weights))]
            self.here = {file.path: self._bytes_here(file) for file in needed}
            self.total = sum(file.size for file in needed)
            self.snapshot.mkdir(parents=True, exist_ok=True)
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
        return self.snapshot / chosen.file

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
        self._choose(files)
        return files

    def _choose(self, files: dict[str, HubFile]) -> Chosen:
        """What to fetch: settings, tokenizer and chat template, and of the weights one set."""
        sizes = {path: file.size for path, file in files.items()}
        try:
            chosen = hub_kinds.choose(files, self.snapshot, any_kind=self.any_kind, wanted=self.wanted, sizes=sizes)
            missing = [name for name in chosen.weights if name not in files] if chosen else []
            reason = ", ".join(map(str, missing))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            chosen, reason = Chosen(()), str(error) or type(error).__name__
        if chosen is None:
            raise UserError(
                "{repo_id} holds no model that can be used here.",
                "It has no {missing}.",
                "Look for a repository of the same model with config.json and safetensors weights.",
                repo_id=self.repo_id,
                missing="model.safetensors" if "config.json" in files else "config.json",
            )
        if reason:
            raise UserError(
                "{repo_id} is damaged on Hugging Face.",
                "Its list of weight files cannot be read, or names a file that is not there: {reason}",
                "Choose another revision or another repository of this model.",
                repo_id=self.repo_id,
                reason=reason,
            )
        return chosen

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

    return places.expand(constants.HF_HUB_CACHE) / f"models--{repo_id.replace('/', '--')}"


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
