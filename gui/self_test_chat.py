"""The chat page's part of the self-test: versions of messages, attachments, search. Knows the page as a person does."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from gui.chat.message_editor import MessageEditor
from gui.chat.message_view import MessageView
from gui.self_test_tools import SelfTestError, Tools
from gui.text import tr


class ChatTour:
    """Edit, go between versions, branch, attach, search."""

    def __init__(self, tools: Tools) -> None:
        self._tools, self._chat = tools, tools.window.chat
        self.steps: tuple[Callable[[], None], ...] = (
            self._edits_a_question,
            self._goes_between_versions,
            self._branches,
            self._attaches_what_is_dropped,
            self._shows_what_is_no_longer_read,
            self._searches,
        )

    def _edits_a_question(self) -> None:
        self._tools.window.go("chat")
        self._chat.new_conversation()
        self._ask("What is 47 + 38?")
        question = self._view(0)
        question.edit()
        self._tools.picture("chat-edit")
        editor = question.findChild(MessageEditor)
        if editor is None:
            raise SelfTestError("the question cannot be edited")
        editor.text.setPlainText("What is 12 + 34?")
        QTest.keyClick(editor.text, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
        self._tools.until("the edited question is answered", lambda: not self._chat.answering)
        self._tools.check("it was asked", self._chat.talk.path[0].text == "What is 12 + 34?")
        self._ask("83 - 27")
        self._tools.picture("chat-versions")

    def _goes_between_versions(self) -> None:
        self._tools.click(self._view(0), tr("Previous version"))
        self._tools.check("the first version is back", self._chat.talk.path[0].text == "What is 47 + 38?")

    def _branches(self) -> None:
        before = self._chat.conversation
        self._chat.branch(self._chat.talk.path[-1].id)
        self._tools.check("a branch is a conversation of its own", self._chat.conversation != before)
        self._chat.list.acted.emit(self._chat.conversation, "pin")

    def _attaches_what_is_dropped(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            notes = Path(folder) / "notes.txt"
            notes.write_text("Two-digit numbers only.\n" * 40, "utf-8")
            self._tools.drop(notes)
            self._tools.until("the file is attached", lambda: bool(self._chat.composer.attached))
        self._tools.picture("chat-attach")
        self._ask("What is 64 + 19?")
        self._tools.check("it went along", bool(self._chat.talk.path[-2].attachments))
        self._tools.picture("chat-attached")

    def _shows_what_is_no_longer_read(self) -> None:
        self._tools.check("the gauge shows what is used", self._chat.composer.gauge.share > 0)
        menu = self._chat.composer.gauge.open_menu()
        self._tools.picture("chat-when-full", menu)
        menu.close()

    def _searches(self) -> None:
        self._chat.find_text()
        QTest.keyClicks(self._chat.list.search, "12 + 34")
        self._tools.until("it is found", lambda: self._chat.list.results.model().rowCount() > 0)
        self._tools.picture("chat-search")
        QTest.keyClick(self._chat.list.search, Qt.Key.Key_Return)
        self._tools.until(
            "the message is in view",
            lambda: any(message.text == "What is 12 + 34?" for message in self._chat.talk.path),
        )
        QTest.keyClick(self._chat.list.search, Qt.Key.Key_Escape)

    def _ask(self, text: str) -> None:
        self._tools.type(text)
        self._tools.until("an answer is under way", lambda: self._chat.answering)
        self._tools.until("the answer is complete", lambda: not self._chat.answering)

    def _view(self, place: int) -> MessageView:
        """The view of a message.

        Raises:
            SelfTestError: it is not shown.
        """
        views = [view for view in self._chat.transcript.findChildren(MessageView) if view.isVisible()]
        wanted = self._chat.talk.path[place].id
        for view in views:
            if view.message.id == wanted:
                return view
        raise SelfTestError("the message is not shown")
