"""Writes conversations to files: as Markdown to read, as JSON with everything. Knows the archive, no view."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import tempfile
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Literal, TextIO

from engine.chat import portable
from engine.chat.archive import Archive
from engine.chat.portable import PortableConversation, PortableMessage
from engine.chat_events import ConversationsExported
from engine.errors import UserError, explain
from engine.events import Event, Progress

_DOING = "Exporting conversations"
_LONGEST_NAME = 80


def write(
    database: Path, conversations: Sequence[int], output: Path, form: Literal["markdown", "json"]
) -> Iterator[Event]:
    """Write these conversations, all of them for none named.

    One conversation as Markdown becomes the file `output`, several become files in the folder `output`.

    Yields:
        Progress, at last ConversationsExported.

    Raises:
        UserError: a conversation is gone, or the place cannot be written to; what was there is as it was.
    """
    with Archive(database) as archive:
        numbers = list(conversations) or archive.numbers()
        try:
            if form == "json":
                messages = yield from _write_json(archive, numbers, output)
            elif len(conversations) == 1:
                conversation = archive.read(numbers[0])
                with _written(output) as file:
                    file.write(markdown(conversation))
                messages = len(branch(conversation))
            else:
                messages = yield from _write_folder(archive, numbers, output)
        except OSError as error:
            raise explain(error) from error
    yield ConversationsExported(str(output), len(numbers), messages)


def branch(conversation: PortableConversation) -> list[PortableMessage]:
    """The messages in view, from the root to the leaf."""
    place, found = conversation.leaf, list[PortableMessage]()
    while place is not None:
        found.append(conversation.messages[place])
        place = found[-1].parent
    return found[::-1]


def markdown(conversation: PortableConversation) -> str:
    """The branch in view, to be read."""
    began = datetime.datetime.fromtimestamp(conversation.created).astimezone()
    parts = [f"# {_line(conversation.title) or 'Conversation'}", f"*{began:%Y-%m-%d %H:%M}*"]
    if conversation.system_prompt:
        parts += ["## System prompt", conversation.system_prompt.strip()]
    for message in branch(conversation):
        parts.append("## You" if message.role == "user" else f"## {_line(message.model) or 'Answer'}")
        for file in message.attachments:
            longest = max((len(run) for run in re.findall("`+", file.text)), default=0)
            fence = "`" * max(3, longest + 1)
            parts.append(f"{_line(file.name)}:\n\n{fence}\n{file.text.rstrip()}\n{fence}")
        if message.text.strip():
            parts.append(message.text.strip())
        if message.error:
            parts.append(f"*{_line(message.error)}*")
        elif message.state in ("stopped", "interrupted"):
            parts.append(f"*({message.state})*")
    return "\n\n".join(parts).encode("utf-8", "replace").decode() + "\n"


def _write_json(archive: Archive, numbers: Sequence[int], output: Path) -> Generator[Event, None, int]:
    messages = 0
    with _written(output) as file:
        file.write(f'{{"format": {json.dumps(portable.FORMAT)}, "version": {portable.VERSION}, "conversations": [')
        for done, number in enumerate(numbers):
            yield Progress(_DOING, done, len(numbers), "steps")
            conversation = archive.read(number)
            messages += len(conversation.messages)
            file.write(",\n" if done else "\n")
            # In plain ASCII: whatever was pasted once can be written.
            file.write(json.dumps(portable.to_plain(conversation)))
        file.write("\n]}\n")
    return messages


def _write_folder(archive: Archive, numbers: Sequence[int], output: Path) -> Generator[Event, None, int]:
    output.mkdir(parents=True, exist_ok=True)
    messages, taken = 0, set[str]()
    for done, number in enumerate(numbers):
        yield Progress(_DOING, done, len(numbers), "steps")
        conversation = archive.read(number)
        messages += len(branch(conversation))
        name = _file_name(conversation.title)
        unique = name if name.casefold() not in taken else f"{name} {number}"
        taken.add(unique.casefold())
        with _written(output / f"{unique}.md") as file:
            file.write(markdown(conversation))
    return messages


@contextlib.contextmanager
def _written(path: Path) -> Iterator[TextIO]:
    """A text file that is there whole, or not at all.

    Raises:
        UserError: `path` is a folder.
    """
    if path.is_dir():
        raise UserError("{path} is a folder.", "The conversation is written to a file.", "Name a file.", path=path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name[:40], suffix=".partial")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _file_name(title: str) -> str:
    """A title as the name of a file, on any system."""
    plain = re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|\ud800-\udfff]+', " ", title)
    cut = " ".join(plain.split()).strip(". ")[:_LONGEST_NAME].strip(". ")
    # A character may take four bytes, and a name at most 255.
    while len(cut.encode()) > 200:
        cut = cut[:-1]
    return cut or "Conversation"


def _line(text: str) -> str:
    return " ".join(text.split())
