"""Keeps conversations in one SQLite file: trees of messages with full-text search. Knows no model and no view.

Editing and regenerating add siblings; a message that has ended is never overwritten. A committed text survives the
death of the program. A `Conversations` belongs to the thread that made it: every thread and process opens its own.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from engine import processes
from engine.chat import schema
from engine.chat.messages import (
    Attachment,
    Conversation,
    Message,
    Role,
    State,
    conversation_of,
    message_of,
    packed,
    title_of,
    unpacked,
)
from engine.config import Sampling
from engine.events import ReplyFinished, to_json

__all__ = ["Attachment", "Conversation", "Conversations", "Message", "Role", "State"]

_DAYS_UNTIL_PURGED = 30
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
        self,
        *,
        title: str = "",
        model: str = "",
        system_prompt: str = "",
        sampling: Sampling = _DEFAULTS,
        when_full: str = "",
        preset: str = "",
    ) -> Conversation:
        """A new conversation without messages."""
        now = time.time()
        [row] = self._database.rows(
            "INSERT INTO conversation (title, created, updated, model, system_prompt, sampling, when_full, preset)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
            *(title, now, now, model, system_prompt, sampling.model_dump_json(), when_full, preset),
        )
        return conversation_of(row)

    def all(self) -> list[Conversation]:
        """What is not deleted: pinned conversations on top, then those in which something was said last."""
        rows = self._database.rows(
            "SELECT * FROM conversation WHERE deleted IS NULL ORDER BY pinned DESC, updated DESC, id DESC"
        )
        return [conversation_of(row) for row in rows]

    def get(self, conversation: int) -> Conversation:
        """One conversation; a deleted one does not exist until it is restored."""
        return conversation_of(
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
        when_full: str | None = None,
        preset: str | None = None,
    ) -> Conversation:
        """Set what is not None. `updated` stays, so that a renamed conversation keeps its place in the list."""
        row = self._database.one(
            _NO_CONVERSATION,
            "UPDATE conversation SET title = coalesce(?, title), model = coalesce(?, model),"
            " system_prompt = coalesce(?, system_prompt), sampling = coalesce(?, sampling),"
            " pinned = coalesce(?, pinned), when_full = coalesce(?, when_full), preset = coalesce(?, preset)"
            " WHERE id = ? AND deleted IS NULL RETURNING *",
            *(title, model, system_prompt, sampling and sampling.model_dump_json(), pinned, when_full, preset),
            conversation,
        )
        return conversation_of(row)

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
        self,
        conversation: int,
        parent: int | None,
        role: Role,
        text: str,
        *,
        model: str = "",
        state: State = "done",
        attachments: Sequence[Attachment] = (),
    ) -> Message:
        """Append a message below `parent` and make it the leaf; the person's first one gives a missing title."""
        now = time.time()
        with self._database.transaction():
            title = self.get(conversation).title or (title_of(text) if role == "user" else "")
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
            for attachment in attachments:
                self._attach(row["id"], attachment)
            if state != "writing":
                self._database.index(row["id"])
        return message_of(row, attachments)

    def edit(self, message: int, text: str, attachments: Sequence[Attachment] | None = None) -> Message:
        """A message beside this one, with another text; it becomes the leaf. None keeps what is attached."""
        [old] = self._messages([self._one_message(message)])
        kept = old.attachments if attachments is None else attachments
        return self.add(old.conversation, old.parent, old.role, text, model=old.model, attachments=kept)

    def branch(self, message: int) -> Conversation:
        """A new conversation with copies of the messages from the root to this one."""
        with self._database.transaction():
            said = self._database.rows(schema.BRANCH, self._one_message(message)["id"])
            old = self.get(said[0]["conversation"])
            [row] = self._database.rows(
                "INSERT INTO conversation (title, created, updated, model, system_prompt, sampling, when_full, preset)"
                " SELECT title, ?, ?, model, system_prompt, sampling, when_full, preset FROM conversation WHERE id = ?"
                " RETURNING id",
                *(time.time(), time.time(), old.id),
            )
            new, parent = row["id"], None
            for each in said:
                # What is being written elsewhere is copied as far as it has come, and is not written here.
                state = "stopped" if each["state"] == "writing" else each["state"]
                [row] = self._database.rows(
                    "INSERT INTO message (conversation, parent, state, role, text, created, model, stats, error,"
                    " tokens, thought) SELECT ?, ?, ?, role, text, created, model, stats, error, tokens, thought"
                    " FROM message WHERE id = ? RETURNING id",
                    *(new, parent, state, each["id"]),
                )
                parent = row["id"]
                self._database.rows(
                    "INSERT INTO attachment (message, name, text) SELECT ?, name, text FROM attachment"
                    " WHERE message = ? ORDER BY id",
                    *(parent, each["id"]),
                )
                self._database.index(parent)
            self._database.rows("UPDATE conversation SET leaf = ? WHERE id = ?", parent, new)
        return self.get(new)

    def path(self, conversation: int) -> list[Message]:
        """The branch in view, from its root to the leaf."""
        return self._messages(self._database.rows(schema.BRANCH, self.get(conversation).leaf))

    def ancestors(self, message: int) -> list[Message]:
        """The branch that ends in this message, from its root; the message itself is the last."""
        self._one_message(message)
        return self._messages(self._database.rows(schema.BRANCH, message))

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
        self,
        message: int,
        text: str,
        state: State,
        *,
        stats: ReplyFinished | None = None,
        error: str = "",
        tokens: Sequence[int] | None = None,
        thought: float | None = None,
    ) -> None:
        """End a message in the state "writing", and let `search` find it; any other raises `UserError`.

        `tokens` are the ids of the text as they were sampled, `thought` the seconds of thinking among its writing.
        """
        # Without the text, which is the message's own.
        stored = to_json(dataclasses.replace(stats, text="")) if stats else None
        with self._database.transaction():
            row = self._database.one(
                _NOT_BEING_WRITTEN,
                "UPDATE message SET text = ?, state = ?, stats = ?, error = ?, tokens = ?, thought = ?, writer = NULL"
                " WHERE id = ? AND state = 'writing' RETURNING conversation",
                *(text, state, stored, error, None if tokens is None else packed(tokens), thought, message),
            )
            self._database.rows("UPDATE conversation SET updated = ? WHERE id = ?", time.time(), row["conversation"])
            self._database.index(message)

    def tokens(self, message: int) -> list[int]:
        """The ids of an answer as they were sampled; none where they are not known."""
        row = self._database.one(_NO_MESSAGE, "SELECT tokens FROM message WHERE id = ?", message)
        return unpacked(row["tokens"])

    def summary(self, message: int) -> str | None:
        """What stands for the branch up to and with this message, None where it was not summarised."""
        rows = self._database.rows("SELECT text FROM summary WHERE message = ?", message)
        return rows[0]["text"] if rows else None

    def keep_summary(self, message: int, model: str, text: str) -> None:
        """Have `text`, which this model wrote, stand for the branch up to and with this message."""
        self._one_message(message)
        self._database.rows(
            "INSERT INTO summary (message, model, text) VALUES (?, ?, ?)"
            " ON CONFLICT (message) DO UPDATE SET model = excluded.model, text = excluded.text",
            *(message, model, text),
        )

    def search(self, text: str, limit: int = 50) -> list[Message]:
        """Ended messages that contain `text` in any letter case, newest first; none for an empty text."""
        return self._messages(self._database.search(text, limit))

    def _attach(self, message: int, attachment: Attachment) -> None:
        self._database.rows(
            "INSERT INTO attachment (message, name, text) VALUES (?, ?, ?)",
            *(message, attachment.name, attachment.text),
        )

    def _one_message(self, message: int) -> sqlite3.Row:
        return self._database.one(_NO_MESSAGE, "SELECT * FROM message WHERE id = ?", message)

    def _messages(self, rows: Sequence[sqlite3.Row]) -> list[Message]:
        """The messages of these rows, with what is attached to them."""
        attached: dict[int, list[Attachment]] = {}
        # As JSON, since a statement takes a bounded number of values.
        ids = json.dumps([row["id"] for row in rows])
        for found in self._database.rows(schema.ATTACHED, ids):
            attached.setdefault(found["message"], []).append(Attachment(found["name"], found["text"]))
        return [message_of(row, attached.get(row["id"], ())) for row in rows]
