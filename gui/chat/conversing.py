"""The conversation in view: what is said, answered, edited and chosen in it. Knows store and lanes, no layout."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QObject, Signal

from engine.chat.conversations import Attachment, Message, State
from engine.chat_events import ContextFitted
from engine.errors import UserError
from engine.events import Failed
from gui.chat.exchange import Exchange
from gui.chat.loading import Loading
from gui.chat.manner import Manner
from gui.chat.speed import Speeds
from gui.chat.transcript import Transcript
from gui.desk import Desk


class Conversing(QObject):
    """One conversation in view, and the answers under way in any."""

    shown = Signal()  # another conversation or branch is in view
    changed = Signal()  # the manner of the conversation in view
    stored = Signal(int)  # something a list shows of this conversation changed
    answering_changed = Signal()
    fitted = Signal()  # `fit` changed: how much of the window is used

    def __init__(self, desk: Desk, loading: Loading, transcript: Transcript) -> None:
        super().__init__(transcript)
        self._desk, self._loading, self._transcript = desk, loading, transcript
        self.id: int | None = None
        self.manner = Manner.of_settings(desk.settings)
        self.path: list[Message] = []
        self.exchanges: dict[int, Exchange] = {}
        self.fit = ContextFitted(0, 0)
        self.speeds = Speeds()
        transcript.siblings = desk.store.siblings

    @property
    def answering(self) -> bool:
        """Whether an answer is under way in the conversation in view."""
        return self.id in self.exchanges

    def begin(self) -> None:
        """Go to an empty page; it is stored with its first message."""
        self.id = None
        self.manner = Manner.of_settings(self._desk.settings)
        self._show([])

    def open(self, conversation: int, message: int | None = None) -> None:
        """Go to a stored conversation, and in it to a message, on whichever branch it is."""
        store = self._desk.store
        stored = store.get(conversation)
        path = store.path(conversation)
        if message is not None and all(message != other.id for other in path):
            path = store.choose(message)
        self.id, self.manner = conversation, Manner.of_conversation(stored)
        self._show(path)
        if message is not None:
            self._transcript.reveal(message)

    def change(self, manner: Manner) -> None:
        """Have the conversation answered in another manner from now on."""
        self.manner = manner
        if self.id is not None:
            self._desk.store.change(self.id, **_fields(manner))
        self.changed.emit()

    def say(self, text: str, attachments: Sequence[Attachment] = ()) -> bool:
        """Say something and have it answered; whether it could be stored."""
        store = self._desk.store
        try:
            if self.id is None:
                title = attachments[0].name if attachments and not text else ""
                self.id = store.create(title=title, model=self._loading.model, **_fields(self.manner)).id
            said = store.add(self.id, store.get(self.id).leaf, "user", text, attachments=attachments)
        except UserError as error:
            # What was typed stays in the field; a conversation that is gone makes way for a new one.
            self.id = None
            self._show([])
            self._desk.notices.error(error)
            return False
        self._transcript.add(said)
        self._answer(said)
        return True

    def answer_again(self, message: int, prefix: tuple[int, ...] = ()) -> None:
        """Have a message answered once more, beside the answer it has; `prefix` are token ids to begin with."""
        if self.answering:
            return
        *before, answer = self._desk.store.ancestors(message)
        if answer.role == "assistant" and before:
            self._show(before, keep=True)
            self._answer(before[-1], prefix)

    def edit(self, message: int, text: str) -> None:
        """Say a message otherwise, beside what was said; one of the person's is answered."""
        store = self._desk.store
        if self.answering:
            return
        *before, old = store.ancestors(message)
        if text == old.text:
            return
        new = store.edit(message, text)
        self._show([*before, new], keep=True)
        if new.role == "user":
            self._answer(new)
        else:
            self.stored.emit(new.conversation)

    def choose(self, message: int) -> None:
        """Go to the branch of a sibling, without moving what is above it."""
        if not self.answering:
            self._show(self._desk.store.choose(message), keep=True)
            self._transcript.take_focus(message)

    def stop(self) -> None:
        """End the answer under way in the conversation in view."""
        if self.id in self.exchanges:
            self.exchanges[self.id].stop()

    def _show(self, path: list[Message], *, keep: bool = False) -> None:
        exchange = self.exchanges.get(self.id or 0)
        if exchange is not None:
            # The store is up to half a second behind what has come.
            path = [dataclasses.replace(m, text=exchange.text) if m.id == exchange.message else m for m in path]
        self.path = path
        self._transcript.set_busy(self.answering)
        if keep:
            self._transcript.go_to(path)
        else:
            self._transcript.show_messages(path)
        self._show_fit(_fit_of(path))
        self.shown.emit()
        self.answering_changed.emit()

    def _show_fit(self, fit: ContextFitted) -> None:
        """Say what the model reads of the branch in view."""
        self.fit = fit
        summary = ""
        if fit.summarised:
            found = (self._desk.store.summary(message.id) for message in reversed(self.path[: fit.left_out]))
            summary = next(filter(None, found), "")
        self._transcript.set_left_out(fit.left_out, summarised=fit.summarised, summary=summary)
        self.fitted.emit()

    def _on_fitted(self, exchange: Exchange, fit: ContextFitted) -> None:
        if exchange.conversation == self.id:
            self._show_fit(fit)

    def _answer(self, said: Message, prefix: tuple[int, ...] = ()) -> None:
        store, model = self._desk.store, self._loading.model
        answer = store.add(said.conversation, said.id, "assistant", "", model=model, state="writing")
        exchange = Exchange(self._desk, answer, self.manner, prefix)
        self.exchanges[said.conversation] = exchange
        self.path = store.path(said.conversation)
        self._transcript.set_busy(True)
        self._transcript.add(answer)
        exchange.reading.connect(lambda done, total: self._relay(exchange, "set_reading", done, total))
        exchange.written.connect(lambda text: self._relay(exchange, "append", text))
        exchange.preparing.connect(lambda *values: self._relay(exchange, "set_preparing", *values))
        exchange.fitted.connect(lambda fit: self._on_fitted(exchange, fit))
        exchange.loading.connect(self._loading.show_progress)
        exchange.loaded.connect(self._loading.show_loaded)
        exchange.unloaded.connect(self._loading.forget)
        exchange.ended.connect(lambda ending: self._on_answered(exchange, ending))
        self.stored.emit(said.conversation)
        self.answering_changed.emit()

    def _relay(self, exchange: Exchange, method: str, *values: object) -> None:
        """Pass on what came for the conversation shown; another one's is in the store and in the exchange."""
        if exchange.conversation == self.id:
            getattr(self._transcript, method)(exchange.message, *values)

    def _on_answered(self, exchange: Exchange, ending: object) -> None:
        del self.exchanges[exchange.conversation]
        self._loading.show_state(ending)
        message = self._desk.store.ancestors(exchange.message)[-1]
        failure = ending if isinstance(ending, Failed) else None
        if failure and (failure.fault == "bug" or message.state == "writing"):
            self._desk.notices.error(failure)
        if message.state == "writing":
            # The job could not store its own end: it still waited for its turn, or the store refused.
            state: State = "failed" if failure else "stopped"
            message = dataclasses.replace(message, text=exchange.text or message.text, state=state)
            self._desk.store.finish(message.id, message.text, state, error=failure.what if failure else "")
        if exchange.conversation == self.id:
            self.path = [message if message.id == m.id else m for m in self.path]
            self._transcript.set_busy(False)
            self._transcript.finish(message)
            if message.stats is not None:
                self._show_fit(_fit_of(self.path))
        self.speeds.note(message)
        self.answering_changed.emit()
        self.stored.emit(exchange.conversation)


def _fit_of(path: Sequence[Message]) -> ContextFitted:
    """What the last answer with figures says of the window: how much of it the conversation has filled."""
    stats = next((message.stats for message in reversed(path) if message.stats is not None), None)
    if stats is None:
        return ContextFitted(0, 0)
    used = stats.prompt_tokens + stats.completion_tokens
    return ContextFitted(used, stats.window, stats.left_out, stats.summarised)


def _fields(manner: Manner) -> dict[str, Any]:
    return {field.name: getattr(manner, field.name) for field in dataclasses.fields(manner)}
