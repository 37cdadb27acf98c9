"""The editors of the model and of the data set: a text, and a menu of what there is. Knows no lane."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QMenu, QPushButton

from gui import theme
from gui.fields import Editor, Facts
from gui.text import size, tr
from gui.texts import TextLine
from gui.train.new_run.model_list import ModelList, setting_of

PUZZLES = ("basic_arithmetic", "chain_sum", "countdown", "gcd", "leg_counting", "simple_equations", "word_sorting")
"""Some tasks of reasoning-gym to begin with."""
_FILES = "*.jsonl *.json *.csv *.tsv *.parquet"


class MenuEditor(Editor):
    """A text, and a button with a menu that fills it in."""

    def __init__(self, facts: Facts) -> None:
        self._text = TextLine(tr(facts.extra["empty"]) if "empty" in facts.extra else "")
        self.button = QPushButton(tr("Choose…"), autoDefault=False)
        super().__init__([self._text, self.button], facts)
        self.button.setAccessibleName(tr("Choose: {title}", title=facts.title))
        self.menu = QMenu(self.button)
        self.menu.setToolTipsVisible(True)
        self.menu.aboutToShow.connect(self._fill)
        self.button.clicked.connect(self._open)
        self._text.written.connect(self._written)

    def show_value(self, value: Any) -> None:
        """Show a text."""
        self._text.set_text(value)

    def take_focus(self) -> None:
        """The text."""
        self._text.setFocus()

    def flush(self) -> None:
        """Do not wait for a pause."""
        self._text.flush()

    def choose(self, value: str) -> None:
        """Have this value, as the menu does."""
        self._text.set_text(value)
        self.edited.emit(value)

    def _written(self, text: str) -> None:
        self.edited.emit(text.strip())

    def _open(self) -> None:
        self.menu.popup(self.button.mapToGlobal(self.button.rect().bottomLeft()))

    def _fill(self) -> None:
        raise NotImplementedError


class ModelEditor(MenuEditor):
    """The model of a run."""

    download_wanted = Signal()

    def __init__(self, models: ModelList, facts: Facts) -> None:
        super().__init__(facts)
        self._models = models
        models.changed.connect(self._refill)

    def _fill(self) -> None:
        self._models.look()
        self._refill()

    def _refill(self) -> None:
        self.menu.clear()
        for model in self._models.found:
            bits = tr("{bits} bits", bits=model.bits) if model.bits else tr("not quantised")
            about = tr("demonstration") if model.demonstration else f"{size(model.weights)}, {bits}"
            action = self.menu.addAction(f"{model.name}   {about}".replace("&", "&&"))
            action.setToolTip(model.folder)
            action.triggered.connect(partial(self._take, setting_of(model)))
        if not self._models.found:
            self.menu.addAction(tr("Looking for models…")).setEnabled(False)
        self.menu.addSeparator()
        self.menu.addAction(theme.icon("folder"), tr("A Model Folder…"), self._ask)
        self.menu.addAction(theme.icon("download"), tr("Get a Model from Hugging Face…"), self.download_wanted.emit)

    def _take(self, value: str, _checked: bool = False) -> None:
        self.choose(value)

    def _ask(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("Choose a Model's Folder"))
        if folder:
            self.choose(folder)


class DatasetEditor(MenuEditor):
    """The data set of a run; `pick` gives several settings their values at once."""

    def __init__(self, pick: Callable[[dict[str, Any]], None], facts: Facts) -> None:
        super().__init__(facts)
        self._pick = pick

    def _fill(self) -> None:
        menu = self.menu
        menu.clear()
        self._add(menu, tr("Two-digit arithmetic (comes with the program)"), dataset="arithmetic")
        puzzles = menu.addMenu(tr("Puzzles (reasoning-gym)"))
        for task in PUZZLES:
            values = {"dataset": f"reasoning_gym:{task}", "rewards": ("reasoning_gym",), "reward_weights": ()}
            self._add(puzzles, task.replace("_", " ").capitalize(), **values)
        school = {"prompt_column": "question", "answer_column": "answer", "answer_pattern": r"####\s*(.+)"}
        self._add(
            menu, tr("School mathematics (GSM8K, downloaded)"), dataset="openai/gsm8k", dataset_config="main", **school
        )
        menu.addSeparator()
        menu.addAction(theme.icon("folder"), tr("A File…"), self._ask)

    def _add(self, menu: QMenu, text: str, **values: Any) -> None:
        menu.addAction(text, partial(self._pick, values))

    def _ask(self) -> None:
        kinds = f"{tr('Data files')} ({_FILES});;{tr('All files')} (*)"
        chosen, _ = QFileDialog.getOpenFileName(self, tr("Choose a Data File"), "", kinds)
        if chosen:
            self.choose(chosen)
