"""Takes whole conversations out of the store and into it. Knows the tables, no file but the database's own.

Like the store it belongs to the thread that made it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Self

from engine.chat import schema
from engine.chat.messages import Attachment, packed, title_of, unpacked
from engine.chat.portable import PortableConversation, PortableMessage

_GONE = (
    "This conversation does not exist.",
    "It was deleted, or was never stored.",
    "Choose another conversation.",
)
# Those of a message that a copy has as they are.
_COLUMNS = ("role", "text", "state", "created", "model", "error", "thought", "stats")


class Archive:
    """Whole conversations of one file."""

    def __init__(self, path: Path) -> None:
        self._database = schema.Database(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def numbers(self) -> list[int]:
        """Those of all conversations that are not deleted, the one in which something was said last first."""
        rows = self._database.rows("SELECT id FROM conversation WHERE deleted IS NULL ORDER BY updated DESC, id DESC")
        return [row["id"] for row in rows]

    def read(self, conversation: int) -> PortableConversation:
        """All of a conversation, every branch of it.

        Raises:
            UserError: there is no such conversation.
        """
        row = self._database.one(_GONE, "SELECT * FROM conversation WHERE id = ? AND deleted IS NULL", conversation)
        rows = self._database.rows("SELECT * FROM message WHERE conversation = ? ORDER BY id", conversation)
        places = {each["id"]: place for place, each in enumerate(rows)}
        messages = []
        for each in rows:
            # What is being written is as far as it has come.
            state = "stopped" if each["state"] == "writing" else each["state"]
            values = {name: each[name] for name in _COLUMNS} | {"state": state}
            parent = places[each["parent"]] if each["parent"] is not None else None
            messages.append(PortableMessage(parent=parent, tokens=unpacked(each["tokens"]), **values))
        of_these = "SELECT {} WHERE message IN (SELECT id FROM message WHERE conversation = ?)"
        columns = of_these.format("message, name, text FROM attachment")
        for found in self._database.rows(f"{columns} ORDER BY id", conversation):
            messages[places[found["message"]]].attachments.append(Attachment(found["name"], found["text"]))
        for found in self._database.rows(of_these.format("message, model, text FROM summary"), conversation):
            messages[places[found["message"]]].summary = (found["model"], found["text"])
        return PortableConversation(
            title=row["title"],
            created=row["created"],
            updated=row["updated"],
            messages=messages,
            leaf=places[row["leaf"]] if row["leaf"] is not None else None,
            model=row["model"],
            system_prompt=row["system_prompt"],
            sampling=row["sampling"],
            pinned=bool(row["pinned"]),
            when_full=row["when_full"],
            preset=row["preset"],
        )

    def holds(self, conversation: PortableConversation) -> bool:
        """Whether one that began at the same moment says the same."""
        rows = self._database.rows(
            "SELECT id FROM conversation WHERE created = ? AND deleted IS NULL", conversation.created
        )
        said = [(message.role, message.text) for message in conversation.messages]
        for row in rows:
            there = self._database.rows("SELECT role, text FROM message WHERE conversation = ? ORDER BY id", row["id"])
            if [(each["role"], each["text"]) for each in there] == said:
                return True
        return False

    def add(self, conversation: PortableConversation) -> int:
        """Store a conversation, all of it or nothing; its number."""
        made = conversation.created or time.time()
        first = next((message.text for message in conversation.messages if message.role == "user"), "")
        with self._database.transaction():
            [row] = self._database.rows(
                "INSERT INTO conversation (title, created, updated, model, system_prompt, sampling, pinned, when_full,"
                " preset) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                *(conversation.title or title_of(first), made, max(made, conversation.updated), conversation.model),
                *(conversation.system_prompt, conversation.sampling, conversation.pinned, conversation.when_full),
                conversation.preset,
            )
            number, ids = row["id"], list[int]()
            for message in conversation.messages:
                ids.append(self._add_message(number, message, ids))
            if conversation.leaf is not None and ids:
                self._database.rows("UPDATE conversation SET leaf = ? WHERE id = ?", ids[conversation.leaf], number)
        return int(number)

    def _add_message(self, conversation: int, message: PortableMessage, ids: list[int]) -> int:
        parent = None if message.parent is None else ids[message.parent]
        [row] = self._database.rows(
            f"INSERT INTO message (conversation, parent, tokens, {', '.join(_COLUMNS)})"  # noqa: S608  fixed names
            f" VALUES (?, ?, ?{', ?' * len(_COLUMNS)}) RETURNING id",
            *(conversation, parent, packed(message.tokens) if message.tokens else None),
            *(getattr(message, name) for name in _COLUMNS),
        )
        for file in message.attachments:
            self._database.rows(
                "INSERT INTO attachment (message, name, text) VALUES (?, ?, ?)", row["id"], file.name, file.text
            )
        if message.summary is not None:
            self._database.rows(
                "INSERT INTO summary (message, model, text) VALUES (?, ?, ?)", row["id"], *message.summary
            )
        self._database.index(row["id"])
        return int(row["id"])
