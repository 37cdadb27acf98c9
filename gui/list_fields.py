"""Editors of fields that hold several things, or the place of a file. Knows no particular setting."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui import theme
from gui.fields import Editor, Facts, label
from gui.text import tr
from gui.texts import TextLine

_PATTERNS = {
    "python": ("Python files", "*.py"),
    "file": ("Data files", "*.jsonl *.json *.csv *.tsv *.parquet"),
}


class PathEditor(Editor):
    """A path as text, and a button that lets the person choose it."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._text = TextLine(tr(facts.extra["empty"]) if "empty" in facts.extra else "")
        self.button = QPushButton(tr("Choose…"), autoDefault=False)
        super().__init__([self._text, self.button], facts)
        self.button.setAccessibleName(tr("Choose: {title}", title=facts.title))
        self._text.written.connect(self._written)
        self.button.clicked.connect(self.ask)

    def ask(self) -> None:
        """Let the person choose a file or a folder on the disk."""
        kind = str(self._facts.extra["path"])
        if kind == "folder":
            chosen = QFileDialog.getExistingDirectory(self, self._facts.title, self._text.text())
        else:
            name, pattern = _PATTERNS[kind]
            kinds = f"{tr(name)} ({pattern});;{tr('All files')} (*)"
            chosen, _ = QFileDialog.getOpenFileName(self, self._facts.title, self._text.text(), kinds)
        if chosen:
            self._text.set_text(chosen)
            self.edited.emit(chosen)

    def show_value(self, value: Any) -> None:
        """Show a path."""
        self._text.set_text(value)

    def take_focus(self) -> None:
        """The text."""
        self._text.setFocus()

    def flush(self) -> None:
        """Do not wait for a pause."""
        self._text.flush()

    def _written(self, text: str) -> None:
        self.edited.emit(text.strip())


class ManyEditor(Editor):
    """A check box for each of a few values, any of which may be chosen."""

    wide = False

    def __init__(self, facts: Facts) -> None:
        self._values = typing.get_args(typing.get_args(facts.kind)[0])
        self._boxes = {value: QCheckBox(label(value, facts)) for value in self._values}
        super().__init__(list(self._boxes.values()), facts)
        for box in self._boxes.values():
            box.setAccessibleName(f"{facts.title}: {box.text()}")
            box.clicked.connect(self._clicked)
            box.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def show_value(self, value: Any) -> None:
        """Tick these."""
        for name, box in self._boxes.items():
            box.setChecked(name in value)

    def _clicked(self) -> None:
        self.edited.emit(tuple(name for name, box in self._boxes.items() if box.isChecked()))


class PairsEditor(Editor):
    """Pairs of texts, a line each; the second becomes the first's."""

    def __init__(self, facts: Facts) -> None:
        self._pairs = _Pairs(facts.title)
        super().__init__([self._pairs], facts)
        self._pairs.edited.connect(self.edited)

    def show_value(self, value: Any) -> None:
        """Show the pairs."""
        self._pairs.set_pairs(tuple(value.items()))

    def take_focus(self) -> None:
        """The first line, or the button that adds one."""
        self._pairs.take_focus()

    def flush(self) -> None:
        """Do not wait for a pause."""
        self._pairs.flush()


class _Pairs(QWidget):
    edited = Signal(object)  # dict[str, str]

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self._lines: list[tuple[TextLine, TextLine, QWidget]] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(theme.TINY)
        self.add = QPushButton(tr("Add a Name"), autoDefault=False)
        self.add.clicked.connect(self._add_empty)
        self._column.addWidget(self.add, 0, Qt.AlignmentFlag.AlignLeft)

    def set_pairs(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Show these; emits nothing."""
        # A line that is half filled is no pair yet, and the echo of the others must not take it away.
        if list(pairs) == list(self._whole().items()):
            return
        for *_, holder in self._lines:
            holder.hide()
            holder.deleteLater()
        self._lines = []
        for new, old in pairs:
            self._add(new, old)

    def take_focus(self) -> None:
        (self._lines[0][0] if self._lines else self.add).setFocus()

    def flush(self) -> None:
        for new, old, _ in self._lines:
            new.flush()
            old.flush()

    def _whole(self) -> dict[str, str]:
        pairs = ((new.text().strip(), old.text().strip()) for new, old, _ in self._lines)
        return {new: old for new, old in pairs if new and old}

    def _add_empty(self) -> None:
        self._add("", "")
        self._lines[-1][0].setFocus()

    def _add(self, new: str, old: str) -> None:
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.TINY)
        fields = (TextLine(tr("New name")), TextLine(tr("Column")))
        for field, text, name in zip(fields, (new, old), (tr("New name"), tr("Column")), strict=True):
            field.set_text(text)
            field.setAccessibleName(f"{self._title}: {name}")
            field.written.connect(self._told)
        remove = QToolButton()
        remove.setText("×")
        remove.setAccessibleName(tr("Remove this name"))
        remove.setToolTip(tr("Remove this name"))
        remove.clicked.connect(partial(self._remove, holder))
        between = QLabel("=")
        between.setProperty("role", "muted")
        row.addWidget(fields[0], 1)
        row.addWidget(between)
        row.addWidget(fields[1], 1)
        row.addWidget(remove)
        self._lines.append((*fields, holder))
        self._column.insertWidget(len(self._lines) - 1, holder)
        # Its layout would do so at its next turn, and until then it could not take the focus.
        holder.show()

    def _remove(self, holder: QWidget, _checked: bool = False) -> None:
        self._lines = [line for line in self._lines if line[2] is not holder]
        holder.hide()
        holder.deleteLater()
        self.edited.emit(self._whole())

    def _told(self, _text: str) -> None:
        self.edited.emit(self._whole())
