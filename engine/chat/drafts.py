"""Finds and opens a small model that guesses ahead for another one. Knows model folders, and loads one."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from engine import library
from engine.chat.speculation import same_vocabulary
from engine.errors import UserError
from engine.events import Event, Note
from engine.session import open_session

if TYPE_CHECKING:
    from engine.session import ModelSession

AUTOMATIC = "auto"
# A draft that is not much smaller guesses no faster than the model answers.
_SHARE = 3


def open_draft(name: str, session: ModelSession) -> Generator[Event, None, ModelSession | None]:
    """Load the draft of this name; "auto" takes the smallest model that `find` finds, and none where there is none."""
    if name == AUTOMATIC:
        folder = find(session.files.folder, session.files.weights)
        if folder is None:
            yield Note("No small model with the same vocabulary is on this computer, so nothing guesses ahead.")
            return None
        name = str(folder)
    try:
        draft = yield from open_session(name)
    except UserError as error:
        yield Note(f"The draft model cannot be used. {error.what}")
        return None
    if same_vocabulary(session, draft):
        return draft
    draft.close()
    yield Note("The draft model has another vocabulary than this model; it is not used.")
    return None


def find(model: Path, weights: int) -> Path | None:
    """The smallest model here with the vocabulary of this one and at most a third of its size in bytes."""
    wanted = _vocabulary(model)
    fitting = [
        files
        for files in library.on_disk()
        if files.weights * _SHARE <= weights and files.folder != model and _vocabulary(files.folder) == wanted
    ]
    return min(fitting, key=lambda files: files.weights).folder if fitting and wanted else None


def _vocabulary(folder: Path) -> str:
    """What a tokenizer's file says, in short; "" where there is none."""
    for name in ("tokenizer.json", "tokenizer.model", "tokenizer.tiktoken"):
        if (folder / name).is_file():
            return hashlib.sha256((folder / name).read_bytes()).hexdigest()
    return ""
