"""Carries out what a person asks of a run, in this process or another. Knows commands and jobs, and no figures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QFileDialog, QWidget

from engine.events import Event, Failed
from engine.grpo.controls import Command
from engine.grpo.settings import TrainConfig
from engine.monitor.requests import WriteReport
from engine.run_events import ReportWritten
from engine.training_events import SettingChanged
from gui import macos
from gui.desk import Desk
from gui.text import tr
from gui.train.adjust import Adjust
from gui.train.settings_of import SettingsOf
from gui.train.training import Trainings, tell


class Reach(QObject):
    """One for the page; a run is named by its folder. What trains here is told through its job, else its folder."""

    def __init__(self, desk: Desk, trainings: Trainings, page: QWidget) -> None:
        super().__init__(page)
        self._desk, self._trainings, self._page = desk, trainings, page

    def pause(self, folder: str) -> None:
        """Hold a run where it is."""
        training = self._trainings.of(folder)
        if training is not None:
            training.pause()
        elif tell(self._desk, folder, Command("pause")):
            self._desk.notices.tell(tr("The run was asked to pause."))

    def go_on(self, folder: str) -> None:
        """Go on after a pause."""
        training = self._trainings.of(folder)
        if training is not None:
            training.resume()
        elif tell(self._desk, folder, Command("resume")):
            self._desk.notices.tell(tr("The run was asked to go on."))

    def stop(self, folder: str) -> None:
        """End a run and keep what it learned."""
        training = self._trainings.of(folder)
        if training is not None:
            training.stop()
        elif tell(self._desk, folder, Command("stop")):
            self._desk.notices.tell(tr("The run was asked to stop and save."))

    def save(self, folder: str) -> None:
        """Save a checkpoint after the step at hand."""
        if tell(self._desk, folder, Command("checkpoint")):
            training = self._trainings.of(folder)
            paused = training is not None and training.state == "paused"
            after = tr("A checkpoint is saved once the run goes on.") if paused else ""
            self._desk.notices.tell(after or tr("A checkpoint is saved after the step at hand."))

    def pause_all(self) -> None:
        """Hold all runs of this window."""
        for training in self._trainings.all:
            training.pause()

    def adjust(self, folder: str, changes: Sequence[SettingChanged]) -> None:
        """Let the person change what can be changed while it trains; `changes` are those of before."""
        SettingsOf(self._desk, folder, partial(self._open_adjust, folder, list(changes)), self)

    def _open_adjust(self, folder: str, changes: list[SettingChanged], settings: TrainConfig) -> None:
        dialog = Adjust(settings, changes, self._page.window())
        dialog.wanted.connect(partial(tell, self._desk, folder))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def report(self, folder: str) -> None:
        """Let the person choose where the report of a run goes, and write it."""
        suggested = str(Path(folder) / "report.html")
        file, _ = QFileDialog.getSaveFileName(self._page, tr("Write a Report"), suggested, tr("Web page (*.html)"))
        if file:
            self.write_report(folder, file)

    def write_report(self, folder: str, file: str) -> None:
        """Write the report of a run into a file."""
        job = self._desk.network.submit(WriteReport(folder, file))
        job.events.connect(self._on_report)
        job.ended.connect(self._on_report_ended)

    def _on_report(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, ReportWritten):
                self._desk.notices.tell(tr("The report is written."), tr("Show"), partial(macos.reveal, event.path))

    def _on_report_ended(self, ending: object) -> None:
        if isinstance(ending, Failed):
            self._desk.notices.error(ending)
