"""Keeps conversations in one SQLite file: trees of messages with full-text search. Knows no model and no view.

Editing and regenerating add siblings; a message that has ended is never overwritten. A committed text survives the
death of the program. A `Conversations` belongs to the thread that made it: every thread and process opens its own.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import ValidationError

from engine import processes
from engine.chat import schema
from engine.config import Sampling
from engine.events import ReplyFinished, from_json, to_json

Role = Literal["user", "assistant"]
State = Literal["writing", "done", "stopped", "failed", "interrupted"]

_DAYS_UNTIL_PURGED = 30
_TITLE_LENGTH = 60
_DEFAULTS = Sampling()

_NO_CONVERSATION = (
    "This conversation does not exist.",
    "It was deleted, or was never stored.",
    "Choose another conversation, or begin a new one.",
)
_NO_MESSAGE = (
    "This message does not exist.",
    "It was deleted with its conversation, or belongs to another one.",
    "Choose another message.",
)
_NOT_BEING_WRITTEN = (
    "This message cannot be changed.",
    "It has ended, or was deleted with its conversation.",
    "Add a new message instead.",
)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `parent` is None at the root, `model` the one that answered, `error` why it failed."""

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


@dataclass(frozen=True, slots=True)
class Conversation:
    """A tree of messages, of which `leaf` ends the branch in view. `updated` is when something was last said."""

    id: int
    title: str
    created: float
    updated: float
    model: str
    system_prompt: str
    sampling: Sampling
    leaf: int | None
    pinned: bool


class Conversations:
    """The conversations in one file. Use it only on the thread that made it, and close it there.

    A conversation or message that does not exist (any more), and a file that is damaged, locked or cannot be written
    to, raise `UserError`.
    """

    def __init__(self, path: Path) -> None:
        """Open the file; make it, or bring it up to date, where needed.

        Raises:
            UserError: the file is damaged, or was written by a newer version. It is left as it was.
        """
        self._database = schema.Database(path)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def recover(self) -> int:
        """At program start: end the messages whose writer is gone, and purge what was deleted 30 days ago.

        Returns how many messages became "interrupted"; those that a living process writes are left alone.
        """
        writers = [
            row["writer"] for row in self._database.rows("SELECT DISTINCT writer FROM message WHERE writer IS NOT NULL")
        ]
        interrupted = 0
        # A process that is gone does not come back, so this may be asked before the lock is taken.
        for writer in writers:
            if writer and processes.identity(int(writer.split()[0])) == writer:
                continue
            with self._database.transaction():
                ended = self._database.rows(
                    "UPDATE message SET state = 'interrupted', writer = NULL WHERE writer = ? RETURNING id", writer
                )
                for row in ended:
                    self._database.index(row["id"])
            interrupted += len(ended)
        self._database.purge(time.time() - _DAYS_UNTIL_PURGED * 24 * 3600)
        return interrupted

    def create(
        self, *, title: str = "", model: str = "", system_prompt: str = "", sampling: Sampling = _DEFAULTS
    ) -> Conversation:
        """A new conversation without messages."""
        now = time.time()
        [row] = self._database.rows(
            "INSERT INTO conversation (title, created, updated, model, system_prompt, sampling)"
            " VALUES (?, ?, ?, ?, ?, ?) RETURNING *",
            *(title, now, now, model, system_prompt, sampling.model_dump_json()),
        )
        return _conversation(row)

    def all(self) -> list[Conversation]:
        """What is not deleted: pinned conversations on top, then those in which something was said last."""
        rows = self._database.rows(
            "SELECT * FROM conversation WHERE deleted IS NULL ORDER BY pinned DESC, updated DESC, id DESC"
        )
        return [_conversation(row) for row in rows]

    def get(self, conversation: int) -> Conversation:
        """One conversation; a deleted one does not exist until it is restored."""
        return _conversation(
            self._database.one(
                _NO_CONVERSATION, "SELECT * FROM conversation WHERE id = ? AND deleted IS NULL", conversation
            )
        )

    def change(
        self,
        conversation: int,
        *,
        title: str | None = None,
        model: str | None = None,
        system_prompt: str | None = None,
        sampling: Sampling | None = None,
        pinned: bool | None = None,
    ) -> Conversation:
        """Set what is not None. `updated` stays, so that a renamed conversation keeps its place in the list."""
        row = self._database.one(
            _NO_CONVERSATION,
            "UPDATE conversation SET title = coalesce(?, title), model = coalesce(?, model),"
            " system_prompt = coalesce(?, system_prompt), sampling = coalesce(?, sampling),"
            " pinned = coalesce(?, pinned) WHERE id = ? AND deleted IS NULL RETURNING *",
            *(title, model, system_prompt, sampling and sampling.model_dump_json(), pinned, conversation),
        )
        return _conversation(row)

    def delete(self, conversation: int) -> None:
        """Take a conversation out of sight. A reply being written goes on, so that `restore` brings all back."""
        self._database.one(
            _NO_CONVERSATION,
            "UPDATE conversation SET deleted = coalesce(deleted, ?) WHERE id = ? RETURNING id",
            *(time.time(), conversation),
        )

    def restore(self, conversation: int) -> None:
        """Undo `delete`, until `recover` has purged the conversation."""
        self._database.one(
            _NO_CONVERSATION, "UPDATE conversation SET deleted = NULL WHERE id = ? RETURNING id", conversation
        )

    def add(
        self, conversation: int, parent: int | None, role: Role, text: str, *, model: str = "", state: State = "done"
    ) -> Message:
        """Append a message below `parent` and make it the leaf; the person's first one gives a missing title."""
        now = time.time()
        with self._database.transaction():
            title = self.get(conversation).title or (_title(text) if role == "user" else "")
            if parent is not None:
                self._database.one(
                    _NO_MESSAGE, "SELECT id FROM message WHERE id = ? AND conversation = ?", parent, conversation
                )
            writer = self._database.writer if state == "writing" else None
            [row] = self._database.rows(
                "INSERT INTO message (conversation, parent, role, text, state, created, model, writer)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
                *(conversation, parent, role, text, state, now, model, writer),
            )
            self._database.rows(
                "UPDATE conversation SET leaf = ?, updated = ?, title = ? WHERE id = ?",
                *(row["id"], now, title, conversation),
            )
            if state != "writing":
                self._database.index(row["id"])
        return _message(row)

    def path(self, conversation: int) -> list[Message]:
        """The branch in view, from its root to the leaf."""
        rows = self._database.rows(schema.BRANCH, self.get(conversation).leaf)
        return [_message(row) for row in rows]

    def ancestors(self, message: int) -> list[Message]:
        """The branch that ends in this message, from its root; the message itself is the last."""
        self._database.one(_NO_MESSAGE, "SELECT id FROM message WHERE id = ?", message)
        return [_message(row) for row in self._database.rows(schema.BRANCH, message)]

    def siblings(self, message: int) -> list[int]:
        """The message and its alternatives (the other children of its parent), in the order of their creation."""
        row = self._database.one(_NO_MESSAGE, "SELECT conversation, parent FROM message WHERE id = ?", message)
        rows = self._database.rows("SELECT id FROM message WHERE conversation = ? AND parent IS ? ORDER BY id", *row)
        return [row["id"] for row in rows]

    def choose(self, message: int) -> list[Message]:
        """Go to the branch of a message, to what was last said below it; returns the new `path`."""
        with self._database.transaction():
            row = self._database.one(_NO_MESSAGE, "SELECT conversation FROM message WHERE id = ?", message)
            [(newest,)] = self._database.rows(schema.NEWEST_BELOW, message)
            self._database.rows("UPDATE conversation SET leaf = ? WHERE id = ?", newest, row["conversation"])
            return self.path(row["conversation"])

    def write(self, message: int, text: str) -> None:
        """Commit the text so far of a message in the state "writing"; any other raises `UserError`."""
        self._database.one(
            _NOT_BEING_WRITTEN,
            "UPDATE message SET text = ? WHERE id = ? AND state = 'writing' RETURNING id",
            *(text, message),
        )

    def finish(
        self, message: int, text: str, state: State, *, stats: ReplyFinished | None = None, error: str = ""
    ) -> None:
        """End a message in the state "writing", and let `search` find it; any other raises `UserError`."""
        # Without the text, which is the message's own.
        stored = to_json(dataclasses.replace(stats, text="")) if stats else None
        with self._database.transaction():
            row = self._database.one(
                _NOT_BEING_WRITTEN,
                "UPDATE message SET text = ?, state = ?, stats = ?, error = ?, writer = NULL"
                " WHERE id = ? AND state = 'writing' RETURNING conversation",
                *(text, state, stored, error, message),
            )
            self._database.rows("UPDATE conversation SET updated = ? WHERE id = ?", time.time(), row["conversation"])
            self._database.index(message)

    def search(self, text: str, limit: int = 50) -> list[Message]:
        """Ended messages that contain `text` in any letter case, newest first; none for an empty text."""
        return [_message(row) for row in self._database.search(text, limit)]


