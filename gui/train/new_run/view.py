"""The view of a new run: its pages, the forecast, and the button that starts it. Starts nothing itself.

A stranger sees a recipe that needs nothing and one button; all else is a page away.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from engine import config as settings_files
from engine import places
from engine.grpo.settings import TrainConfig
from engine.run_events import RunFound
from gui import theme
from gui.models.get_model import GetModel
from gui.parts import button, words
from gui.text import tr
from gui.train.new_run.column import Centred
from gui.train.new_run.data_panel import DataPanel
from gui.train.new_run.download import Download
from gui.train.new_run.draft import Draft
from gui.train.new_run.forecast import Forecast
from gui.train.new_run.forecast_strip import ForecastStrip
from gui.train.new_run.model_list import ModelList
from gui.train.new_run.overview import TITLES, Overview
from gui.train.new_run.preview import Preview
from gui.train.new_run.reader import Reader
from gui.train.new_run.recipes import RECIPES
from gui.train.new_run.rewards_panel import RewardsPanel
from gui.train.new_run.settings_panel import SettingsPanel
from gui.train.new_run.trial import Trial
from gui.train.tabs import Tabs

if TYPE_CHECKING:
    from gui.desk import Desk

_FIRST = RECIPES[0].name


class NewRunView(QWidget):
    """One for the life of the page."""

    start_wanted = Signal(object)  # a TrainConfig

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.draft = Draft(self)
        self.reader, self.models = Reader(desk, self), ModelList(desk, self)
        self.forecast, self.download = Forecast(desk, self), Download(desk, self)
        self.preview, self.trial = Preview(desk, self), Trial(desk, self)
        self.overview = Overview(self.draft)
        self.settings = SettingsPanel(self.draft, self.models)
        self.data = DataPanel(self.draft, self.preview)
        self.rewards: RewardsPanel | None = None
        self.strip = ForecastStrip(self.forecast, self.download)
        self.stack = QStackedWidget()
        self.start = button(tr("Start Training"), primary=True)
        self.obstacle = words(role="complaint")
        self._pages = {
            "recipe": (tr("Recipe"), self.overview),
            "settings": (tr("Settings"), self.settings),
            "data": (tr("Data"), self.data),
            "rewards": (tr("Rewards"), QWidget()),
        }
        self.tabs = Tabs()
        self._lay_out()
        self._connect()
        self.setAcceptDrops(True)
        self.show_page("recipe")
        self._judge()

    def start_from(self, config: TrainConfig, name: str) -> None:
        """Begin with the settings of an earlier run, under a name of its own."""
        self.draft.begin(config.model_copy(update={"run_name": ""}), name)
        self.show_page("recipe")

    def set_runs(self, runs: Sequence[RunFound]) -> None:
        """Offer these earlier runs to begin with."""
        self.overview.set_runs(runs)

    def take_focus(self) -> None:
        """Be ready for Return: the button, or the recipes where there is nothing to start yet."""
        (self.start if self.start.isEnabled() else self.overview.cards.cards[_FIRST]).setFocus()

    def open_file(self, path: str) -> None:
        """Begin with the settings in a TOML file."""
        self.show_page("recipe")
        self.reader.start(path)

    def show_page(self, name: str) -> None:
        """Show "recipe", "settings", "data" or "rewards"."""
        if name == "rewards":
            self._make_rewards()
        self.stack.setCurrentWidget(self._pages[name][1])
        self.tabs.mark(name)

    def save_as(self) -> None:
        """Write the settings to a file that the person chooses."""
        kinds = f"{tr('Settings of a run')} (*.toml)"
        path, _ = QFileDialog.getSaveFileName(self, tr("Save the Settings"), "my_run.toml", kinds)
        if not path:
            return
        self._flush()
        try:
            settings_files.write(self.draft.config, Path(path if Path(path).suffix else f"{path}.toml"))
        except OSError as error:
            self._desk.notices.error(error)

    def close_jobs(self) -> None:
        """Give up what is under way, as when the window closes."""
        self.forecast.close()
        self.preview.close()
        self.trial.cancel()
        self.download.cancel()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self.draft.origin is None and not self.reader.busy:
            self.reader.start(_FIRST)
        elif self.draft.origin is not None:
            self.forecast.ask(self.draft.config)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _settings_file(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        path = _settings_file(event)
        if path:
            event.acceptProposedAction()
            self.open_file(path)

    def _lay_out(self) -> None:
        head = QWidget()
        row = QHBoxLayout(head)
        row.setContentsMargins(0, theme.LARGE, 0, theme.SMALL)
        row.setSpacing(theme.TINY)
        title = words(tr("New run"), "title")
        title.setWordWrap(False)
        row.addWidget(title)
        row.addStretch()
        row.addWidget(self.tabs)
        for name, (text, page) in self._pages.items():
            self.tabs.add(name, text)
            self.stack.addWidget(page)
        foot = QWidget()
        column = QVBoxLayout(foot)
        column.setContentsMargins(0, theme.MEDIUM, 0, theme.MEDIUM)
        column.setSpacing(theme.TINY)
        line = QHBoxLayout()
        line.setSpacing(theme.LARGE)
        line.addWidget(self.strip, 1)
        line.addWidget(self.start, 0, Qt.AlignmentFlag.AlignVCenter)
        column.addLayout(line)
        column.addWidget(self.obstacle)
        rule = QFrame()
        rule.setProperty("role", "line")
        rule.setFixedHeight(1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(Centred(head))
        whole.addWidget(self.stack, 1)
        whole.addWidget(rule)
        whole.addWidget(Centred(foot))

    def _connect(self) -> None:
        self.reader.read.connect(self._on_read)
        self.reader.failed.connect(self.overview.show_failure)
        self.tabs.chosen.connect(self.show_page)
        self.overview.chosen.connect(self.reader.start)
        self.overview.page_wanted.connect(self.show_page)
        self.overview.save_wanted.connect(self.save_as)
        self.settings.rewards_wanted.connect(self._show_rewards)
        self.settings.download_wanted.connect(self._get_model)
        self.data.settings_wanted.connect(self._show_data_settings)
        self.strip.changes_wanted.connect(self.draft.change)
        self.download.fetched.connect(self.preview.again)
        self.draft.changed.connect(self._on_changed)
        self.settings.judged.connect(self._judge)
        self.strip.judged.connect(self._judge)
        self.start.clicked.connect(self._start)
        keys = QShortcut(QKeySequence("Ctrl+Return"), self)
        keys.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        keys.activated.connect(self.start.click)

    def _on_read(self, config: TrainConfig, name: str) -> None:
        if name in TITLES:
            self.draft.begin(config, name, recipe=True)
        elif places.expand(name).is_dir():
            self.start_from(config, Path(name).name)
        else:
            self.draft.begin(config, Path(name).name)

    def _on_changed(self) -> None:
        if self.isVisible():
            self.forecast.ask(self.draft.config)
        self._judge()

    def _judge(self) -> None:
        """Let the run start where nothing is in its way, and say what is."""
        wrong = [f"{title}: {sentence}" for title, sentence in self.settings.complaints.items()]
        typed = wrong[0] if wrong else self.rewards.obstacle if self.rewards is not None else ""
        begun = self.draft.origin is not None
        self.obstacle.setText(typed if begun else "")
        self.obstacle.setVisible(bool(typed) and begun)
        reason = typed or self.strip.obstacle
        self.start.setEnabled(begun and not reason)
        self.start.setToolTip(reason if begun else "")

    def _flush(self) -> None:
        self.overview.flush()
        self.settings.flush()

    def _start(self) -> None:
        self._flush()
        self._judge()
        if self.start.isEnabled():
            self.start_wanted.emit(self.draft.config)

    def _make_rewards(self) -> RewardsPanel:
        """The page of the rewards, made when it is first looked at."""
        if self.rewards is None:
            title, empty = self._pages["rewards"]
            panel = self.rewards = RewardsPanel(self.draft, self.preview, self.trial)
            panel.judged.connect(self._judge)
            self._pages["rewards"] = (title, panel)
            self.stack.addWidget(panel)
            self.stack.removeWidget(empty)
            empty.deleteLater()
        return self.rewards

    def _show_rewards(self) -> None:
        self.show_page("rewards")

    def _show_data_settings(self) -> None:
        self.show_page("settings")
        self.settings.show_group("Data")

    def _get_model(self) -> None:
        dialog = GetModel(self._desk.network, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fetched.connect(self._on_fetched)
        dialog.open()

    def _on_fetched(self, name: str) -> None:
        self.models.look()
        self.draft.change({"model_name": name})


def _settings_file(event: QDropEvent) -> str:
    """The TOML file that is dragged, "" where it is something else."""
    paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
    return paths[0] if len(paths) == 1 and paths[0].endswith(".toml") else ""
