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
from gui.chat import rich_text, typesetting
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


def test_a_table_has_lines_and_a_bold_head_even_after_a_quote(theme: looks.Theme) -> None:
    made, marks = document("> quote\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    (table,) = [frame for frame in made.rootFrame().childFrames() if isinstance(frame, QTextTable)]
    made.setDocumentMargin(0)
    made.setTextWidth(300)
    marks.place(made, 300)
    (grid,) = marks._grids
    across = [line for line in grid.lines if line.height() == 1]
    down = [line for line in grid.lines if line.width() == 1]
    assert (len(across), len(down)) == (3, 3)
    assert across[0].top() == grid.head.top() < across[1].top() == grid.head.bottom() < across[2].top()
    assert down[0].left() == 0 < down[1].left() < down[2].left() < 300
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


def typeset(qtbot: QtBot, view: ProseView, width: int = 600) -> None:
    """Wait for the pictures of all formulas."""
    view.fit(width, 0, 0, Work(1))
    known = typesetting.current().knows
    qtbot.waitUntil(lambda: all(known(request) for request in view._marks.awaited), timeout=30_000)
    view.resize(width, view.fit(width, 0, 0, Work(1)))


def test_formulas_become_pictures_and_are_copied_as_they_were_written(qtbot: QtBot, make: Make) -> None:
    text = r"So $x^2$ and \(y\), `$z$`, \$5, 😀 $w_1$!"
    view = make(text)
    shown = r"So $x^2$ and \(y\), $z$, $5, 😀 $w_1$!"
    view.selectAll()
    assert view.createMimeDataFromSelection().text() == shown
    typeset(qtbot, view)
    assert view.toPlainText() == "So \ufffc and \ufffc, $z$, $5, 😀 \ufffc!"
    view.selectAll()
    assert view.createMimeDataFromSelection().text() == shown
    assert view.accessibleDescription() == shown
    assert view._marks.awaited == []


def test_what_cannot_be_read_and_what_is_code_stays_as_it_was_written(qtbot: QtBot, make: Make) -> None:
    text = "$\\frac{1}$ and $x"
    view = make(text)
    typeset(qtbot, view)
    assert view.toPlainText() == text
    view = make("a\n\n    $x^2$ $y$\n")
    typeset(qtbot, view)
    assert view.toPlainText() == "a\n$x^2$ $y$"


def test_a_formula_on_its_own_stands_in_the_middle_and_in_its_list_item(qtbot: QtBot, make: Make) -> None:
    view = make("one\n$$\na\n$$\ntwo\n\n1. item\n   $$b$$\n   more\n2. next $$c$$, and")
    typeset(qtbot, view)
    made = view.document()
    assert blocks(made) == ["one", "\ufffc", "two", "item", "\ufffc", "more", "next", "\ufffc", ", and"]
    middle = [made.findBlockByNumber(n).blockFormat().alignment() == Qt.AlignmentFlag.AlignHCenter for n in range(9)]
    assert middle == [False, True, False, False, True, False, False, True, False]
    items = [made.findBlockByNumber(n).textList() is not None for n in range(9)]
    assert items == [False, False, False, True, False, False, True, False, False]
    assert made.findBlockByNumber(5).blockFormat().indent() == 1


def test_formulas_in_tables_headings_quotes_and_links(qtbot: QtBot, make: Make) -> None:
    view = make("# A $x$\n\n> $$\n> y\n> $$\n\n| $|a|$ | b |\n|---|:-:|\n| $$z$$ | 2 |\n\n[see $w$](https://a.b/$c$/d)")
    typeset(qtbot, view)
    assert [text for text in blocks(view.document()) if text] == [
        "A \ufffc",
        "\ufffc",
        "\ufffc",
        "b",
        "\ufffc",
        "2",
        "see \ufffc",
    ]
    last = view.document().lastBlock().begin().fragment().charFormat()
    assert last.anchorHref() == "https://a.b/$c$/d"
    (table,) = [frame for frame in view.document().rootFrame().childFrames() if isinstance(frame, QTextTable)]
    head = table.cellAt(0, 1).firstCursorPosition().blockFormat()
    assert head.alignment() & Qt.AlignmentFlag.AlignHCenter


def test_a_tall_formula_has_the_room_it_needs(qtbot: QtBot, make: Make) -> None:
    low, tall = make("a $x$ b"), make(r"a $\dfrac{\dfrac{a}{b}}{\dfrac{c}{d}}$ b")
    typeset(qtbot, low)
    typeset(qtbot, tall)
    assert low.height() == make("a").height()
    assert tall.height() > 2 * low.height()


def test_a_wide_formula_becomes_as_small_as_the_window(qtbot: QtBot, make: Make) -> None:
    view = make("$$" + "x + " * 60 + "x$$")
    typeset(qtbot, view)
    wide = view.natural_width()
    assert wide <= 600
    typeset(qtbot, view, 300)
    assert view.natural_width() <= 300
    typeset(qtbot, view, 600)
    assert view.natural_width() == wide


def test_formulas_take_the_colour_of_the_text(qtbot: QtBot, make: Make, theme: looks.Theme) -> None:
    view = make("$\\blacksquare$")
    view.parentWidget().show()
    view.show()

    def colours() -> set[str]:
        image = view.grab().toImage()
        return {image.pixelColor(x, y).name() for x in range(40) for y in range(image.height())}

    typeset(qtbot, view)
    assert looks.LIGHT.text in colours()
    theme.wish("dark")
    typeset(qtbot, view)
    assert looks.DARK.text in colours()
    theme.wish("light")


def test_words_between_underscores_are_emphasised(theme: looks.Theme) -> None:
    made, _ = document("_a_")
    look = made.firstBlock().begin().fragment().charFormat()
    assert look.fontItalic()
    assert not look.fontUnderline()


def test_code_in_a_quote_stands_beside_its_bar_and_reaches_to_the_edge(make: Make) -> None:
    view = make("> words\n>\n> ```\n> x = 1\n> ```\n")
    code = view.document().lastBlock()
    assert code.blockFormat().leftMargin() > view.document().firstBlock().blockFormat().leftMargin()
    assert view._marks._grounds[0].left() >= view._marks._bars[0].right()
    assert view._marks._grounds[0].right() == 600


def test_a_table_of_many_columns_has_less_around_its_words(theme: looks.Theme) -> None:
    paddings = []
    for columns in (3, 9):
        made, _ = document("|a" * columns + "|\n" + "|-" * columns + "|\n")
        (table,) = [frame for frame in made.rootFrame().childFrames() if isinstance(frame, QTextTable)]
        paddings.append(table.format().cellPadding())
    assert paddings[0] > paddings[1]
