"""The list of messages: what it shows, where it scrolls, how long it keeps the window waiting."""

from __future__ import annotations

import itertools

from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from gui import theme as looks
from gui.chat.code_view import CodeView
from gui.chat.prose_view import ProseView
from gui.chat.transcript import Transcript
from tests.gui.chat.messages import ANSWER, conversation, message, place, seen, settle, views


def test_it_opens_at_the_end(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.show_messages(conversation(30))
    settle(qtbot, transcript)
    bar = transcript.verticalScrollBar()
    assert bar.value() == bar.maximum() > 1_000
    assert "The end." in seen(transcript)[-1]
    assert not transcript._jump.isVisible()


def test_the_column_is_in_the_middle_and_never_wider_than_it_reads_well(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.show_messages(conversation(1))
    for width, column in ((1400, 760), (800, 736), (480, 440)):
        transcript.window().resize(width, 600)
        settle(qtbot, transcript)
        code = transcript.findChild(CodeView)
        assert code.width() == column
        assert code.mapTo(transcript, QPoint()).x() == (width - column) // 2


def test_of_two_hundred_long_messages_only_the_near_ones_are_made(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.show_messages(conversation(100, ANSWER * 8))
    settle(qtbot, transcript)
    assert len(transcript._records) == 200
    assert len(views(transcript)) < 12


def test_far_messages_have_no_widgets_and_come_back(qtbot: QtBot, transcript: Transcript) -> None:
    messages = conversation(60)
    transcript.show_messages(messages)
    settle(qtbot, transcript)
    bar = transcript.verticalScrollBar()
    while bar.value() > 0:
        bar.setValue(bar.value() - 300)
        settle(qtbot, transcript)
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        assert len(transcript._content.findChildren(ProseView)) < 120
    assert seen(transcript)[0] == "Question 0"
    bar.setValue(bar.maximum())
    settle(qtbot, transcript)
    assert "The end." in seen(transcript)[-1]


def test_scrolling_up_through_guessed_heights_jumps_nowhere(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.show_messages(conversation(40))
    settle(qtbot, transcript)
    bar = transcript.verticalScrollBar()
    for _ in range(40):
        top = seen(transcript)[0]
        before = place(transcript, top)
        duplicates = seen(transcript).count(top)
        bar.setValue(bar.value() - 10)
        settle(qtbot, transcript)
        if duplicates == 1 and top.startswith("Question"):
            assert place(transcript, top) == before + 10


def test_the_wheel_scrolls_the_page_wherever_the_mouse_is(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.show_messages(conversation(5))
    settle(qtbot, transcript)
    bar = transcript.verticalScrollBar()
    for kind in (CodeView, ProseView):
        qtbot.keyClick(transcript, Qt.Key.Key_End)
        settle(qtbot, transcript)
        widget = views(transcript)[-1].findChildren(kind)[-1]
        before, at = bar.value(), widget.mapTo(transcript.window(), QPoint(40, 15))
        QTest.wheelEvent(transcript.window().windowHandle(), at, QPoint(0, 120))
        assert bar.value() < before


def test_keys_scroll_the_page_from_within_a_text(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.show_messages(conversation(5))
    settle(qtbot, transcript)
    bar = transcript.verticalScrollBar()
    end = bar.value()
    prose = views(transcript)[-1].findChild(ProseView)
    qtbot.keyClick(prose, Qt.Key.Key_PageUp)
    assert bar.value() < end - 300
    qtbot.keyClick(prose, Qt.Key.Key_End)
    settle(qtbot, transcript)
    assert bar.value() == bar.maximum()
    qtbot.keyClick(prose, Qt.Key.Key_Up)
    assert bar.value() < bar.maximum()
    qtbot.keyClick(prose, Qt.Key.Key_Home)
    assert bar.value() == 0


def test_every_answer_can_be_asked_for_again(qtbot: QtBot, transcript: Transcript) -> None:
    messages = conversation(2)
    transcript.show_messages(messages)
    settle(qtbot, transcript)
    for view, answer in zip(views(transcript), messages[1::2], strict=True):
        with qtbot.waitSignal(transcript.wanted) as signal:
            qtbot.mouseClick(view._footer._again, Qt.MouseButton.LeftButton)
        assert signal.args == [answer.id, "again"]
    transcript.set_busy(True)
    assert not any(view._footer._again.isEnabled() for view in views(transcript))


def test_tab_goes_down_the_page(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.show_messages(conversation(4))
    settle(qtbot, transcript)
    controls = transcript._column.controls()
    places = [control.mapTo(transcript._content, QPoint()).y() for control in controls]
    assert len(controls) > 10
    assert all(later - earlier > -40 for earlier, later in itertools.pairwise(places))
    for one, following in itertools.pairwise(controls):
        chain = one.nextInFocusChain()
        while not chain.focusPolicy() & Qt.FocusPolicy.TabFocus:
            chain = chain.nextInFocusChain()
        assert chain is following
    assert all(control.accessibleName() for control in controls)


def test_unfolding_keeps_the_heading_under_the_mouse(qtbot: QtBot, transcript: Transcript) -> None:
    long = message("assistant", f"<think>{'thought ' * 400}</think>The answer", stop="end")
    transcript.show_messages([*conversation(5), message("user", "Why?"), long])
    settle(qtbot, transcript)
    reasoning = views(transcript)[-1].column.entries[0].widget
    header = reasoning._header  # type: ignore[union-attr]
    before = header.mapTo(transcript, QPoint())
    qtbot.mouseClick(header, Qt.MouseButton.LeftButton)
    settle(qtbot, transcript)
    assert header.mapTo(transcript, QPoint()) == before
    assert transcript._jump.isVisible()


def test_a_change_of_looks_reaches_everything(qtbot: QtBot, transcript: Transcript, theme: looks.Theme) -> None:
    transcript.show_messages(conversation(2))
    settle(qtbot, transcript)
    light = transcript.window().grab().toImage()
    theme.wish("dark")
    settle(qtbot, transcript)
    code = views(transcript)[-1].findChild(CodeView)
    qtbot.waitUntil(lambda: not code._colouring.isActive())
    dark = transcript.window().grab().toImage()
    assert dark.pixelColor(5, 5).lightness() < 60 < light.pixelColor(5, 5).lightness()
    at = code.mapTo(transcript, QPoint(30, 10))
    assert dark.pixelColor(at).name() == looks.DARK.code
    theme.wish("light")


def test_what_comes_while_nobody_looks_is_shown_later(qtbot: QtBot, theme: looks.Theme) -> None:
    page = QWidget()
    qtbot.addWidget(page)
    transcript = Transcript(page)
    transcript.resize(700, 500)
    start = message("assistant", "", "writing")
    transcript.show_messages([message("user", "Go"), start])
    transcript.set_reading(start.id, 1, 2)
    transcript.append(start.id, "Hello")
    transcript.append(12345, "for a message of another conversation")
    page.show()
    settle(qtbot, transcript)
    assert seen(transcript) == ["Go", "Hello"]
    transcript.clear()
    assert seen(transcript) == []
    transcript.finish(start)


def test_formulas_are_shown_once_they_are_drawn(qtbot: QtBot, transcript: Transcript) -> None:
    transcript.show_messages([message("user", "$x$"), message("assistant", "So $x^2 + y^2$ it is.", stop="end")])
    settle(qtbot, transcript)
    qtbot.waitUntil(lambda: seen(transcript) == ["$x$", "So \ufffc it is."], timeout=30_000)
    assert "$x^2 + y^2$" in views(transcript)[0].accessibleDescription()
