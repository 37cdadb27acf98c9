"""One answer under way: starts it and gathers what comes. Knows the lane and the store, no widget."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from engine.chat.conversations import Message
from engine.chat_events import ContextFitted
from engine.events import Done, Event, ModelLoaded, ModelUnloaded, Progress, PromptRead, ReplyFinished, Token
from engine.jobs import Reply
from gui.chat.manner import Manner
from gui.desk import Desk

SUMMARISING = "Summarising the conversation"


class Exchange(QObject):
    """The writing of one stored assistant message. `text` is all that came so far."""

    reading = Signal(int, int)
    written = Signal(str)
    fitted = Signal(object)  # ContextFitted
    preparing = Signal(str, float, object)  # what, how much of it is done, of how much (None: not known)
    loading = Signal(object)
    loaded = Signal(object)
    unloaded = Signal()
    ended = Signal(object)

    def __init__(self, desk: Desk, answer: Message, manner: Manner, prefix: tuple[int, ...] = ()) -> None:
        super().__init__(desk)
        self.conversation, self.message = answer.conversation, answer.id
        self.text = ""
        self._over = False
        self._job = desk.compute.submit(
            Reply(
                desk.load_request(answer.model),
                desk.database,
                answer.id,
                manner.sampling,
                prefix,
                desk.chat_options(manner.when_full),
            )
        )
        self._job.events.connect(self._on_events)
        self._job.ended.connect(self._on_ended)

    def stop(self) -> None:
        """Keep what was written and end."""
        self._job.cancel()

    def _on_events(self, events: tuple[Event, ...]) -> None:
        if self._over:
            return
        pieces = []
        for event in events:
            if isinstance(event, Token):
                pieces.append(event.text)
            elif isinstance(event, PromptRead):
                self.reading.emit(event.done, event.total)
            elif isinstance(event, ContextFitted):
                self.fitted.emit(event)
            elif isinstance(event, Progress) and event.what == SUMMARISING:
                self.preparing.emit(event.what, event.done, event.total)
            elif isinstance(event, Progress):
                self.loading.emit(event)
            elif isinstance(event, ModelUnloaded):
                self.unloaded.emit()
            elif isinstance(event, ModelLoaded):
                self.loaded.emit(event)
        if text := "".join(pieces):
            self.text += text
            self.written.emit(text)
        if any(isinstance(event, ReplyFinished) for event in events):
            # The answer is stored; what the job still does is for the next one.
            self._end(Done())

    def _on_ended(self, ending: object) -> None:
        self._end(ending)
        self.deleteLater()

    def _end(self, ending: object) -> None:
        if not self._over:
            self._over = True
            self.ended.emit(ending)
