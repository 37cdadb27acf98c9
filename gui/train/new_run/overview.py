"""Where a new run begins: recipes, earlier runs and files, and what the run will be in a few lines. Reads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFileDialog, QGridLayout, QHBoxLayout, QMenu, QPushButton, QWidget

from engine.events import Failed
from engine.grpo.settings import TrainConfig
from engine.run_events import RunFound
from gui import theme
from gui.controls import number_text
from gui.fields import Facts, label
from gui.parts import Card, FailureCard, button, words
from gui.text import number, short_path, tr
from gui.texts import TextLine
from gui.train.new_run.column import Column
from gui.train.new_run.draft import Draft
from gui.train.new_run.recipes import RECIPES, RecipeCards

_LONGEST = 70  # characters of a path
TITLES = {recipe.name: recipe.title for recipe in RECIPES}


class Overview(Column):
    """The first page of a new run."""

    chosen = Signal(str)  # a recipe, a run's folder or a TOML file
    page_wanted = Signal(str)  # "settings", "data" or "rewards"
    save_wanted = Signal()

    def __init__(self, draft: Draft) -> None:
        super().__init__(tr("Recipe"))
        self._draft = draft
        self.cards = RecipeCards()
        self.cards.chosen.connect(self.chosen)
        self.runs, self.file, self.save = (
            button(tr("An Earlier Run")),
            button(tr("A File…")),
            button(tr("Save as File…")),
        )
        self.runs_menu = QMenu(self.runs)
        self.runs_menu.setToolTipsVisible(True)
        self.runs.setMenu(self.runs_menu)
        self.file.setToolTip(tr("Settings in a TOML file; it may also be dropped on this page"))
        self.file.clicked.connect(self.ask)
        self.save.setToolTip(tr("Keep these settings in a TOML file, for another day or another computer"))
        self.save.clicked.connect(self.save_wanted)
        others = QHBoxLayout()
        others.setSpacing(theme.SMALL)
        others.addWidget(words(tr("Or begin with")))
        others.addWidget(self.runs)
        others.addWidget(self.file)
        others.addStretch()
        others.addWidget(self.save)
        self.failure = FailureCard()
        self.failure.hide()
        back = button(tr("Bring Them Back"))
        back.clicked.connect(draft.bring_back)
        self._aside = _Line(back)
        self.facts = Card()
        self.name = TextLine(tr("The model's name and a number"))
        self.name.setAccessibleName(tr("Name of the run"))
        self.name.written.connect(self._on_named)
        self.rows.addWidget(self.cards)
        self.rows.addLayout(others)
        self.rows.addWidget(self._aside)
        self.rows.addWidget(self.failure)
        self.rows.addWidget(words(tr("The run"), "group"))
        self.rows.addWidget(self.facts)
        self.rows.addStretch()
        self._lines = self._make_facts()
        draft.began.connect(self._on_began)
        draft.changed.connect(self._show)
        self.set_runs(())
        self._show()

    def set_runs(self, runs: Sequence[RunFound]) -> None:
        """Offer these runs to begin with."""
        self.runs_menu.clear()
        for run in runs:
            if run.problem:
                continue
            action = self.runs_menu.addAction(f"{run.name}   {run.model}".replace("&", "&&"))
            action.setToolTip(run.folder)
            action.triggered.connect(partial(self._choose_run, run.folder))
        self.runs.setEnabled(not self.runs_menu.isEmpty())

    def show_failure(self, failure: Failed) -> None:
        """Say why settings could not be read."""
        self.failure.show_failure(failure)
        self.failure.show()
        self._mark()

    def ask(self) -> None:
        """Let the person choose a TOML file."""
        kinds = f"{tr('Settings of a run')} (*.toml);;{tr('All files')} (*)"
        chosen, _ = QFileDialog.getOpenFileName(self, tr("Choose the Settings of a Run"), "", kinds)
        if chosen:
            self.chosen.emit(chosen)

    def flush(self) -> None:
        """Take what is being typed."""
        self.name.flush()

    def _choose_run(self, folder: str, _checked: bool = False) -> None:
        self.chosen.emit(folder)

    def _on_named(self, text: str) -> None:
        self._draft.change({"run_name": text.strip()})

    def _on_began(self) -> None:
        self.failure.hide()
        self._mark()

    def _mark(self) -> None:
        origin = self._draft.origin
        self.cards.choose(origin.name if origin and origin.recipe else "")

    def _make_facts(self) -> dict[str, _Line]:
        grid = QGridLayout()
        grid.setHorizontalSpacing(theme.LARGE)
        grid.setVerticalSpacing(theme.TINY)
        grid.setColumnStretch(1, 1)
        self.facts.rows.addLayout(grid)
        self._add_fact(grid, tr("Name"), self.name)
        lines = {}
        for key, title, page, text in (
            ("model", tr("Model"), "settings", tr("Change…")),
            ("data", tr("Data"), "data", tr("Look…")),
            ("rewards", tr("Rewards"), "rewards", tr("Choose…")),
            ("length", tr("A step"), "settings", tr("Change…")),
            ("changed", tr("Changed"), "settings", tr("All Settings…")),
        ):
            link = button(text)
            link.setProperty("role", "link")
            link.setAccessibleName(f"{title}: {text}")
            link.clicked.connect(partial(self._go, page))
            lines[key] = _Line(link)
            self._add_fact(grid, title, lines[key])
        return lines

    @staticmethod
    def _add_fact(grid: QGridLayout, title: str, shown: QWidget) -> None:
        name, row = words(title, "muted"), grid.rowCount()
        name.setWordWrap(False)
        grid.addWidget(name, row, 0, Qt.AlignmentFlag.AlignVCenter)
        grid.addWidget(shown, row, 1)

    def _go(self, page: str, _checked: bool = False) -> None:
        self.page_wanted.emit(page)

    def _show(self) -> None:
        draft, config = self._draft, self._draft.config
        if self.name.text().strip() != config.run_name:
            self.name.set_text(config.run_name)
        self._lines["model"].text.setText(_model(config))
        self._lines["data"].text.setText(
            short_path(config.dataset) if config.dataset.startswith("/") else config.dataset
        )
        self._lines["rewards"].text.setText(_rewards(config))
        self._lines["length"].text.setText(
            tr(
                "{prompts} questions, {answers} answers to each",
                prompts=number(config.prompts_per_step),
                answers=number(config.num_generations),
            )
        )
        self._lines["changed"].text.setText(_changes(draft))
        self._aside.setVisible(bool(draft.put_aside))
        if draft.put_aside:
            _, name, recipe = draft.put_aside[-1][1]
            title = tr(TITLES[name]) if recipe else name
            self._aside.text.setText(tr("Your changes to “{name}” were put aside.", name=title))


class _Line(QWidget):
    """A text with a button behind it."""

    def __init__(self, action: QPushButton) -> None:
        super().__init__()
        self.text = words()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SMALL)
        row.addWidget(self.text, 1)
        row.addWidget(action)


def _model(config: TrainConfig) -> str:
    facts = Facts.of("train_type", TrainConfig.model_fields["train_type"])
    name = _place(config.model_name)
    kinds = {"auto": "", "full": tr("all weights change"), "lora": tr("adapters change"), "dora": tr("adapters change")}
    kind = kinds.get(config.train_type, label(config.train_type, facts))
    return f"{name}, {kind}" if kind else name


def _place(name: str) -> str:
    """A name, or a path without its middle where it is long."""
    path = short_path(name) if name.startswith("/") else name
    return path if len(path) <= _LONGEST else f"{path[: _LONGEST // 3]}…{path[-_LONGEST // 2 :]}"


def _rewards(config: TrainConfig) -> str:
    weights = config.reward_weights or (1.0,) * len(config.rewards)
    pairs = zip(config.rewards, weights, strict=True)
    return ", ".join(name if weight == 1.0 else f"{name} × {number_text(weight)}" for name, weight in pairs)


def _changes(draft: Draft) -> str:
    """The titles of the settings that a person changed."""
    if draft.origin is None:
        return ""
    before = draft.origin.config
    fields = TrainConfig.model_fields
    titles = [
        tr(fields[name].title or name)
        for name, value in draft.config
        if name != "run_name" and value != getattr(before, name)
    ]
    if not titles:
        return tr("Nothing, it is as the recipe has it")
    shown = ", ".join(titles[:4])
    return tr("{names} and {count} more", names=shown, count=len(titles) - 4) if len(titles) > 4 else shown
