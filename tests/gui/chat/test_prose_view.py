"""Running text: how it looks, what may be clicked, what is copied."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import QPoint, Qt, QUrl
from PySide6.QtGui import (
    QContextMenuEvent,
    QDesktopServices,
    QFont,
    QGuiApplication,
    QTextCursor,
    QTextDocument,
    QTextTable,
)
from PySide6.QtWidgets import QMenu, QWidget
from pytestqt.qtbot import QtBot

from gui import theme as looks
from gui.chat import rich_text
from gui.chat.column import Work
from gui.chat.prose_view import ProseView
from gui.chat.segments import Segment

Make = Callable[..., ProseView]


@pytest.fixture
def make(qtbot: QtBot, theme: looks.Theme) -> Make:
    theme.wish("light")
    parent = QWidget()
    qtbot.addWidget(parent)

    def build(text: str, width: int = 600, **options: bool) -> ProseView:
        view = ProseView(parent, **options)
        view.set_segment(Segment("prose", text))
        view.resize(width, view.fit(width, 0, 0, Work(1)))
        return view

    return build


def document(text: str) -> tuple[QTextDocument, rich_text.Marks]:
    made = QTextDocument()
    return made, rich_text.fill(made, text)


def blocks(made: QTextDocument) -> list[str]:
    return [made.findBlockByNumber(number).text() for number in range(made.blockCount())]


def test_it_is_as_tall_as_its_text(make: Make) -> None:
    one = make("A line").height()
    assert make("A line\n\nAnother").height() == 2 * one + rich_text.PARAGRAPH
    assert make("word " * 200, 300).height() > make("word " * 200, 600).height() > 5 * one
    view = make("word " * 100)
    view.parentWidget().show()
    view.show()
    assert view.verticalScrollBar().maximum() == 0


def test_tags_of_another_language_stay_visible(make: Make) -> None:
    assert make("a <foo> b </foo> <!-- c -->").toPlainText() == "a <foo> b </foo> <!-- c -->"


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("one\ntwo", "one\u2028two"),
        ("one  \ntwo\\\nthree", "one\u2028two\u2028three"),
        ("> one\n> two", "one\u2028two"),
        ("_one_\n_two_", "one\u2028two"),
    ],
)
def test_line_breaks_are_kept(theme: looks.Theme, markdown: str, shown: str) -> None:
    assert blocks(document(markdown)[0]) == [shown]


def test_two_rules_hide_nothing_between_them(theme: looks.Theme) -> None:
    made, marks = document("---\n\nbetween\n\n---\n\nafter")
    assert {"between", "after"} < set(blocks(made))
    assert len(marks.rules) == 2


def test_blocks_are_told_apart(theme: looks.Theme) -> None:
    made, marks = document("# Head\n\n- a\n  - b\n\n- [x] c\n\n> d\n\n    code\n\n`e` and **f**")
    assert [depth for _, depth in marks.bullets] == [1, 2]
    assert marks.boxes[0][1] is True
    assert len(marks.quotes) == len(marks.code_blocks) == len(marks.inline_code) == 1
    heading = made.firstBlock().begin().fragment().charFormat().font()
    assert heading.pixelSize() == 20
    assert heading.weight() == QFont.Weight.DemiBold


def test_a_table_has_borders_and_a_bold_head_even_after_a_quote(theme: looks.Theme) -> None:
    made, _ = document("> quote\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    (table,) = [frame for frame in made.rootFrame().childFrames() if isinstance(frame, QTextTable)]
    assert table.format().border() == 1
    assert table.cellAt(0, 0).firstCursorPosition().block().text() == "a"
    assert table.cellAt(0, 0).firstCursorPosition().block().begin().fragment().charFormat().fontWeight() == 600


def test_ordered_lists_go_on_where_they_were(theme: looks.Theme) -> None:
    made, _ = document("7. seven\n8. eight")
    assert made.firstBlock().textList().itemText(made.firstBlock()) == "7."


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "notes.md", "ftp://a.b"]
)
def test_a_link_to_anything_but_the_web_is_plain_text(make: Make, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[QUrl] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    view = make(f"[words]({url})")
    assert view.toPlainText() == "words"
    assert not view.document().firstBlock().begin().fragment().charFormat().isAnchor()
    view.anchorClicked.emit(QUrl(url))
    assert not opened


@pytest.mark.parametrize("url", ["https://example.com", "http://example.com", "mailto:a@example.com"])
def test_a_link_to_the_web_opens_outside(qtbot: QtBot, make: Make, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda target: opened.append(target.toString()))
    view = make(f"[words to click]({url})")
    view.show()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(20, 12))
    assert opened == [url]
    assert view.toPlainText() == "words to click"


def test_no_picture_is_loaded(make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    asked: list[object] = []
    monkeypatch.setattr(ProseView, "loadResource", lambda _self, *what: asked.append(what))
    view = make(f"a ![the words](file://{tmp_path}/x.png) b ![](http://example.com/x.png) c")
    assert "the words" in view.toPlainText()
    assert not asked
    assert "\ufffc" not in view.toPlainText()


def test_copying_gives_words_and_list_marks_without_looks(make: Make) -> None:
    view = make("Intro\n\n1. one\n2. two\n   - three\n\nbroken\nline")
    view.selectAll()
    data = view.createMimeDataFromSelection()
    assert data.formats() == ["text/plain"]
    assert data.text() == "Intro\n\n1. one\n2. two\n  - three\n\nbroken\nline"


def test_a_selection_survives_more_text(make: Make) -> None:
    view = make("one two three")
    cursor = view.textCursor()
    cursor.setPosition(4)
    cursor.setPosition(7, QTextCursor.MoveMode.KeepAnchor)
    view.setTextCursor(cursor)
    view.set_segment(Segment("prose", "one two three four"))
    view.fit(600, 0, 0, Work(1))
    assert view.textCursor().selectedText() == "two"
    assert view.in_use


def test_the_menu_copies_and_selects(qtbot: QtBot, make: Make) -> None:
    view = make("[words](https://example.com) and more")
    view.show()
    where = QPoint(15, 12)
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, where, view.viewport().mapToGlobal(where))
    view.contextMenuEvent(event)
    menu = view.findChild(QMenu)
    actions = {action.text(): action for action in menu.actions()}
    assert list(actions) == ["Copy", "Copy Link", "Select All"]
    assert not actions["Copy"].isEnabled()
    actions["Copy Link"].trigger()
    assert QGuiApplication.clipboard().text() == "https://example.com"
    actions["Select All"].trigger()
    assert view.textCursor().selectedText() == "words and more"
    menu.close()


def test_plain_text_is_not_read_as_markdown(make: Make) -> None:
    assert make("# no *heading*\n    x", plain=True).toPlainText() == "# no *heading*\n    x"


def test_links_take_the_colour_of_the_theme(make: Make, theme: looks.Theme) -> None:
    view = make("[words](https://example.com)")

    def colour() -> str:
        return view.document().firstBlock().begin().fragment().charFormat().foreground().color().name()

    assert colour() == looks.LIGHT.link
    theme.wish("dark")
    view.fit(600, 0, 0, Work(1))
    assert colour() == looks.DARK.link
    theme.wish("light")


def test_it_keeps_to_its_time(make: Make) -> None:
    work = Work(-1)
    assert work.may()
    view = make("text")
    view.set_segment(Segment("prose", "text " * 500))
    height = view.height()
    assert view.fit(600, 0, 0, work) == height
    assert work.owed
