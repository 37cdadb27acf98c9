"""Asks what a run would need each time its settings rest for a moment. Knows no widget.

The forecast goes before training on the compute lane: it takes a second, and a run that trains would keep it waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from engine import jobs
from engine.events import Cancelled, Event, Failed, Note, Progress
from engine.training_events import TrainingPlanned

if TYPE_CHECKING:
    from engine.grpo.settings import TrainConfig
    from engine.workers import Job
    from gui.desk import Desk

_PAUSE = 500  # milliseconds without a change
# What a forecast does not depend on.
_ASIDE = {"output_dir", "run_name", "report_to", "log_jsonl", "logging_steps", "save_steps", "keep_checkpoints"}


class Forecast(QObject):
    """The forecast for the settings that were asked about last.

    Attributes:
        plan: what the run would need; None where it is not known (any more).
        failure: why it cannot be told, None where it can.
        notes: what was said on the way.
        busy: it is being made, or will be in a moment.
        stage: what is being done, "" where nothing is.
    """

    changed = Signal()

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._job: Job | None = None
        self._config: TrainConfig | None = None
        self._timer = QTimer(self, singleShot=True, interval=_PAUSE)
        self._timer.timeout.connect(self._start)
        self.plan: TrainingPlanned | None = None
        self.failure: Failed | None = None
        self.notes: tuple[str, ...] = ()
        self.busy = False
        self.stage = ""

    def ask(self, config: TrainConfig) -> None:
        """Have a forecast for these settings, soon; one that is under way for others is given up."""
        before, self._config = self._config, config
        if before is not None and before.model_dump(exclude=_ASIDE) == config.model_dump(exclude=_ASIDE):
            return
        self.again()

    def again(self) -> None:
        """Make it once more."""
        if self._config is None:
            return
        self._drop()
        self.busy = True
        self._timer.start()
        self.changed.emit()

    def close(self) -> None:
        """Give up what is under way."""
        self._timer.stop()
        self._drop()
        self.busy, self._config = False, None

    def _drop(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.events.disconnect(self._on_events)
            job.ended.disconnect(self._on_ended)
            job.cancel()

    def _start(self) -> None:
        if self._config is None:
            return
        request = jobs.Train(self._config, dry_run=True, priority=jobs.EVALUATION)
        job = self._job = self._desk.compute.submit(request)
        self._found: TrainingPlanned | None = None
        self._said: list[str] = []
        job.events.connect(self._on_events)
        job.ended.connect(self._on_ended)

    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, TrainingPlanned):
                self._found = event
            elif isinstance(event, Note):
                self._said.append(event.text)
            elif isinstance(event, Progress) and event.what != self.stage:
                self.stage = event.what
                self.changed.emit()

    def _on_ended(self, ending: object) -> None:
        self._job, self.busy, self.stage = None, False, ""
        self.failure = ending if isinstance(ending, Failed) else None
        if not isinstance(ending, Cancelled):
            self.plan, self.notes = self._found, tuple(self._said)
        self.changed.emit()
