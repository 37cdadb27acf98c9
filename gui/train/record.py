"""What is known of one run: its figures as columns, and all else that its record says. Knows no widget.

Every run is read from its folder, so that one of this window, of another process and of another machine look alike.
"""

from __future__ import annotations

import time
from array import array
from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from engine.events import Event, Failed, Note
from engine.monitor.requests import ReadRecord
from engine.run_events import FiguresRead, RecordRead, RecordReplaced
from engine.training_events import (
    CheckpointSaved,
    Evaluated,
    SettingChanged,
    TrainingFailed,
    TrainingFinished,
    TrainingPlanned,
    TrainingStarted,
    TrainingStopped,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.workers import Job
    from gui.desk import Desk

_INTERVAL = 500  # milliseconds between two looks at a record
_TURN = 0.002  # seconds of the window's thread that reading may take at a time
_PAUSE = 0.1  # seconds between two signals while a long record comes in


class Column:
    """Numbers that become more; they are put in one piece when they are asked for, not as they come."""

    def __init__(self) -> None:
        self._room: NDArray[np.float64] = np.empty(0)
        self._joined = 0
        self._fresh = array("d")

    def __len__(self) -> int:
        return self._joined + len(self._fresh)

    @property
    def values(self) -> NDArray[np.float64]:
        """The numbers so far, NaN where there is none; not to be changed."""
        count = len(self)
        if count > self._joined:
            if count > len(self._room):
                # All columns grow together: one that nobody looks at shall not cost anything now.
                room = np.empty(max(1024, count + count // 2))
                room[: self._joined] = self._room[: self._joined]
                self._room = room
            self._room[self._joined : count] = np.frombuffer(self._fresh)
            self._joined, self._fresh = count, array("d")
        return self._room[:count]

    def extend(self, values: tuple[float | None, ...]) -> None:
        """Add numbers at the end."""
        self._fresh.frombytes(np.array(values, np.float64).tobytes())

    def fill(self, count: int) -> None:
        """Have this many numbers, the new ones NaN."""
        if count > len(self):
            self._fresh.frombytes(np.full(count - len(self), np.nan).tobytes())


class Record(QObject):
    """The record of the run in one folder, read again and again while it is followed.

    Attributes:
        folder: the run's folder.
        evaluations, changes, checkpoints, starts, notes: what the record says of them, in its order.
        plan: the forecast the run began with, None where it has none.
        ending: how the run ended, None while it trains or where its process died.
        live: whether some process trains in the folder.
        torn: how many bytes of a half-written last line there are; unknown: how many lines were not understood.
        missing: there is no record in the folder.
        failure: why the record cannot be read, None where it can.
        loaded: it was read to its end at least once.
    """

    changed = Signal()  # there is more, or it is not what it was
    replaced = Signal()  # what was known is void

    def __init__(self, desk: Desk, folder: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.folder = folder
        self._job: Job | None = None
        self._waiting: deque[Event] = deque()
        self._ending: object = None
        self._news, self._told = False, 0.0
        self._turn = QTimer(self, singleShot=True, interval=0)
        self._turn.timeout.connect(self._take_some)
        self._timer = QTimer(self, interval=_INTERVAL)
        self._timer.timeout.connect(self.look)
        self.live = self.missing = self.loaded = False
        self.failure: Failed | None = None
        self.torn = self.unknown = self._place = 0
        self._mark = ""
        self._forget()

    @property
    def names(self) -> list[str]:
        """The names of all columns."""
        return list(self._columns)

    @property
    def rewards(self) -> list[str]:
        """The names of the rewards, in the run's order."""
        names = (name.removeprefix("rewards/") for name in self._columns if name.startswith("rewards/"))
        return [name for name in names if not name.endswith("/spread")]

    def column(self, name: str) -> NDArray[np.float64]:
        """The numbers of this name, one a step that was recorded, NaN where there is none; not to be changed.

        The names are those of `FiguresRead`. As long as `column("step")`, which holds the steps' numbers.
        """
        column = self._columns.get(name)
        return np.full(len(self), np.nan) if column is None else column.values

    def __len__(self) -> int:
        """How many steps were recorded."""
        return len(self._columns["step"])

    @property
    def step(self) -> int:
        """The last step that was recorded."""
        return int(self.column("step")[-1]) if len(self) else 0

    @property
    def steps(self) -> int:
        """How many steps the run has in all, 0 where that is not known."""
        if self.starts:
            return self.starts[-1].steps
        known = self.column("steps")[-1] if len(self) else 0.0
        return int(known) if 0 <= known < 2**31 else 0

    @property
    def reading(self) -> bool:
        """Whether it is being read just now."""
        return self._job is not None

    def follow(self) -> None:
        """Read the record now, and what is new in it from time to time."""
        self._timer.start()
        self.look()

    def rest(self) -> None:
        """Follow it no more; what is known stays."""
        self._timer.stop()

    def look(self) -> None:
        """Read what is new."""
        if self._job is None:
            job = self._job = self._desk.network.submit(ReadRecord(self.folder, self._place, self._mark))
            job.events.connect(self._on_events)
            job.ended.connect(self._on_ended)

    def _forget(self) -> None:
        self._columns = {"step": Column()}
        self.evaluations: list[Evaluated] = []
        self.changes: list[SettingChanged] = []
        self.checkpoints: list[CheckpointSaved] = []
        self.starts: list[TrainingStarted] = []
        self.notes: list[str] = []
        self.plan: TrainingPlanned | None = None
        self.ending: TrainingFinished | TrainingStopped | TrainingFailed | None = None
        self.unknown = 0

    def _on_events(self, events: tuple[Event, ...]) -> None:
        self._waiting.extend(events)
        if not self._turn.isActive():
            self._take_some()

    def _take_some(self) -> None:
        """Take what has come, for a part of a frame at most."""
        end = time.perf_counter() + _TURN
        while self._waiting and time.perf_counter() < end:
            event = self._waiting.popleft()
            if isinstance(event, RecordRead):
                self._news |= self._note_place(event)
            else:
                self._news = True
                self._take(event)
        if self._waiting:
            self._turn.start()
        elif self._ending is not None:
            self._news |= self._end()
        self._tell()

    def _tell(self) -> None:
        """Say that there is news, which views draw at some cost: not after each part of a long record."""
        now = time.perf_counter()
        if self._news and (self._job is None or now - self._told > _PAUSE):
            self._news, self._told = False, now
            self.changed.emit()

    def _take(self, event: Event) -> None:
        match event:
            case FiguresRead():
                self._add(event)
            case RecordReplaced():
                self._forget()
                self.replaced.emit()
            case Evaluated():
                self.evaluations.append(event)
            case SettingChanged():
                self.changes.append(event)
            case CheckpointSaved():
                self.checkpoints.append(event)
            case TrainingStarted():
                self.starts.append(event)
                self.ending = None
            case TrainingPlanned():
                self.plan = event
            case TrainingFinished() | TrainingStopped() | TrainingFailed():
                self.ending = event
            case Note():
                self.notes.append(event.text)

    def _add(self, event: FiguresRead) -> None:
        before = len(self)
        for name, values in event.columns:
            column = self._columns.setdefault(name, Column())
            column.fill(before)
            column.extend(values)
        for column in self._columns.values():
            column.fill(len(self))

    def _note_place(self, event: RecordRead) -> bool:
        known = (self.live, self.torn, self.unknown, self.missing, self.loaded, self.failure)
        self._place, self._mark = event.place, event.mark
        self.live, self.torn, self.missing = event.live, event.torn, event.missing
        self.unknown += event.unknown
        self.loaded, self.failure = True, None
        return known != (self.live, self.torn, self.unknown, self.missing, self.loaded, self.failure)

    def _on_ended(self, ending: object) -> None:
        self._ending = ending
        if not self._waiting:
            self._news |= self._end()
            self._tell()

    def _end(self) -> bool:
        """The reading has ended and all of it is known; whether it failed anew."""
        failure = self._ending if isinstance(self._ending, Failed) else None
        self._job = self._ending = None
        if failure is None or failure == self.failure:
            return False
        self.failure, self.live = failure, False
        return True
