"""What a person does in the wizard, as steps of a test."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from engine import places
from gui.convert.settings_view import SettingsView
from gui.convert.wizard import Wizard

WAIT = 60_000


def click(qtbot: QtBot, parent: QWidget, text: str) -> None:
    button = next(b for b in parent.findChildren(QPushButton) if b.text() == text and b.isVisible())
    assert button.isEnabled(), text
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def reach(qtbot: QtBot, wizard: Wizard, state: str) -> None:
    qtbot.waitUntil(lambda: wizard.conversion.state in (state, "failed"), timeout=WAIT)
    assert wizard.conversion.state == state, wizard.failure.card.text()


def settings(qtbot: QtBot, wizard: Wizard, *, check: bool = False) -> SettingsView:
    """The second page; without the check, which takes seconds, unless it is what the test is about."""
    reach(qtbot, wizard, "choosing")
    click(qtbot, wizard.about, "Continue")
    assert wizard.settings is not None
    if not check:
        wizard.settings.choices.others._edited("check", "never")
    return wizard.settings


def left_behind() -> list[str]:
    folder = places.models_folder()
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
