"""How the list of messages follows an answer that arrives, and lets go of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from gui import theme as looks
from gui.chat.transcript import Transcript
from tests.gui.chat.messages import ANSWER, conversation, message, place, settle, views


@pytest.fixture
def writing(qtbot: QtBot, transcript: Transcript) -> Callable[[str], None]:
    transcript.show_messages(conversation(5))
    start = message("assistant", "", "writing")
    transcript.add(message("user", "Go"))
    transcript.add(start)
    settle(qtbot, transcript)
    return lambda text: transcript.append(start.id, text)


def test_it_follows_an_answer(qtbot: QtBot, transcript: Transcript, writing: Callable[[str], None]) -> None:
    bar = transcript.verticalScrollBar()
    for _ in range(30):
        writing("A sentence that is some words long.\n\n")
        assert bar.value() == bar.maximum()
    settle(qtbot, transcript)
    assert not transcript._jump.isVisible()


def test_it_lets_go_when_the_person_scrolls_up(
    qtbot: QtBot, transcript: Transcript, writing: Callable[[str], None]
) -> None:
    writing("A sentence that is some words long.\n\n" * 30)
    bar = transcript.verticalScrollBar()
    bar.setValue(bar.value() - 200)
    settle(qtbot, transcript)
    assert transcript._jump.isVisible()
    value, image = bar.value(), picture(transcript)
    writing("More.\n\n" * 20)
    settle(qtbot, transcript)
    assert bar.value() == value
    assert picture(transcript) == image
    qtbot.mouseClick(transcript._jump, Qt.MouseButton.LeftButton)
    settle(qtbot, transcript)
    assert bar.value() == bar.maximum() > value
    assert not transcript._jump.isVisible()
    writing("And more.\n\n" * 20)
    assert bar.value() == bar.maximum()


def test_it_follows_again_at_the_end(qtbot: QtBot, transcript: Transcript, writing: Callable[[str], None]) -> None:
    bar = transcript.verticalScrollBar()
    bar.setValue(0)
    settle(qtbot, transcript)
    qtbot.keyClick(transcript, Qt.Key.Key_End)
    settle(qtbot, transcript)
    writing("More.\n\n" * 20)
    assert bar.value() == bar.maximum()


def picture(transcript: Transcript) -> QImage:
    """The upper half of what is seen."""
    return transcript.grab().toImage().copy(0, 0, 780, 300)


def test_nothing_above_moves_while_an_answer_arrives(qtbot: QtBot, transcript: Transcript, theme: looks.Theme) -> None:
    transcript.show_messages([message("user", "Go")])
    start = message("assistant", "", "writing")
    transcript.add(start)
    places = []
    for at in range(0, len(ANSWER), 3):
        transcript.append(start.id, ANSWER[at : at + 3])
        places.append(place(transcript, "Go"))
    transcript.finish(dataclasses.replace(start, text=ANSWER, state="done"))
    assert len(set(places[:40])) == 1
    assert place(transcript, "Descent") == 24 + 41 + 20 or transcript.verticalScrollBar().maximum() > 0


def test_a_long_answer_streams_whole(qtbot: QtBot, transcript: Transcript) -> None:
    text = (ANSWER * 200)[:50_000]
    start = message("assistant", text[:47_000], "writing")
    transcript.show_messages([start])
    settle(qtbot, transcript)
    for at in range(47_000, 50_000, 50):
        transcript.append(start.id, text[at : at + 50])
    transcript.finish(dataclasses.replace(start, text=text, state="done"))
    assert views(transcript)[0].text == text
