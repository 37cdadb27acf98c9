"""The column of conversations: search, list, menu. Knows stored conversations, no answers."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPoint, Qt, Signal
from PySide6.QtGui import QIcon, QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QMenu,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.chat.conversations import Conversation
from engine.chat_events import MessageFound
from gui import theme
from gui.chat.conversation_model import ID, ConversationsModel
from gui.chat.list_rows import FOUND, ConversationRow, FoundRow
from gui.chat.search import LIMIT, FoundModel
from gui.parts import words
from gui.text import number, tr


class _ListView(QListView):
    delete_pressed = Signal()

    def __init__(self, name: str, row: ConversationRow | FoundRow) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setItemDelegate(row)
        row.setParent(self)
        self.setMouseTracking(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.delete_pressed.emit()
            return
        super().keyPressEvent(event)


class ConversationList(QWidget):
    """Conversations by the day, what a search found in them, and a button for a new one."""

    chosen = Signal(int)
    found = Signal(int, int)  # a conversation, and the message in it
    wanted = Signal()
    renamed = Signal(int, str)
    acted = Signal(int, str)  # "pin", "unpin", "branch", "markdown" or "json" for a conversation
    deleted = Signal(int)
    left = Signal()  # the search, by Escape

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("conversations")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.model = ConversationsModel(self)
        self.model.renamed.connect(self.renamed)
        self.view = _ListView(tr("Conversations"), ConversationRow())
        self.view.setModel(self.model)
        self.view.setEditTriggers(
            QAbstractItemView.EditTrigger.EditKeyPressed | QAbstractItemView.EditTrigger.DoubleClicked
        )
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.customContextMenuRequested.connect(self._menu)
        self.view.delete_pressed.connect(self._delete_current)
        self.view.selectionModel().currentChanged.connect(self._on_current)
        self.search = QLineEdit(clearButtonEnabled=True)
        self.search.setObjectName("search")
        self.search.setPlaceholderText(tr("Search"))
        self.search.setAccessibleName(tr("Search in all conversations"))
        self._glass = self.search.addAction(QIcon(), QLineEdit.ActionPosition.LeadingPosition)
        self.search.textChanged.connect(self._on_search)
        self.search.installEventFilter(self)
        self.results = _ListView(tr("Messages found"), FoundRow())
        self._found = FoundModel(self)
        self.results.setModel(self._found)
        self.results.clicked.connect(self._open_found)
        self.results.activated.connect(self._open_found)
        self.results.installEventFilter(self)
        self.count = words(role="caption")
        self._stack = QStackedWidget()
        self._stack.addWidget(self.view)
        self._stack.addWidget(self._make_results())
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
        field = QHBoxLayout()
        field.setContentsMargins(theme.SMALL, 2, theme.SMALL, theme.TINY)
        field.addWidget(self.search)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(top)
        column.addLayout(field)
        column.addWidget(self._stack, 1)
        theme.current().changed.connect(self._restyle)
        self._restyle()

    def show_conversations(self, conversations: Sequence[Conversation], current: int | None) -> None:
        """List these and mark the current one, without announcing it as chosen."""
        blocked = self.view.selectionModel().blockSignals(True)
        self.model.set_conversations(conversations)
        self.view.selectionModel().blockSignals(blocked)
        self.mark(current)

    def put(self, conversation: Conversation, current: int | None) -> None:
        """List a conversation as it is now, and mark the current one."""
        blocked = self.view.selectionModel().blockSignals(True)
        self.model.put(conversation)
        self.view.selectionModel().blockSignals(blocked)
        self.mark(current)

    def remove(self, conversation: int, current: int | None) -> None:
        """List one less, and mark the current one."""
        blocked = self.view.selectionModel().blockSignals(True)
        self.model.remove(conversation)
        self.view.selectionModel().blockSignals(blocked)
        self.mark(current)

    def mark(self, current: int | None) -> None:
        """Mark the conversation in view, without announcing it as chosen."""
        index = self.model.row_of(current) if current is not None else QModelIndex()
        blocked = self.view.selectionModel().blockSignals(True)
        self.view.setCurrentIndex(index)
        if not index.isValid():
            self.view.clearSelection()
        self.view.selectionModel().blockSignals(blocked)
        self.view.viewport().update()

    def show_found(self, found: list[MessageFound]) -> None:
        """Show what the search found."""
        self._found.set_found(found)
        if not found:
            text = tr("Nothing was found.")
        elif len(found) == LIMIT:
            text = tr("The newest {count} messages", count=number(LIMIT))
        else:
            text = tr("1 message") if len(found) == 1 else tr("{count} messages", count=number(len(found)))
        self.count.setText(text)
        if found:
            self.results.setCurrentIndex(self._found.index(0))

    def rename(self, conversation: int) -> None:
        """Let the person write another title."""
        self.search.clear()
        self.view.setFocus()
        self.view.edit(self.model.row_of(conversation))

    def take_search_focus(self) -> None:
        """Let the person write what to look for."""
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The keys of the search: down to the results and up again, Return opens, Escape ends it."""
        if not isinstance(event, QKeyEvent) or event.type() != QEvent.Type.KeyPress:
            return super().eventFilter(watched, event)
        key, index = event.key(), self.results.currentIndex()
        if key == Qt.Key.Key_Escape and self.search.text():
            self.search.clear()
            self.search.setFocus()
        elif key == Qt.Key.Key_Escape:
            self.left.emit()
        elif watched is self.search and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and index.isValid():
            self._open_found(index)
        elif watched is self.search and key == Qt.Key.Key_Down:
            (self.results if self.search.text() else self.view).setFocus()
        elif watched is self.results and key == Qt.Key.Key_Up and index.row() <= 0:
            self.search.setFocus()
        else:
            return super().eventFilter(watched, event)
        return True

    def _make_results(self) -> QWidget:
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.count.setContentsMargins(theme.LARGE, theme.TINY, theme.LARGE, 0)
        column.addWidget(self.count)
        column.addWidget(self.results, 1)
        return holder

    def _restyle(self) -> None:
        self._new.setIcon(theme.icon("compose"))
        self._glass.setIcon(theme.icon("search", theme.current().colours.muted))

    def _on_search(self, text: str) -> None:
        searching = bool(text.strip())
        self._stack.setCurrentIndex(1 if searching else 0)
        if not searching:
            self._found.set_found([])
            self.count.clear()

    def _open_found(self, index: QModelIndex) -> None:
        found = index.data(FOUND)
        if isinstance(found, MessageFound):
            self.found.emit(found.conversation, found.message)

    def _on_current(self, current: QModelIndex) -> None:
        if current.isValid() and current.data(ID) is not None:
            self.chosen.emit(current.data(ID))

    def _delete_current(self) -> None:
        if self.view.currentIndex().isValid():
            self.deleted.emit(self.view.currentIndex().data(ID))

    def _menu(self, position: QPoint) -> None:
        # The list may be reordered while the menu is open, so the conversation is remembered, not its row.
        conversation = self.view.indexAt(position).data(ID)
        listed = self.model.get(conversation) if conversation is not None else None
        if listed is None:
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(tr("Rename"), lambda: self.rename(conversation))
        pin = "unpin" if listed.pinned else "pin"
        menu.addAction(tr("Unpin") if listed.pinned else tr("Pin"), lambda: self.acted.emit(conversation, pin))
        menu.addAction(tr("Branch"), lambda: self.acted.emit(conversation, "branch"))
        menu.addSeparator()
        menu.addAction(tr("Export as Markdown…"), lambda: self.acted.emit(conversation, "markdown"))
        menu.addAction(tr("Export as JSON…"), lambda: self.acted.emit(conversation, "json"))
        menu.addSeparator()
        menu.addAction(tr("Delete"), lambda: self.deleted.emit(conversation))
        menu.popup(self.view.viewport().mapToGlobal(position))
