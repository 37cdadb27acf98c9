"""The button that names the model in use and offers others. Knows what models were found, loads none."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFileDialog, QMenu, QToolButton, QWidget

from engine.events import ModelFound
from gui import theme
from gui.text import size, tr


class ModelPicker(QToolButton):
    """Shows the model's name; its menu lists the models on this computer."""

    chosen = Signal(str)
    download_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("picker")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        self.setToolTip(tr("Choose a model"))
        self._menu = QMenu(self)
        self._menu.setLayoutDirection(Qt.LayoutDirection.LeftToRight)
        self.setMenu(self._menu)
        self._found: Sequence[ModelFound] = ()
        self._model = ""
        theme.current().changed.connect(self._restyle)
        self._restyle()
        self.set_found(())

    def set_model(self, model: str, name: str) -> None:
        """Mark `model` (folder, id or alias) as the one in use, shown as `name`."""
        self._model = model
        self.setText(name)
        self.setAccessibleName(tr("Model: {name}", name=name))
        self.set_found(self._found)

    def set_found(self, found: Sequence[ModelFound]) -> None:
        """Offer these models."""
        self._found = found
        self._menu.clear()
        for model in found:
            self._add(model)
        if found:
            self._menu.addSeparator()
        self._menu.addAction(theme.icon("folder"), tr("Open a Model Folder…"), self.ask_for_folder)
        self._menu.addAction(theme.icon("download"), tr("Get a Model from Hugging Face…"), self.download_wanted.emit)

    def ask_for_folder(self) -> None:
        """Let the person choose a folder on disk."""
        folder = QFileDialog.getExistingDirectory(self, tr("Open a Model Folder"))
        if folder:
            self.chosen.emit(folder)

    def _add(self, model: ModelFound) -> None:
        name = "starter" if model.demonstration else model.folder
        bits = tr("{bits} bits", bits=model.bits) if model.bits else tr("not quantised")
        about = tr("demonstration") if model.demonstration else f"{size(model.weights)}, {bits}"
        action = self._menu.addAction(f"{model.name}   {about}")
        action.setToolTip(model.folder)
        action.setCheckable(True)
        action.setChecked(self._model in (name, model.folder, model.name))
        action.triggered.connect(lambda: self.chosen.emit(name))

    def _restyle(self) -> None:
        self.setIcon(theme.icon("chevron-down", theme.current().colours.muted))
