"""The window as a whole: pages, menus, keyboard, names, and what it remembers."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QScrollBar,
    QTextEdit,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from engine import config, places
from engine.config import Settings
from gui import theme as looks
from gui.desk import Desk
from gui.theme import DARK, LIGHT, Colours
from gui.window import MainWindow

WAIT = 60_000
CONTROLS = (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QTextEdit,
)


def loaded(qtbot: QtBot, window: MainWindow) -> None:
    qtbot.waitUntil(lambda: window.chat.loaded is not None, timeout=WAIT)


def internal(widget: QObject) -> bool:
    """Parts of Qt's own composite widgets, which their owner names."""
    parent = widget.parent()
    return isinstance(widget, QScrollBar) or isinstance(parent, (QAbstractSpinBox, QComboBox, QLineEdit))


def test_every_control_has_a_name(qtbot: QtBot, window: MainWindow) -> None:
    loaded(qtbot, window)
    window.chat.send("What is 47 + 38?")
    qtbot.waitUntil(lambda: not window.chat.answering, timeout=WAIT)
    window.chat.header.panel.setChecked(True)
    controls = [widget for widget in window.findChildren(QWidget) if isinstance(widget, CONTROLS)]
    assert len(controls) > 20
    nameless = [
        f"{type(widget).__name__} in {type(widget.parent()).__name__}"
        for widget in controls
        if not internal(widget) and not widget.objectName().startswith("qt_")
        if not (widget.accessibleName() or (isinstance(widget, QAbstractButton) and widget.text()))
    ]
    assert nameless == []


@pytest.mark.parametrize("page", ["chat", "convert", "settings"])
def test_every_control_is_reached_by_the_keyboard(qtbot: QtBot, window: MainWindow, page: str) -> None:
    loaded(qtbot, window)
    window.go(page)
    window.chat.header.panel.setChecked(True)
    current = window.pages.currentWidget()
    wanted = {
        widget
        for widget in current.findChildren(QWidget)
        if isinstance(widget, CONTROLS) and widget.isVisible() and widget.isEnabled() and not internal(widget)
        if not isinstance(widget, (QProgressBar, QScrollBar))
    }
    reached, widget = set(), current
    for _ in range(500):
        widget = widget.nextInFocusChain()
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            reached.add(widget.focusProxy() or widget)
    assert {f"{type(w).__name__} {w.accessibleName()}" for w in wanted - reached} == set()


def test_pages_are_changed_by_sidebar_and_menu(qtbot: QtBot, window: MainWindow) -> None:
    buttons = {b.text(): b for b in window.sidebar.findChildren(QToolButton)}
    assert set(buttons) == {"Chat", "Convert", "Train", "Settings"}
    qtbot.mouseClick(buttons["Settings"], Qt.MouseButton.LeftButton)
    assert window.pages.currentWidget() is window.settings
    action(window, "Convert").trigger()
    assert window.pages.currentWidget() is window.convert
    action(window, "Chat").trigger()
    assert window.pages.currentWidget() is window.chat
    assert buttons["Chat"].isChecked()


def action(window: MainWindow, text: str) -> QAction:
    return next(a for a in window.findChildren(QAction) if a.text() == text)


def test_menus_have_the_platforms_roles_and_shortcuts(window: MainWindow) -> None:
    roles = {a.text(): a.menuRole() for a in window.findChildren(QAction)}
    assert roles["Settings…"] == QAction.MenuRole.PreferencesRole
    assert roles["Quit MLX-GRPO"] == QAction.MenuRole.QuitRole
    assert roles["About MLX-GRPO"] == QAction.MenuRole.AboutRole
    assert roles["New Conversation"] == QAction.MenuRole.NoRole
    shortcuts = [a.shortcut().toString() for a in window.findChildren(QAction) if not a.shortcut().isEmpty()]
    assert len(shortcuts) == len(set(shortcuts)), "two actions share a shortcut"
    assert {"Ctrl+N", "Ctrl+O", "Ctrl+,", "Ctrl+R", "Ctrl+C", "Ctrl+V", "Ctrl+Z"} <= set(shortcuts)


def test_the_edit_menu_acts_on_the_field_in_focus(qtbot: QtBot, window: MainWindow) -> None:
    edit = window.chat.composer.edit
    window.activateWindow()
    edit.setFocus()
    qtbot.keyClicks(edit, "hello")
    qtbot.waitUntil(edit.hasFocus)
    action(window, "Select All").trigger()
    assert edit.textCursor().selectedText() == "hello"
    action(window, "Cut").trigger()
    assert edit.toPlainText() == ""
    action(window, "Paste").trigger()
    assert edit.toPlainText() == "hello"


