"""What is stored of conversations: plain frozen dataclasses, and how rows become them. Knows no file."""

from __future__ import annotations

import array
import dataclasses
import functools
import json
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from engine.config import Sampling
from engine.events import ReplyFinished, from_json

Role = Literal["user", "assistant"]
State = Literal["writing", "done", "stopped", "failed", "interrupted"]

_TITLE_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Attachment:
    """A text file that goes with a message."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `parent` is None at the root, `model` the one that answered, `error` why it failed.

    `thought` is how many seconds it thought before it answered, None where it did not, or nobody measured.
    """

    id: int
    conversation: int
    parent: int | None
    role: Role
    text: str
    state: State
    created: float
    model: str
    stats: ReplyFinished | None
    error: str
    thought: float | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    """A tree of messages, of which `leaf` ends the branch in view. `updated` is when something was last said.

    `when_full` is what happens when the model's context is full, "" for what the settings say; `preset` names the one
    that the conversation began with.
    """

    id: int
    title: str
    created: float
    updated: float
    model: str
    system_prompt: str
    sampling: Sampling
    leaf: int | None
    pinned: bool
    when_full: str = ""
    preset: str = ""


def conversation_of(row: sqlite3.Row) -> Conversation:
    """The conversation in a row of its table."""
    values = {name: row[name] for name in Conversation.__match_args__}
    return Conversation(**values | {"sampling": _sampling(row["sampling"]), "pinned": bool(row["pinned"])})


def message_of(row: sqlite3.Row, attachments: Sequence[Attachment] = ()) -> Message:
    """The message in a row of its table."""
    values = {name: row[name] for name in Message.__match_args__ if name != "attachments"}
    return Message(**values | {"stats": _stats(row["stats"], row["text"])}, attachments=tuple(attachments))


def packed(tokens: Iterable[int]) -> bytes:
    """Token ids as they are stored: 4 bytes each, the lowest first."""
    ids = array.array("I", tokens)
    if sys.byteorder == "big":
        ids.byteswap()
    return ids.tobytes()


def unpacked(stored: bytes | None) -> list[int]:
    """The token ids that `packed` stored; none where nothing was."""
    ids = array.array("I", stored or b"")
    if sys.byteorder == "big":
        ids.byteswap()
    return ids.tolist()


def _stats(stored: str | None, text: str) -> ReplyFinished | None:
    """None where another version stored it without a field of this one: the text is worth more than its figures."""
    if stored is None:
        return None
    try:
        event = from_json(stored)
    except (ValueError, TypeError):
        return None
    return dataclasses.replace(event, text=text) if isinstance(event, ReplyFinished) else None


@functools.lru_cache(maxsize=64)  # thousands of conversations have the same
def _sampling(stored: str) -> Sampling:
    """A setting of a newer version is left out, and a value this one does not allow becomes the default."""
    values = {key: value for key, value in json.loads(stored).items() if key in Sampling.model_fields}
    try:
        return Sampling(**values)
    except ValidationError as error:
        wrong = {fault["loc"][0] for fault in error.errors()}
        return Sampling(**{key: value for key, value in values.items() if key not in wrong})


def title_of(text: str) -> str:
    """The first line that says something, cut at a word."""
    line = next((" ".join(line.split()) for line in text.splitlines() if line.strip()), "").replace("\0", "")
    if len(line) <= _TITLE_LENGTH:
        return line
    # One character more, so that a word that ends exactly here stays whole; a text without spaces is cut hard.
    return line[: _TITLE_LENGTH + 1].rpartition(" ")[0] or line[:_TITLE_LENGTH]
