"""When an answer is over for the person."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from engine.chat.kept_caches import KeptCaches
from gui.window import MainWindow
from tests.gui.chat.test_page import WAIT, answered, say


def test_an_answer_is_over_before_its_cache_is_kept(
    qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    qtbot.waitUntil(lambda: window.chat.loaded is not None, timeout=WAIT)
    written = threading.Event()

    def slowly(*_: object) -> Iterator[tuple[int, int]]:
        written.wait(WAIT / 1000)
        yield 1, 1

    monkeypatch.setattr(KeptCaches, "keep", slowly)
    say(qtbot, window.chat, "What is 47 + 38?")
    message = answered(qtbot, window.chat)
    assert not written.is_set()
    assert message.state == "done"
    assert "<answer>" in message.text
    written.set()
    # The lane serves the next question as soon as it has written.
    say(qtbot, window.chat, "83 - 27")
    assert answered(qtbot, window.chat).state == "done"
