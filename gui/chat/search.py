"""Looks for what was said in any conversation while a person types. Knows the lane and its events, no widget."""

from __future__ import annotations

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt, QTimer, Signal

from engine.chat.requests import SearchConversations
from engine.chat_events import MessageFound
from engine.events import Event, Failed
from engine.workers import Job
from gui.chat.list_rows import FOUND
from gui.desk import Desk
from gui.text import tr

_PAUSE = 120  # milliseconds without a key
LIMIT = 200

_Index = QModelIndex | QPersistentModelIndex


class FoundModel(QAbstractListModel):
    """What was found as rows: the title of the conversation, and the whole under `FOUND`."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._rows: list[MessageFound] = []

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        found = self._rows[index.row()]
        title = found.title or tr("New conversation")
        if role == Qt.ItemDataRole.DisplayRole:
            return title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            who = tr("You") if found.role == "user" else tr("Answer")
            return f"{title}. {who}: {found.excerpt}"
        return found if role == FOUND else None

    def set_found(self, rows: list[MessageFound]) -> None:
        """Show these instead of those before."""
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()


class Search(QObject):
    """One question at a time; a newer one takes the place of the older."""

    answered = Signal(list)  # of MessageFound

    def __init__(self, desk: Desk, parent: QObject) -> None:
        super().__init__(parent)
        self._desk, self._text = desk, ""
        self._job: Job | None = None
        self._timer = QTimer(self, singleShot=True, interval=_PAUSE)
        self._timer.timeout.connect(self._ask)

    def look_for(self, text: str) -> None:
        """Look for this once typing pauses; for nothing if it is empty."""
        self._text = text.strip()
        self._end()
        if self._text:
            self._timer.start()
        else:
            self._timer.stop()

    def _end(self) -> None:
        if self._job is not None:
            self._job.cancel()
            self._job = None

    def _ask(self) -> None:
        rows: list[MessageFound] = []
        job = self._job = self._desk.network.submit(SearchConversations(self._desk.database, self._text, LIMIT))

        def gather(events: tuple[Event, ...]) -> None:
            rows.extend(event for event in events if isinstance(event, MessageFound))

        job.events.connect(gather)
        job.ended.connect(lambda ending: self._on_ended(job, rows, ending))

    def _on_ended(self, job: Job, rows: list[MessageFound], ending: object) -> None:
        if job is self._job:
            self._job = None
            if isinstance(ending, Failed):
                self._desk.notices.error(ending)
            else:
                self.answered.emit(rows)
