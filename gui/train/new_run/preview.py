"""Has the first rows of a run's data rendered, when they are wanted and have changed. Knows no widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from engine.events import Done, Event, Failed, Note, Progress
from engine.monitor.requests import PreviewData
from engine.run_events import PromptRendered
from gui.train.new_run.settings_panel import group_of

if TYPE_CHECKING:
    from engine.grpo.settings import TrainConfig
    from engine.workers import Job
    from gui.desk import Desk

_PAUSE = 400  # milliseconds without a change
_ROWS = 8
# What the rows look like depends on all settings of the data, and on these.
_ALSO = ("model_name", "seed", "trust_remote_code")


class Preview(QObject):
    """The rows of the settings that were asked about last.

    Attributes:
        rows: those that are there, training rows in the order of the run first.
        failure: why there are none (any more), None where nothing is wrong.
        notes: what was said of the data on the way.
        busy: they are being made, or will be in a moment.
        stage: what is being done, "" where nothing is; `share` how far it is, None where that is not known.
    """

    changed = Signal()

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._job: Job | None = None
        self._wanted: TrainConfig | None = None
        self._key: object = None
        self._timer = QTimer(self, singleShot=True, interval=_PAUSE)
        self._timer.timeout.connect(self._start)
        self.rows: tuple[PromptRendered, ...] = ()
        self.failure: Failed | None = None
        self.notes: tuple[str, ...] = ()
        self.busy = False
        self.stage = ""
        self.share: float | None = None
        self._coming: list[PromptRendered] = []

    @property
    def training_rows(self) -> tuple[PromptRendered, ...]:
        """Those that are learned from, in the order of the run."""
        return tuple(row for row in self.rows if not row.held_out)

    def ask(self, config: TrainConfig) -> None:
        """Have the rows of these settings, soon; nothing happens where they are the same."""
        names = (name for name in type(config).model_fields if group_of(name) == "Data" or name in _ALSO)
        key = tuple(repr(getattr(config, name)) for name in names)
        if key != self._key:
            self._wanted, self._key = config, key
            self._wait()

    def again(self) -> None:
        """Have them once more."""
        if self._wanted is not None:
            self._wait()

    def close(self) -> None:
        """Give up what is under way."""
        self._timer.stop()
        self._drop()
        self.busy, self._key = False, None

    def _wait(self) -> None:
        self._drop()
        self.busy = True
        self._timer.start()
        self.changed.emit()

    def _drop(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.events.disconnect(self._on_events)
            job.ended.disconnect(self._on_ended)
            job.cancel()

    def _start(self) -> None:
        if self._wanted is None:
            return
        self._coming, self._said = [], list[str]()
        job = self._job = self._desk.compute.submit(PreviewData(self._wanted, _ROWS))
        job.events.connect(self._on_events)
        job.ended.connect(self._on_ended)

    def _on_events(self, events: tuple[Event, ...]) -> None:
        before = (self.stage, self.share)
        for event in events:
            if isinstance(event, PromptRendered):
                self._coming.append(event)
            elif isinstance(event, Note):
                self._said.append(event.text)
            elif isinstance(event, Progress):
                self.stage = event.what
                self.share = event.done / event.total if event.total else None
        if before != (self.stage, self.share):
            self.changed.emit()

    def _on_ended(self, ending: object) -> None:
        self._job, self.busy, self.stage, self.share = None, False, "", None
        self.failure = ending if isinstance(ending, Failed) else None
        self.rows = tuple(self._coming) if isinstance(ending, Done) else ()
        self.notes = tuple(self._said)
        self.changed.emit()
