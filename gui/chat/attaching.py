"""Gathers the text files that go with the next message. Knows the lane that reads them and the composer, no store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QFileDialog

from engine.chat.conversations import Attachment
from engine.chat.requests import LARGEST_ATTACHMENT, ReadTextFile
from engine.chat_events import TextFileRead
from engine.errors import UserError
from engine.events import Event, Failed
from gui.chat.attachment_view import open_attachment
from gui.chat.composer import Composer
from gui.desk import Desk
from gui.text import number, tr

_MOST = 20  # files with one message
_INSERTABLE = 200_000  # characters that a text field can hold without holding up the window
# What Convert takes, and what is certainly no text.
_MODELS = {".gguf", ".safetensors", ".pt", ".pth", ".bin", ".npz", ".npy", ".ckpt", ".mlx"}


class Attaching(QObject):
    """From files, drops and long pastes to the chips above the message field."""

    def __init__(self, desk: Desk, composer: Composer) -> None:
        super().__init__(composer)
        self._desk, self._composer = desk, composer
        self._waiting: list[str] = []  # the first one is being read
        composer.files_wanted.connect(self.ask)
        composer.files_pasted.connect(self.read)
        composer.long_pasted.connect(self.take_paste)
        composer.attachment_opened.connect(self._open)

    def ask(self) -> None:
        """Let the person choose files."""
        paths, _ = QFileDialog.getOpenFileNames(self._composer, tr("Attach Text Files"))
        self.read(paths)

    def read(self, paths: Sequence[str]) -> None:
        """Attach files once they are read; what is no text is refused in words."""
        room = max(0, _MOST - len(self._composer.attached) - len(self._waiting))
        if len(paths) > room:
            self._desk.notices.tell(tr("A message takes {count} files at most.", count=number(_MOST)))
        self._waiting += paths[:room]
        if len(self._waiting) == len(paths[:room]):
            self._read_next()

    def take_paste(self, text: str) -> None:
        """Attach a long text instead of filling the field with it; a very long one is refused."""
        if len(text.encode("utf-8", "replace")) > LARGEST_ATTACHMENT:
            self._desk.notices.error(
                UserError(
                    "The text is too long to be pasted.",
                    "It is larger than {limit:,} bytes, which is more than models can read at once.",
                    "Paste the part of it that matters.",
                    limit=LARGEST_ATTACHMENT,
                )
            )
            return
        attached = Attachment(tr("Pasted text"), text)
        self._composer.attach(attached)
        words = tr("The long text was attached to the message.")
        if len(text) <= _INSERTABLE:
            self._desk.notices.tell(words, tr("Put It into the Message"), lambda: self._insert(attached))
        else:
            self._desk.notices.tell(words)

    def _read_next(self) -> None:
        """One after the other, so that they stand in the order in which they came."""
        if self._waiting:
            job = self._desk.network.submit(ReadTextFile(self._waiting[0]))
            job.events.connect(self._on_read)
            job.ended.connect(self._on_ended)

    def _insert(self, attached: Attachment) -> None:
        self._composer.detach(attached)
        self._composer.edit.insertPlainText(attached.text)
        self._composer.setFocus()

    def _open(self, attached: Attachment) -> None:
        open_attachment(self._composer, attached)

    def _on_read(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, TextFileRead):
                self._composer.attach(Attachment(event.name, event.text))

    def _on_ended(self, ending: object) -> None:
        if isinstance(ending, Failed):
            self._desk.notices.error(ending)
        del self._waiting[0]
        self._read_next()


def attachable(paths: Sequence[str]) -> bool:
    """Whether all of these are files that may hold text, going by their names: a model is for Convert."""
    return all(Path(path).suffix.lower() not in _MODELS and Path(path).is_file() for path in paths)
