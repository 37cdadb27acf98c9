"""The dialog that fetches a model, against the local stand-in for the Hub."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from engine.workers import NetworkLane
from gui.models.get_model import GetModel, suggested_models
from tests.support.hub_server import HubServer

pytestmark = pytest.mark.usefixtures("theme")

WAIT = 20_000


FILES = {"config.json": b'{"model_type": "llama"}', "model.safetensors": bytes(600_000), "tokenizer.json": b"{}"}


@pytest.fixture
def dialog(qtbot: QtBot) -> Iterator[GetModel]:
    lane = NetworkLane()
    dialog = GetModel(lane)
    qtbot.addWidget(dialog)
    dialog.show()
    yield dialog
    dialog.close()
    lane.close()


def begin(qtbot: QtBot, dialog: GetModel, name: str) -> None:
    qtbot.keyClicks(dialog.name, name)
    qtbot.mouseClick(dialog.start_button, Qt.MouseButton.LeftButton)


def test_a_model_is_fetched_with_visible_progress(qtbot: QtBot, dialog: GetModel, hub_server: HubServer) -> None:
    hub_server.add_model("owner/tiny", FILES)
    hub_server.bytes_per_second = 2_000_000
    fetched: list[str] = []
    seen: list[int] = []
    dialog.fetched.connect(fetched.append)
    dialog.bar.valueChanged.connect(seen.append)
    begin(qtbot, dialog, "owner/tiny")
    assert not dialog.start_button.isEnabled()
    qtbot.waitUntil(lambda: bool(fetched), timeout=WAIT)
    qtbot.waitUntil(lambda: not dialog.isVisible(), timeout=WAIT)
    assert fetched == ["owner/tiny"]
    assert len(seen) > 2


def test_an_error_is_said_in_the_dialog_and_it_can_be_tried_again(
    qtbot: QtBot, dialog: GetModel, hub_server: HubServer
) -> None:
    begin(qtbot, dialog, "owner/absent")
    qtbot.waitUntil(lambda: "owner/absent" in dialog.state.text(), timeout=WAIT)
    assert dialog.isVisible()
    assert dialog.start_button.isEnabled()
    assert hub_server.requests


def test_closing_stops_the_download(qtbot: QtBot, dialog: GetModel, hub_server: HubServer) -> None:
    hub_server.add_model("owner/slow", FILES)
    hub_server.bytes_per_second = 50_000
    begin(qtbot, dialog, "owner/slow")
    qtbot.waitUntil(lambda: dialog.bar.value() > 0, timeout=WAIT)
    dialog.reject()
    qtbot.waitUntil(lambda: not dialog._lane.busy, timeout=WAIT)
    assert not dialog.isVisible()


def test_a_suggestion_fills_the_field(qtbot: QtBot, dialog: GetModel) -> None:
    assert len(suggested_models()) == 3
    assert not dialog.start_button.isEnabled()
    name = suggested_models()[0]
    button = next(b for b in dialog.findChildren(QPushButton) if b.text() == name)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert dialog.name.text() == name
    assert dialog.start_button.isEnabled()
