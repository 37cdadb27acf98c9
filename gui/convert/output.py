"""The field that says where a result goes, and whether it can. Knows paths, writes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from engine import places
from engine.errors import UserError
from gui import theme
from gui.controls import mark
from gui.parts import button, words
from gui.text import short_path, tr
from gui.texts import TextLine


class OutputField(QWidget):
    """A folder, by default one in the program's own place for models; it follows the settings until it is changed."""

    changed = Signal()  # another folder is named
    judged = Signal()  # whether the result can go there may be another answer now

    def __init__(self, source: str, taken: Callable[[Path], bool]) -> None:
        super().__init__()
        self._source, self._taken = Path(source), taken
        self._default = Path()
        self._refusal = ""
        self.line = TextLine()
        self.line.setAccessibleName(tr("Output folder"))
        self.line.written.connect(self._on_written)
        browse = button(tr("Choose…"))
        browse.setAccessibleName(tr("Choose the output folder"))
        browse.clicked.connect(self._browse)
        self.complaint = words(role="complaint")
        self.replace = QCheckBox(tr("Replace the model that is there"))
        self.replace.toggled.connect(lambda _: self._update())
        heading = words(tr("Output folder"), "strong")
        row = QHBoxLayout()
        row.setSpacing(theme.SMALL)
        row.addWidget(self.line, 1)
        row.addWidget(browse)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.TINY)
        column.addWidget(heading)
        column.addLayout(row)
        column.addWidget(self.complaint)
        column.addWidget(self.replace)

    @property
    def folder(self) -> Path:
        """The folder that is named."""
        text = self.line.text().strip()
        return _named(text)[0] if text else self._default

    @property
    def changed_by_hand(self) -> bool:
        """Whether it is another folder than the default."""
        return self.folder != self._default

    @property
    def valid(self) -> bool:
        """Whether the result can go there."""
        return not self.complaint.text()

    def set_default(self, folder: Path) -> None:
        """The folder for the settings in force."""
        follows = not self.line.text().strip() or not self.changed_by_hand
        if follows and folder != self._default:
            self.line.set_text(short_path(folder))
            self._forget()
        self._default = folder
        self._update()

    def refuse(self, reason: str) -> None:
        """The engine looked at the folder and cannot use it."""
        self._refusal = reason
        self._update()

    def check(self) -> bool:
        """Look once more whether the result can go there."""
        self.line.flush()
        self._update()
        return self.valid

    def _browse(self) -> None:
        above = QFileDialog.getExistingDirectory(self, tr("Choose a Folder for the New Model"), str(self.folder.parent))
        if above:
            self.line.set_text(short_path(Path(above) / self._default.name))
            self._on_written()

    def _forget(self) -> None:
        """What was said of one folder does not hold for another, least of all that it may be replaced."""
        self._refusal = ""
        with QSignalBlocker(self.replace):
            self.replace.setChecked(False)

    def _on_written(self, _text: str = "") -> None:
        self._forget()
        if not self.line.text().strip():
            self.line.set_text(short_path(self._default))
        self._update()
        self.changed.emit()

    def _update(self) -> None:
        folder = self.folder
        exists = os.path.lexists(folder)
        self.replace.setVisible(exists and not self._is_source(folder))
        complaint = _named(self.line.text().strip())[1] or self._refusal
        if self._is_source(folder):
            complaint = tr("This is the model itself. Choose another folder.")
        elif self._taken(folder):
            complaint = tr("Another conversion writes to this folder. Choose another one.")
        elif exists and not self.replace.isChecked():
            complaint = tr("This folder exists already: replace it, or name another.")
        elif exists and not _is_replaceable(folder):
            complaint = tr("This is not a model's folder, so it is not replaced. Choose another one.")
        elif not exists and not _has_room_above(folder):
            complaint = tr("No folder can be made here. Choose another place.")
        self.complaint.setText(complaint)
        self.complaint.setVisible(bool(complaint))
        mark(self.line, bool(complaint))
        self.line.setToolTip(str(folder))
        self.judged.emit()

    def _is_source(self, folder: Path) -> bool:
        return folder in (self._source, *self._source.parents)


def _named(text: str) -> tuple[Path, str]:
    """The folder that a text names, and why it is no path."""
    try:
        return places.expand(text).absolute(), ""
    except UserError as error:
        return Path(text).absolute(), tr(error.templates[0], **error.values)


def _is_replaceable(folder: Path) -> bool:
    """Whether it is a model's folder, or an empty one, that may be written."""
    if folder.is_symlink() or not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK):
        return False
    return (folder / "config.json").exists() or not any(folder.iterdir())


def _has_room_above(folder: Path) -> bool:
    """Whether the nearest folder above that exists takes a new one; a name that is too long has none."""
    above = next(place for place in folder.parents if os.path.lexists(place))
    return above.is_dir() and os.access(above, os.W_OK) and all(len(os.fsencode(p)) < 256 for p in folder.parts)
