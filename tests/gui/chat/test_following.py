"""How the list of messages follows an answer that arrives, and lets go of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from gui import theme as looks
from gui.chat.prose_view import ProseView
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


def text_in_view(transcript: Transcript) -> tuple[ProseView, QPoint]:
    """A text and a place in it, which is in the middle of the view."""
    middle = transcript.viewport().mapToGlobal(QPoint(200, 300))
    views = [view for view in transcript.findChildren(ProseView) if view.isVisible()]
    found = next(view for view in views if view.rect().contains(view.mapFromGlobal(middle)))
    return found, found.mapTo(transcript.window(), found.mapFromGlobal(middle))


LINES = "A sentence that is some words long.\n\n"


def let_go(transcript: Transcript, writing: Callable[[str], None]) -> bool:
    """Whether more text leaves the view where it is."""
    bar = transcript.verticalScrollBar()
    before = bar.value()
    writing(LINES * 10)
    assert bar.value() in (before, bar.maximum())
    return bar.value() == before


def test_any_way_up_lets_go(qtbot: QtBot, transcript: Transcript, writing: Callable[[str], None]) -> None:
    bar, window = transcript.verticalScrollBar(), transcript.window().windowHandle()
    ways: list[Callable[[], object]] = [
        lambda: QTest.wheelEvent(window, QPoint(300, 300), QPoint(0, 120)),
        lambda: bar.setValue(bar.value() - 1),
        lambda: qtbot.keyClick(transcript, Qt.Key.Key_Up),
        lambda: qtbot.keyClick(transcript, Qt.Key.Key_PageUp),
        lambda: qtbot.keyClick(transcript, Qt.Key.Key_Home),
    ]
    writing(LINES * 30)
    for way in ways:
        assert not let_go(transcript, writing)
        way()
        settle(qtbot, transcript)
        assert let_go(transcript, writing)
        assert transcript._jump.isVisible()
        qtbot.keyClick(transcript, Qt.Key.Key_End)
        settle(qtbot, transcript)


def test_the_bar_s_handle_is_not_taken_out_of_the_hand(
    qtbot: QtBot, transcript: Transcript, writing: Callable[[str], None]
) -> None:
    writing(LINES * 30)
    bar = transcript.verticalScrollBar()
    bar.setSliderDown(True)
    bar.setSliderPosition(bar.maximum() - 100)
    assert let_go(transcript, writing)
    bar.setSliderPosition(bar.maximum())
    bar.setSliderDown(False)
    assert not let_go(transcript, writing)


def test_a_larger_or_smaller_window_lets_nothing_go(
    qtbot: QtBot, transcript: Transcript, writing: Callable[[str], None]
) -> None:
    writing(LINES * 30)
    for size in ((800, 700), (800, 500), (500, 500), (900, 900)):
        transcript.window().resize(*size)
        settle(qtbot, transcript)
        assert not let_go(transcript, writing)


def test_text_that_is_being_selected_stays_under_the_mouse(
    qtbot: QtBot, transcript: Transcript, writing: Callable[[str], None]
) -> None:
    writing(LINES * 30)
    settle(qtbot, transcript)
    window, (view, at) = transcript.window().windowHandle(), text_in_view(transcript)
    QTest.mousePress(window, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)
    assert let_go(transcript, writing)
    QTest.mouseMove(window, at + QPoint(60, 0))
    QTest.mouseRelease(window, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at + QPoint(60, 0))
    assert view.in_use
    assert let_go(transcript, writing)
    qtbot.mouseClick(transcript._jump, Qt.MouseButton.LeftButton)
    assert not view.in_use
    assert not let_go(transcript, writing)


def test_selecting_beyond_the_edge_scrolls(
    qtbot: QtBot, transcript: Transcript, writing: Callable[[str], None]
) -> None:
    writing(LINES * 30)
    settle(qtbot, transcript)
    bar, (view, _) = transcript.verticalScrollBar(), text_in_view(transcript)
    before = bar.value()
    top = view.mapFromGlobal(transcript.mapToGlobal(QPoint(100, -60)))
    qtbot.mousePress(view.viewport(), Qt.MouseButton.LeftButton, pos=top + QPoint(0, 200))
    qtbot.mouseMove(view.viewport(), top)
    move = QMouseEvent(
        QEvent.Type.MouseMove,
        QPointF(top),
        QPointF(view.viewport().mapToGlobal(top)),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(view.viewport(), move)
    assert bar.value() == before - 60 - 12
    assert view.in_use
    qtbot.mouseRelease(view.viewport(), Qt.MouseButton.LeftButton, pos=top)
