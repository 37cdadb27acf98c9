"""The page "Train": the runs, the one in view, and the form for another. Knows which there are, not what they do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QWidget

from engine import jobs
from engine.grpo.settings import TrainConfig
from engine.run_events import SampleRead
from engine.training_events import TrainingFinished, TrainingStopped
from gui import macos
from gui.desk import Desk
from gui.text import number, tr
from gui.train import standing
from gui.train.manners import Manners
from gui.train.reach import Reach
from gui.train.runs.run_list import RunList
from gui.train.runs.runs import Runs
from gui.train.settings_of import SettingsOf
from gui.train.starting import Starting
from gui.train.training import Training, Trainings
from gui.train.warm_up import WarmUp

if TYPE_CHECKING:
    from gui.train.monitor import Monitor
    from gui.train.new_run.view import NewRunView
    from gui.train.runs.comparison import RunComparison

_OPEN = 4  # runs that stay read while others are looked at


class TrainPage(QWidget):
    """The list of runs on the left; one of them, several beside each other, or a new one on the right."""

    working = Signal(str)
    chat_wanted = Signal(str)  # a model's folder, or "run:FOLDER" for the policy that trains there
    sample_chat_wanted = Signal(str, str, str, str)  # question, answer, system prompt, and the model to go on with
    policy_ended = Signal(str, str)  # the folder of a run that trained here, and what there is of it now
    convert_wanted = Signal(str)
    upload_wanted = Signal(str)
    models_changed = Signal()
    shown_wanted = Signal()  # the page shows something and should be shown itself

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.trainings = Trainings(desk, self)
        self.reach = Reach(desk, self.trainings, self)
        self.runs = Runs(desk, self)
        self.manners = Manners(desk, self)
        self.list = RunList(self.runs)
        self.stack = QStackedWidget()
        self.monitors: dict[str, Monitor] = {}
        self._starting: dict[Training, Starting] = {}
        self._new: NewRunView | None = None
        self._comparison: RunComparison | None = None
        self._awake = False  # the computer is kept awake for a run
        self._waiting: str | None = None  # the run to show once its view can be made
        self._warm_up = WarmUp(self)
        self._warm_up.ready.connect(self._on_warm)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.list)
        row.addWidget(self.stack, 1)
        self._connect()

    @property
    def current(self) -> Monitor | None:
        """The run in view."""
        return next((made for made in self.monitors.values() if made is self.stack.currentWidget()), None)

    @property
    def busy(self) -> bool:
        """Whether a run trains in this window."""
        return bool(self.trainings.all)

    def new_run(self) -> NewRunView:
        """Show the form for another run."""
        if self._new is None:
            from gui.train.new_run.view import NewRunView

            self._new = NewRunView(self._desk)
            self._new.start_wanted.connect(self.start)
            self.stack.addWidget(self._new)
        self._new.set_runs(self.runs.runs)
        self._show(self._new)
        self._new.take_focus()
        return self._new

    def start(self, config: TrainConfig) -> None:
        """Begin a run with these settings."""
        training = self.trainings.start(jobs.Train(config))
        starting = self._starting[training] = Starting(training)
        starting.back_wanted.connect(self._back)
        self.stack.addWidget(starting)
        self._show(starting)
        training.began.connect(partial(self._on_begun, starting, training))

    def open(self, folder: str) -> None:
        """Show the run in this folder."""
        if not self._warm_up.is_ready:
            # What draws charts is still being imported.
            self._waiting = folder
            self._warm_up.start()
            return
        if folder not in self.monitors:
            self._make_room()
            self.monitors[folder] = self._monitor(folder)
        monitor = self.monitors.pop(folder)
        self.monitors[folder] = monitor  # the last one is the one that was looked at last
        self._tell_found()
        self._show(monitor)

    def resume(self, folder: str) -> None:
        """Go on with a run that was stopped, or whose process died."""
        if self.trainings.of(folder) is None:
            SettingsOf(self._desk, folder, partial(self._resume, folder), self)

    def duplicate(self, folder: str) -> None:
        """Show the form with the settings of a run."""
        name = Path(folder).name
        SettingsOf(self._desk, folder, lambda settings: self.new_run().start_from(settings, name), self)

    def compare(self, folders: Sequence[str]) -> None:
        """Show several runs beside each other."""
        from gui.train.charts.view import ChartsView
        from gui.train.runs.comparison import RunComparison

        if self._comparison is None:
            self._comparison = RunComparison(self._desk, ChartsView(self._desk.notices))
            self.stack.addWidget(self._comparison)
        self._comparison.show_runs(list(folders))
        self._show(self._comparison)

    def delete(self, folder: str) -> None:
        """Put a run aside; it can be brought back for a while."""
        self.runs.delete(folder)

    def take_focus(self) -> None:
        """Have the keyboard act on what is shown."""
        if self.stack.currentWidget() is None:
            self.new_run()
        self.list.setFocus()

    def end(self) -> None:
        """The window closes."""
        self.manners.close()
        self._warm_up.close()
        self.runs.rest()
        for monitor in self.monitors.values():
            monitor.flush()
        if self._new is not None:
            self._new.close_jobs()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.runs.follow()
        self._warm_up.start()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.runs.rest()

    # What comes

    def _on_warm(self) -> None:
        if self._waiting is not None:
            folder, self._waiting = self._waiting, None
            self.open(folder)

    def _on_begun(self, starting: Starting, training: Training) -> None:
        shown = self.stack.currentWidget() is starting
        self._starting.pop(training, None)
        starting.training = None
        if shown:
            self.open(training.folder)
        self.stack.removeWidget(starting)
        starting.deleteLater()
        self.runs.look()

    def _on_trainings(self) -> None:
        self.runs.mark_paused([training.folder for training in self.trainings.all if training.state == "paused"])
        first = self.trainings.all[0] if self.trainings.all else None
        if first is None:
            self._awake = False
            self.working.emit("")
            return
        step = tr("step {step} of {steps}", step=number(first.done), steps=number(first.steps)) if first.steps else ""
        name = Path(first.folder).name if first.folder else first.name
        self.working.emit(tr("Training {name}", name=name) + (f" · {step}" if step else ""))
        works = any(training.state in ("starting", "training", "stopping") for training in self.trainings.all)
        if works and not self._awake:
            self.manners.begin(name)
        elif not works and self._awake:
            self.manners.rest()
        self._awake = works
        if first.steps:
            self.manners.progress(first.done / first.steps)

    def _on_ended(self, training: Training) -> None:
        name = Path(training.folder).name if training.folder else training.name
        self.runs.look()
        self._awake = False
        starting = self._starting.pop(training, None)
        view = self.monitors.get(training.folder) or starting
        in_view = self.isVisible() and self.stack.currentWidget() is view
        if training.failure is not None:
            self.manners.end(tr("{name} failed", name=name), tr(training.failure.what), failed=True)
            if not in_view:
                self._desk.notices.error(training.failure)
        elif training.steps:
            ended = training.result
            self.manners.end(tr("{name} has ended", name=name), _summary(ended) if ended else "")
            if training.folder and not in_view:
                self._desk.notices.tell(
                    tr("{name} has ended.", name=name), tr("Show"), partial(self._show_run, training.folder)
                )
        else:
            self.manners.end("", "")
        if training.folder:
            self.policy_ended.emit(training.folder, _left(training))

    def _show_run(self, folder: str) -> None:
        self.open(folder)
        self.shown_wanted.emit()

    # Pieces

    def _monitor(self, folder: str) -> Monitor:
        from gui.train.monitor import Monitor

        made = Monitor(self._desk, self.trainings, folder)
        for signal, act in (
            (made.controls.pause_wanted, self.reach.pause),
            (made.controls.go_on_wanted, self.reach.go_on),
            (made.controls.stop_wanted, self.reach.stop),
            (made.controls.save_wanted, self.reach.save),
            (made.controls.adjust_wanted, self._adjust),
            (made.controls.resume_wanted, self.resume),
            (made.controls.chat_wanted, self._chat),
            (made.controls.report_wanted, self.reach.report),
            (made.controls.shown_wanted, macos.reveal),
            (made.controls.duplicate_wanted, self.duplicate),
            (made.controls.delete_wanted, self.delete),
        ):
            signal.connect(partial(act, folder))
        made.chat_wanted.connect(self.chat_wanted)
        made.sample_chat_wanted.connect(partial(self._chat_on, folder))
        made.convert_wanted.connect(self.convert_wanted)
        made.upload_wanted.connect(self.upload_wanted)
        made.models_changed.connect(self.models_changed)
        made.notes_kept.connect(self.runs.look)
        made.show_tab("charts")
        self.stack.addWidget(made)
        return made

    def _make_room(self) -> None:
        for folder in [folder for folder in self.monitors if self.trainings.of(folder) is None][: -_OPEN + 1]:
            self._drop(self.monitors.pop(folder))

    def _drop(self, monitor: Monitor) -> None:
        monitor.rest()
        self.stack.removeWidget(monitor)
        monitor.hide()
        monitor.deleteLater()

    def _show(self, view: QWidget) -> None:
        self.stack.setCurrentWidget(view)
        current = self.current
        self.list.choose(current.record.folder if current is not None else "")

    def _tell_found(self) -> None:
        for run in self.runs.runs:
            if run.folder in self.monitors:
                self.monitors[run.folder].show_found(run)

    def _on_deleted(self, folder: str) -> None:
        monitor = self.monitors.pop(folder, None)
        if monitor is not None:
            shown = monitor is self.stack.currentWidget()
            self._drop(monitor)
            if shown:
                self.new_run()

    def _back(self) -> None:
        starting = self.stack.currentWidget()
        self.new_run()
        if isinstance(starting, Starting):
            self.stack.removeWidget(starting)
            starting.deleteLater()

    def _resume(self, folder: str, settings: TrainConfig) -> None:
        if self.trainings.of(folder) is None:
            self.trainings.start(jobs.Train(settings, resume=folder))
            self.open(folder)

    def _adjust(self, folder: str) -> None:
        self.reach.adjust(folder, self.monitors[folder].record.changes)

    def _chat(self, folder: str) -> None:
        self.chat_wanted.emit(self._model(folder))

    def _chat_on(self, folder: str, sample: SampleRead) -> None:
        SettingsOf(self._desk, folder, partial(self._open_chat, folder, sample), self)

    def _open_chat(self, folder: str, sample: SampleRead, settings: TrainConfig) -> None:
        answer = settings.completion_prefill + sample.text
        self.sample_chat_wanted.emit(sample.prompt, answer, settings.system_prompt, self._model(folder))

    def _model(self, folder: str) -> str:
        """What to chat with: the policy that trains here, else what the run trained last."""
        return f"run:{folder}" if self.trainings.of(folder) else standing.newest_model(self.monitors[folder].record)

    def _connect(self) -> None:
        self.runs.changed.connect(self._tell_found)
        self.runs.deleted.connect(self._on_deleted)
        self.runs.restored.connect(self.open)
        self.list.chosen.connect(self.open)
        self.list.compare_wanted.connect(self.compare)
        self.list.new_wanted.connect(self.new_run)
        self.list.resume_wanted.connect(self.resume)
        self.list.duplicate_wanted.connect(self.duplicate)
        self.list.delete_wanted.connect(self.delete)
        self.trainings.changed.connect(self._on_trainings)
        self.trainings.ended.connect(self._on_ended)
        self.manners.pause_wanted.connect(self.reach.pause_all)


def _summary(ended: TrainingFinished | TrainingStopped) -> str:
    """What a notification says of the end."""
    if isinstance(ended, TrainingStopped):
        return tr("Stopped and saved at step {step}.", step=number(ended.step))
    if ended.accuracy_before is None or ended.accuracy_after is None:
        return tr("All {steps} steps are done.", steps=number(ended.step))
    return tr(
        "Held-out accuracy: {before} % before, {after} % now.",
        before=number(100 * ended.accuracy_before, 1),
        after=number(100 * ended.accuracy_after, 1),
    )


def _left(training: Training) -> str:
    """The folder of what a run that has ended trained, "" where nothing is left of it."""
    match training.result:
        case TrainingFinished(model=model):
            return model
        case TrainingStopped(run=run, step=step) if run and step:
            return standing.checkpoint(run, step)
    return ""
