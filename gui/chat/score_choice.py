"""Where rewards are chosen to judge answers by, with the right answer they may need. Knows names, scores nothing."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from gui import theme
from gui.parts import button, words
from gui.text import short_path, tr
from gui.texts import TextLine
from gui.train.new_run.known_rewards import BUILT_IN, Reward, read

# What judges a puzzle needs the puzzle, which a conversation does not have.
_LEFT_OUT = "reasoning_gym"
_LARGEST = 200_000  # bytes


@dataclass(frozen=True, slots=True)
class Judging:
    """What answers are judged by: names of rewards, and the right answer, "" for none."""

    rewards: tuple[str, ...] = ("accuracy", "strict_format", "soft_format", "length", "repetition")
    reference: str = ""


class ScoreChoice(QWidget):
    """Check boxes of rewards, those of a file of the person's own among them, and a line for the right answer."""

    changed = Signal()
    entered = Signal()  # Return in the line

    def __init__(self, judging: Judging) -> None:
        super().__init__()
        self.reference = TextLine(tr("If there is one"))
        self.reference.setAccessibleName(tr("The right answer"))
        self.reference.set_text(judging.reference)
        self.boxes: dict[str, QCheckBox] = {}
        self.own = button(tr("Add Your Own…"))
        self.own.setToolTip(tr("A Python file with reward functions, as in training"))
        self.fault = words(role="complaint")
        self.fault.hide()
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, theme.SMALL, 0)
        self._grid.setHorizontalSpacing(theme.SMALL)
        self._grid.setVerticalSpacing(theme.SMALL)
        self._grid.setColumnStretch(0, 1)
        self._lay_out()
        for reward in BUILT_IN:
            if reward.name != _LEFT_OUT:
                self._add(reward.name, reward, chosen=reward.name in judging.rewards)
        for name in judging.rewards:
            file, colon, _ = name.rpartition(":")
            if colon and name not in self.boxes:
                self.add_file(file, chosen=judging.rewards)
        self.own.clicked.connect(self._ask)
        self.reference.written.connect(lambda _: self.changed.emit())
        self.reference.returnPressed.connect(self.entered)

    @property
    def judging(self) -> Judging:
        """What is chosen."""
        chosen = tuple(name for name, box in self.boxes.items() if box.isChecked())
        return Judging(chosen, self.reference.text().strip())

    def add_file(self, path: str, chosen: tuple[str, ...] | None = None) -> None:
        """Offer the functions of a Python file; all of them are chosen, or those that are named."""
        found, fault = _functions(path)
        for reward in found:
            name = f"{path}:{reward.name}"
            if name not in self.boxes:
                self._add(name, reward, chosen=chosen is None or name in chosen)
        self.fault.setText(fault)
        self.fault.setVisible(bool(fault))
        self.changed.emit()

    def _add(self, name: str, reward: Reward, *, chosen: bool) -> None:
        box = QCheckBox(reward.name.replace("&", "&&"))
        about = reward.about if reward.line else tr(reward.about)
        place = tr("{about} ({file})", about=about, file=short_path(name.rpartition(":")[0])) if reward.line else about
        box.setToolTip(f"<qt>{html.escape(place)}</qt>")
        box.setAccessibleDescription(place)
        box.setChecked(chosen)
        box.toggled.connect(lambda _: self.changed.emit())
        row = 2 * len(self.boxes)
        self._grid.addWidget(box, row, 0)
        caption = words(about, "caption")
        caption.setContentsMargins(22, 0, 0, 0)
        self._grid.addWidget(caption, row + 1, 0)
        self._grid.setVerticalSpacing(2)
        self.boxes[name] = box

    def _ask(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, tr("Choose a Reward File"), "", tr("Python file (*.py)"))
        if path:
            self.add_file(path)

    def _lay_out(self) -> None:
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._grid)
        column.addStretch()
        area = QScrollArea(widgetResizable=True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(holder)
        title = words(tr("Rewards"), "section")
        head = QHBoxLayout()
        head.addWidget(title, 1)
        head.addWidget(self.own)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(theme.SMALL)
        outer.addWidget(words(tr("The right answer"), "section"))
        outer.addWidget(self.reference)
        outer.addSpacing(theme.TINY)
        outer.addLayout(head)
        outer.addWidget(self.fault)
        outer.addWidget(area, 1)


class ChooseRewards(QDialog):
    """Asks by which rewards the answers are judged."""

    chosen = Signal(object)  # a Judging

    def __init__(self, judging: Judging, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Scores"))
        self.choice = ScoreChoice(judging)
        cancel, self.take = button(tr("Cancel")), button(tr("Score"), primary=True)
        cancel.clicked.connect(self.reject)
        self.take.clicked.connect(self._take)
        self.choice.entered.connect(self.take.click)
        foot = QHBoxLayout()
        foot.addStretch()
        foot.addWidget(cancel)
        foot.addWidget(self.take)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.HUGE, theme.LARGE, theme.HUGE, theme.LARGE)
        column.setSpacing(theme.MEDIUM)
        column.addWidget(words(tr("Score every answer by"), "heading"))
        column.addWidget(self.choice, 1)
        column.addLayout(foot)
        self.resize(380, 460)

    def _take(self) -> None:
        self.choice.reference.flush()
        self.chosen.emit(self.choice.judging)
        self.accept()


def _functions(path: str) -> tuple[tuple[Reward, ...], str]:
    """The rewards in a file, and what is wrong with it, "" for nothing; none of it is run."""
    try:
        file = Path(path)
        if file.stat().st_size > _LARGEST:
            return (), tr("This file is too large to be one of rewards.")
        found, fault = read(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        return (), tr("This file cannot be read: {reason}", reason=str(error))
    if fault is not None:
        return (), tr("Line {line}: {fault}", line=fault.line, fault=fault.what)
    return found, "" if found else tr("There are no functions in this file.")
