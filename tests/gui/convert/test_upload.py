"""The sheet that uploads a model, against the local stand-in for the Hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from engine.workers import NetworkLane
from gui.convert.upload import UploadSheet
from tests.engine.tiny import make_model
from tests.support.hub_server import HubServer

pytestmark = pytest.mark.usefixtures("theme")

WAIT = 20_000


@pytest.fixture
def sheet(qtbot: QtBot, tmp_path: Path) -> Iterator[UploadSheet]:
    lane = NetworkLane()
    sheet = UploadSheet(lane, str(make_model(tmp_path / "tiny-4bit")), "tiny-4bit")
    qtbot.addWidget(sheet)
    sheet.show()
    yield sheet
    sheet.close()
    lane.close()


def test_it_is_private_unless_the_person_says_otherwise(sheet: UploadSheet) -> None:
    assert sheet.private.isChecked()
    assert sheet.repository.text() == "tiny-4bit"
    sheet.repository.clear()
    assert not sheet.send.isEnabled()
    assert not sheet.dry.isEnabled()


@pytest.mark.parametrize(
    ("name", "offered"),
    [("千问-0.5B-4bit", "0.5B-4bit"), ("a--b..c", "a-b.c"), ("模型", "model"), ("x" * 200, "x" * 96)],
)
def test_the_name_that_is_offered_is_one_the_hub_allows(name: str, offered: str, tmp_path: Path) -> None:
    lane = NetworkLane()
    sheet = UploadSheet(lane, str(tmp_path), name)
    assert sheet.repository.text() == offered
    sheet.close()
    lane.close()


def test_without_a_token_it_says_what_to_do(qtbot: QtBot, sheet: UploadSheet, hub_server: HubServer) -> None:
    qtbot.mouseClick(sheet.send, Qt.MouseButton.LeftButton)
    assert not sheet.send.isEnabled()
    qtbot.waitUntil(sheet.failure.isVisible, timeout=WAIT)
    assert sheet.failure.text()
    assert sheet.send.isEnabled()
    assert sheet.uploaded is None


def test_a_token_that_is_not_known_is_said_and_another_try_is_offered(
    qtbot: QtBot, sheet: UploadSheet, hub_server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    sheet.repository.setText("me/tiny-4bit")
    qtbot.mouseClick(sheet.send, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(sheet.failure.isVisible, timeout=WAIT)
    assert "token" in sheet.failure.text()
    assert "hf_of_nobody" not in sheet.failure.text()
    assert sheet.send.isEnabled()
    assert "me/tiny-4bit" not in hub_server.models


@pytest.fixture
def server(hub_server: HubServer, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """A Hub that knows us."""
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)  # else it starts a thread
    return hub_server


def test_a_trial_says_what_would_be_sent_and_sends_nothing(qtbot: QtBot, sheet: UploadSheet, server: HubServer) -> None:
    sheet.repository.setText("me/tiny-4bit")
    qtbot.mouseClick(sheet.dry, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: sheet.uploaded is not None, timeout=WAIT)
    assert "Nothing was sent" in sheet.state.text()
    assert "model.safetensors" in sheet.notes.text()
    assert not sheet.address.isVisible()
    assert "me/tiny-4bit" not in server.models
    qtbot.waitUntil(sheet.send.isEnabled)


def test_an_upload_shows_its_progress_and_the_address(qtbot: QtBot, sheet: UploadSheet, server: HubServer) -> None:
    sheet.repository.setText("me/tiny-4bit")
    qtbot.mouseClick(sheet.send, Qt.MouseButton.LeftButton)
    assert sheet.bar.isVisible()
    qtbot.waitUntil(lambda: sheet.uploaded is not None or sheet.failure.isVisible(), timeout=WAIT)
    assert not sheet.failure.isVisible(), sheet.failure.text()
    assert sheet.address.text().endswith("me/tiny-4bit")
    assert sheet.address.isVisible()
    qtbot.waitUntil(lambda: sheet.close_button.text() == "Close")
    assert "me/tiny-4bit" in server.models


def test_closing_the_sheet_stops_the_upload(qtbot: QtBot, sheet: UploadSheet, server: HubServer) -> None:
    server.bytes_per_second = 20_000
    sheet.repository.setText("me/slow")
    qtbot.mouseClick(sheet.send, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "of" in sheet.state.text(), timeout=WAIT)
    sheet.reject()
    qtbot.waitUntil(lambda: not sheet._lane.busy, timeout=WAIT)
    assert not sheet.isVisible()
    assert sheet.uploaded is None
