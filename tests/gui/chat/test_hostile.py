"""Texts that are meant to do harm: nothing is fetched, run or crashed, and none takes long."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QTextDocument
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from gui import theme as looks
from gui.chat import harmless, rich_text
from gui.chat.prose_view import ProseView
from gui.chat.segments import Splitter
from gui.chat.transcript import Transcript
from tests.gui.chat.hostile import text
from tests.gui.chat.messages import message, settle, views

ROOT = Path(__file__).parents[3]


@pytest.fixture
def places(tmp_path: Path) -> Iterator[list[str]]:
    """Addresses that nothing may ask for: a pipe, on which whoever opens it hangs, and a server nobody may call."""
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        yield [pipe.as_uri(), str(pipe), f"http://127.0.0.1:{port}", f"//127.0.0.1:{port}"]
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was asked for or opened."""
    asked: list[object] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", asked.append)
    monkeypatch.setattr(ProseView, "loadResource", lambda _self, *what: asked.append(what))
    return asked


def test_ten_thousand_texts_are_read(places: list[str]) -> None:
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.gui.chat.hostile", "0", "10000", *places]
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=200, errors="replace"
    )
    assert done.returncode == 0, (done.stdout.split()[-1:], done.stderr[-2_000:])
    assert done.stdout.split()[-1] == "9999"


def test_some_hundreds_are_shown(qtbot: QtBot, transcript: Transcript, places: list[str], opened: list[object]) -> None:
    for seed in range(20_000, 20_200, 4):
        texts = [text(number, places, longest=100) for number in range(seed, seed + 4)]
        start = message("assistant", "", "writing")
        shown = [
            message("user", texts[0]),
            message("assistant", texts[1], stop="end"),
            message("assistant", texts[2], "failed", error=texts[3]),
        ]
        transcript.show_messages([*shown, start])
        for at in range(0, len(texts[3]), 40):
            transcript.append(start.id, texts[3][at : at + 40])
        settle(qtbot, transcript)
        for view in transcript.findChildren(ProseView):
            view.selectAll()
            view.createMimeDataFromSelection()
        transcript.grab()
    assert not opened
    for label in transcript.findChildren(QLabel):
        assert label.textFormat() == Qt.TextFormat.PlainText or "<" not in label.text()


