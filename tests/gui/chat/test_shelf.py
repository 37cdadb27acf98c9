"""What the list asks for, on the real page and the real store: open at a message, pin, branch, delete."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QLineEdit, QMenu
from pytestqt.qtbot import QtBot

from gui.chat.conversation_model import ID
from gui.chat.page import ChatPage
from gui.window import MainWindow
from tests.gui.chat.messages import place, seen, settle
from tests.gui.test_drops import drop, files


@pytest.fixture
def chat(qtbot: QtBot, window: MainWindow) -> ChatPage:
    with qtbot.waitSignal(window.shown):
        pass
    return window.chat


def stored(chat: ChatPage, turns: int, title: str = "Talk") -> int:
    """A conversation of some turns, without asking a model."""
    store = chat._desk.store
    made, leaf = store.create(title=title).id, None
    for turn in range(turns):
        leaf = store.add(made, leaf, "user", f"Question {turn}").id
        leaf = store.add(made, leaf, "assistant", f"Answer {turn}. " + "Some more words. " * 40).id
    chat.shelf.refresh(made)
    return made


def test_a_conversation_is_opened_at_a_message_which_stands_out_for_a_moment(qtbot: QtBot, chat: ChatPage) -> None:
    made = stored(chat, 40)
    path = chat._desk.store.path(made)
    for number in (20, 70, 3):
        chat.list.found.emit(made, path[number].id)
        settle(qtbot, chat.transcript)
        words = path[number].text[:11]
        assert any(text.startswith(words) for text in seen(chat.transcript))
        assert place(chat.transcript, words) < chat.transcript.viewport().height() / 2
        view = chat.transcript._records[path[number].id].view
        assert view is not None
        assert view._mark.state() == view._mark.State.Running
        view.grab()
    assert chat.conversation == made


def test_a_message_on_another_branch_is_found_there(qtbot: QtBot, chat: ChatPage) -> None:
    made = stored(chat, 2)
    store = chat._desk.store
    path = store.path(made)
    other = store.add(made, path[1].id, "user", "Something else")
    chat.open_conversation(made)
    chat.open_conversation(made, path[3].id)
    assert [m.id for m in chat.talk.path] == [m.id for m in path]
    chat.open_conversation(made, other.id)
    assert chat.talk.path[-1].id == other.id


def test_a_pinned_conversation_stands_on_top_and_stays_in_view(qtbot: QtBot, chat: ChatPage) -> None:
    first, second = stored(chat, 1, "First"), stored(chat, 1, "Second")
    chat.open_conversation(second)
    chat.list.acted.emit(first, "pin")
    assert chat.list.model.titles() == ["Pinned", "First", "Today", "Second"]
    assert chat._desk.store.get(first).pinned
    assert chat.list.view.currentIndex().data(ID) == second
    chat.list.acted.emit(first, "unpin")
    assert chat.list.model.titles() == ["Today", "Second", "First"]


def test_a_branch_is_a_conversation_of_its_own(qtbot: QtBot, chat: ChatPage) -> None:
    made = stored(chat, 2)
    chat.open_conversation(made)
    settle(qtbot, chat.transcript)
    answer = chat.talk.path[1]
    view = chat.transcript._records[answer.id].view
    assert view is not None
    qtbot.mouseClick(view._footer._more, Qt.MouseButton.LeftButton)  # type: ignore[attr-defined]
    (menu,) = view.findChildren(QMenu)
    next(action for action in menu.actions() if action.text().startswith("Branch")).trigger()
    menu.close()
    assert chat.conversation != made
    assert [m.text for m in chat.talk.path] == [m.text for m in chat._desk.store.path(made)[:2]]
    assert len(chat._desk.store.path(made)) == 4
    assert chat.list.view.currentIndex().data(ID) == chat.conversation
    chat.list.acted.emit(made, "branch")
    assert len(chat.talk.path) == 4
    assert len(chat.list.model.titles()) == 4


def test_control_f_leads_to_the_search_even_where_the_list_is_hidden(
    qtbot: QtBot, chat: ChatPage, window: MainWindow
) -> None:
    window.resize(840, 540)
    chat.header.panel.setChecked(True)
    assert chat.list.isHidden()
    window.go("settings")
    find = next(
        action
        for menu in window.menuBar().findChildren(QMenu)
        for action in menu.actions()
        if action.text() == "Find in Conversations…"
    )
    find.trigger()
    assert window.pages.currentWidget() is chat
    assert chat.list.isVisible()
    assert chat.list.search.hasFocus()
    qtbot.keyClick(chat.list.search, Qt.Key.Key_Escape)
    assert chat.composer.edit.hasFocus()


def test_the_menus_act_on_the_conversation_in_view(
    qtbot: QtBot, chat: ChatPage, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *given: (asked.append(given[2]), ("", ""))[1])
    menus = window.menuBar().findChildren(QMenu)

    def press(words: str) -> None:
        found = [action for menu in menus for action in menu.actions() if action.text() == words]
        found[0].trigger()

    for words in ("Rename Conversation", "Pin or Unpin Conversation", "Branch Conversation", "As Markdown…"):
        press(words)
    assert chat.conversation is None
    assert asked == []
    made = stored(chat, 1, "A/B: *test*?")
    chat.open_conversation(made)
    press("Pin or Unpin Conversation")
    assert chat._desk.store.get(made).pinned
    press("Pin or Unpin Conversation")
    assert not chat._desk.store.get(made).pinned
    press("As Markdown…")
    assert asked == ["A B test.md"]
    press("Rename Conversation")
    editor = chat.list.view.findChild(QLineEdit)
    editor.setText("Renamed")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: chat._desk.store.get(made).title == "Renamed")
    assert "Renamed" in chat.list.model.titles()
    press("Branch Conversation")
    assert chat.conversation != made


def test_a_deleted_one_leaves_the_list_and_comes_back(qtbot: QtBot, chat: ChatPage) -> None:
    first, second = stored(chat, 1, "First"), stored(chat, 1, "Second")
    chat.open_conversation(first)
    chat.delete_conversation(second)
    assert chat.list.model.titles() == ["Today", "First"]
    assert chat.conversation == first
    chat.shelf._restore(second)
    assert chat.conversation == second
    assert "Second" in chat.list.model.titles()


def test_an_answer_of_a_deleted_conversation_does_not_bring_it_back(qtbot: QtBot, chat: ChatPage) -> None:
    made = stored(chat, 1)
    chat.delete_conversation(made)
    chat.talk.stored.emit(made)
    assert chat.list.model.titles() == []


def test_words_are_looked_for_while_they_are_typed_and_lead_to_their_message(qtbot: QtBot, chat: ChatPage) -> None:
    stored(chat, 3, "Other")
    made = stored(chat, 30, "Long")
    path = chat._desk.store.path(made)
    chat.find_text()
    qtbot.keyClicks(chat.list.search, "question 11")
    qtbot.waitUntil(lambda: chat.list.results.model().rowCount() == 1)
    assert chat.list.count.text() == "1 message"
    qtbot.keyClick(chat.list.search, Qt.Key.Key_Return)
    assert chat.conversation == made
    settle(qtbot, chat.transcript)
    assert any(text.startswith("Question 11") for text in seen(chat.transcript))
    view = chat.transcript._records[path[22].id].view
    assert view is not None
    assert view._mark.state() == view._mark.State.Running
    chat.list.search.setText("no such words")
    qtbot.waitUntil(lambda: chat.list.count.text() == "Nothing was found.")
    qtbot.keyClick(chat.list.search, Qt.Key.Key_Escape)
    assert chat.list.view.isVisible()


def test_conversations_are_exported_and_taken_in_again(
    qtbot: QtBot, chat: ChatPage, window: MainWindow, tmp_path: Path
) -> None:
    made = stored(chat, 2, "Kept")
    chat.shelf.transfer.export(str(tmp_path / "kept.json"), "json", (made,))
    qtbot.waitUntil(lambda: "kept.json" in window.notice.text())
    chat.delete_conversation(made)
    assert drop(window, chat.list.view, files(tmp_path / "kept.json"))
    qtbot.waitUntil(lambda: "Kept" in chat.list.model.titles())
    assert chat.conversation not in (None, made)
    assert [m.text for m in chat.talk.path][::2] == ["Question 0", "Question 1"]
    assert "1 conversation was added." in window.notice.text()


def test_what_holds_no_conversations_is_refused_in_words(
    qtbot: QtBot, chat: ChatPage, window: MainWindow, tmp_path: Path
) -> None:
    (tmp_path / "other.json").write_text('{"a": 1}', "utf-8")
    chat.shelf.transfer.take_in(str(tmp_path / "other.json"))
    qtbot.waitUntil(window.notice.isVisible)
    assert "Traceback" not in window.notice.text()
    assert chat.list.model.titles() == []
