"""The dialog that changes a run while it trains: what it begins with, what it refuses, what it tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from engine.grpo.controls import CHANGEABLE, Command
from engine.training_events import SettingChanged
from gui import theme as looks
from gui.train.adjust import Adjust
from tests.engine.grpo.runs import tiny


@pytest.fixture
def parent(qtbot: QtBot, theme: looks.Theme) -> QWidget:
    parent = QWidget()
    qtbot.addWidget(parent)
    return parent


@pytest.fixture
def dialog(parent: QWidget, tmp_path: Path) -> Adjust:
    return Adjust(tiny(tmp_path), [SettingChanged(3, "temperature", 1.0, 0.8)], parent)


def type_in(dialog: Adjust, name: str, value: Any) -> None:
    dialog.form._edited(name, value)


def test_it_shows_what_can_change_as_it_is_now(dialog: Adjust) -> None:
    assert set(dialog.form._facts) == set(CHANGEABLE)
    assert dialog.form.current.temperature == 0.8  # type: ignore[attr-defined]
    assert not dialog.apply.isEnabled()
    assert dialog.commands() == []


def test_it_tells_what_was_changed_and_nothing_else(dialog: Adjust, qtbot: QtBot) -> None:
    told: list[Command] = []
    dialog.wanted.connect(told.append)
    type_in(dialog, "learning_rate", 5e-4)
    type_in(dialog, "early_stop_patience", 3)
    assert dialog.apply.isEnabled()
    dialog.apply.click()
    assert told == [Command("set", "learning_rate", 5e-4), Command("set", "early_stop_patience", 3.0)]


def test_what_is_out_of_bounds_cannot_be_applied(dialog: Adjust) -> None:
    type_in(dialog, "learning_rate", 5e-4)
    type_in(dialog, "temperature", -1.0)
    assert not dialog.apply.isEnabled()
    type_in(dialog, "temperature", 0.7)
    assert dialog.apply.isEnabled()


def test_what_was_set_back_is_no_change(dialog: Adjust) -> None:
    type_in(dialog, "kl_coeff", 0.1)
    type_in(dialog, "kl_coeff", 0.0)
    assert dialog.commands() == []
    assert not dialog.apply.isEnabled()
