"""Takes conversations in from files: our own JSON, and what other programs export. Knows the archive, no view."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.chat import foreign_exports, portable
from engine.chat.archive import Archive
from engine.chat.foreign_exports import UnknownFormatError
from engine.chat.portable import PortableConversation
from engine.chat_events import ConversationsImported
from engine.errors import UserError, explain
from engine.events import Event, Progress

_DOING = "Importing conversations"
# Of one JSON document; in memory it takes several times as much.
_MOST_BYTES = 1 << 30
_MOST_FILES = 20_000
_SENTENCES = {
    "there": "Conversations that were here already: {count}.",
    "empty": "Conversations without a message: {count}.",
    "damaged": "Conversations that could not be read: {count}.",
    "strange": "Files without conversations: {count}.",
    "large": "Files larger than 1 GB: {count}.",
    "tool": "Messages of tools: {count}.",
    "file": "Pictures and files in messages: {count}.",
}


def read(database: Path, source: Path) -> Iterator[Event]:
    """Store the conversations in a file, a .zip or a folder; those that are here already are passed over.

    Each conversation comes whole or not at all.

    Yields:
        Progress, at last ConversationsImported.

    Raises:
        UserError: there is nothing to read, or it holds no conversations.
    """
    left_out: Counter[str] = Counter()
    made: list[tuple[float, int]] = []
    messages = found = 0
    with Archive(database) as archive:
        for document in _documents(source, left_out):
            yield Progress(_DOING, len(made), None, "steps")
            try:
                parts = _parts(document)
            except UnknownFormatError:
                left_out["strange"] += 1
                continue
            found += len(parts)
            for part in parts:
                conversation = _conversation(part, document, left_out)
                if conversation is None:
                    continue
                if archive.holds(conversation):
                    left_out["there"] += 1
                    continue
                made.append((conversation.updated, archive.add(conversation)))
                messages += len(conversation.messages)
                yield Progress(_DOING, len(made), None, "steps")
    if not found:
        raise UserError(
            "{name} holds no conversations.",
            "Neither those of this program are in it, nor those that ChatGPT or LM Studio export.",
            "Choose a .json file, the .zip of an export, or a folder of such files.",
            name=source.name,
        )
    sentences = tuple(_SENTENCES[kind].format(count=f"{left_out[kind]:,}") for kind in _SENTENCES if left_out[kind])
    yield ConversationsImported(tuple(number for _, number in sorted(made, reverse=True)), messages, sentences)


def _documents(source: Path, left_out: Counter[str]) -> Iterator[object]:
    """The JSON documents in a file, a .zip or a folder; what is none is counted."""
    try:
        if source.is_dir():
            files = sorted(source.rglob("*.json"))[:_MOST_FILES]
        elif not source.is_file():
            raise UserError(
                "There is no file {path}.", "It was moved or deleted, or is no file.", "Choose another.", path=source
            )
        elif zipfile.is_zipfile(source):
            yield from _zipped(source, left_out)
            return
        else:
            files = [source]
        for file in files:
            if not file.is_file():
                continue
            if file.stat().st_size > _MOST_BYTES:
                left_out["large"] += 1
                continue
            yield from _parsed(file.read_bytes(), left_out)
    except OSError as error:
        raise explain(error) from error


def _zipped(source: Path, left_out: Counter[str]) -> Iterator[object]:
    try:
        with zipfile.ZipFile(source) as archive:
            names = [each for each in archive.infolist() if each.filename.lower().endswith(".json")]
            for each in names[:_MOST_FILES]:
                with archive.open(each) as member:
                    # The size that is stated may be a lie.
                    data = member.read(_MOST_BYTES + 1)
                if len(data) > _MOST_BYTES:
                    left_out["large"] += 1
                    continue
                yield from _parsed(data, left_out)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise UserError(
            "{name} cannot be unpacked.",
            "{reason}",
            "Get the file again, or unpack it and choose the folder.",
            name=source.name,
            reason=f"{error}." if str(error) else "It is damaged.",
        ) from error


def _parsed(data: bytes, left_out: Counter[str]) -> Iterator[object]:
    try:
        document: object = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        left_out["strange"] += 1
        return
    yield document


def _ours(document: object) -> dict[str, Any] | None:
    """The document, where this program wrote it."""
    return document if isinstance(document, dict) and document.get("format") == portable.FORMAT else None


def _parts(document: object) -> list[object]:
    """What may each be a conversation.

    Raises:
        UnknownFormatError: it is no document of conversations.
        UserError: it is one of a newer version.
    """
    ours = _ours(document)
    if ours is None:
        return list(foreign_exports.conversations(document))
    version, parts = ours.get("version"), ours.get("conversations")
    if isinstance(version, int) and version > portable.VERSION:
        raise UserError(
            "These conversations were exported by a newer version of this program.",
            "The file has format {found}; this version knows formats up to {known}.",
            "Update the program.",
            found=version,
            known=portable.VERSION,
        )
    return parts if isinstance(parts, list) else []


def _conversation(part: object, document: object, left_out: Counter[str]) -> PortableConversation | None:
    """A conversation that can be stored; None where there is none, which is counted."""
    ours = _ours(document) is not None
    try:
        made = portable.from_plain(part) if ours else foreign_exports.read(part, left_out)
    except (ValueError, RecursionError):
        left_out["damaged"] += 1
        return None
    if not made.messages and not ours:
        left_out["empty"] += 1
        return None
    return made
