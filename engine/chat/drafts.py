"""Finds and opens a small model that guesses ahead for another one. Knows model folders, and loads one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from engine import library
from engine.chat.speculation import same_vocabulary
from engine.errors import UserError
from engine.events import Event, ModelLoaded, Note
from engine.requests import LoadModel
from engine.session import open_session, size

if TYPE_CHECKING:
    from engine.session import ModelSession

AUTOMATIC = "auto"
# A draft that is not much smaller guesses no faster than the model answers.
_SHARE = 3


def open_draft(name: str, session: ModelSession, load: LoadModel) -> Generator[Event, None, ModelSession | None]:
    """Load the draft of this name; "auto" takes the smallest model that `find` finds, and none where there is none.

    Args:
        session: the model that it guesses for.
        load: how that one was loaded.

    Yields:
        Progress, and a Note where there is no draft. ModelLoaded is said of the model that answers alone.
    """
    if name == AUTOMATIC:
        folder = find(session.files.folder, session.files.weights)
        if folder is None:
            yield Note("No small model with the same vocabulary is on this computer, so nothing guesses ahead.")
            return None
        name = str(folder)
    steps = open_session(name, precision=load.precision, memory_limit=load.memory_limit, beside=size(session.model))
    try:
        draft = yield from _quietly(steps)
    except UserError as error:
        yield Note(f"The draft model cannot be used. {error.what}")
        return None
    if same_vocabulary(session, draft):
        return draft
    draft.close()
    yield Note("The draft model has another vocabulary than this model; it is not used.")
    return None


def _quietly(steps: Generator[Event, None, ModelSession]) -> Generator[Event, None, ModelSession]:
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        if not isinstance(event, ModelLoaded):
            yield event


def find(model: Path, weights: int) -> Path | None:
    """The smallest model here with the vocabulary of this one and at most a third of its size in bytes."""
    wanted = _vocabulary(model)
    small = [files for files in library.on_disk() if files.weights * _SHARE <= weights and files.folder != model]
    small.sort(key=lambda files: files.weights)
    return next((files.folder for files in small if wanted and _vocabulary(files.folder) == wanted), None)


def _vocabulary(folder: Path) -> str:
    """Which token has which number, in short; "" where no file says so."""
    for name in ("tokenizer.json", "tokenizer.model", "tokenizer.tiktoken"):
        if (folder / name).is_file():
            stored = (folder / name).read_bytes()
            return hashlib.sha256(_words(stored) if name.endswith(".json") else stored).hexdigest()
    return ""


def _words(stored: bytes) -> bytes:
    """The words of a tokenizer.json, without what differs between files of one vocabulary."""
    try:
        tokenizer = json.loads(stored)
        added = [(token["id"], token["content"]) for token in tokenizer["added_tokens"]]
        return json.dumps([tokenizer["model"]["vocab"], added], sort_keys=True).encode()
    except (ValueError, KeyError, TypeError, RecursionError):
        return stored
