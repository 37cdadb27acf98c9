"""Does what the list of conversations asks for: find, rename, pin, export, import, delete. Knows store and list."""

from __future__ import annotations

import contextlib
from typing import Literal

from PySide6.QtCore import QObject, Signal

from engine.errors import UserError
from gui.chat.conversation_list import ConversationList
from gui.chat.conversing import Conversing
from gui.chat.search import Search
from gui.chat.transfer import Transfer
from gui.desk import Desk
from gui.text import tr

_FORMS: dict[str, Literal["markdown", "json"]] = {"markdown": "markdown", "json": "json"}


class Shelf(QObject):
    """Keeps the list in step with the store."""

    opened = Signal(int)  # a conversation to be shown
    branched = Signal(int)  # a message from which a new conversation is to begin
    emptied = Signal()  # the conversation in view is no more

    def __init__(self, desk: Desk, shown: ConversationList, talk: Conversing) -> None:
        super().__init__(shown)
        self._desk, self._list, self._talk = desk, shown, talk
        self.transfer = Transfer(desk, shown)
        self._search = Search(desk, self)
        shown.search.textChanged.connect(self._search.look_for)
        self._search.answered.connect(shown.show_found)
        shown.renamed.connect(self.rename)
        shown.deleted.connect(self.delete)
        shown.acted.connect(self.act)
        self.transfer.imported.connect(self._on_imported)
        talk.stored.connect(self.refresh)
        talk.shown.connect(lambda: shown.mark(talk.id))

    def fill(self) -> None:
        """List all that is stored."""
        self._list.show_conversations(self._desk.store.all(), self._talk.id)

    def refresh(self, conversation: int) -> None:
        """List a conversation as it is now; one that was deleted meanwhile stays away."""
        with contextlib.suppress(UserError):
            self._list.put(self._desk.store.get(conversation), self._talk.id)

    def rename(self, conversation: int, title: str) -> None:
        """Give a conversation another title."""
        self._desk.store.change(conversation, title=title)
        self.refresh(conversation)

    def act(self, conversation: int, action: str) -> None:
        """Do one of "rename", "pin", "unpin", "turn pin", "branch", "markdown" and "json" with a conversation."""
        stored = self._desk.store.get(conversation)
        if action == "rename":
            self._list.rename(conversation)
        elif action in ("pin", "unpin", "turn pin"):
            self._desk.store.change(conversation, pinned=action == "pin" or (action != "unpin" and not stored.pinned))
            self.refresh(conversation)
        elif action == "branch" and stored.leaf is not None:
            self.branched.emit(stored.leaf)
        elif action in _FORMS:
            self.transfer.ask_to_export(conversation, stored.title, _FORMS[action])

    def delete(self, conversation: int) -> None:
        """Remove a conversation; it can be brought back for a while."""
        if conversation in self._talk.exchanges:
            self._talk.exchanges[conversation].stop()
        self._desk.store.delete(conversation)
        if conversation == self._talk.id:
            self.emptied.emit()
        self._list.remove(conversation, self._talk.id)
        self._desk.notices.tell(tr("The conversation was deleted."), tr("Undo"), lambda: self._restore(conversation))

    def _restore(self, conversation: int) -> None:
        self._desk.store.restore(conversation)
        self.refresh(conversation)
        self.opened.emit(conversation)

    def _on_imported(self, conversations: tuple[int, ...]) -> None:
        self.fill()
        if conversations:
            self.opened.emit(conversations[0])
