"""How full the context is: the ring, its menu, the line above what is read, and what is asked of the engine."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QToolButton
from pytestqt.qtbot import QtBot

from engine.chat_events import ContextFitted
from engine.config import Sampling
from gui import theme as looks
from gui.chat.context_line import ContextLine
from gui.chat.gauge import Gauge
from gui.chat.page import ChatPage
from gui.chat.prose_view import ProseView
from gui.chat.transcript import Transcript
from gui.window import MainWindow
from tests.gui.chat.messages import conversation, settle
from tests.gui.chat.test_page import WAIT, answered, say


@pytest.fixture
def chat(qtbot: QtBot, window: MainWindow) -> ChatPage:
    qtbot.waitUntil(lambda: window.chat.loaded is not None, timeout=WAIT)
    return window.chat


def test_it_says_how_much_is_used_and_how_much_there_is(qtbot: QtBot, theme: looks.Theme) -> None:
    gauge = Gauge()
    qtbot.addWidget(gauge)
    assert gauge.isHidden()
    gauge.show_use(1234, 8192)
    assert gauge.text() == "1,234 / 8,192 tokens"
    assert gauge.accessibleName() == "Context: 1,234 / 8,192 tokens"
    assert 0.15 < gauge.share < 0.16
    gauge.show_use(9000, 8192)
    assert gauge.share == 1.0
    gauge.show_use(12, 0)
    assert gauge.text() == "12 tokens"
    gauge.grab()
    assert theme.dark is False


def colour(gauge: Gauge) -> str:
    picture = gauge.grab().toImage()
    ratio = picture.devicePixelRatio()
    return picture.pixelColor(round(12 * ratio), round((gauge.height() / 2 - 5) * ratio)).name()


def test_its_colour_warns(qtbot: QtBot, theme: looks.Theme) -> None:
    theme.wish("light")
    gauge = Gauge()
    qtbot.addWidget(gauge)
    gauge.resize(160, 22)
    seen = []
    for used in (700, 810, 960):
        gauge.show_use(used, 1000)
        gauge.resize(160, 22)
        seen.append(colour(gauge))
    assert len(set(seen)) == 3


def test_an_answer_fills_the_gauge_and_opening_a_conversation_shows_it(qtbot: QtBot, chat: ChatPage) -> None:
    assert chat.loaded is not None
    window = chat.loaded.context
    say(qtbot, chat, "What is 47 + 38?")
    message = answered(qtbot, chat)
    assert message.stats is not None
    used = message.stats.prompt_tokens + message.stats.completion_tokens
    assert chat.composer.gauge.text() == f"{used} / {window:,} tokens"
    chat.new_conversation()
    assert chat.composer.gauge.text() == f"0 / {window:,} tokens"
    chat.open_conversation(message.conversation)
    assert chat.composer.gauge.text() == f"{used} / {window:,} tokens"


def test_what_happens_when_it_is_full_is_chosen_for_the_conversation(qtbot: QtBot, chat: ChatPage) -> None:
    say(qtbot, chat, "What is 47 + 38?")
    message = answered(qtbot, chat)
    menu = chat.composer.gauge.open_menu()
    entries = [action.text() for action in menu.actions()]
    assert entries[1] == "As in the settings: stop and say so"
    assert menu.actions()[1].isChecked()
    next(action for action in menu.actions() if action.text().startswith("Leave")).trigger()
    menu.close()
    assert chat._desk.store.get(message.conversation).when_full == "drop oldest"
    assert "Leave the oldest messages out" in chat.composer.gauge.accessibleDescription()
    chat.new_conversation()
    assert chat.talk.manner.when_full == ""
    chat.open_conversation(message.conversation)
    assert chat.talk.manner.when_full == "drop oldest"


def line(transcript: Transcript) -> ContextLine | None:
    return next((found for found in transcript.findChildren(ContextLine) if found.isVisible()), None)


def test_a_line_stands_above_what_is_still_read(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.show_messages(conversation(3, "Short."))
    settle(qtbot, transcript)
    transcript.set_left_out(2, summarised=False, summary="")
    settle(qtbot, transcript)
    shown = line(transcript)
    assert shown is not None
    assert [label.text() for label in shown.findChildren(QLabel)] == [
        "The 2 messages above are no longer read by the model"
    ]
    order = [entry.widget for entry in transcript._column.entries]
    assert order.index(shown) == 2
    transcript.set_left_out(4, summarised=False, summary="")
    settle(qtbot, transcript)
    assert [entry.widget for entry in transcript._column.entries].index(line(transcript)) == 4
    transcript.set_left_out(0, summarised=False, summary="")
    settle(qtbot, transcript)
    assert line(transcript) is None
    assert len(transcript._column.entries) == 6


def test_a_summary_is_read_on_a_click_and_by_key(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.show_messages(conversation(3, "Short."))
    transcript.set_left_out(3, summarised=True, summary="They spoke of <b>bread</b>.")
    settle(qtbot, transcript)
    shown = line(transcript)
    assert shown is not None
    fold = shown.findChild(QToolButton)
    assert fold.accessibleName() == "The model reads a summary of the 3 messages above"
    fold.setFocus()
    qtbot.keyClick(fold, Qt.Key.Key_Space)
    settle(qtbot, transcript)
    assert [text.toPlainText() for text in shown.findChildren(ProseView)] == ["They spoke of <b>bread</b>."]
    assert shown.in_use
    qtbot.mouseClick(fold, Qt.MouseButton.LeftButton)
    settle(qtbot, transcript)
    assert not any(text.isVisible() for text in shown.findChildren(ProseView))


def test_what_the_engine_leaves_out_is_shown_at_once_and_later(qtbot: QtBot, chat: ChatPage) -> None:
    for text in ("What is 47 + 38?", "83 - 27"):
        say(qtbot, chat, text)
        answered(qtbot, chat)
    store = chat._desk.store
    store.keep_summary(chat.talk.path[1].id, "starter", "A sum was asked for.")
    chat.talk._show_fit(ContextFitted(500, 512, 2, True))
    qtbot.waitUntil(lambda: line(chat.transcript) is not None)
    assert chat.composer.gauge.text() == "500 / 512 tokens"
    shown = line(chat.transcript)
    assert shown is not None
    qtbot.mouseClick(shown.findChild(QToolButton), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: [v.toPlainText() for v in shown.findChildren(ProseView)] == ["A sum was asked for."])


def test_the_settings_become_options_of_a_chat(window: MainWindow) -> None:
    desk = window.desk
    desk.change_settings(
        desk.settings.model_copy(
            update={"kv_bits": "8", "kv_memory": 3, "kv_disk": 5, "when_full": "summarise", "speculative": True}
        )
    )
    options = desk.chat_options()
    assert (options.when_full, options.kv_bits) == ("summarise", 8)
    assert (options.kv_memory, options.kv_disk) == (3 * 1024**2, 5 * 1024**2)
    assert options.draft == "auto"
    assert desk.chat_options("drop oldest").when_full == "drop oldest"
    desk.change_settings(desk.settings.model_copy(update={"draft_model": "a/b"}))
    assert desk.chat_options().draft == "a/b"
    desk.change_settings(desk.settings.model_copy(update={"speculative": False, "kv_bits": "full"}))
    assert (desk.chat_options().draft, desk.chat_options().kv_bits) == ("", 0)


@pytest.mark.parametrize("choice", ["drop oldest", "summarise"])
def test_a_full_context_is_seen_where_it_happens(qtbot: QtBot, chat: ChatPage, choice: str) -> None:
    chat.composer.gauge.chosen.emit(choice)
    chat.manners.set_sampling(Sampling(max_tokens=40, temperature=0.0))
    for turn in range(4):
        chat.send(f"{turn} + 1 " * 60)
        message = answered(qtbot, chat)
    assert message.state == "done"
    assert message.stats is not None
    assert message.stats.left_out >= 2
    assert message.stats.summarised is (choice == "summarise")
    line_at = chat.transcript._line
    assert line_at._shown[0] == message.stats.left_out
    assert chat.transcript._column.entries.index(line_at._entry) == message.stats.left_out
    bar = chat.transcript.verticalScrollBar()
    bar.setValue(0)
    while line(chat.transcript) is None and bar.value() < bar.maximum():
        bar.setValue(bar.value() + 200)
        settle(qtbot, chat.transcript)
    shown = line(chat.transcript)
    assert shown is not None
    assert bool(shown.findChildren(QToolButton)) is (choice == "summarise")
    chat.new_conversation()
    chat.open_conversation(message.conversation)
    assert chat.transcript._line._shown[0] == message.stats.left_out
