"""Blocks of code: their height, their colours, the copy button, and what the wheel does over them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication, QWheelEvent
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from gui import theme as looks
from gui.chat import highlight
from gui.chat.code_view import CodeView
from gui.chat.column import Work
from gui.chat.segments import Segment


@pytest.fixture
def view(qtbot: QtBot, theme: looks.Theme) -> Iterator[CodeView]:
    theme.wish("light")
    parent = QWidget()
    qtbot.addWidget(parent)
    parent.resize(640, 480)
    made = CodeView(parent)
    made.resize(400, 100)
    parent.show()
    yield made
    parent.close()


def show(view: CodeView, text: str, language: str = "python", *, closed: bool = True) -> int:
    view.set_segment(Segment("code", text, language, closed))
    height = view.fit(400, 0, 0, Work(10))
    view.resize(400, height)
    return height


def colours(view: CodeView, line: int = 0) -> set[str]:
    ranges = view._source.document().findBlockByNumber(line).layout().formats()
    return {stretch.format.foreground().color().name() for stretch in ranges}


def test_it_grows_by_the_line_and_keeps_what_it_has(view: CodeView) -> None:
    one, three = show(view, "a = 1", closed=False), show(view, "a = 1\nb = 2\nc", closed=False)
    assert three - one == 2 * 19
    assert view._source.toPlainText() == "a = 1\nb = 2\nc"
    assert show(view, "other") == one
    assert view._source.toPlainText() == "other"


def test_long_lines_scroll_sideways_and_the_wheel_scrolls_the_page(view: CodeView) -> None:
    narrow = show(view, "short")
    assert show(view, "x" * 500) > narrow
    source = view._source
    assert source.lineWrapMode() == source.LineWrapMode.NoWrap
    assert source.horizontalScrollBar().maximum() > 0
    assert source.horizontalScrollBar().value() == 0
    assert not _turn(view, QPoint(0, -120)).isAccepted()
    assert _turn(view, QPoint(-120, 0)).isAccepted()
    assert source.horizontalScrollBar().value() > 0
    assert _turn(view, QPoint(0, 120), Qt.KeyboardModifier.ShiftModifier).isAccepted()
    assert source.horizontalScrollBar().value() == 0


def _turn(view: CodeView, angle: QPoint, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> QWheelEvent:
    at, none = QPointF(5, 5), QPoint()
    event = QWheelEvent(at, at, none, angle, Qt.MouseButton.NoButton, keys, Qt.ScrollPhase.NoScrollPhase, False)
    view._source.wheelEvent(event)
    return event


def test_the_button_copies_the_code_and_says_so(qtbot: QtBot, view: CodeView) -> None:
    show(view, "a = 1\n    b")
    qtbot.mouseClick(view._copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == "a = 1\n    b"
    assert view._copy.text() == view._copy.accessibleName() == "Copied"
    view._copy._timer.timeout.emit()
    assert view._copy.text() == "Copy"


def test_it_is_coloured_in_the_colours_of_the_theme(qtbot: QtBot, view: CodeView, theme: looks.Theme) -> None:
    show(view, "def f(): return 'x' # more\nx = 1")
    qtbot.waitUntil(lambda: bool(colours(view, 1)))
    light = looks.LIGHT
    assert colours(view) == {light.code_keyword, light.code_function, light.code_string, light.code_comment}
    theme.wish("dark")
    view.fit(400, 0, 0, Work(1))
    qtbot.waitUntil(lambda: looks.DARK.code_keyword in colours(view) and not view._colouring.isActive())
    assert colours(view, 1) == {looks.DARK.code_number}
    theme.wish("light")


def test_code_that_still_arrives_is_coloured_now_and_then(
    qtbot: QtBot, view: CodeView, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    request = highlight.request
    monkeypatch.setattr(highlight, "request", lambda text, *rest: (asked.append(text), request(text, *rest)))
    text, until = "", time.monotonic() + 0.8
    while time.monotonic() < until:
        text += "x = 1\n"
        show(view, text, closed=False)
        qtbot.wait(10)
    assert 1 <= len(asked) <= 4
    show(view, text, closed=True)
    qtbot.waitUntil(lambda: asked[-1] == text)


def test_an_endless_line_grows_in_pieces_and_is_copied_whole(view: CodeView) -> None:
    text = ""
    for _ in range(60):
        text += "[1, 2]," * 25
        show(view, text, "json", closed=False)
    assert max(len(line) for line in view._source.toPlainText().split("\n")) == 4_000
    view._source.selectAll()
    assert view._source.createMimeDataFromSelection().text() == text


def test_an_unknown_language_and_too_much_code_stay_plain(qtbot: QtBot, view: CodeView) -> None:
    assert highlight.read("x", "no such language") == []
    show(view, "x = 1\n" * (highlight.LIMIT // 6 + 1))
    assert not view._reading.isActive()
    show(view, "x = 1", "")
    assert not view._reading.isActive()


def test_positions_count_as_qt_counts_them(theme: looks.Theme) -> None:
    assert highlight.read("s = '😀' # c\n1", "python")[0][-1] == (9, 3, "code_comment")
    assert highlight.read('a = """x\ny"""', "python")[1] == ((0, 4, "code_string"),)


def test_five_thousand_lines_come_in_small_steps(qtbot: QtBot, view: CodeView) -> None:
    text = "\n".join(f"    value = function({number}, 'text')  # comment" for number in range(5_000))
    view.set_segment(Segment("code", text, "python", closed=True))
    passes = 0
    while True:
        work = Work(0)
        height = view.fit(400, 0, 0, work)
        passes += 1
        if not work.owed:
            break
    assert passes > 5
    assert height > 5_000 * 19
    assert view._source.document().blockCount() == 5_000


@pytest.mark.parametrize("colours", [looks.LIGHT, looks.DARK])
def test_every_colour_of_code_can_be_read(colours: looks.Colours) -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    ground = luminance(colours.code)
    for role in {*highlight.ROLES.values(), "text", "muted"}:
        lighter, darker = sorted((luminance(getattr(colours, role)), ground), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, role


def test_pygments_is_not_imported_before_there_is_code() -> None:
    script = "import sys, gui.chat.transcript; sys.exit('pygments' in sys.modules or 'mlx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
