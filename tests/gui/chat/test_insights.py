"""From the menu of an answer to its tokens, scores and other models' answers, and back into the conversation."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from engine.chat.conversations import Message
from engine.jobs import Reply
from gui.chat.compare_models import Contender
from gui.chat.compare_view import CompareView
from gui.chat.page import ChatPage
from gui.chat.score_sheet import ScoreSheet
from gui.chat.token_view import TokenView
from gui.window import MainWindow
from tests.engine.tiny import make_model

WAIT = 60_000


@pytest.fixture(name="answer")
def _answer(qtbot: QtBot, window: MainWindow) -> Message:
    """An answer of the starter in the conversation shown."""
    chat = window.chat
    qtbot.waitUntil(lambda: chat.loaded is not None, timeout=WAIT)
    chat.send("What is 47 + 38?")
    qtbot.waitUntil(lambda: not chat.answering, timeout=WAIT)
    return chat.talk.path[-1]


def texts(chat: ChatPage, answer: Message) -> list[str]:
    """What the answer and its siblings say."""
    store = chat._desk.store
    return [store.ancestors(each)[-1].text for each in store.siblings(answer.id)]


def test_an_answer_goes_on_from_another_token(qtbot: QtBot, window: MainWindow, answer: Message) -> None:
    chat = window.chat
    chat.message_wanted.emit(answer.id, "tokens")
    view = window.insights.open
    assert isinstance(view, TokenView)
    qtbot.waitUntil(lambda: not view.running, timeout=WAIT)
    assert "".join(token.text for token in view.flow.tokens) == answer.text
    view.flow.go_to(1)
    before, other = view.flow.tokens[0].token, view.flow.tokens[1].alternatives[1][0]
    qtbot.mouseClick(view.card.rows[1], Qt.MouseButton.LeftButton)
    assert window.insights.open is None
    assert chat.conversation is not None
    request = chat.talk.exchanges[chat.conversation]._job.request
    assert isinstance(request, Reply)
    assert request.prefix == (before, other)
    qtbot.waitUntil(lambda: not chat.answering, timeout=WAIT)
    assert len(texts(chat, answer)) == 2
    assert chat.talk.path[-1].id != answer.id


def test_an_answer_is_scored_and_the_choice_is_remembered(qtbot: QtBot, window: MainWindow, answer: Message) -> None:
    window.chat.message_wanted.emit(answer.id, "score")
    sheet = window.insights.open
    assert isinstance(sheet, ScoreSheet)
    qtbot.waitUntil(lambda: not sheet.running, timeout=WAIT)
    qtbot.keyClicks(sheet.choice.reference, "85")
    qtbot.keyClick(sheet.choice.reference, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not sheet.running, timeout=WAIT)
    assert all(score is not None for _, score, _ in sheet.bars.scores)
    qtbot.keyClick(sheet, Qt.Key.Key_Escape)
    assert window.insights.open is None
    assert window.insights.judging.reference == "85"


def test_another_models_answer_is_kept_beside_the_first(
    qtbot: QtBot, window: MainWindow, answer: Message, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chat = window.chat
    other = str(make_model(tmp_path_factory.mktemp("models") / "other", seed=4))
    chat.message_wanted.emit(answer.id, "compare")
    view = window.insights.open
    assert isinstance(view, CompareView)
    view.columns[1].picker.pick(Contender(other))
    view.ask()
    qtbot.waitUntil(lambda: not view.answers.running, timeout=WAIT)
    view.columns[1].keep.click()
    assert texts(chat, answer) == [answer.text, view.columns[1].said]
    kept = chat.talk.path[-1]
    assert (kept.model, kept.state, kept.text) == (other, "done", view.columns[1].said)
    assert kept.stats is not None
    view.reject()
    assert chat.loaded is None
    qtbot.waitUntil(lambda: chat.loaded is not None, timeout=WAIT)
    assert chat.loaded.name == "starter"


def test_another_question_is_kept_with_its_answer(qtbot: QtBot, window: MainWindow, answer: Message) -> None:
    chat = window.chat
    chat.message_wanted.emit(answer.id, "compare")
    view = window.insights.open
    assert isinstance(view, CompareView)
    view.columns[1].picker.pick(Contender("starter"))
    view.bar.prompt.setPlainText("What is 11 + 12?")
    view.ask()
    qtbot.waitUntil(lambda: not view.answers.running, timeout=WAIT)
    view.columns[0].keep.click()
    question, kept = chat.talk.path
    assert (question.text, kept.text) == ("What is 11 + 12?", view.columns[0].said)
    assert len(texts(chat, answer)) == 1
    view.reject()
    assert chat.loaded is not None, "the model of the chat never left"


def test_an_answer_that_is_gone_is_said(window: MainWindow, answer: Message) -> None:
    window.chat.message_wanted.emit(answer.id + 100, "tokens")
    assert window.insights.open is None
    assert window.notice.isVisible()
