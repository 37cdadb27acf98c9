"""Presets on the real page: chosen, changed, saved, deleted, each conversation with its own."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QInputDialog, QLineEdit, QPushButton
from pytestqt.qtbot import QtBot

from engine.chat import presets
from engine.chat.presets import Preset
from engine.config import Sampling
from gui.chat.page import ChatPage
from gui.window import MainWindow
from tests.gui.chat.test_page import WAIT, answered, say

SHORT = Preset(name="Short", system_prompt="Be brief.", sampling=Sampling(temperature=0.0, max_tokens=5))


@pytest.fixture
def chat(qtbot: QtBot, window: MainWindow) -> ChatPage:
    presets.save(SHORT)
    qtbot.waitUntil(lambda: window.chat.loaded is not None, timeout=WAIT)
    window.chat.manners.presetting.read()
    window.chat.header.panel.setChecked(True)
    return window.chat


def pick(chat: ChatPage, words: str) -> None:
    menu = chat.inspector.preset.open_menu()
    next(action for action in menu.actions() if action.text().startswith(words)).trigger()
    menu.close()


def shown(chat: ChatPage) -> str:
    return chat.inspector.preset.text()


def test_a_preset_is_chosen_for_a_conversation_and_stays_with_it(qtbot: QtBot, chat: ChatPage) -> None:
    pick(chat, "Short")
    assert shown(chat) == "Short"
    assert chat.inspector.system_prompt.toPlainText() == "Be brief."
    say(qtbot, chat, "What is 47 + 38?")
    message = answered(qtbot, chat)
    assert message.stats is not None
    assert message.stats.completion_tokens == 5
    stored = chat._desk.store.get(message.conversation)
    assert (stored.preset, stored.system_prompt, stored.sampling) == ("Short", SHORT.system_prompt, SHORT.sampling)
    chat.new_conversation()
    assert shown(chat) == "No preset"
    assert chat.inspector.system_prompt.toPlainText() == ""
    chat.open_conversation(message.conversation)
    assert shown(chat) == "Short"


def test_what_is_changed_is_said_and_undone(qtbot: QtBot, chat: ChatPage) -> None:
    pick(chat, "Short")
    chat.inspector.system_prompt.setFocus()
    qtbot.keyClicks(chat.inspector.system_prompt, "Really ")
    chat.inspector.flush()
    assert shown(chat) == "Short · changed"
    assert chat.inspector.system_prompt.toPlainText() == "Really Be brief."
    pick(chat, "Undo")
    assert shown(chat) == "Short"
    assert chat.inspector.system_prompt.toPlainText() == "Be brief."
    pick(chat, "No preset")
    assert (shown(chat), chat.inspector.system_prompt.toPlainText()) == ("No preset", "")


def test_a_space_at_the_end_of_what_is_typed_stays(qtbot: QtBot, chat: ChatPage) -> None:
    chat.inspector.system_prompt.setFocus()
    qtbot.keyClicks(chat.inspector.system_prompt, "Be ")
    chat.inspector.flush()
    qtbot.keyClicks(chat.inspector.system_prompt, "kind")
    assert chat.inspector.system_prompt.toPlainText() == "Be kind"


def test_one_is_saved_under_a_name_updated_and_deleted_with_undo(
    qtbot: QtBot, chat: ChatPage, window: MainWindow
) -> None:
    chat.manners.set_sampling(Sampling(top_k=3))
    pick(chat, "Save as Preset")
    dialog = window.findChild(QInputDialog)
    dialog.findChild(QLineEdit).setText("  Third  ")
    qtbot.keyClick(dialog.findChild(QLineEdit), Qt.Key.Key_Return)
    assert shown(chat) == "Third"
    assert next(one for one in presets.all_presets() if one.name == "Third").sampling.top_k == 3
    chat.manners.set_sampling(Sampling(top_k=4))
    assert shown(chat) == "Third · changed"
    pick(chat, "Update")
    assert shown(chat) == "Third"
    assert next(one for one in presets.all_presets() if one.name == "Third").sampling.top_k == 4
    pick(chat, "Delete")
    assert "Third" not in presets.own_names()
    assert shown(chat) == "No preset"
    undo = next(b for b in window.notice.findChildren(QPushButton) if b.isVisible() and b.text() == "Undo")
    qtbot.mouseClick(undo, Qt.MouseButton.LeftButton)
    assert shown(chat) == "Third"


def test_a_preset_brings_its_model(qtbot: QtBot, chat: ChatPage, window: MainWindow) -> None:
    presets.save(Preset(name="Elsewhere", model="/no/such/model"))
    chat.manners.presetting.read()
    pick(chat, "Elsewhere")
    qtbot.waitUntil(window.notice.isVisible, timeout=WAIT)
    assert "/no/such/model" in window.notice.text()
    assert window.desk.settings.model == "starter"
    chat.load("starter")
    qtbot.waitUntil(lambda: chat.loaded is not None, timeout=WAIT)
    assert shown(chat) == "Elsewhere · changed"
