"""Text files that go with a message, on the real page: chosen, dropped, pasted, sent, read."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from engine.chat.conversations import Attachment
from engine.chat.requests import LARGEST_ATTACHMENT
from gui.chat.attachment_view import AttachmentView
from gui.chat.attachments import Chip, Chips
from gui.chat.message_edit import LONG_PASTE
from gui.chat.page import ChatPage
from gui.window import MainWindow
from tests.gui.chat.test_page import WAIT, answered, say
from tests.gui.test_drops import drop, enter, files, opened


@pytest.fixture
def chat(qtbot: QtBot, window: MainWindow) -> ChatPage:
    qtbot.waitUntil(lambda: window.chat.loaded is not None, timeout=WAIT)
    return window.chat


def names(chat: ChatPage) -> list[str]:
    return [attached.name for attached in chat.composer.attached]


def paste(chat: ChatPage, data: QMimeData | str) -> None:
    clipboard = QGuiApplication.clipboard()
    if isinstance(data, str):
        clipboard.setText(data)
    else:
        clipboard.setMimeData(data)
    chat.composer.edit.paste()


def chips(parent: Chips) -> list[Chip]:
    return [chip for chip in parent.findChildren(Chip) if chip.isVisible()]


def test_files_are_chosen_sent_and_read_again(
    qtbot: QtBot, chat: ChatPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("first file", "utf-8")
    (tmp_path / "b.md").write_text("zweite Datei, äöü", "utf-16")
    paths = [str(tmp_path / "a.txt"), str(tmp_path / "b.md")]
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (paths, ""))
    qtbot.mouseClick(chat.composer.clip, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(names(chat)) == 2)
    assert names(chat) == ["a.txt", "b.md"]
    assert len(chips(chat.composer.chips)) == 2
    say(qtbot, chat, "What is 47 + 38?")
    assert names(chat) == []
    assert chips(chat.composer.chips) == []
    answered(qtbot, chat)
    said = chat._desk.store.path(chat.conversation or 0)[0]
    assert [(one.name, one.text) for one in said.attachments] == [
        ("a.txt", "first file"),
        ("b.md", "zweite Datei, äöü"),
    ]
    bubble = chat.transcript._records[said.id].view
    assert bubble is not None
    shown = next(chip for chip in bubble.findChildren(Chip) if "a.txt" in chip.accessibleName())
    qtbot.mouseClick(shown, Qt.MouseButton.LeftButton)
    view = chat.window().findChild(AttachmentView)
    assert view.text.toPlainText() == "first file"
    assert view.text.isReadOnly()
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    assert not view.isVisible()


def test_an_edited_message_keeps_what_is_attached(qtbot: QtBot, chat: ChatPage) -> None:
    chat.talk.say("What is 47 + 38?", [Attachment("a.txt", "text")])
    answered(qtbot, chat)
    chat.talk.edit(chat.talk.path[0].id, "What is 12 + 34?")
    answered(qtbot, chat)
    assert [one.name for one in chat.talk.path[0].attachments] == ["a.txt"]


def test_a_chip_is_taken_away_by_its_cross_and_by_delete(qtbot: QtBot, chat: ChatPage) -> None:
    for name in ("a", "b", "c"):
        chat.composer.attach(Attachment(name, name))
    cross = next(b for b in chat.composer.chips.findChildren(QToolButton) if b.accessibleName() == "Remove b")
    qtbot.mouseClick(cross, Qt.MouseButton.LeftButton)
    assert names(chat) == ["a", "c"]
    first = chips(chat.composer.chips)[0]
    first.setFocus()
    qtbot.keyClick(first, Qt.Key.Key_Delete)
    assert names(chat) == ["c"]
    assert chat.composer.button.isEnabled()


def test_tab_goes_from_the_chips_to_the_field_and_on(qtbot: QtBot, chat: ChatPage) -> None:
    for name in ("a", "b"):
        chat.composer.attach(Attachment(name, name))
    stops = [*chat.composer.chips.controls(), chat.composer.clip, chat.composer.edit]
    assert len(stops) == 6
    stops[0].setFocus()
    for stop in stops[1:]:
        qtbot.keyClick(chat.focusWidget(), Qt.Key.Key_Tab)
        assert stop.hasFocus()


def test_what_is_no_text_is_refused_in_words(qtbot: QtBot, chat: ChatPage, window: MainWindow, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    chat.attaching.read([str(tmp_path / "picture.png")])
    qtbot.waitUntil(window.notice.isVisible)
    assert "picture.png cannot be attached." in window.notice.text()
    assert names(chat) == []


def test_text_files_dropped_on_the_chat_are_attached_and_models_are_converted(
    qtbot: QtBot, chat: ChatPage, window: MainWindow, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("notes", "utf-8")
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    (tmp_path / "folder").mkdir()
    assert enter(window, chat.composer.edit, files(tmp_path / "notes.txt"))
    assert window.drops.overlay._words == "Drop to attach"
    assert drop(window, chat.composer.edit, files(tmp_path / "notes.txt"))
    qtbot.waitUntil(lambda: names(chat) == ["notes.txt"])
    assert window.pages.currentWidget() is chat
    assert opened(window) == []
    for name in ("model.gguf", "folder"):
        window.go("chat")
        assert drop(window, chat.composer.edit, files(tmp_path / name))
        assert opened(window)[-1] == str(tmp_path / name)
    window.convert.show_start()
    window.go("settings")
    assert drop(window, window.settings, files(tmp_path / "notes.txt"))
    assert opened(window)[-1] == str(tmp_path / "notes.txt")


def test_a_long_paste_offers_itself_as_a_file(qtbot: QtBot, chat: ChatPage, window: MainWindow) -> None:
    paste(chat, "x" * LONG_PASTE)
    assert len(chat.composer.edit.toPlainText()) == LONG_PASTE
    chat.composer.edit.clear()
    text = "line\n" * LONG_PASTE
    paste(chat, text)
    assert chat.composer.edit.toPlainText() == ""
    assert [attached.text for attached in chat.composer.attached] == [text]
    undo = next(b for b in window.notice.findChildren(QPushButton) if b.isVisible())
    assert undo.text() == "Put It into the Message"
    qtbot.mouseClick(undo, Qt.MouseButton.LeftButton)
    assert chat.composer.edit.toPlainText() == text
    assert names(chat) == []


def test_an_endless_paste_is_refused_and_a_pasted_file_is_attached(
    qtbot: QtBot, chat: ChatPage, window: MainWindow, tmp_path: Path
) -> None:
    paste(chat, "y" * (LARGEST_ATTACHMENT + 1))
    assert "too long" in window.notice.text()
    assert names(chat) == []
    paste(chat, "多" * 300_000)
    assert names(chat) == ["Pasted text"]
    (tmp_path / "c.txt").write_text("copied", "utf-8")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "c.txt"))])
    paste(chat, data)
    qtbot.waitUntil(lambda: "c.txt" in names(chat))


def test_names_are_shown_as_text_and_long_lines_are_broken(qtbot: QtBot, chat: ChatPage) -> None:
    chat.composer.attach(Attachment("<img src=x>\n\u202eevil", "z" * 900_000))
    (chip,) = chips(chat.composer.chips)
    assert "&lt;img" in chip.toolTip()
    assert "\n" not in chip.accessibleName()
    qtbot.keyClick(chip, Qt.Key.Key_Return)
    view = chat.window().findChild(AttachmentView)
    assert view.text.document().blockCount() > 40
    view.close()


def test_many_files_scroll_and_too_many_are_refused(
    qtbot: QtBot, chat: ChatPage, window: MainWindow, tmp_path: Path
) -> None:
    paths = []
    for number in range(22):
        (tmp_path / f"file with a rather long name {number}.txt").write_text("x", "utf-8")
        paths.append(str(tmp_path / f"file with a rather long name {number}.txt"))
    window.resize(840, 540)
    chat.attaching.read(paths)
    qtbot.waitUntil(lambda: len(names(chat)) == 20)
    assert "20 files" in window.notice.text()
    assert chat.composer._shelf.height() < 110
    qtbot.waitUntil(lambda: chat.composer.edit.mapTo(chat.composer, QPoint()).y() > 100)
    assert not chat.composer._shelf.geometry().intersects(chat.composer.edit.geometry())
