"""Messages to the person."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from engine.errors import UserError
from engine.events import Failed
from gui.notices import NoticeBar, Notices

pytestmark = pytest.mark.usefixtures("theme")


@pytest.fixture
def shown(qtbot: QtBot) -> tuple[Notices, NoticeBar]:
    ground = QWidget()
    ground.resize(800, 400)
    qtbot.addWidget(ground)
    notices = Notices(ground)
    bar = NoticeBar(notices, ground)
    ground.show()
    return notices, bar


def test_an_error_says_what_why_and_what_to_do(shown: tuple[Notices, NoticeBar]) -> None:
    notices, bar = shown
    assert not bar.isVisible()
    notices.error(UserError("There is no {thing}.", "It is {place}.", "Look there.", thing="hat", place="at home"))
    assert bar.isVisible()
    assert bar.text() == "There is no hat.\nIt is at home. Look there."


def test_a_bug_offers_its_details(qtbot: QtBot, shown: tuple[Notices, NoticeBar]) -> None:
    notices, bar = shown
    notices.error(Failed("Something went wrong.", "", "Report it.", "bug", "Traceback …"))
    height = bar.height()
    (details,) = [button for button in bar.findChildren(QPushButton) if button.isVisible()]
    qtbot.mouseClick(details, Qt.MouseButton.LeftButton)
    assert bar.height() > height


def test_news_go_by_themselves_and_can_be_acted_on(qtbot: QtBot, shown: tuple[Notices, NoticeBar]) -> None:
    notices, bar = shown
    acted: list[int] = []
    notices.tell("It was deleted.", "Undo", lambda: acted.append(1))
    (undo,) = [button for button in bar.findChildren(QPushButton) if button.isVisible()]
    assert undo.text() == "Undo"
    qtbot.mouseClick(undo, Qt.MouseButton.LeftButton)
    assert acted == [1]
    assert not bar.isVisible()
    notices.tell("Done.")
    bar._timer.setInterval(10)
    bar._timer.start()
    qtbot.waitUntil(lambda: not bar.isVisible())


def test_a_long_message_is_shown_whole(shown: tuple[Notices, NoticeBar]) -> None:
    notices, bar = shown
    notices.error(Failed("word " * 60, "why " * 60, "do " * 60))
    for label in (bar._what, bar._why):
        assert label.heightForWidth(label.width()) <= label.height() + 1
