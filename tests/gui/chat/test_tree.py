"""Edit, regenerate, switch and branch on the real page, with the starter answering."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMenu, QToolButton
from pytestqt.qtbot import QtBot

from engine.chat.conversations import Message
from gui.chat.message_view import MessageView
from gui.chat.page import ChatPage
from gui.window import MainWindow
from tests.gui.chat.test_page import WAIT, answered, say

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def chat(qtbot: QtBot, window: MainWindow) -> ChatPage:
    qtbot.waitUntil(lambda: window.chat.loaded is not None, timeout=WAIT)
    return window.chat


def path(chat: ChatPage) -> list[Message]:
    return chat._desk.store.path(chat.conversation or 0)


def view(qtbot: QtBot, chat: ChatPage, message: int) -> MessageView:
    qtbot.waitUntil(lambda: chat.transcript._records[message].view is not None)
    found = chat.transcript._records[message].view
    assert found is not None
    return found


def press(qtbot: QtBot, view: MessageView, name: str) -> None:
    (found,) = [b for b in view.findChildren(QToolButton) if b.accessibleName() == name and not b.isHidden()]
    qtbot.mouseClick(found, Qt.MouseButton.LeftButton)


def choose(view: MessageView, words: str) -> None:
    (menu,) = view.findChildren(QMenu)
    next(action for action in menu.actions() if action.text().startswith(words)).trigger()
    menu.close()


def test_a_question_is_edited_in_place_and_answered_beside_the_first(qtbot: QtBot, chat: ChatPage) -> None:
    say(qtbot, chat, "What is 47 + 38?")
    answered(qtbot, chat)
    first, old = path(chat)
    bubble = view(qtbot, chat, first.id)
    press(qtbot, bubble, "Edit")
    editor = bubble._editor
    assert editor is not None
    assert editor.text.toPlainText() == "What is 47 + 38?"
    assert editor.text.hasFocus()
    editor.text.setPlainText("What is 12 + 34?")
    qtbot.keyClick(editor.text, Qt.Key.Key_Return, CONTROL)
    answered(qtbot, chat)
    second, new = path(chat)
    assert (second.text, second.parent) == ("What is 12 + 34?", first.parent)
    assert new.id != old.id
    assert chat._desk.store.siblings(second.id) == [first.id, second.id]
    assert list(chat.transcript._records) == [second.id, new.id]


def test_escape_leaves_an_edit_and_stops_nothing(qtbot: QtBot, chat: ChatPage) -> None:
    say(qtbot, chat, "What is 47 + 38?")
    answered(qtbot, chat)
    before = path(chat)
    bubble = view(qtbot, chat, before[0].id)
    press(qtbot, bubble, "Edit")
    assert bubble._editor is not None
    assert bubble.in_use
    qtbot.keyClicks(bubble._editor.text, " and more")
    qtbot.keyClick(bubble._editor.text, Qt.Key.Key_Escape)
    assert bubble._editor is None
    assert path(chat) == before


def test_an_edit_without_a_change_or_without_a_word_says_nothing(qtbot: QtBot, chat: ChatPage) -> None:
    say(qtbot, chat, "What is 47 + 38?")
    answered(qtbot, chat)
    before = path(chat)
    bubble = view(qtbot, chat, before[0].id)
    press(qtbot, bubble, "Edit")
    assert bubble._editor is not None
    bubble._editor.text.setPlainText("  ")
    assert not bubble._editor.save.isEnabled()
    bubble._editor.text.setPlainText("What is 47 + 38?")
    qtbot.mouseClick(bubble._editor.save, Qt.MouseButton.LeftButton)
    assert path(chat) == before
    assert not chat.answering


def test_an_answer_is_edited_and_nothing_is_generated(qtbot: QtBot, chat: ChatPage) -> None:
    say(qtbot, chat, "What is 47 + 38?")
    old = answered(qtbot, chat)
    shown = view(qtbot, chat, old.id)
    press(qtbot, shown, "More")
    choose(shown, "Edit")
    assert shown._editor is not None
    shown._editor.text.setPlainText("It is 85.")
    qtbot.mouseClick(shown._editor.save, Qt.MouseButton.LeftButton)
    assert not chat.answering
    new = path(chat)[-1]
    assert (new.text, new.role, new.state, new.parent) == ("It is 85.", "assistant", "done", old.parent)
    say(qtbot, chat, "83 - 27")
    assert answered(qtbot, chat).state == "done"
    assert path(chat)[1].id == new.id


def test_any_answer_is_asked_for_again_and_the_versions_are_switched(qtbot: QtBot, chat: ChatPage) -> None:
    say(qtbot, chat, "What is 47 + 38?")
    first = answered(qtbot, chat)
    say(qtbot, chat, "83 - 27")
    last = answered(qtbot, chat)
    press(qtbot, view(qtbot, chat, first.id), "Answer again")
    second = answered(qtbot, chat)
    assert second.parent == first.parent
    assert [m.id for m in path(chat)] == [first.parent, second.id]
    shown = view(qtbot, chat, second.id)
    assert any(label == "2/2" for label in labels(shown))
    press(qtbot, shown, "Previous version")
    assert path(chat)[-1].id == last.id
    assert list(chat.transcript._records)[1] == first.id
    back = view(qtbot, chat, first.id)
    assert "1/2" in labels(back)
    arrow = next(b for b in back.findChildren(QToolButton) if b.accessibleName() == "Next version")
    arrow.setFocus()
    qtbot.keyClick(arrow, Qt.Key.Key_Right, Qt.KeyboardModifier.AltModifier)
    assert path(chat)[-1].id == second.id


def labels(view: MessageView) -> list[str]:
    from PySide6.QtWidgets import QLabel

    return [label.text() for label in view.findChildren(QLabel) if not label.isHidden()]


def test_versions_of_a_question_are_switched_below_its_bubble(qtbot: QtBot, chat: ChatPage) -> None:
    say(qtbot, chat, "What is 47 + 38?")
    answered(qtbot, chat)
    (question, answer) = path(chat)
    chat.talk.edit(question.id, "What is 12 + 34?")
    answered(qtbot, chat)
    bubble = view(qtbot, chat, path(chat)[0].id)
    assert "2/2" in labels(bubble)
    press(qtbot, bubble, "Previous version")
    assert [m.id for m in path(chat)] == [question.id, answer.id]


def test_nothing_is_changed_while_an_answer_is_under_way(qtbot: QtBot, chat: ChatPage) -> None:
    say(qtbot, chat, "What is 47 + 38?")
    first = answered(qtbot, chat)
    say(qtbot, chat, "83 - 27")
    assert chat.answering
    assert first.parent is not None
    shown = view(qtbot, chat, first.id)
    assert not shown._footer._again.isEnabled()  # type: ignore[attr-defined]
    bubble = view(qtbot, chat, first.parent)
    bubble.edit()
    assert bubble._editor is None
    chat.regenerate(first.id)
    chat.talk.edit(first.parent, "Other words")
    answered(qtbot, chat)
    assert chat._desk.store.siblings(first.id) == [first.id]
    assert shown._footer._again.isEnabled()  # type: ignore[attr-defined]


def test_what_is_shared_stays_when_a_branch_is_switched(qtbot: QtBot, chat: ChatPage) -> None:
    say(qtbot, chat, "What is 47 + 38?")
    first = answered(qtbot, chat)
    assert first.parent is not None
    kept = view(qtbot, chat, first.parent)
    chat.regenerate(first.id)
    answered(qtbot, chat)
    assert view(qtbot, chat, first.parent) is kept
