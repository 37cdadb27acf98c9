"""The button that chooses a preset: what its menu offers, and what it says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from engine.chat.presets import Preset
from gui import theme as looks
from gui.chat.preset_button import PresetButton

PRESETS = [Preset(name="Precise", description="Short & <b>sure</b>."), Preset(name="Mine & yours")]


@pytest.fixture
def button(qtbot: QtBot, theme: looks.Theme) -> Iterator[PresetButton]:
    theme.wish("light")
    made = PresetButton()
    qtbot.addWidget(made)
    made.set_presets(PRESETS, {"Mine & yours"})
    made.show()
    yield made
    made.close()


def entries(menu: QMenu) -> list[str]:
    return [action.text() for action in menu.actions() if action.text()]


def test_it_offers_all_presets_and_marks_the_one_in_use(qtbot: QtBot, button: PresetButton) -> None:
    button.show_preset("Precise", changed=False)
    assert button.accessibleName() == "Preset: Precise"
    assert "&lt;b&gt;" in button.toolTip()
    menu = button.open_menu()
    assert entries(menu) == ["No preset", "Precise", "Mine && yours", "Save as Preset…"]
    assert [action.text() for action in menu.actions() if action.isChecked()] == ["Precise"]
    with qtbot.waitSignal(button.chosen) as signal:
        next(action for action in menu.actions() if action.text().startswith("Mine")).trigger()
    assert signal.args == ["Mine & yours"]
    menu.close()


def test_a_change_is_said_and_can_be_undone_or_kept(qtbot: QtBot, button: PresetButton) -> None:
    button.show_preset("Mine & yours", changed=True)
    assert button.accessibleName() == "Preset: Mine & yours · changed"
    menu = button.open_menu()
    assert entries(menu)[-4:] == [
        "Undo the Changes",
        "Save as Preset…",
        "Update Mine && yours",
        "Delete Mine && yours",
    ]
    for words, signal in (
        ("Undo", button.chosen),
        ("Save", button.save_wanted),
        ("Update", button.update_wanted),
        ("Delete", button.delete_wanted),
    ):
        with qtbot.waitSignal(signal):
            next(action for action in menu.actions() if action.text().startswith(words)).trigger()
    menu.close()


def test_what_came_with_the_program_is_not_changed(button: PresetButton) -> None:
    button.show_preset("Precise", changed=True)
    menu = button.open_menu()
    assert not any(words.startswith(("Update", "Delete")) for words in entries(menu))
    menu.close()
