"""A two-turn English conversation with SmolLM2-135M-Instruct through the real chat page."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from engine.config import Sampling, Settings, write
from engine.places import settings_file
from gui import theme
from gui.desk import Desk
from gui.window import MainWindow

WAIT = 180_000

pytestmark = pytest.mark.real_model


@pytest.mark.timeout(600)
def test_two_turns_in_english(qtbot: QtBot, qapp: object, smollm2_folder: Path) -> None:
    theme.install(qapp)  # type: ignore[arg-type]
    write(Settings(model=str(smollm2_folder), sampling=Sampling(temperature=0.0, max_tokens=40)), settings_file())
    window = MainWindow(Desk())
    window.show()
    chat = window.chat
    qtbot.waitUntil(lambda: chat.loaded is not None, timeout=WAIT)
    assert not chat.loaded.demonstration
    assert chat.loaded.parameters == 134_515_008
    for question in ("What is the capital of France?", "And what is the capital of Italy?"):
        qtbot.keyClicks(chat.composer.edit, question)
        qtbot.keyClick(chat.composer.edit, Qt.Key.Key_Return)
        assert chat.answering
        qtbot.waitUntil(lambda: not chat.answering, timeout=WAIT)
    path = window.desk.store.path(chat.conversation or 0)
    window.close()
    assert [message.role for message in path] == ["user", "assistant", "user", "assistant"]
    assert "Paris" in path[1].text
    assert "Rome" in path[3].text
    first, second = path[1].stats, path[3].stats
    assert first is not None
    assert second is not None
    assert second.cached_tokens >= first.prompt_tokens
    assert second.prompt_tokens - second.cached_tokens < 25
