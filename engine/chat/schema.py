"""The conversations file as a database: tables, migrations, transactions, search, errors. Knows no view and no model.

The file's `PRAGMA user_version` counts the migrations it has had. A migration that was released is never edited; a
change of the tables is a new one at the end.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from engine import processes
from engine.errors import UserError, explain

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # AUTOINCREMENT: the id of a purged row never comes to mean another one, and a child's id is above its parent's.
        """
        CREATE TABLE conversation (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            title TEXT NOT NULL,
            created REAL NOT NULL,
            updated REAL NOT NULL,
            model TEXT NOT NULL,
            system_prompt TEXT NOT NULL,
            sampling TEXT NOT NULL,
            pinned INTEGER NOT NULL DEFAULT 0,
            deleted REAL,
            leaf INTEGER REFERENCES message (id) DEFERRABLE INITIALLY DEFERRED
        ) STRICT
        """,
        # The text stands last, so that walking the tree does not read through it.
        """
        CREATE TABLE message (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            conversation INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
            parent INTEGER REFERENCES message (id),
            role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
            state TEXT NOT NULL CHECK (state IN ('writing', 'done', 'stopped', 'failed', 'interrupted')),
            created REAL NOT NULL,
            model TEXT NOT NULL,
            writer TEXT,
            error TEXT NOT NULL DEFAULT '',
            stats TEXT,
            text TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX message_of_conversation ON message (conversation, parent)",
        "CREATE INDEX message_of_parent ON message (parent)",
        "CREATE INDEX message_in_writing ON message (writer) WHERE writer IS NOT NULL",
        "CREATE INDEX conversation_of_leaf ON conversation (leaf)",
    ),
    (
        # Folded text of its own, because the tokenizer neither folds like Python nor reads past a NUL character.
        "CREATE VIRTUAL TABLE search USING fts5 (folded, tokenize = 'trigram case_sensitive 1')",
        "INSERT INTO search (rowid, folded) SELECT id, fold(text) FROM message WHERE state <> 'writing'",
    ),
    (
        # The ids of an answer as they were sampled, 4 bytes each, and the seconds spent thinking before it.
        "ALTER TABLE message ADD COLUMN tokens BLOB",
        "ALTER TABLE message ADD COLUMN thought REAL",
        # '' takes what the settings say.
        "ALTER TABLE conversation ADD COLUMN when_full TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE conversation ADD COLUMN preset TEXT NOT NULL DEFAULT ''",
        """
        CREATE TABLE attachment (
            id INTEGER PRIMARY KEY,
            message INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
            name TEXT NOT NULL,
            text TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX attachment_of_message ON attachment (message)",
        # What stands for a branch up to a message where the conversation is longer than the model reads.
        """
        CREATE TABLE summary (
            message INTEGER PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
            model TEXT NOT NULL,
            text TEXT NOT NULL
        ) STRICT
        """,
    ),
)

# A message and its ancestors; as a child's id is above its parent's, their order is that of the tree.
BRANCH = """
    WITH RECURSIVE branch (id, parent) AS (
        SELECT id, parent FROM message WHERE id = ?
        UNION ALL
        SELECT message.id, message.parent FROM branch JOIN message ON message.id = branch.parent
    )
    SELECT message.* FROM branch JOIN message ON message.id = branch.id ORDER BY message.id
"""

# Of a message and its descendants the newest, which has no children because they would be newer.
NEWEST_BELOW = """
    WITH RECURSIVE below (id) AS (
        VALUES (?)
        UNION ALL
        SELECT message.id FROM below JOIN message ON message.parent = below.id
    )
    SELECT max(id) FROM below
"""

# What is attached to some messages, whose ids are a JSON list.
ATTACHED = """
    SELECT message, name, text FROM attachment WHERE message IN (SELECT value FROM json_each(?)) ORDER BY id
"""

# CROSS JOIN keeps the order of the tables: newest messages first, and no further than the limit.
_SEARCH_LONG = """
    SELECT message.* FROM search
    CROSS JOIN message ON message.id = search.rowid
    CROSS JOIN conversation ON conversation.id = message.conversation
    WHERE search MATCH ? AND instr(search.folded, ?) AND conversation.deleted IS NULL
    ORDER BY search.rowid DESC LIMIT ?
"""
# The index holds sequences of three characters, so a shorter text is looked for in every message.
_SEARCH_SHORT = """
    SELECT message.* FROM search
    CROSS JOIN message ON message.id = search.rowid
    CROSS JOIN conversation ON conversation.id = message.conversation
    WHERE instr(search.folded, ?) AND conversation.deleted IS NULL
    ORDER BY search.rowid DESC LIMIT ?
"""
# A phrase of this many characters narrows a search enough; the rest of a longer text is compared afterwards.
_PHRASE_LENGTH = 64

_BUSY_SECONDS = 5.0

# What SQLite reports, by its primary result code: why it happened and what to do.
_REASONS = {
    sqlite3.SQLITE_NOTADB: (
        "The file is damaged, or is not a file of conversations.",
        "Put back a copy of it from a backup, or move it elsewhere to start with an empty one. It was not changed.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "The file is damaged.",
        "Put back a copy of it from a backup, or move it elsewhere to start with an empty one. It was not deleted.",
    ),
    sqlite3.SQLITE_BUSY: (
        "Another program has kept it locked for more than {seconds:g} seconds.",
        "Close other windows and programs that use this file, and try again.",
    ),
    sqlite3.SQLITE_FULL: (
        "The disk is full.",
        "Free some space and try again; what was stored before is kept.",
    ),
    sqlite3.SQLITE_READONLY: (
        "The file or its folder may not be written to.",
        "Change their permissions, or choose another place.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "The file cannot be opened: it is a folder, or the system refused access to it.",
        "Check the path and the permissions of the file and its folder.",
    ),
    sqlite3.SQLITE_IOERR: (
        "The disk reported an error: {reason}.",
        "Check that the disk is connected and sound, and try again.",
    ),
}


class Database:
    """A connection to the file; it belongs to the thread that made it."""

    def __init__(self, path: Path) -> None:
        """Open the file; make it, or bring it up to date, where needed.

        Raises:
            UserError: the file is damaged, newer, not one of ours, or may not be used. It is left as it was.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain(error) from error
        with _explaining(path):
            self._connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            _refuse_foreign(self, path)
            self._connection.row_factory = sqlite3.Row
            self._connection.create_function("fold", 1, fold, deterministic=True)
            with _explaining(path):
                _use_wal(self._connection)
            # FULL: what was committed survives a power cut as well.
            self.rows("PRAGMA synchronous = FULL")
            self.rows("PRAGMA foreign_keys = ON")
            self._migrate()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def rows(self, statement: str, *values: object) -> list[sqlite3.Row]:
        """Run one statement; what it returns."""
        stored = [_storable(value) if isinstance(value, str) else value for value in values]
        with _explaining(self._path):
            return self._connection.execute(statement, stored).fetchall()

    def one(self, missing: tuple[str, str, str], statement: str, *values: object) -> sqlite3.Row:
        """The first row a statement returns.

        Raises:
            UserError: there is none; `missing` says so in words.
        """
        rows = self.rows(statement, *values)
        if not rows:
            raise UserError(*missing)
        return rows[0]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. It takes the write lock at once: one asked for after reading is refused without waiting."""
        self.rows("BEGIN IMMEDIATE")
        try:
            yield
            self.rows("COMMIT")
        except BaseException:
            # Where the disk is full, SQLite has rolled back by itself.
            if self._connection.in_transaction:
                self.rows("ROLLBACK")
            raise

    def index(self, message: int) -> None:
        """Let `search` find an ended message: as it is written, indexing it each time would be slow."""
        self.rows("INSERT INTO search (rowid, folded) SELECT id, fold(text) FROM message WHERE id = ?", message)

    def search(self, text: str, limit: int) -> list[sqlite3.Row]:
        """The indexed messages that contain the text, newest first; none for an empty text."""
        needle = fold(_storable(text))
        if not needle:
            return []
        if len(needle) < 3:
            return self.rows(_SEARCH_SHORT, needle, limit)
        # Quoted, everything a person may type is a text and nothing an operator.
        phrase = needle[:_PHRASE_LENGTH].replace('"', '""')
        return self.rows(_SEARCH_LONG, f'"{phrase}"', needle, limit)

    def purge(self, before: float) -> None:
        """Remove the conversations that were deleted before that time."""
        with self.transaction():
            self.rows(
                "DELETE FROM search WHERE rowid IN (SELECT message.id FROM message"
                " JOIN conversation ON conversation.id = message.conversation WHERE conversation.deleted < ?)",
                before,
            )
            self.rows("DELETE FROM conversation WHERE deleted < ?", before)

    @cached_property
    def writer(self) -> str:
        """This process, as it stands in the messages it is writing."""
        return processes.identity(os.getpid())

    def _version(self) -> int:
        return int(self.rows("PRAGMA user_version")[0][0])

    def _migrate(self) -> None:
        if self._version() == len(MIGRATIONS):
            return
        with self.transaction():
            # Read again under the lock: another process may have done it meanwhile.
            for version in range(self._version(), len(MIGRATIONS)):
                for statement in MIGRATIONS[version]:
                    self.rows(statement)
                self.rows(f"PRAGMA user_version = {version + 1}")


def fold(text: str) -> str:
    """The text as it is searched: without case, and without NUL, where SQLite's tokenizer would stop reading."""
    return text.casefold().replace("\0", "\ufffd")


def _storable(text: str) -> str:
    """The text with lone surrogates, which a paste can hold and UTF-8 cannot, replaced."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    """Turn what SQLite reports about the file into words; a fault of the program stays the exception it is."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        # Errors of Python's own module carry no code; an extended code has the primary one in its low byte.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code not in _REASONS:
            raise
        why, remedy = _REASONS[code]
        raise UserError(
            "The conversations in {path} cannot be used.",
            why,
            remedy,
            path=path,
            reason=error,
            seconds=_BUSY_SECONDS,
        ) from error


def _refuse_foreign(database: Database, path: Path) -> None:
    """Before anything is written: a newer file would lose what this version does not know."""
    # One statement, so that another process creating the tables meanwhile is seen either before or after.
    [(version, tables)] = database.rows(
        "SELECT user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version"
    )
    if version > len(MIGRATIONS):
        raise UserError(
            "The conversations in {path} were written by a newer version of this program.",
            "The file has format {found}; this version knows formats up to {known}.",
            "Update the program. The file was not changed.",
            path=path,
            found=version,
            known=len(MIGRATIONS),
        )
    if version == 0 and tables:
        raise UserError(
            "The file {path} is not a file of conversations.",
            "It is a database of another program.",
            "Choose another place for the conversations. The file was not changed.",
            path=path,
        )


def _use_wal(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work side by side.

    Two programs that make the same new file at once collide here without SQLite waiting, so the waiting is ours.
    """
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
