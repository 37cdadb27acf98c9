"""The runs that train in this window: begun, held, told and stopped here. Knows jobs and commands, no widget."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QElapsedTimer, QObject, Signal

from engine import jobs
from engine.errors import UserError
from engine.events import Event, Failed, ModelLoaded, Note, Progress
from engine.grpo import controls
from engine.grpo.controls import Command
from engine.training_events import StepFinished, TrainingFinished, TrainingStarted, TrainingStopped
from engine.workers import Job
from gui.desk import Desk

State = Literal["waiting", "starting", "training", "paused", "stopping", "ended"]

_TELL = 200  # milliseconds between two words about a step at hand


class Training(QObject):
    """One run of this window, from the wish to train to its end; its figures are read from its folder.

    Attributes:
        folder: the run's, "" until it has begun.
        name: what to call it meanwhile.
        state: "waiting" for another run to end, "starting" until the first step can be taken.
        progress: what it does just now, None where it has not said.
        ending: how its job ended, None while it has not.
        result: what the run said at its end, None where it did not get there.
    """

    changed = Signal()
    began = Signal()  # the folder is known
    ended = Signal()

    def __init__(self, desk: Desk, request: jobs.Train, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.request = request
        self.folder = request.resume
        self.name = request.config.run_name or request.config.model_name.rstrip("/").rsplit("/", 1)[-1]
        self.state: State = "waiting"
        self.progress: Progress | None = None
        self.done = self.steps = 0
        self.ending: object = None
        self.result: TrainingFinished | TrainingStopped | None = None
        self._begun = False
        self._told = QElapsedTimer()
        self._told.start()
        self._job: Job = desk.compute.submit(request)
        self._job.events.connect(self._on_events)
        self._job.ended.connect(self._on_ended)

    @property
    def running(self) -> bool:
        """Whether its job has not ended."""
        return self.state != "ended"

    @property
    def failure(self) -> Failed | None:
        """Why it failed, None where it did not."""
        return self.ending if isinstance(self.ending, Failed) else None

    def pause(self) -> None:
        """Hold it where it is; its model stays in memory."""
        if self.state in ("starting", "training"):
            self._job.pause()
            self._become("paused")

    def resume(self) -> None:
        """Go on after a pause."""
        if self.state == "paused":
            self._job.resume()
            self._become("training" if self._begun else "starting")

    def stop(self) -> None:
        """End it and keep what it learned; one that has not begun leaves nothing."""
        if self.state in ("stopping", "ended"):
            return
        if self.state in ("waiting", "starting") or not self._ask(Command("stop")):
            # Closing the job saves the last whole step as well, and only its record does not tell of it.
            self._job.cancel()
        # What is held does not hear.
        self._job.resume()
        self._become("stopping")

    def _ask(self, command: Command) -> bool:
        try:
            controls.ask(self.folder, command)
        except UserError:
            return False
        return True

    def _on_events(self, events: tuple[Event, ...]) -> None:
        before, came = (self.state, self.done), False
        for event in events:
            match event:
                case TrainingStarted():
                    came = self._begun = True
                    self.folder = event.run
                    self.done, self.steps = event.step, event.steps
                    self.state = self.state if self.state in ("paused", "stopping") else "training"
                case StepFinished():
                    self.done, self.steps = event.step, event.steps
                case Progress():
                    self.progress = event
                case Note() if not self._begun:
                    self._desk.notices.tell(event.text)
                case ModelLoaded():
                    self.progress = None
                case TrainingFinished() | TrainingStopped():
                    self.result = event
        if self.state == "waiting":
            self.state = "starting"
        if came:
            self.began.emit()
        # What it does within a step changes thirty times a second, faster than anyone reads.
        if came or before != (self.state, self.done) or self._told.elapsed() >= _TELL:
            self._told.start()
            self.changed.emit()

    def _on_ended(self, ending: object) -> None:
        self.ending = ending
        self._become("ended")
        self.ended.emit()

    def _become(self, state: State) -> None:
        self.state = state
        self.changed.emit()


class Trainings(QObject):
    """All runs of this window that have not ended, the one in front first."""

    changed = Signal()  # which there are, or how one of them stands
    began = Signal(object)  # a Training
    ended = Signal(object)  # a Training

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.all: list[Training] = []

    def start(self, request: jobs.Train) -> Training:
        """Train as asked, once those before it have ended."""
        training = Training(self._desk, request, self)
        self.all.append(training)
        training.changed.connect(self.changed)
        training.began.connect(self._on_began)
        training.ended.connect(self._on_ended)
        self.changed.emit()
        return training

    def of(self, folder: str) -> Training | None:
        """The one that trains in this folder."""
        return next((training for training in self.all if training.folder == folder), None)

    def stop_all(self) -> None:
        """End all of them and keep what they learned."""
        for training in self.all:
            training.stop()

    def _on_began(self) -> None:
        self.began.emit(self.sender())

    def _on_ended(self) -> None:
        training = self.sender()
        if isinstance(training, Training):
            self.all.remove(training)
            self.ended.emit(training)
            self.changed.emit()
            training.deleteLater()


def tell(desk: Desk, folder: str, command: Command) -> bool:
    """Tell a run of any process what to do; whether that could be written down."""
    try:
        controls.ask(folder, command)
    except UserError as error:
        desk.notices.error(error)
        return False
    return True
