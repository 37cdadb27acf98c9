"""The page "Settings" on real widgets."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFrame, QLabel, QMessageBox, QPushButton, QScrollArea
from pytestqt.qtbot import QtBot

from engine.config import Sampling, Settings, read, write
from engine.places import settings_file
from gui.controls import Choice, NumberBox
from gui.settings.page import SettingsPage

pytestmark = pytest.mark.usefixtures("theme")


@pytest.fixture(name="page")
def _page(qtbot: QtBot) -> SettingsPage:
    page = SettingsPage(Settings(model="mine", sampling=Sampling(top_k=5)))
    qtbot.addWidget(page)
    page.resize(700, 600)
    with qtbot.waitExposed(page):
        page.show()
    page.activateWindow()
    return page


def button(page: SettingsPage, words: str) -> QPushButton:
    """The button of the page with these words."""
    (found,) = [one for one in page.findChildren(QPushButton) if one.text() == words]
    return found


def test_every_group_is_a_card_with_a_title(page: SettingsPage) -> None:
    """And every setting is on the page."""
    words = [label.text() for label in page.findChildren(QLabel)]
    places = [
        words.index(title) for title in ("Settings", "Window", "Models", "Chat", "Sampling", "Chat memory", "Speed")
    ]
    assert places == sorted(places)
    assert sum(frame.property("role") == "card" for frame in page.findChildren(QFrame)) == 5
    names = {field.title for model in (Settings, Sampling) for field in model.model_fields.values()}
    # The list of runs keeps its folders itself.
    assert names - {"Sampling", "Folders of runs"} <= set(words)


def test_a_change_is_emitted_for_the_window_to_keep(page: SettingsPage, qtbot: QtBot) -> None:
    """The page writes nothing; what it emits can be written and read again."""
    heard: list[Settings] = []
    page.changed.connect(heard.append)
    appearance = page.findChildren(Choice)[0]
    appearance.setFocus()
    qtbot.keyClick(appearance, Qt.Key.Key_Down)
    assert heard == [Settings(appearance="light", model="mine", sampling=Sampling(top_k=5))]
    assert page.settings() == heard[0]
    assert not settings_file().exists()
    write(heard[0], settings_file())
    assert read(Settings, settings_file()) == heard[0]


def test_other_settings_can_be_shown(page: SettingsPage, qtbot: QtBot) -> None:
    """Without an echo."""
    with qtbot.assertNotEmitted(page.changed):
        page.set_settings(Settings(memory_limit=2048))
    (limit,) = [box for box in page.findChildren(NumberBox) if box.accessibleName() == "Memory limit"]
    assert limit.text() == "2048"
    assert page.settings() == Settings(memory_limit=2048)


@pytest.mark.parametrize("sure", [True, False])
def test_restoring_the_defaults_asks_first(page: SettingsPage, qtbot: QtBot, sure: bool) -> None:
    """Return and Escape keep what there is; only the button that says so restores."""
    heard: list[Settings] = []
    page.changed.connect(heard.append)
    qtbot.mouseClick(button(page, "Restore defaults…"), Qt.MouseButton.LeftButton)
    question = page.findChild(QMessageBox)
    assert question is not None
    assert question.isVisible()
    assert heard == []
    if sure:
        yes = next(one for one in question.findChildren(QPushButton) if one.text() == "Restore defaults")
        qtbot.mouseClick(yes, Qt.MouseButton.LeftButton)
    else:
        qtbot.keyClick(question, Qt.Key.Key_Return)
    assert heard == ([Settings()] if sure else [])
    qtbot.waitUntil(lambda: page.findChild(QMessageBox) is None)


def test_the_page_says_where_the_file_is(
    page: SettingsPage, qtbot: QtBot, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And opens its folder, which it makes where nothing was kept yet."""
    opened: list[QUrl] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    assert any("~/settings.toml" in label.text() for label in page.findChildren(QLabel))
    words = "Show in Finder" if sys.platform == "darwin" else "Open folder"
    qtbot.mouseClick(button(page, words), Qt.MouseButton.LeftButton)
    assert [Path(url.toLocalFile()) for url in opened] == [home]
    assert home.is_dir()


def test_a_narrow_window_cuts_nothing_off(page: SettingsPage) -> None:
    """All of the page's width can be seen in the smallest window, beside a sidebar."""
    area = page.findChild(QScrollArea)
    assert area is not None
    assert area.widget().minimumSizeHint().width() <= 460
    page.resize(480, 600)
    assert area.widget().width() <= area.viewport().width()