def _conversation(row: sqlite3.Row) -> Conversation:
    values = {name: row[name] for name in Conversation.__match_args__}
    return Conversation(**values | {"sampling": _sampling(row["sampling"]), "pinned": bool(row["pinned"])})


def _message(row: sqlite3.Row) -> Message:
    values = {name: row[name] for name in Message.__match_args__}
    return Message(**values | {"stats": _stats(row["stats"], row["text"])})


def _stats(stored: str | None, text: str) -> ReplyFinished | None:
    """None where another version stored it without a field of this one: the text is worth more than its figures."""
    if stored is None:
        return None
    try:
        event = from_json(stored)
    except (ValueError, TypeError):
        return None
    return dataclasses.replace(event, text=text) if isinstance(event, ReplyFinished) else None


def _sampling(stored: str) -> Sampling:
    """A setting of a newer version is left out, and a value this one does not allow becomes the default."""
    values = {key: value for key, value in json.loads(stored).items() if key in Sampling.model_fields}
    try:
        return Sampling(**values)
    except ValidationError as error:
        wrong = {fault["loc"][0] for fault in error.errors()}
        return Sampling(**{key: value for key, value in values.items() if key not in wrong})


def _title(text: str) -> str:
    """The first line that says something, cut at a word."""
    line = next((" ".join(line.split()) for line in text.splitlines() if line.strip()), "").replace("\0", "")
    if len(line) <= _TITLE_LENGTH:
        return line
    # One character more, so that a word that ends exactly here stays whole; a text without spaces is cut hard.
    return line[: _TITLE_LENGTH + 1].rpartition(" ")[0] or line[:_TITLE_LENGTH]
