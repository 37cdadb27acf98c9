"""Has models answer the same prompt, one after the other. Knows jobs, no widget and no run."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal

from engine import jobs
from engine.events import Cancelled, Event, Failed, ModelLoaded, Progress, PromptRead, ReplyFinished, Token
from engine.workers import Job
from gui.desk import Desk

LIVE = "run:"


class Answers(QObject):
    """The answers of the sides, numbered from 0; each signal says whose it is."""

    progressed = Signal(int, object)  # Progress, PromptRead, or None when the first word is to come
    said = Signal(int, str)
    answered = Signal(int, object)  # ReplyFinished
    failed = Signal(int, object)  # Failed
    stopped = Signal(int)
    ended = Signal()

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._waiting: list[tuple[int, jobs.Generate]] = []
        self._side = 0
        self._job: Job | None = None
        self._loaded: jobs.LoadModel | None = None

    @property
    def running(self) -> bool:
        """Whether an answer is under way or to come."""
        return self._job is not None

    def ask(self, requests: Sequence[jobs.Generate]) -> None:
        """Have all answered; the one whose model is in memory already goes first."""
        self.stop()
        self._waiting = sorted(enumerate(requests), key=lambda pair: pair[1].load != self._loaded)
        self._next()

    def stop(self) -> None:
        """Answer no further; what was said stays."""
        for side, _ in self._waiting:
            self.stopped.emit(side)
        self._waiting = []
        if self._job is not None:
            self._job.cancel()
            self._job = None
            self.stopped.emit(self._side)
            self.ended.emit()

    def _next(self) -> None:
        if not self._waiting:
            self._job = None
            self.ended.emit()
            return
        self._side, request = self._waiting.pop(0)
        self._job = self._desk.compute.submit(request)
        self._job.events.connect(self._on_events)
        self._job.ended.connect(self._on_ended)

    def _on_events(self, events: tuple[Event, ...]) -> None:
        job = self.sender()
        if job is not self._job or self._job is None:
            return
        text = ""
        for event in events:
            match event:
                case Token():
                    text += event.text
                case Progress() | PromptRead():
                    self.progressed.emit(self._side, event)
                case ModelLoaded():
                    load = self._job.request.load if isinstance(self._job.request, jobs.Generate) else None
                    # The policy of a run stays where it is, and leaves what is in memory besides.
                    if load is not None and not load.model.startswith(LIVE):
                        self._loaded = load
                    self.progressed.emit(self._side, None)
                case ReplyFinished():
                    if text:
                        self.said.emit(self._side, text)
                        text = ""
                    self.answered.emit(self._side, event)
        if text:
            self.said.emit(self._side, text)

    def _on_ended(self, ending: object) -> None:
        if self.sender() is not self._job:
            return
        if isinstance(ending, Failed):
            self._loaded = None
            self.failed.emit(self._side, ending)
        elif isinstance(ending, Cancelled):
            self.stopped.emit(self._side)
        self._next()
