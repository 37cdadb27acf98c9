"""The menu bar, with the platform's standard roles and shortcuts. Knows the window's actions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QMetaObject, Qt, QUrl
from PySide6.QtGui import QAction, QDesktopServices, QKeySequence
from PySide6.QtWidgets import QApplication, QMenu, QMessageBox

from engine import places
from gui.text import tr

if TYPE_CHECKING:
    from collections.abc import Callable

    from gui.window import MainWindow

Key = QKeySequence.StandardKey
Role = QAction.MenuRole


def build(window: MainWindow) -> None:
    """Fill the window's menu bar."""
    _file_menu(window)
    _edit_menu(window)
    _chat_menu(window)
    _view_menu(window)
    _window_menu(window)
    _help_menu(window)


def _menu(window: MainWindow, title: str) -> QMenu:
    menu = window.menuBar().addMenu(title)
    menu.setToolTipsVisible(True)
    return menu


def _add(
    menu: QMenu,
    text: str,
    act: Callable[[], object],
    keys: QKeySequence | Key | str | None = None,
    role: Role = Role.NoRole,
) -> QAction:
    action = menu.addAction(text)
    if keys is not None:
        action.setShortcut(QKeySequence(keys))
    # Without a role Qt guesses from the text and moves items such as "Settings…" on a Mac.
    action.setMenuRole(role)
    # The signal carries a checked state that no act wants.
    action.triggered.connect(lambda _checked: act())
    return action


def _file_menu(window: MainWindow) -> None:
    menu = _menu(window, tr("&File"))
    _add(menu, tr("New Conversation"), lambda: _new_conversation(window), Key.New)
    _add(menu, tr("Open Model Folder…"), window.chat.header.picker.ask_for_folder, Key.Open)
    _add(menu, tr("Get a Model from Hugging Face…"), window.chat.get_model, "Ctrl+Shift+O")
    menu.addSeparator()
    _add(menu, tr("Convert a Model…"), lambda: _convert(window), "Ctrl+Shift+N")
    _add(menu, tr("New Training Run…"), lambda: _train(window), "Ctrl+Shift+T")
    menu.addSeparator()
    _add(menu, tr("Import Conversations…"), window.chat.shelf.transfer.ask_to_import)
    _add(menu, tr("Import a Folder of Conversations…"), window.chat.shelf.transfer.ask_to_import_folder)
    one = menu.addMenu(tr("Export This Conversation"))
    _add(one, tr("As Markdown…"), lambda: window.chat.act("markdown"))
    _add(one, tr("As JSON…"), lambda: window.chat.act("json"))
    every = menu.addMenu(tr("Export All Conversations"))
    _add(every, tr("As JSON…"), lambda: window.chat.shelf.transfer.ask_to_export_all("json"))
    _add(every, tr("As Markdown…"), lambda: window.chat.shelf.transfer.ask_to_export_all("markdown"))
    menu.addSeparator()
    _add(menu, tr("Settings…"), lambda: window.go("settings"), "Ctrl+,", Role.PreferencesRole)
    menu.addSeparator()
    _add(menu, tr("Close Window"), window.close, Key.Close)
    _add(menu, tr("Quit MLX-GRPO"), window.close, Key.Quit, Role.QuitRole)


def _new_conversation(window: MainWindow) -> None:
    window.go("chat")
    window.chat.new_conversation()


def _find(window: MainWindow) -> None:
    window.go("chat")
    window.chat.find_text()


def _convert(window: MainWindow) -> None:
    window.convert.show_start()
    window.go("convert")


def _train(window: MainWindow) -> None:
    window.go("train")
    window.train.new_run()


def _edit_menu(window: MainWindow) -> None:
    menu = _menu(window, tr("&Edit"))
    for text, slot, keys in (
        (tr("Undo"), "undo", Key.Undo),
        (tr("Redo"), "redo", Key.Redo),
        (tr("Cut"), "cut", Key.Cut),
        (tr("Copy"), "copy", Key.Copy),
        (tr("Paste"), "paste", Key.Paste),
        (tr("Select All"), "selectAll", Key.SelectAll),
    ):
        _add(menu, text, partial(_tell_focus, slot), keys)
    menu.addSeparator()
    _add(menu, tr("Find in Conversations…"), lambda: _find(window), Key.Find)


def _tell_focus(slot: str) -> None:
    """Have the text widget in focus do what its own menu would do."""
    widget = QApplication.focusWidget()
    if widget is not None and widget.metaObject().indexOfMethod(f"{slot}()") >= 0:
        QMetaObject.invokeMethod(widget, slot, Qt.ConnectionType.DirectConnection)


def _chat_menu(window: MainWindow) -> None:
    menu = _menu(window, tr("&Chat"))
    _add(menu, tr("Stop the Answer"), window.chat.stop, "Ctrl+.")
    _add(menu, tr("Answer Again"), window.chat.regenerate_last, "Ctrl+R")
    menu.addSeparator()
    _add(menu, tr("Rename Conversation"), lambda: window.chat.act("rename"))
    _add(menu, tr("Pin or Unpin Conversation"), lambda: window.chat.act("turn pin"))
    _add(menu, tr("Branch Conversation"), lambda: window.chat.act("branch"))
    _add(menu, tr("Delete Conversation"), lambda: _delete(window), "Ctrl+Shift+Backspace")


def _delete(window: MainWindow) -> None:
    if window.chat.conversation is not None:
        window.chat.delete_conversation(window.chat.conversation)


def _view_menu(window: MainWindow) -> None:
    menu = _menu(window, tr("&View"))
    _add(menu, tr("Chat"), lambda: window.go("chat"), "Ctrl+1")
    _add(menu, tr("Convert"), lambda: window.go("convert"), "Ctrl+2")
    _add(menu, tr("Train"), lambda: window.go("train"), "Ctrl+3")
    menu.addSeparator()
    panel = window.chat.header.panel
    _add(menu, tr("Settings of This Conversation"), panel.toggle, "Ctrl+Alt+I")
    _add(menu, tr("Full Screen"), lambda: _toggle_full_screen(window), Key.FullScreen)


def _toggle_full_screen(window: MainWindow) -> None:
    window.setWindowState(window.windowState() ^ Qt.WindowState.WindowFullScreen)


def _window_menu(window: MainWindow) -> None:
    menu = _menu(window, tr("&Window"))
    _add(menu, tr("Minimise"), window.showMinimized, "Ctrl+M")
    _add(menu, tr("Zoom"), lambda: window.setWindowState(window.windowState() ^ Qt.WindowState.WindowMaximized))


def _help_menu(window: MainWindow) -> None:
    menu = _menu(window, tr("&Help"))
    _add(menu, tr("About MLX-GRPO"), lambda: _about(window), None, Role.AboutRole)
    _add(menu, tr("Show the Log File"), _show_log)


def _about(window: MainWindow) -> None:
    import importlib.metadata

    version = importlib.metadata.version("mlx-grpo-app")
    text = tr("Convert any checkpoint to MLX, chat with it and improve it by GRPO, on your own Mac.")
    box = QMessageBox(QMessageBox.Icon.NoIcon, tr("About MLX-GRPO"), f"MLX-GRPO {version}", parent=window)
    box.setInformativeText(text)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.open()


def _show_log() -> None:
    folder = places.log_file().parent
    folder.mkdir(parents=True, exist_ok=True)
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
