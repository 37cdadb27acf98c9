"""The chat page with the real starter model on the real lane, driven by keys and clicks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from engine import config, places
from engine.chat.conversations import Conversations, Message
from engine.config import Sampling, Settings
from gui.chat.page import ChatPage
from gui.window import MainWindow
from tests.engine.tiny import make_model

WAIT = 60_000


@pytest.fixture
def chat(qtbot: QtBot, window: MainWindow) -> ChatPage:
    qtbot.waitUntil(lambda: window.chat.loaded is not None, timeout=WAIT)
    return window.chat


def say(qtbot: QtBot, chat: ChatPage, text: str) -> None:
    qtbot.keyClicks(chat.composer.edit, text)
    qtbot.keyClick(chat.composer.edit, Qt.Key.Key_Return)


def answered(qtbot: QtBot, chat: ChatPage) -> Message:
    qtbot.waitUntil(lambda: not chat.answering, timeout=WAIT)
    assert chat.conversation is not None
    return chat._desk.store.path(chat.conversation)[-1]


def endless(qtbot: QtBot, chat: ChatPage, tmp_path: Path) -> None:
    """Have a random model answer, which goes on for thousands of tokens."""
    folder = make_model(tmp_path / "endless", endless=True)
    chat.load(str(folder))
    qtbot.waitUntil(lambda: chat.loaded is not None, timeout=WAIT)
    chat.manners.set_sampling(Sampling(temperature=1.0, max_tokens=50_000))


def button(chat: ChatPage, name: str) -> QToolButton:
    (found,) = [child for child in chat.findChildren(QToolButton) if child.accessibleName() == name]
    return found


def test_a_person_types_and_the_model_answers(qtbot: QtBot, chat: ChatPage) -> None:
    assert chat.welcome.isVisible()
    say(qtbot, chat, "What is 47 + 38?")
    assert chat.transcript.isVisible()
    assert chat.composer.edit.toPlainText() == ""
    message = answered(qtbot, chat)
    assert message.state == "done"
    assert "<answer>" in message.text
    assert message.stats is not None
    assert message.stats.stop_reason == "end"
    assert chat.list.model.titles() == ["Today", "What is 47 + 38?"]
    say(qtbot, chat, "83 - 27")
    second = answered(qtbot, chat)
    assert second.stats is not None
    assert second.stats.cached_tokens > 10
    assert [m.role for m in chat._desk.store.path(second.conversation)] == ["user", "assistant"] * 2


def test_a_suggestion_is_asked_with_one_click(qtbot: QtBot, chat: ChatPage) -> None:
    suggestion = next(child for child in chat.welcome.findChildren(QPushButton) if "+" in child.text())
    qtbot.mouseClick(suggestion, Qt.MouseButton.LeftButton)
    assert answered(qtbot, chat).text


def test_an_empty_message_is_not_sent(qtbot: QtBot, chat: ChatPage) -> None:
    say(qtbot, chat, "   ")
    assert not chat.answering
    assert chat.conversation is None
    assert not chat.composer.button.isEnabled()


def test_shift_return_starts_a_line_and_the_field_grows(qtbot: QtBot, chat: ChatPage) -> None:
    edit = chat.composer.edit
    height = edit.height()
    qtbot.keyClicks(edit, "one")
    qtbot.keyClick(edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClicks(edit, "two")
    assert edit.toPlainText() == "one\ntwo"
    assert edit.height() > height
    assert not chat.answering


def test_the_send_key_is_a_setting(qtbot: QtBot, chat: ChatPage, window: MainWindow) -> None:
    window.desk.change_settings(window.desk.settings.model_copy(update={"send_key": "command-return"}))
    qtbot.keyClicks(chat.composer.edit, "1 + 1")
    qtbot.keyClick(chat.composer.edit, Qt.Key.Key_Return)
    assert not chat.answering
    qtbot.keyClick(chat.composer.edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert answered(qtbot, chat).text


@pytest.mark.parametrize("how", ["escape", "button"])
def test_an_answer_is_stopped_and_kept(qtbot: QtBot, chat: ChatPage, tmp_path: Path, how: str) -> None:
    endless(qtbot, chat, tmp_path)
    say(qtbot, chat, "Go on and on")
    exchange = chat.talk.exchanges[chat.conversation or 0]
    qtbot.waitUntil(lambda: len(exchange.text) > 50, timeout=WAIT)
    if how == "escape":
        qtbot.keyClick(chat.composer.edit, Qt.Key.Key_Escape)
    else:
        qtbot.mouseClick(chat.composer.button, Qt.MouseButton.LeftButton)
    message = answered(qtbot, chat)
    assert message.state == "stopped"
    assert len(message.text) > 50
    assert not chat.composer.button.isEnabled()


def test_answering_again_keeps_both_answers(qtbot: QtBot, chat: ChatPage) -> None:
    say(qtbot, chat, "What is 47 + 38?")
    first = answered(qtbot, chat)
    qtbot.waitUntil(lambda: any(b.isVisible() for b in chat.findChildren(QToolButton) if "gain" in b.accessibleName()))
    again = next(b for b in chat.findChildren(QToolButton) if "gain" in b.accessibleName() and b.isVisible())
    qtbot.mouseClick(again, Qt.MouseButton.LeftButton)
    second = answered(qtbot, chat)
    assert second.id != first.id
    assert chat._desk.store.siblings(second.id) == [first.id, second.id]


def test_another_conversation_can_be_read_while_one_is_answered(qtbot: QtBot, chat: ChatPage, tmp_path: Path) -> None:
    say(qtbot, chat, "What is 47 + 38?")
    first = answered(qtbot, chat)
    endless(qtbot, chat, tmp_path)
    chat.new_conversation()
    chat.manners.set_sampling(Sampling(temperature=1.0, max_tokens=50_000))
    say(qtbot, chat, "Go on and on")
    going = chat.conversation or 0
    exchange = chat.talk.exchanges[going]
    qtbot.waitUntil(lambda: len(exchange.text) > 20, timeout=WAIT)
    chat.list.view.setCurrentIndex(chat.list.model.row_of(first.conversation))
    assert chat.conversation == first.conversation
    assert not chat.answering
    so_far = len(exchange.text)
    qtbot.waitUntil(lambda: len(exchange.text) > so_far + 200, timeout=WAIT)
    chat.open_conversation(going)
    assert chat.answering
    chat.stop()
    message = answered(qtbot, chat)
    assert message.text == exchange_text(chat, message)


def exchange_text(chat: ChatPage, message: Message) -> str:
    return chat._desk.store.ancestors(message.id)[-1].text


def test_deleting_can_be_undone(qtbot: QtBot, chat: ChatPage, window: MainWindow) -> None:
    say(qtbot, chat, "What is 47 + 38?")
    kept = answered(qtbot, chat).conversation
    chat.list.view.setFocus()
    qtbot.keyClick(chat.list.view, Qt.Key.Key_Delete)
    assert chat.list.model.rowCount() == 0
    assert chat.conversation is None
    undo = next(b for b in window.notice.findChildren(QPushButton) if b.isVisible())
    qtbot.mouseClick(undo, Qt.MouseButton.LeftButton)
    assert chat.conversation == kept
    assert len(chat.list.model.titles()) == 2


def test_system_prompt_and_sampling_belong_to_the_conversation(qtbot: QtBot, chat: ChatPage) -> None:
    qtbot.mouseClick(button(chat, "Settings of this conversation"), Qt.MouseButton.LeftButton)
    qtbot.keyClicks(chat.inspector.system_prompt, "Be brief.")
    chat.manners.set_sampling(Sampling(temperature=0.0, max_tokens=7))
    say(qtbot, chat, "What is 47 + 38?")
    first = answered(qtbot, chat)
    assert first.stats is not None
    assert first.stats.completion_tokens == 7
    stored = chat._desk.store.get(first.conversation)
    assert stored.system_prompt == "Be brief."
    assert stored.sampling.max_tokens == 7
    chat.new_conversation()
    assert chat.inspector.system_prompt.toPlainText() == ""
    chat.open_conversation(first.conversation)
    assert chat.inspector.system_prompt.toPlainText() == "Be brief."


@pytest.mark.parametrize(
    ("name", "word"),
    [("/no/such/model", "/no/such/model"), ("", "No model"), ("unsupported", "lamma"), ("huge", "too large")],
)
def test_a_model_that_cannot_be_loaded_is_explained_and_the_window_lives_on(
    qtbot: QtBot, chat: ChatPage, window: MainWindow, tmp_path: Path, name: str, word: str
) -> None:
    if name == "unsupported":
        name = str(make_model(tmp_path / "unsupported"))
        stated = json.loads(Path(name, "config.json").read_text())
        Path(name, "config.json").write_text(json.dumps(stated | {"model_type": "lamma"}))
    if name == "huge":
        name = str(make_model(tmp_path / "huge"))
        with Path(name, "model.safetensors").open("r+b") as file:
            file.truncate(10**12)
    chat.load(name)
    qtbot.waitUntil(window.notice.isVisible, timeout=WAIT)
    assert word in window.notice.text()
    assert "Traceback" not in window.notice.text()
    say(qtbot, chat, "Hello?")
    failed = answered(qtbot, chat)
    assert failed.state == "failed"
    assert word in failed.error
    chat.load("starter")
    qtbot.waitUntil(lambda: chat.loaded is not None, timeout=WAIT)
    assert not window.notice.isVisible()
    say(qtbot, chat, "What is 47 + 38?")
    assert answered(qtbot, chat).state == "done"


def test_a_message_longer_than_the_context_is_explained_in_its_place(qtbot: QtBot, chat: ChatPage) -> None:
    chat.send("7" * 3000)
    failed = answered(qtbot, chat)
    assert failed.state == "failed"
    assert "longer than the model can read" in failed.error
    say(qtbot, chat, "again")
    answered(qtbot, chat)


def test_killed_in_the_middle_of_an_answer_it_is_there_up_to_the_last_second(
    qtbot: QtBot, window: MainWindow, home: Path, tmp_path: Path
) -> None:
    window.close()
    model = make_model(tmp_path / "endless", endless=True)
    config.write(
        Settings(model=str(model), sampling=Sampling(temperature=1.0, max_tokens=90_000)), places.settings_file()
    )
    code = """
