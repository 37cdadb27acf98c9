"""What a person does in the view of a new run, as steps of a test."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QWidget
from pytestqt.qtbot import QtBot

from gui.train.new_run.view import NewRunView

WAIT = 60_000


def click(qtbot: QtBot, parent: QWidget, text: str) -> None:
    """Press the button that says or is called this."""
    found = [one for one in parent.findChildren(QAbstractButton) if text in (one.text(), one.accessibleName())]
    (button,) = [one for one in found if one.isVisible()]
    assert button.isEnabled(), text
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def control(parent: QWidget, kind: type, name: str) -> Any:
    """The one control of a kind that is called this."""
    (found,) = [one for one in parent.findChildren(kind) if one.accessibleName() == name]
    return found


def forecast(qtbot: QtBot, view: NewRunView) -> None:
    """Wait for the forecast of the settings as they stand."""
    qtbot.waitUntil(lambda: not view.forecast.busy, timeout=WAIT)


def recipe(qtbot: QtBot, view: NewRunView, name: str) -> None:
    """Choose a recipe by its card."""
    qtbot.mouseClick(view.overview.cards.cards[name], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: view.draft.origin is not None and view.draft.origin.name == name, timeout=WAIT)
