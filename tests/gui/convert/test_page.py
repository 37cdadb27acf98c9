"""The wizard as a person uses it: real drops, real files, the real lanes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from engine import library, places
from engine.convert.estimate import estimate
from gui.convert.presets import EIGHT, EXACT
from gui.window import MainWindow
from tests.gui.convert.conftest import Drop
from tests.gui.convert.steps import WAIT, click, left_behind, reach, settings
from tests.gui.test_window import CONTROLS, internal
from tests.support.hub_server import HubServer


def test_from_the_drop_to_the_chat(qtbot: QtBot, ready: MainWindow, drop: Drop, model: Path) -> None:
    (wizard,) = drop(model)
    reach(qtbot, wizard, "choosing")
    assert wizard.stack.currentWidget() is wizard.about
    assert wizard.about.title.text() == "tiny"
    assert wizard.about.facts.texts()["Architecture"] == "llama, 2 layers"
    page = settings(qtbot, wizard)
    size = page.estimates.texts()["size"]
    page.choices.cards.choose(EIGHT)
    assert page.estimates.texts()["size"] != size
    assert page.output.folder == places.models_folder() / "tiny-8bit"
    click(qtbot, wizard, "Convert")
    assert ready.sidebar._buttons["convert"].busy
    reach(qtbot, wizard, "done")
    assert wizard.stack.currentWidget() is wizard.result
    assert library.describe(places.models_folder() / "tiny-8bit").bits == 8
    assert left_behind() == ["tiny-8bit"]
    assert wizard.result.title.text() == "tiny-8bit is ready"
    assert "switched off" in wizard.result.verdict_text()
    assert "before" in wizard.result.facts.texts()["Size"]
    assert not ready.sidebar._buttons["convert"].busy
    click(qtbot, wizard, "Chat Now")
    assert ready.pages.currentWidget() is ready.chat
    folder = str(places.models_folder() / "tiny-8bit")
    qtbot.waitUntil(lambda: ready.chat.loaded is not None and ready.chat.loaded.folder == folder, timeout=WAIT)


def test_the_estimate_is_what_comes_out(qtbot: QtBot, drop: Drop, model: Path) -> None:
    (wizard,) = drop(model)
    page = settings(qtbot, wizard)
    for preset in (EIGHT, EXACT):
        page.choices.cards.choose(preset)
        plan = wizard.conversion.plan
        assert plan is not None
        foretold = estimate(plan, page.choices.settings()).result_bytes
        click(qtbot, wizard, "Convert")
        reach(qtbot, wizard, "done")
        assert wizard.conversion.converted is not None
        assert wizard.conversion.converted.size == pytest.approx(foretold, rel=0.01)
        wizard.conversion.back_to_settings()


def test_all_by_keyboard(qtbot: QtBot, ready: MainWindow, drop: Drop, model: Path) -> None:
    (wizard,) = drop(model)
    ready.activateWindow()
    reach(qtbot, wizard, "choosing")
    qtbot.waitUntil(wizard.about.forward.hasFocus)
    qtbot.keyClick(wizard.about.forward, Qt.Key.Key_Space)
    assert wizard.settings is not None
    wizard.settings.choices.others._edited("check", "never")
    card = wizard.settings.choices.cards.cards["4-bit"]
    qtbot.waitUntil(card.hasFocus)
    qtbot.keyClick(card, Qt.Key.Key_Left)
    assert wizard.settings.choices.cards.preset is EIGHT
    for _ in range(40):
        focus = QApplication.focusWidget()
        assert focus is not None
        if focus is wizard.settings.start:
            break
        qtbot.keyClick(focus, Qt.Key.Key_Tab)
    assert wizard.settings.start.hasFocus()
    qtbot.keyClick(wizard.settings.start, Qt.Key.Key_Space)
    reach(qtbot, wizard, "done")
    qtbot.waitUntil(wizard.result.chat.hasFocus)


@pytest.mark.parametrize("name", ["empty.gguf", "broken.safetensors", "notes.txt"])
def test_what_is_no_model_is_said_in_its_place(
    qtbot: QtBot, ready: MainWindow, drop: Drop, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("")
    # Dropped on the chat, a text file goes with the message.
    ready.go("convert")
    (wizard,) = drop(tmp_path / name)
    qtbot.waitUntil(lambda: wizard.conversion.state == "failed", timeout=WAIT)
    assert wizard.stack.currentWidget() is wizard.failure
    assert len(wizard.failure.card.text().splitlines()) >= 2
    assert name in wizard.failure.title.text()
    assert not any(b.text() == "Download It" and b.isVisible() for b in wizard.findChildren(QPushButton))
    click(qtbot, wizard, "Choose Another")
    assert ready.convert.current is None
    assert ready.convert.list.texts() == []


def test_a_mended_source_is_looked_at_again(qtbot: QtBot, drop: Drop, model: Path) -> None:
    config = model / "config.json"
    text = config.read_text()
    config.write_text("{")
    (wizard,) = drop(model)
    qtbot.waitUntil(lambda: wizard.conversion.state == "failed", timeout=WAIT)
    config.write_text(text)
    click(qtbot, wizard, "Try Again")
    reach(qtbot, wizard, "choosing")


def test_a_model_of_the_hub_is_downloaded_first(
    qtbot: QtBot, ready: MainWindow, hub_server: HubServer, model: Path
) -> None:
    hub_server.add_model("owner/tiny", {path.name: path.read_bytes() for path in model.iterdir()})
    ready.go("convert")
    ready.convert.start.name.setText("https://huggingface.co/owner/tiny/tree/main")
    click(qtbot, ready.convert.start, "Look")
    wizard = ready.convert.current
    assert wizard is not None
    qtbot.waitUntil(lambda: wizard.conversion.state == "failed", timeout=WAIT)
    assert not hub_server.requests
    click(qtbot, wizard, "Download It")
    assert wizard.conversion.state == "downloading"
    reach(qtbot, wizard, "choosing")
    assert wizard.about.title.text().endswith("tiny")


def test_a_name_that_is_none_is_said_beside_the_field(qtbot: QtBot, ready: MainWindow) -> None:
    ready.go("convert")
    start = ready.convert.start
    assert not start.look.isEnabled()
    qtbot.keyClicks(start.name, "only-a-name")
    qtbot.keyClick(start.name, Qt.Key.Key_Return)
    assert start.complaint.isVisible()
    assert ready.convert.wizards == {}


def test_a_source_that_vanished_is_said_and_the_settings_are_kept(qtbot: QtBot, drop: Drop, model: Path) -> None:
    (wizard,) = drop(model)
    page = settings(qtbot, wizard)
    page.choices.cards.choose(EIGHT)
    weights = model / "model.safetensors"
    weights.rename(model.parent / "aside")
    click(qtbot, wizard, "Convert")
    qtbot.waitUntil(lambda: wizard.conversion.state == "failed", timeout=WAIT)
    assert left_behind() == []
    (model.parent / "aside").rename(weights)
    click(qtbot, wizard, "Back to the Settings")
    assert page.choices.cards.preset is EIGHT
    click(qtbot, wizard, "Convert")
    reach(qtbot, wizard, "done")


def test_another_output_folder_is_looked_at(qtbot: QtBot, drop: Drop, model: Path, tmp_path: Path) -> None:
    (wizard,) = drop(model)
    page = settings(qtbot, wizard)
    page.output.line.set_text(str(tmp_path / "很长的名字" / "mine"))
    page.output._on_written()
    qtbot.waitUntil(lambda: wizard.conversion.plan is not None and "mine" in wizard.conversion.plan.output)
    page.choices.cards.choose(EIGHT)
    click(qtbot, wizard, "Convert")
    reach(qtbot, wizard, "done")
    assert (tmp_path / "很长的名字" / "mine" / "config.json").is_file()


def test_a_place_that_takes_no_folder_is_said_before_converting(
    qtbot: QtBot, drop: Drop, model: Path, tmp_path: Path
) -> None:
    (wizard,) = drop(model)
    page = settings(qtbot, wizard)
    file = tmp_path / "file"
    file.write_text("")
    for folder in (file / "inside", tmp_path / ("长" * 100)):
        page.output.line.set_text(str(folder))
        page.output._on_written()
        assert "No folder can be made" in page.obstacle.text(), folder
        assert not page.start.isEnabled()
    page.output.line.set_text(str(tmp_path / "free"))
    page.output._on_written()
    assert page.start.isEnabled()
    assert page.obstacle.text() == ""


def test_a_setting_that_is_not_valid_stops_and_is_said_beside_the_button(qtbot: QtBot, drop: Drop, model: Path) -> None:
    (wizard,) = drop(model)
    page = settings(qtbot, wizard)
    page.choices.others._edited("check", "perhaps")
    assert not page.start.isEnabled()
    assert "marked in red" in page.obstacle.text()
    page.choices.others._edited("check", "never")
    assert page.start.isEnabled()


def test_the_files_of_one_model_dropped_together_are_one_model(qtbot: QtBot, drop: Drop, model: Path) -> None:
    wizards = drop(*sorted(model.iterdir()))
    assert [wizard.conversion.source for wizard in wizards] == [str(model)]
    reach(qtbot, wizards[0], "choosing")


@pytest.mark.skipif(sys.platform == "darwin", reason="the Finder would really open")
def test_the_folder_is_shown_by_the_systems_own_program(
    qtbot: QtBot, drop: Drop, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opener = tmp_path / "bin" / "xdg-open"
    opener.parent.mkdir()
    opener.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    opener.chmod(0o755)
    monkeypatch.setenv("PATH", f"{opener.parent}:/usr/bin:/bin")
    (wizard,) = drop(model)
    settings(qtbot, wizard)
    click(qtbot, wizard, "Convert")
    reach(qtbot, wizard, "done")
    click(qtbot, wizard, "Open Folder")
    qtbot.waitUntil((tmp_path / "opened").exists)
    qtbot.waitUntil(lambda: "tiny-4bit" in (tmp_path / "opened").read_text())


def test_every_control_of_the_wizard_has_a_name(qtbot: QtBot, drop: Drop, model: Path) -> None:
    (wizard,) = drop(model)
    settings(qtbot, wizard)
    controls = [widget for widget in wizard.findChildren(QWidget) if isinstance(widget, CONTROLS)]
    assert len(controls) > 30
    nameless = [
        f"{type(widget).__name__} in {type(widget.parent()).__name__}"
        for widget in controls
        if not internal(widget) and not widget.objectName().startswith("qt_")
        if not (widget.accessibleName() or getattr(widget, "text", lambda: "")())
    ]
    assert nameless == []