from PySide6.QtCore import QTimer
from gui import app
from gui.desk import Desk
from gui.window import MainWindow
application = app.make_application([])
window = MainWindow(Desk())
window.show()
chat = window.chat
def tick():
    if chat.loaded and chat.loaded.name == 'endless' and not chat.answering:
        chat.send('Go on and on')
    for exchange in chat.talk.exchanges.values():
        print(len(exchange.text), flush=True)
QTimer.singleShot(60_000, application.quit)
timer = QTimer(interval=50)
timer.timeout.connect(tick)
timer.start()
application.exec()
"""
    root = Path(__file__).parents[3]
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root)
    assert child.stdout is not None
    shown: list[tuple[float, int]] = []
    with child:
        for line in child.stdout:
            shown.append((time.monotonic(), int(line)))
            if shown[-1][1] > 300 and shown[-1][0] - shown[0][0] > 2.5:
                break
        os.kill(child.pid, signal.SIGKILL)
        killed = time.monotonic()
    a_second_before = max([length for at, length in shown if at < killed - 1.0], default=0)
    assert a_second_before > 0
    with Conversations(places.conversations_file()) as store:
        assert store.recover() == 1
        (conversation,) = store.all()
        asked, answer = store.path(conversation.id)
    assert asked.text == "Go on and on"
    assert answer.state == "interrupted"
    assert len(answer.text) >= a_second_before
    assert home in places.conversations_file().parents


def test_another_setting_does_not_touch_what_was_set_for_a_new_conversation(
    qtbot: QtBot, chat: ChatPage, window: MainWindow
) -> None:
    chat.header.panel.setChecked(True)
    qtbot.keyClicks(chat.inspector.system_prompt, "Be brief.")
    chat.inspector.flush()
    chat.inspector.form.set_settings(Sampling(temperature=0.0))
    chat.manners.set_sampling(Sampling(temperature=0.0))
    window.desk.change_settings(window.desk.settings.model_copy(update={"appearance": "light"}))
    assert chat.inspector.system_prompt.toPlainText() == "Be brief."
    assert chat.talk.manner.sampling.temperature == 0.0


def test_an_answer_that_could_not_be_stored_keeps_its_text_and_its_error(
    qtbot: QtBot, chat: ChatPage, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Conversations.finish
    lane = chat._desk.store

    def refuse(self: Conversations, *arguments: object, **more: object) -> None:
        if self is not lane:
            raise OSError(28, "No space left on device", "conversations.sqlite3")
        finish(self, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Conversations, "finish", refuse)
    say(qtbot, chat, "What is 47 + 38?")
    message = answered(qtbot, chat)
    assert message.state == "failed"
    assert "<answer>" in message.text
    assert "disk is full" in message.error
    assert "disk is full" in window.notice.text()


def test_a_message_for_a_conversation_that_is_gone_stays_in_the_field(qtbot: QtBot, chat: ChatPage) -> None:
    say(qtbot, chat, "What is 47 + 38?")
    gone = answered(qtbot, chat).conversation
    with Conversations(places.conversations_file()) as other_window:
        other_window.delete(gone)
    say(qtbot, chat, "83 - 27")
    assert chat.composer.edit.toPlainText() == "83 - 27"
    qtbot.keyClick(chat.composer.edit, Qt.Key.Key_Return)
    assert answered(qtbot, chat).state == "done"
