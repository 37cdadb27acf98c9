"""The page "Settings": every setting, where its file is, and the way back to the defaults. Writes nothing itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMessageBox, QPushButton, QScrollArea, QVBoxLayout, QWidget

from engine.config import Settings
from engine.places import settings_file
from gui import theme
from gui.form import Form
from gui.text import tr

_WIDTH = 640


class SettingsPage(QWidget):
    """Settings, grouped in cards; a change holds at once and is emitted for the window to keep."""

    changed = Signal(object)  # the new Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        # The list of runs keeps its folders itself.
        self.form = Form(settings, exclude={"run_folders"})
        self.form.changed.connect(self.changed)
        self._question: QMessageBox | None = None

        title = QLabel(tr("Settings"))
        title.setProperty("role", "title")
        column = QWidget()
        column.setMaximumWidth(_WIDTH)
        rows = QVBoxLayout(column)
        rows.setContentsMargins(0, theme.HUGE, 0, theme.HUGE)
        rows.setSpacing(theme.LARGE)
        rows.addWidget(title)
        rows.addWidget(self.form)
        rows.addLayout(self._footer())
        rows.addStretch()

        body = QWidget()
        centred = QHBoxLayout(body)
        centred.setContentsMargins(theme.HUGE, 0, theme.HUGE, 0)
        centred.addStretch()
        centred.addWidget(column, 1000)
        centred.addStretch()
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(body)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        page = QVBoxLayout(self)
        page.setContentsMargins(0, 0, 0, 0)
        page.addWidget(scroll)

    def settings(self) -> Settings:
        """The settings as they stand."""
        return cast(Settings, self.form.settings())

    def set_settings(self, settings: Settings) -> None:
        """Show other settings; emits nothing."""
        self.form.set_settings(settings)

    def _footer(self) -> QHBoxLayout:
        place = QLabel(tr("Kept in {path}", path=_short(settings_file())))
        place.setProperty("role", "caption")
        place.setWordWrap(True)
        place.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        show = QPushButton(tr("Show in Finder") if sys.platform == "darwin" else tr("Open folder"))
        show.clicked.connect(self._open_folder)
        restore = QPushButton(tr("Restore defaults…"))
        restore.clicked.connect(self._ask)
        footer = QHBoxLayout()
        footer.setSpacing(theme.SMALL)
        footer.addWidget(place, 1)
        footer.addWidget(show)
        footer.addWidget(restore)
        return footer

    def _open_folder(self) -> None:
        folder = settings_file().parent
        folder.mkdir(parents=True, exist_ok=True)  # nothing may have been changed yet
        QDesktopServices.openUrl(QUrl.fromLocalFile(folder))

    def _ask(self) -> None:
        question = QMessageBox(self)
        question.setText(tr("Restore all settings to their defaults?"))
        question.setInformativeText(tr("Models and conversations stay as they are."))
        question.setIconPixmap(theme.icon("settings", theme.current().colours.accent).pixmap(32, 32))
        restore = question.addButton(tr("Restore defaults"), QMessageBox.ButtonRole.AcceptRole)
        question.setDefaultButton(question.addButton(QMessageBox.StandardButton.Cancel))
        restore.clicked.connect(self.form.reset)
        question.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        question.open()
        self._question = question


def _short(path: Path) -> str:
    """The path as a person writes it, with ~ for the home folder."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
