"""Conversations as the rows of a list, under the days on which something was said last. Knows no view."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtWidgets import QWidget

from engine.chat.conversations import Conversation
from gui.text import tr

ID = Qt.ItemDataRole.UserRole
PINNED = Qt.ItemDataRole.UserRole + 1

_Index = QModelIndex | QPersistentModelIndex


class ConversationsModel(QAbstractListModel):
    """Conversations and the headings above them: title, the id under `ID` (None for a heading), and whether pinned."""

    renamed = Signal(int, str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._conversations: dict[int, Conversation] = {}
        self._rows: list[Conversation | str] = []

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        row = self._rows[index.row()]
        if isinstance(row, str):
            texts = (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole)
            return tr(row) if role in texts else None
        title = row.title or tr("New conversation")
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole, Qt.ItemDataRole.ToolTipRole):
            return title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            words = "Pinned conversation: {title}" if row.pinned else "Conversation: {title}"
            return tr(words, title=title)
        if role == ID:
            return row.id
        return row.pinned if role == PINNED else None

    def flags(self, index: _Index) -> Qt.ItemFlag:
        if isinstance(self._rows[index.row()], str):
            return Qt.ItemFlag.ItemNeverHasChildren
        return super().flags(index) | Qt.ItemFlag.ItemIsEditable

    def setData(self, index: _Index, value: object, role: int = Qt.ItemDataRole.EditRole) -> bool:
        row = self._rows[index.row()]
        if role != Qt.ItemDataRole.EditRole or not str(value).strip() or isinstance(row, str):
            return False
        self.renamed.emit(row.id, str(value).strip())
        return True

    def set_conversations(self, conversations: Sequence[Conversation]) -> None:
        """Show these instead of those before."""
        self._conversations = {conversation.id: conversation for conversation in conversations}
        self._arrange()

    def put(self, conversation: Conversation) -> None:
        """Show a conversation as it is now, in its place."""
        self._conversations[conversation.id] = conversation
        self._arrange()

    def remove(self, conversation: int) -> None:
        """Show one less."""
        if self._conversations.pop(conversation, None) is not None:
            self._arrange()

    def get(self, conversation: int) -> Conversation | None:
        """A conversation as it is shown."""
        return self._conversations.get(conversation)

    def row_of(self, conversation: int) -> QModelIndex:
        """The index of a conversation; an invalid one if it is not listed."""
        for place, row in enumerate(self._rows):
            if not isinstance(row, str) and row.id == conversation:
                return self.index(place)
        return QModelIndex()

    def titles(self) -> list[str]:
        """What is shown, from top to bottom."""
        return [str(self.index(row).data()) for row in range(len(self._rows))]

    def _arrange(self) -> None:
        rows = arranged(list(self._conversations.values()), datetime.date.today())  # noqa: DTZ011  # the person's day
        if list(map(_key, rows)) == list(map(_key, self._rows)):
            self._rows = rows
            if rows:
                self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()


def arranged(conversations: list[Conversation], today: datetime.date) -> list[Conversation | str]:
    """Conversations under headings: the pinned ones, then by the day of what was said last, the newest first."""
    conversations.sort(key=lambda one: (one.pinned, one.updated, one.id), reverse=True)
    midnight = datetime.datetime.combine(today, datetime.time()).timestamp()
    bounds = [
        (midnight, "Today"),
        (midnight - 86_400, "Yesterday"),
        (midnight - 7 * 86_400, "Previous 7 days"),
        (float("-inf"), "Earlier"),
    ]
    rows: list[Conversation | str] = []
    heading, lowest = "", float("inf")
    for conversation in conversations:
        if conversation.pinned:
            if not rows:
                rows.append("Pinned")
        elif conversation.updated < lowest or not heading:
            lowest, heading = next(bound for bound in bounds if conversation.updated >= bound[0])
            rows.append(heading)
        rows.append(conversation)
    return rows


def _key(row: Conversation | str) -> object:
    return row if isinstance(row, str) else row.id
