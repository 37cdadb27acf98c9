"""The list of conversations: its item model and its column. Knows stored conversations, no answers."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QListView,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.chat.conversations import Conversation
from gui import theme
from gui.text import tr

ID = Qt.ItemDataRole.UserRole


class ConversationsModel(QAbstractListModel):
    """Conversations as rows: title, and the id under `ID`."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._rows: list[Conversation] = []

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        conversation = self._rows[index.row()]
        title = conversation.title or tr("New conversation")
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole, Qt.ItemDataRole.ToolTipRole):
            return title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return tr("Conversation: {title}", title=title)
        return conversation.id if role == ID else None

    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        return super().flags(index) | Qt.ItemFlag.ItemIsEditable

    def set_conversations(self, conversations: Sequence[Conversation]) -> None:
        """Show these, in this order."""
        if [row.id for row in self._rows] == [row.id for row in conversations]:
            self._rows = list(conversations)
            self.dataChanged.emit(self.index(0), self.index(len(self._rows) - 1))
            return
        self.beginResetModel()
        self._rows = list(conversations)
        self.endResetModel()

    def row_of(self, conversation: int) -> QModelIndex:
        """The index of a conversation; an invalid one if it is not listed."""
        for row, listed in enumerate(self._rows):
            if listed.id == conversation:
                return self.index(row)
        return QModelIndex()

    renamed = Signal(int, str)

    def setData(
        self, index: QModelIndex | QPersistentModelIndex, value: object, role: int = Qt.ItemDataRole.EditRole
    ) -> bool:
        if role != Qt.ItemDataRole.EditRole or not str(value).strip():
            return False
        self.renamed.emit(self._rows[index.row()].id, str(value).strip())
        return True


class _ListView(QListView):
    delete_pressed = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.delete_pressed.emit()
            return
        super().keyPressEvent(event)


class ConversationList(QWidget):
    """The column of conversations with a button for a new one."""

    chosen = Signal(int)
    wanted = Signal()
    renamed = Signal(int, str)
    deleted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("conversations")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.model = ConversationsModel(self)
        self.model.renamed.connect(self.renamed)
        self.view = _ListView()
        self.view.setModel(self.model)
        self.view.setAccessibleName(tr("Conversations"))
        self.view.setEditTriggers(
            QAbstractItemView.EditTrigger.EditKeyPressed | QAbstractItemView.EditTrigger.DoubleClicked
        )
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setUniformItemSizes(True)
        self.view.customContextMenuRequested.connect(self._menu)
        self.view.delete_pressed.connect(self._delete_current)
        self.view.selectionModel().currentChanged.connect(self._on_current)
        heading = QLabel(tr("Conversations"))
        heading.setProperty("role", "section")
        self._new = QToolButton()
        self._new.setAccessibleName(tr("New conversation"))
        self._new.setToolTip(tr("New conversation"))
        self._new.clicked.connect(self.wanted)
        top = QHBoxLayout()
        top.setContentsMargins(theme.LARGE, theme.SMALL, theme.SMALL, theme.TINY)
        top.addWidget(heading, 1)
        top.addWidget(self._new)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(top)
        column.addWidget(self.view, 1)
        theme.current().changed.connect(self._restyle)
        self._restyle()

    def show_conversations(self, conversations: Sequence[Conversation], current: int | None) -> None:
        """List these and mark the current one, without announcing it as chosen."""
        blocked = self.view.selectionModel().blockSignals(True)
        self.model.set_conversations(conversations)
        index = self.model.row_of(current) if current is not None else QModelIndex()
        self.view.setCurrentIndex(index)
        if not index.isValid():
            self.view.clearSelection()
        self.view.selectionModel().blockSignals(blocked)
        self.view.viewport().update()

    def _restyle(self) -> None:
        self._new.setIcon(theme.icon("compose"))

    def _on_current(self, current: QModelIndex) -> None:
        if current.isValid():
            self.chosen.emit(current.data(ID))

    def _delete_current(self) -> None:
        if self.view.currentIndex().isValid():
            self.deleted.emit(self.view.currentIndex().data(ID))

    def _menu(self, position: QPoint) -> None:
        index = self.view.indexAt(position)
        if not index.isValid():
            return
        # The list may be reordered while the menu is open, so the conversation is remembered, not its row.
        conversation = index.data(ID)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(tr("Rename"), lambda: self.view.edit(self.model.row_of(conversation)))
        menu.addAction(tr("Delete"), lambda: self.deleted.emit(conversation))
        menu.popup(self.view.viewport().mapToGlobal(position))
