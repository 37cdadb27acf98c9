"""What is said of answers that are compared: where they differ, and what rewards give them. Knows jobs, no widget."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from engine.chat.requests import ScoreAnswer
from engine.chat_events import AnswerScored
from engine.events import Event, Failed, ReplyFinished
from engine.monitor.requests import CompareTexts
from engine.run_events import TextsCompared
from engine.workers import Job
from gui.chat.score_choice import Judging
from gui.desk import Desk


class Opinions(QObject):
    """The jobs that compare and judge; each signal says of which side it tells."""

    compared = Signal(int, object)  # TextsCompared with the first answer
    scored = Signal(int, tuple)
    failed = Signal(object)  # Failed

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._sides: dict[Job, int] = {}

    @property
    def busy(self) -> bool:
        """Whether something is still to be said."""
        return bool(self._sides)

    def compare(self, first: str, side: int, other: str) -> None:
        """Find where the answer of a side differs from the first one."""
        self._follow(self._desk.network.submit(CompareTexts(first, other)), side)

    def judge(self, judging: Judging, database: Path, question: int, side: int, reply: ReplyFinished) -> None:
        """Have rewards judge the answer of a side to a stored question."""
        tokens = reply.completion_tokens
        request = ScoreAnswer(database, question, judging.rewards, judging.reference, reply.text, tokens)
        self._follow(self._desk.compute.submit(request), side)

    def forget(self) -> None:
        """Say no more of the answers so far."""
        for job in self._sides:
            job.cancel()
        self._sides = {}

    def _follow(self, job: Job, side: int) -> None:
        self._sides[job] = side
        job.events.connect(self._on_events)
        job.ended.connect(self._on_ended)

    def _on_events(self, events: tuple[Event, ...]) -> None:
        job = self.sender()
        if not isinstance(job, Job) or job not in self._sides:
            return
        for event in events:
            if isinstance(event, TextsCompared):
                self.compared.emit(self._sides[job], event)
            elif isinstance(event, AnswerScored):
                self.scored.emit(self._sides[job], event.scores)

    def _on_ended(self, ending: object) -> None:
        job = self.sender()
        if isinstance(job, Job) and self._sides.pop(job, None) is not None and isinstance(ending, Failed):
            self.failed.emit(ending)