_HARD = {
    "quotes": "> " * 10_000 + "x",
    "quotes in lines": "\n".join(">" * depth + " x" for depth in range(300)),
    "lists": "\n".join("  " * depth + "- x" for depth in range(1_000)),
    "a list in a line": "- " * 5_000 + "x",
    "numbers in a line": "1. " * 5_000 + "x",
    "empty items": "-\n" * 3_000,
    "brackets": "[" * 10_000,
    "brackets in pairs": "[" * 5_000 + "]" * 5_000,
    "links": "[a](" * 5_000,
    "images": "![" * 5_000,
    "emphasis": "*a **b " * 3_000,
    "emphasis of all": "**" * 5_000 + "a" + "**" * 5_000,
    "backticks": " ".join("`" * length for length in range(1, 140)),
    "entities": "&#x0;&#xD800;&#x110000;&#x2029;&#xFDD0;&nbsp;&bogus;" * 500,
    "html": '<a href="' * 3_000 + "<!--" * 3_000 + "<![CDATA[" * 3_000,
    "addresses": "http://a" * 2_000 + "www." * 3_000 + "a@b." * 3_000,
    "columns": "|" * 5_000 + "\n" + "|-" * 5_000 + "|\n" + "|x" * 5_000,
    "rows": "|a|b|\n|-|-|\n" + "|1|2|\n" * 1_500,
    "references": "".join(f"[a{number}]: b\n" for number in range(1_500)) + "".join(f"[a{n}]" for n in range(1_500)),
    "breaks": "a\\\n" * 3_000,
    "controls": "".join(map(chr, range(32))) * 100,
    "no characters": "\ufdd0\ufdd1\ufdd2\ufffe\uffff\ufffc\u2028\u2029\u0085" * 200,
    "halves": "a\ud800b\udc00" * 500,
    "directions": "\u202e\u202d\u2066\u2067\u2068\u202a\u202babc" * 800,
    "marks": ("a" + "\u0301" * 40) * 200,
    "joiners": "\u200d\ufe0f" * 4_000,
    "dollars": "$" * 10_000,
    "formulas": "$x$ " * 2_500,
    "formulas in lines": "> $$x$$\n" * 500,
    "a deep formula": "$" + "\\frac{" * 1_000 + "$" + "$\\sqrt{" + "{" * 500 + "}" * 501 + "$",
    "macros": "$\\def\\a{\\b\\b}\\def\\b{\\c\\c}\\def\\c{xx}" + "\\a" * 50 + "$",
    "fences": "```\n" * 5_000,
    "tags": "<think>a</think>\n" * 5_000,
    "tags in a line": "x <think>a</think>" * 5_000,
    "answers in a line": "<answer>a</answer>" * 5_000,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", _HARD)
def test_what_is_hard_to_read_is_shown_all_the_same(
    qtbot: QtBot, transcript: Transcript, name: str, opened: list[object]
) -> None:
    transcript.show_messages([message("user", _HARD[name]), message("assistant", _HARD[name], stop="end")])
    settle(qtbot, transcript)
    transcript.verticalScrollBar().setValue(0)
    settle(qtbot, transcript)
    transcript.grab()
    assert not opened


_MILLION = {
    "words": "word " * 200_000,
    "an endless line": "x" * 1_000_000,
    "an endless line of tags": "x <think>a</think>" * 55_000,
    "code": "```python\n" + "y = [1, 2]\n" * 90_000,
    "a table": "|a|b|\n|-|-|\n" + "|1|2|\n" * 160_000,
    "a list": "  - x\n" * 160_000,
    "reasoning": "<think>a</think>\n" * 60_000,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", _MILLION)
def test_a_million_characters_are_taken(qtbot: QtBot, transcript: Transcript, name: str) -> None:
    start = message("assistant", "", "writing")
    transcript.show_messages([message("user", _MILLION[name]), start])
    transcript.append(start.id, _MILLION[name])
    for _ in range(3):
        transcript.append(start.id, "x")
    transcript.verticalScrollBar().setValue(0)
    transcript.grab()
    assert views(transcript)[-1].text.startswith(_MILLION[name])


@pytest.mark.parametrize("line", ["x <think>a</think>", "<answer>a</answer>", "<think>", "`<think>", "</think>", "<"])
def test_a_line_of_tags_is_read_in_bounded_steps(line: str) -> None:
    splitter = Splitter()
    splitter.feed(line * 50_000)
    assert len(splitter.segments(final=True)) < 300


def test_so_many_marks_are_no_longer_meant_as_marks() -> None:
    splitter = Splitter()
    splitter.feed("```\nx\n```\n" * 10_000 + "<think>a</think>")
    assert len(splitter.segments(final=True)) < 3_000


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\ufdd0b\ufffc", "a\ufffdb\ufffd"),
        ("a\ud800", "a\ufffd"),
        ("a\u2029b", "a\nb"),
        ("&#x2029; &#8233; &#xfdd0; &#XD800; &#99999999;", "\ufffd \ufffd \ufffd &#XD800; &#99999999;"),
        ("&#65; &amp;", "&#65; &amp;"),
        ("|a|b|\n|-|-|", "|a|b|\n|-|-|"),
        ("|" * 70 + "\n" + "|-" * 70, "|" * 70 + "\n\\" + "|-" * 70),
        ("|" * 70, "|" * 70),
    ],
)
def test_what_qt_would_stumble_over_is_taken_out(given: str, shown: str) -> None:
    assert harmless.markdown(given) == shown


def test_lines_of_code_end_as_they_do_in_the_text() -> None:
    assert harmless.code("a\rb\u2028c\u2029d\ufdd1\n中") == "a\ufffdb\ufffdc\ufffdd\ufffd\n中"
    assert harmless.code("a\nb") == "a\nb"


def test_a_list_without_words_comes_to_an_end(theme: looks.Theme) -> None:
    document = QTextDocument()
    rich_text.fill(document, "-\n-\n-\n")
    rich_text.fill(document, "a\n-\n-\nb\n\n😀 x\ny 😀\nz")
    assert document.lastBlock().text() == "😀 x\u2028y 😀\u2028z"


def test_an_address_is_spelled_in_letters_that_stay_in_order(transcript: Transcript) -> None:
    view = ProseView(transcript)
    view.highlighted.emit(QUrl("http://a.b/\u202egnp.exe"))
    assert "\u202e" not in view.viewport().toolTip()
    assert "%E2%80%AEgnp.exe" in view.viewport().toolTip()
    view.highlighted.emit(QUrl("http://a.b/中"))
    assert "http://a.b/中" in view.viewport().toolTip()


def test_words_that_turn_their_direction_disturb_no_neighbour(qtbot: QtBot, transcript: Transcript) -> None:
    turned = "```\u202epy\nx\n```\n\n\u202eabc\n\nplain"
    transcript.show_messages([message("assistant", turned, stop="end")])
    settle(qtbot, transcript)
    document = transcript.findChildren(ProseView)[-1].document()
    assert document.lastBlock().text() == "plain"
    assert document.lastBlock().textDirection() == Qt.LayoutDirection.LeftToRight
