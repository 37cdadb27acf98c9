"""The list of conversations: its order, its headings, its menu, its search field."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QApplication, QLineEdit, QMenu
from pytestqt.qtbot import QtBot

from engine.chat.conversations import Conversation
from engine.chat_events import MessageFound
from engine.config import Sampling
from gui import theme as looks
from gui.chat.conversation_list import ConversationList
from gui.chat.conversation_model import ID, arranged

TODAY = datetime.date(2026, 3, 10)
NOON = datetime.datetime(2026, 3, 10, 12).timestamp()  # noqa: DTZ001  # the person's own time
DAY = 86_400


def conversation(number: int, title: str = "", updated: float = NOON, *, pinned: bool = False) -> Conversation:
    with_defaults = dict.fromkeys(Conversation.__match_args__)
    given = {"id": number, "title": title or f"Talk {number}", "created": 0.0, "updated": updated, "pinned": pinned}
    texts = {"model": "", "system_prompt": "", "when_full": "", "preset": "", "sampling": Sampling()}
    known = {name: value for name, value in (with_defaults | texts | given).items() if name in with_defaults}
    return Conversation(**known)


@pytest.fixture
def shown(qtbot: QtBot, theme: looks.Theme) -> Iterator[ConversationList]:
    theme.wish("light")
    made = ConversationList()
    qtbot.addWidget(made)
    made.resize(216, 600)
    made.show()
    yield made
    made.close()


def menu_of(shown: ConversationList, number: int) -> QMenu:
    place = shown.view.visualRect(shown.model.row_of(number)).center()
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, place, QPoint())
    QApplication.sendEvent(shown.view.viewport(), event)
    return shown.findChildren(QMenu)[-1]


def test_conversations_stand_under_their_days() -> None:
    rows = arranged(
        [
            conversation(1, updated=NOON - 40 * DAY),
            conversation(2, updated=NOON),
            conversation(3, updated=NOON - DAY),
            conversation(4, updated=NOON - 3 * DAY),
            conversation(5, updated=NOON - 90 * DAY, pinned=True),
            conversation(6, updated=NOON - 1),
        ],
        TODAY,
    )
    names = [row if isinstance(row, str) else row.id for row in rows]
    assert names == ["Pinned", 5, "Today", 2, 6, "Yesterday", 3, "Previous 7 days", 4, "Earlier", 1]


def test_a_clock_that_was_ahead_is_no_reason_to_fail() -> None:
    assert arranged([conversation(1, updated=NOON + 900 * DAY)], TODAY)[0] == "Today"
    assert arranged([], TODAY) == []


def test_headings_are_passed_over_by_the_keys_and_not_chosen(qtbot: QtBot, shown: ConversationList) -> None:
    shown.show_conversations([conversation(1, pinned=True), conversation(2), conversation(3, updated=0)], 1)
    picked: list[int] = []
    shown.chosen.connect(picked.append)
    shown.view.setFocus()
    for _ in range(2):
        qtbot.keyClick(shown.view, Qt.Key.Key_Down)
    assert picked == [2, 3]
    qtbot.mouseClick(shown.view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(20, 10))
    assert picked == [2, 3]


def test_a_conversation_moves_to_the_top_without_a_change_of_what_is_marked(shown: ConversationList) -> None:
    now = datetime.datetime.now().timestamp()  # noqa: DTZ005
    shown.show_conversations([conversation(n, updated=now - 60 * n) for n in (1, 2, 3)], 2)
    picked: list[int] = []
    shown.chosen.connect(picked.append)
    shown.put(conversation(3, "Third", updated=now), 2)
    assert [title for title in shown.model.titles() if title.startswith("T")][-3:] == ["Third", "Talk 1", "Talk 2"]
    assert shown.view.currentIndex().data(ID) == 2
    shown.remove(2, None)
    assert "Talk 2" not in shown.model.titles()
    assert not shown.view.currentIndex().isValid()
    assert picked == []


@pytest.mark.parametrize(
    ("words", "action"),
    [("Pin", "pin"), ("Branch", "branch"), ("Export as Markdown…", "markdown"), ("Export as JSON…", "json")],
)
def test_the_menu_of_a_conversation(qtbot: QtBot, shown: ConversationList, words: str, action: str) -> None:
    shown.show_conversations([conversation(1), conversation(2)], 1)
    menu = menu_of(shown, 2)
    with qtbot.waitSignal(shown.acted) as signal:
        next(item for item in menu.actions() if item.text() == words).trigger()
    assert signal.args == [2, action]
    menu.close()


def test_a_pinned_one_is_unpinned_and_says_so_to_assistive_programs(qtbot: QtBot, shown: ConversationList) -> None:
    shown.show_conversations([conversation(1, pinned=True)], 1)
    menu = menu_of(shown, 1)
    with qtbot.waitSignal(shown.acted) as signal:
        next(item for item in menu.actions() if item.text() == "Unpin").trigger()
    assert signal.args == [1, "unpin"]
    menu.close()
    spoken = shown.model.row_of(1).data(Qt.ItemDataRole.AccessibleTextRole)
    assert spoken == "Pinned conversation: Talk 1"


def test_a_title_is_written_in_the_row(qtbot: QtBot, shown: ConversationList) -> None:
    shown.show_conversations([conversation(1)], 1)
    shown.rename(1)
    editor = shown.view.findChild(QLineEdit)
    assert editor is not None
    editor.setText("Another")
    with qtbot.waitSignal(shown.renamed) as signal:
        qtbot.keyClick(editor, Qt.Key.Key_Return)
    assert signal.args == [1, "Another"]


def found(message: int, excerpt: str = "the words around it", start: int = 4, length: int = 5) -> MessageFound:
    return MessageFound(7, message, f"Talk {message}", "user", excerpt, start, length, 0.0)


def test_keys_go_from_the_field_to_what_was_found_and_open_it(qtbot: QtBot, shown: ConversationList) -> None:
    shown.show_conversations([conversation(1)], 1)
    shown.take_search_focus()
    qtbot.keyClicks(shown.search, "words")
    shown.show_found([found(1), found(2)])
    assert shown.results.isVisible()
    assert shown.count.text() == "2 messages"
    with qtbot.waitSignal(shown.found) as signal:
        qtbot.keyClick(shown.search, Qt.Key.Key_Return)
    assert signal.args == [7, 1]
    qtbot.keyClick(shown.search, Qt.Key.Key_Down)
    assert shown.results.hasFocus()
    qtbot.keyClick(shown.results, Qt.Key.Key_Down)
    with qtbot.waitSignal(shown.found) as signal:
        qtbot.keyClick(shown.results, Qt.Key.Key_Return)
    assert signal.args == [7, 2]
    for _ in range(2):
        qtbot.keyClick(shown.results, Qt.Key.Key_Up)
    assert shown.search.hasFocus()
    qtbot.keyClick(shown.search, Qt.Key.Key_Escape)
    assert shown.search.text() == ""
    assert shown.view.isVisible()
    with qtbot.waitSignal(shown.left):
        qtbot.keyClick(shown.search, Qt.Key.Key_Escape)


def test_what_was_found_is_painted_whatever_it_holds(shown: ConversationList) -> None:
    shown.search.setText("x")
    texts = ["", "\x00\x1b[31m\u202eevil\u2066", "多" * 500, "a\n\n\nb", "<b>x</b>&amp;", "\ud800"]
    shown.show_found([found(place, text, 0, min(3, len(text))) for place, text in enumerate(texts)])
    shown.results.grab()
    shown.show_found([])
    assert shown.count.text() == "Nothing was found."


def test_five_thousand_conversations_are_listed(shown: ConversationList) -> None:
    shown.show_conversations([conversation(n, updated=NOON - n * 600) for n in range(5_000)], 3)
    assert shown.view.currentIndex().data(ID) == 3
    shown.view.scrollToBottom()
    shown.view.grab()
    assert shown.view.indexAt(QPoint(20, shown.view.viewport().height() - 20)).data(ID) == 4_999
