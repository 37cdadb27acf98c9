"""A text in parts on the screen: all of it, whatever is in it, and copied as it was."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from gui import theme as looks
from gui.train.samples.marks import Part, displayable
from gui.train.samples.text_view import PartsView

pytestmark = pytest.mark.usefixtures("theme")


def shown(qtbot: QtBot, *parts: Part, wanted: str = "") -> PartsView:
    view = PartsView("Text")
    qtbot.addWidget(view)
    view.resize(300, 200)
    view.show()
    view.show_parts(parts, wanted)
    qtbot.waitUntil(lambda: not view.filling)
    return view


def copied(view: PartsView) -> str:
    view.selectAll()
    return view.createMimeDataFromSelection().text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\nb\n\nc",
        "<b>bold</b> &amp; <img src=x>",
        "\U0001f600 " * 3000,
        "x" * 50_000,
        "line\n" * 3000 + "y" * 9000 + "\nend\n",
        "مرحبا بالعالم " * 50,
        "a\0b\x1b[0m\u202ec \ud800 \ufdd0",
    ],
)
def test_all_of_a_text_is_there_as_plain_text_and_copied_as_it_was(qtbot: QtBot, text: str) -> None:
    assert copied(shown(qtbot, Part("plain", text))) == displayable(text)


def test_a_part_of_a_long_line_is_copied_in_one_piece(qtbot: QtBot) -> None:
    view = shown(qtbot, Part("plain", "\U0001f600"), Part("plain", "z" * 20_000), Part("plain", "\nend"))
    cursor = view.textCursor()
    cursor.setPosition(1000)
    cursor.setPosition(view.document().characterCount() - 1, cursor.MoveMode.KeepAnchor)
    view.setTextCursor(cursor)
    assert view.createMimeDataFromSelection().text() == "z" * (20_000 - 998) + "\nend"


def test_a_text_of_megabytes_comes_in_slices(qtbot: QtBot) -> None:
    view = PartsView("Text")
    qtbot.addWidget(view)
    view.show_parts([Part("plain", "word and word\n" * 200_000)])
    assert view.filling
    with qtbot.waitSignal(view.filled):
        pass
    assert view.document().characterCount() > 1_000_000
    # Another text does not wait for the rest of this one.
    view.show_parts([Part("plain", "word " * 400_000)])
    view.show_parts([Part("plain", "short")])
    assert view.toPlainText() == "short"
    assert not view.filling


def colour_at(view: PartsView, place: int) -> QColor:
    cursor = view.textCursor()
    cursor.setPosition(place + 1)
    return cursor.charFormat().foreground().color()


def test_parts_are_coloured_in_both_appearances(qtbot: QtBot, theme: looks.Theme) -> None:
    view = shown(qtbot, Part("right", "4"), Part("wrong", "5"), Part("plain", "6"))
    for wish in ("light", "dark", "light"):
        theme.wish(wish)
        colours = theme.colours
        assert [colour_at(view, place).name() for place in range(3)] == [colours.good, colours.error, colours.text]
        assert view.toPlainText() == "456"


def test_what_was_searched_for_is_marked_and_in_view(qtbot: QtBot) -> None:
    view = shown(qtbot, Part("plain", "line\n" * 500), Part("plain", "a Needle here\n"), wanted="needle")
    assert len(view.extraSelections()) == 1
    assert view.extraSelections()[0].cursor.selectedText() == "Needle"
    assert view.verticalScrollBar().value() > 400
    view.show_parts([Part("plain", "none")])
    assert view.extraSelections() == []
