"""Has rewards tried on a row of the data. Knows no widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from engine.events import Event, Failed, Note, Progress
from engine.monitor.requests import TryRewards
from engine.run_events import CompletionScored, RewardFault

if TYPE_CHECKING:
    from engine.grpo.settings import TrainConfig
    from engine.workers import Job
    from gui.desk import Desk


class Trial(QObject):
    """One trial at a time.

    Attributes:
        scored: what the last one found, a person's own text first.
        faults: the rewards that were at fault in it.
        failure: why it could not be made, None where it could.
        notes: what was said on the way.
        busy: one is being made; `stage` is what is being done and `share` how far, None where that is not known.
    """

    changed = Signal()

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._job: Job | None = None
        self.scored: tuple[CompletionScored, ...] = ()
        self.faults: tuple[RewardFault, ...] = ()
        self.failure: Failed | None = None
        self.notes: tuple[str, ...] = ()
        self.stage = ""
        self.share: float | None = None

    @property
    def busy(self) -> bool:
        """Whether a trial is being made."""
        return self._job is not None

    def start(self, config: TrainConfig, row: int, completions: tuple[str, ...], live: int) -> None:
        """Try the rewards; what the last trial found goes."""
        if self._job is not None:
            return
        self.scored, self.faults, self.failure, self.notes = (), (), None, ()
        self.stage, self.share = "", None
        job = self._job = self._desk.compute.submit(TryRewards(config, row, completions, live))
        job.events.connect(self._on_events)
        job.ended.connect(self._on_ended)
        self.changed.emit()

    def cancel(self) -> None:
        """End it; what it found so far stays."""
        if self._job is not None:
            self._job.cancel()

    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            match event:
                case CompletionScored():
                    self.scored = (*self.scored, event)
                case RewardFault():
                    self.faults = (*self.faults, event)
                case Note():
                    self.notes = (*self.notes, event.text)
                case Progress():
                    self.stage = event.what
                    self.share = event.done / event.total if event.total else None
        self.changed.emit()

    def _on_ended(self, ending: object) -> None:
        self._job, self.stage, self.share = None, "", None
        self.failure = ending if isinstance(ending, Failed) else None
        self.changed.emit()