def test_the_status_bar_names_device_memory_and_job(qtbot: QtBot, window: MainWindow) -> None:
    assert "Loading" in window.status.work.text() or window.chat.loaded is None
    loaded(qtbot, window)
    window.status._measure()
    qtbot.waitUntil(lambda: "in use" in window.status.memory.text(), timeout=WAIT)
    assert window.status.device.text()
    qtbot.waitUntil(lambda: window.status.work.text() == "Ready")


def test_settings_are_changed_on_their_page_and_kept(qtbot: QtBot, window: MainWindow, theme: looks.Theme) -> None:
    loaded(qtbot, window)
    window.settings.changed.emit(window.desk.settings.model_copy(update={"appearance": "dark"}))
    assert theme.dark
    assert config.read(Settings, places.settings_file()).appearance == "dark"
    theme.wish("light")


def test_a_damaged_settings_file_is_reported_and_left_alone(qtbot: QtBot, theme: looks.Theme) -> None:
    del theme
    places.settings_file().write_text("appearance = [")
    window = MainWindow(Desk())
    window.show()
    qtbot.waitUntil(window.notice.isVisible)
    assert "settings file" in window.notice.text()
    qtbot.waitUntil(lambda: window.chat.loaded is not None, timeout=WAIT)
    assert places.settings_file().read_text() == "appearance = ["
    window.desk.change_settings(window.desk.settings.model_copy(update={"send_key": "command-return"}))
    assert places.settings_file().with_name("settings.toml.damaged").read_text() == "appearance = ["
    assert config.read(Settings, places.settings_file()).send_key == "command-return"
    window.close()


def test_the_window_remembers_its_size(qtbot: QtBot, window: MainWindow) -> None:
    loaded(qtbot, window)
    window.resize(900, 610)
    window.close()
    again = MainWindow(Desk())
    assert again.size().height() == 610
    again.close()


def test_closing_while_an_answer_is_written_leaves_a_stopped_message(qtbot: QtBot, window: MainWindow) -> None:
    loaded(qtbot, window)
    window.chat.send("What is 47 + 38?")
    conversation = window.chat.conversation or 0
    window.close()
    from engine.chat.conversations import Conversations

    with Conversations(places.conversations_file()) as store:
        store.recover()
        assert store.path(conversation)[-1].state in {"stopped", "done", "interrupted"}


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read_on_every_ground(colours: Colours) -> None:
    for ground in (colours.window, colours.sidebar, colours.raised, colours.code, colours.bubble):
        for text in (colours.text, colours.muted, colours.link, colours.error, colours.good, colours.warning):
            assert contrast(text, ground) >= 4.5, (text, ground)
    assert contrast(colours.on_accent, colours.accent) >= 4.5
    assert contrast(colours.text, colours.error_surface) >= 4.5


SHOWING = {
    "QLabel", "QPushButton", "QToolButton", "QAction", "QCheckBox", "QGroupBox", "setText", "setToolTip",
    "setAccessibleName", "setAccessibleDescription", "setPlaceholderText", "setWindowTitle", "addAction", "addMenu",
    "setTitle", "setInformativeText", "tell",
}  # fmt: skip
# A name of ours or of an example is the same in every language.
UNTRANSLATED = {"MLX-GRPO"}


def untranslated(source: str) -> list[str]:
    """Visible literals of a source that do not go through tr()."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name not in SHOWING:
            continue
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                text = argument.value
                if any(letter.isalpha() for letter in text) and text not in UNTRANSLATED:
                    found.append(f"line {node.lineno}: {text!r}")
    return found


def test_every_visible_string_goes_through_tr() -> None:
    assert untranslated('QLabel("Hello")') == ["line 1: 'Hello'"]
    assert untranslated('QLabel(tr("Hello"))') == []
    root = Path(__file__).parents[2] / "gui"
    found = {path.name: untranslated(path.read_text()) for path in root.rglob("*.py")}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize("after", [0.1, 0.2, 0.3, 0.4, 3.0])
def test_ctrl_c_closes_the_window_in_order(after: float) -> None:
    program = "import mlx_grpo; print('started', flush=True); mlx_grpo.main()"
    command = [sys.executable, "-c", program]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "started\n"  # a signal to Python's own start can get lost
        time.sleep(after)
        child.send_signal(signal.SIGINT)
        try:
            _, said = child.communicate(timeout=60)
        finally:
            child.kill()
    assert child.returncode in {130, -signal.SIGINT}
    assert child.returncode == 130 or after < 1  # before its window is there, the signal simply ends the process
    assert "Fatal" not in said


def test_a_place_that_cannot_be_used_is_said_before_the_window_opens(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code = """
from gui import app
app._cannot_start = lambda error: print(error.what, error.why) or 2
raise SystemExit(app.run())
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"MLX_GRPO_HOME": str(tmp_path / "file")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert str(tmp_path) in done.stdout


def test_without_a_display_it_says_so() -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")}
    done = subprocess.run(
        [sys.executable, "-m", "mlx_grpo"],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if sys.platform == "linux":
        assert done.returncode == 2
        assert "no display" in done.stderr
