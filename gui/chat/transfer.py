"""Takes conversations out to files and in from them: the dialogs and the jobs. Knows no format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QWidget

from engine.chat.requests import ExportConversations, ImportConversations
from engine.chat_events import ConversationsExported, ConversationsImported
from engine.events import Event, Failed
from engine.workers import Job
from gui.desk import Desk
from gui.text import number, short_path, tr

Form = Literal["markdown", "json"]
_SUFFIX = {"markdown": ".md", "json": ".json"}
_NOT_IN_NAMES = re.compile(r'[\\/:*?"<>|\x00-\x1f]+')


class Transfer(QObject):
    """Export and import, one dialog and one job each."""

    imported = Signal(tuple)  # the new conversations, the newest first

    def __init__(self, desk: Desk, page: QWidget) -> None:
        super().__init__(page)
        self._desk, self._page = desk, page

    def ask_to_export(self, conversation: int, title: str, form: Form) -> None:
        """Let the person say where a conversation goes, and write it there."""
        name = " ".join(_NOT_IN_NAMES.sub(" ", title).split()).strip(" .")[:60] or tr("Conversation")
        kind = tr("Markdown (*.md)") if form == "markdown" else tr("JSON (*.json)")
        heading = tr("Export the Conversation")
        path, _ = QFileDialog.getSaveFileName(self._page, heading, f"{name}{_SUFFIX[form]}", kind)
        if path:
            self.export(path, form, (conversation,))

    def ask_to_export_all(self, form: Form) -> None:
        """Let the person say where all conversations go: a file, or a folder of Markdown files."""
        heading = tr("Export All Conversations")
        if form == "json":
            path, _ = QFileDialog.getSaveFileName(self._page, heading, "conversations.json", tr("JSON (*.json)"))
        else:
            path = QFileDialog.getExistingDirectory(self._page, heading)
        if path:
            self.export(path, form)

    def ask_to_import(self) -> None:
        """Let the person choose an export of this or another program, and take it in."""
        kinds = tr("Conversations (*.json *.zip)")
        path, _ = QFileDialog.getOpenFileName(self._page, tr("Import Conversations"), "", kinds)
        if path:
            self.take_in(path)

    def ask_to_import_folder(self) -> None:
        """The same for a folder, as LM Studio keeps its conversations in one."""
        if path := QFileDialog.getExistingDirectory(self._page, tr("Import a Folder of Conversations")):
            self.take_in(path)

    def export(self, path: str, form: Form, conversations: Sequence[int] = ()) -> None:
        """Write these conversations, all for (), to a path."""
        self._follow(
            self._desk.network.submit(ExportConversations(self._desk.database, path, form, tuple(conversations)))
        )

    def take_in(self, path: str) -> None:
        """Add the conversations in a file or folder."""
        self._follow(self._desk.network.submit(ImportConversations(self._desk.database, path)))

    def _follow(self, job: Job) -> None:
        job.events.connect(self._on_events)
        job.ended.connect(self._on_ended)

    def _on_ended(self, ending: object) -> None:
        if isinstance(ending, Failed):
            self._desk.notices.error(ending)

    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, ConversationsExported):
                self._tell_exported(event)
            elif isinstance(event, ConversationsImported):
                self.imported.emit(event.conversations)
                self._tell_imported(event)

    def _tell_exported(self, event: ConversationsExported) -> None:
        path = Path(event.path)
        if event.conversations == 1:
            text = tr("The conversation is in {path}.", path=short_path(path))
        else:
            text = tr("{count} conversations are in {path}.", count=number(event.conversations), path=short_path(path))
        # Neither program that might open it is known; the folder is.
        self._desk.notices.tell(text, tr("Show"), lambda: _show(path))

    def _tell_imported(self, event: ConversationsImported) -> None:
        count = len(event.conversations)
        text = tr("1 conversation was added.") if count == 1 else tr("{count} conversations were added.", count=count)
        if event.left_out:
            text = " ".join([text, *event.left_out[:3]])
        self._desk.notices.tell(text)


def importable(paths: Sequence[str]) -> bool:
    """Whether this is one file that may hold conversations, going by its name."""
    return len(paths) == 1 and Path(paths[0]).suffix.lower() in (".json", ".zip") and Path(paths[0]).is_file()


def _show(path: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path if path.is_dir() else path.parent)))
