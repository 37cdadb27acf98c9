"""The chat page: a conversation, its model and its settings. Knows requests and events, no model code."""

from __future__ import annotations

import dataclasses

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from engine import jobs
from engine.chat.conversations import Message, State
from engine.config import Sampling
from engine.errors import UserError
from engine.events import Event, Failed, ModelFound, ModelLoaded, Progress
from engine.workers import Job
from gui.chat.composer import Composer
from gui.chat.conversation_list import ConversationList
from gui.chat.exchange import Exchange
from gui.chat.header import ChatHeader
from gui.chat.inspector import Inspector
from gui.chat.layout import place_parts
from gui.chat.transcript import Transcript
from gui.chat.welcome import Welcome
from gui.desk import Desk
from gui.models.get_model import GetModel
from gui.text import tr


class ChatPage(QWidget):
    """Conversations on the left, the one in use in the middle, its settings on the right.

    `model` is the one in use, as it is named: a folder, an id, an alias, or "run:FOLDER" for what trains there.
    """

    working = Signal(str)

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.conversation: int | None = None
        self._defaults = (desk.settings.sampling, desk.settings.system_prompt)
        self._sampling, self._system_prompt = self._defaults
        self.model = desk.settings.model
        self.loaded: ModelLoaded | None = None
        self._loading: Job | None = None
        self._load_failed = False
        self._exchanges: dict[int, Exchange] = {}
        self.list = ConversationList()
        self.header = ChatHeader()
        self.welcome = Welcome()
        self.transcript = Transcript()
        self.composer = Composer()
        self.inspector = Inspector()
        self._stack = place_parts(self)
        self._connect()
        self.header.picker.set_model(self.model, _short(self.model))
        self.inspector.show_settings(self._system_prompt, self._sampling)
        self.inspector.hide()
        self._refresh_list()

    # What the person and the window can ask for

    def start(self) -> None:
        """Load the model of the settings and look for others; called once the window is visible."""
        self.load(self._desk.settings.model)
        self.find_models()

    def load(self, model: str) -> None:
        """Have this model answer from now on."""
        self.model = model
        self.header.picker.set_model(model, _short(model))
        self.header.show_progress(Progress("Starting the engine", 0))
        self.loaded = None
        if self._load_failed:
            self._desk.notices.withdraw()
            self._load_failed = False
        self.welcome.show_model(None)
        if self._loading is not None:
            self._loading.cancel()
        job = self._loading = self._desk.compute.submit(self._desk.load_request(model))
        self._say_what_works()
        job.events.connect(lambda events: self._on_load_events(job, events))
        job.ended.connect(lambda ending: self._on_load_ended(job, ending))

    def choose_model(self, model: str) -> None:
        """Load a model the person picked, and begin with it next time."""
        self._desk.change_settings(self._desk.settings.model_copy(update={"model": model}))
        self.load(model)

    def find_models(self) -> None:
        """Look for the models on this computer again."""
        found: list[ModelFound] = []
        job = self._desk.network.submit(jobs.ListModels())
        job.events.connect(lambda events: found.extend(e for e in events if isinstance(e, ModelFound)))
        job.ended.connect(lambda ending: self._on_found(found, ending))

    def get_model(self) -> None:
        """Open the dialog that fetches a model."""
        dialog = GetModel(self._desk.network, self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fetched.connect(self.choose_model)
        dialog.fetched.connect(lambda _: self.find_models())
        dialog.open()

    def new_conversation(self) -> None:
        """Begin with an empty page; it is stored with its first message."""
        self.inspector.flush()
        self.conversation = None
        self._sampling, self._system_prompt = self._desk.settings.sampling, self._desk.settings.system_prompt
        self.inspector.show_settings(self._system_prompt, self._sampling)
        self._show_messages([])
        self._refresh_list()
        self.composer.setFocus()

    def begin_with(self, question: str, answer: str, system_prompt: str, model: str) -> None:
        """Begin a conversation that goes on from an answer which was given elsewhere."""
        store = self._desk.store
        sampling = self._desk.settings.sampling
        begun = store.create(model=model, system_prompt=system_prompt, sampling=sampling).id
        said = store.add(begun, None, "user", question)
        store.add(begun, said.id, "assistant", answer, model=model)
        self.open_conversation(begun)
        self.composer.setFocus()

    def open_conversation(self, conversation: int) -> None:
        """Show a stored conversation."""
        self.inspector.flush()
        stored = self._desk.store.get(conversation)
        self.conversation = conversation
        self._sampling, self._system_prompt = stored.sampling, stored.system_prompt
        self.inspector.show_settings(self._system_prompt, self._sampling)
        self._show_messages(self._desk.store.path(conversation))
        self._refresh_list()

    def send(self, text: str) -> None:
        """Say something and have it answered."""
        self.inspector.flush()
        store = self._desk.store
        try:
            if self.conversation is None:
                self.conversation = store.create(
                    model=self.model, system_prompt=self._system_prompt, sampling=self._sampling
                ).id
            said = store.add(self.conversation, store.get(self.conversation).leaf, "user", text)
        except UserError as error:
            # What was typed stays in the field; a conversation that is gone makes way for a new one.
            self.conversation = None
            self._show_messages([])
            self._refresh_list()
            self._desk.notices.error(error)
            return
        self.composer.clear()
        self._stack.setCurrentWidget(self.transcript)
        self.transcript.add(said)
        self._answer(said)

    def regenerate(self, message: int) -> None:
        """Have a message answered once more, beside the answer it has."""
        if self.conversation is None or self.conversation in self._exchanges:
            return
        *before, _ = self._desk.store.ancestors(message)
        self._show_messages(before)
        self._answer(before[-1])

    def regenerate_last(self) -> None:
        """Answer the last question once more."""
        path = self._desk.store.path(self.conversation) if self.conversation is not None else []
        if path and path[-1].role == "assistant":
            self.regenerate(path[-1].id)

    def stop(self) -> None:
        """End the answer under way in this conversation."""
        if self.conversation in self._exchanges:
            self._exchanges[self.conversation].stop()

    def delete_conversation(self, conversation: int) -> None:
        """Remove a conversation; it can be brought back for a while."""
        if conversation in self._exchanges:
            self._exchanges[conversation].stop()
        self._desk.store.delete(conversation)
        if conversation == self.conversation:
            self.new_conversation()
        self._refresh_list()
        self._desk.notices.tell(tr("The conversation was deleted."), tr("Undo"), lambda: self._restore(conversation))

    @property
    def answering(self) -> bool:
        """Whether an answer is under way in the conversation shown."""
        return self.conversation in self._exchanges

    # Events

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.answering:
            self.stop()
            return
        super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._make_room()

    def _on_load_events(self, job: Job, events: tuple[Event, ...]) -> None:
        if job is not self._loading:
            return
        for event in events:
            if isinstance(event, Progress):
                self.header.show_progress(event)
            elif isinstance(event, ModelLoaded):
                self._on_loaded(event)

    def _on_found(self, found: list[ModelFound], ending: object) -> None:
        self.header.picker.set_found(found)
        if isinstance(ending, Failed):
            self._desk.notices.error(ending)

    def _on_loaded(self, model: ModelLoaded) -> None:
        self.loaded = model
        self.header.picker.set_model(self.model, model.name.rsplit("/", 1)[-1])
        self.header.show_model(model, trains=self.model.startswith("run:"))
        self.welcome.show_model(model)
        self.composer.set_model(model.name.rsplit("/", 1)[-1])

    def _on_unloaded(self) -> None:
        self.loaded = None

    def _on_load_ended(self, job: Job, ending: object) -> None:
        if job is not self._loading:
            return
        self._loading = None
        self._say_what_works()
        if isinstance(ending, Failed):
            self.header.show_failure()
            self.welcome.show_failure()
            self._load_failed = True
            self._desk.notices.error(ending)

    def _on_answered(self, exchange: Exchange, ending: object) -> None:
        del self._exchanges[exchange.conversation]
        self._say_what_works()
        if exchange.conversation == self.conversation:
            self.composer.set_answering(False)
        if self.loaded is not None:
            self.header.show_model(self.loaded, trains=self.model.startswith("run:"))
        elif isinstance(ending, Failed):
            self.header.show_failure()
        message = self._desk.store.ancestors(exchange.message)[-1]
        failure = ending if isinstance(ending, Failed) else None
        if failure and (failure.fault == "bug" or message.state == "writing"):
            self._desk.notices.error(failure)
        if message.state == "writing":
            # The job could not store its own end: it still waited for its turn, or the store refused.
            state: State = "failed" if failure else "stopped"
            message = dataclasses.replace(message, text=exchange.text or message.text, state=state)
            self._desk.store.finish(message.id, message.text, state, error=failure.what if failure else "")
        if exchange.conversation == self.conversation:
            self.transcript.finish(message)
        self._refresh_list()

    # Pieces

    def _answer(self, said: Message) -> None:
        store = self._desk.store
        answer = store.add(said.conversation, said.id, "assistant", "", model=self.model, state="writing")
        self.transcript.add(answer)
        exchange = Exchange(self._desk, said.conversation, answer.id, self.model, self._sampling)
        self._exchanges[said.conversation] = exchange
        exchange.reading.connect(lambda done, total: self._relay(exchange, "set_reading", done, total))
        exchange.written.connect(lambda text: self._relay(exchange, "append", text))
        exchange.loading.connect(self.header.show_progress)
        exchange.loaded.connect(self._on_loaded)
        exchange.unloaded.connect(self._on_unloaded)
        exchange.ended.connect(lambda ending: self._on_answered(exchange, ending))
        self.composer.set_answering(True)
        self._say_what_works()
        self._refresh_list()

    def _relay(self, exchange: Exchange, method: str, *values: object) -> None:
        """Pass on what came for the conversation shown; another one's is in the store and in the exchange."""
        if exchange.conversation == self.conversation:
            getattr(self.transcript, method)(exchange.message, *values)

    def _show_messages(self, messages: list[Message]) -> None:
        exchange = self._exchanges.get(self.conversation or 0)
        if exchange is not None:
            # The store is up to half a second behind what has come.
            messages = [dataclasses.replace(m, text=exchange.text) if m.id == exchange.message else m for m in messages]
        self.transcript.show_messages(messages)
        self._stack.setCurrentWidget(self.transcript if messages else self.welcome)
        self.composer.set_answering(exchange is not None)

    def _show_panel(self, shown: bool) -> None:
        self.inspector.setVisible(shown)
        self._make_room()

    def _make_room(self) -> None:
        """Hide the list of conversations where it would squeeze the conversation itself."""
        panel = self.inspector.width() if self.header.panel.isChecked() else 0
        self.list.setVisible(self.width() - panel >= 700)

    def _say_what_works(self) -> None:
        """Name for the status bar what runs on this page's behalf."""
        if self._loading is not None:
            self.working.emit(tr("Loading {model}", model=_short(self.model)))
        else:
            self.working.emit(tr("Answering") if self._exchanges else "")

    def _restore(self, conversation: int) -> None:
        self._desk.store.restore(conversation)
        self.open_conversation(conversation)

    def _refresh_list(self) -> None:
        self.list.show_conversations(self._desk.store.all(), self.conversation)

    def _rename(self, conversation: int, title: str) -> None:
        self._desk.store.change(conversation, title=title)
        self._refresh_list()

    def _set_system_prompt(self, text: str) -> None:
        self._system_prompt = text
        if self.conversation is not None:
            self._desk.store.change(self.conversation, system_prompt=text)

    def _set_sampling(self, sampling: Sampling) -> None:
        self._sampling = sampling
        if self.conversation is not None:
            self._desk.store.change(self.conversation, sampling=sampling)

    def _on_settings(self) -> None:
        settings = self._desk.settings
        self.composer.set_send_key(settings.send_key)
        defaults = (settings.sampling, settings.system_prompt)
        if self.conversation is None and defaults != self._defaults:
            self._sampling, self._system_prompt = self._defaults = defaults
            self.inspector.show_settings(self._system_prompt, self._sampling)

    def _connect(self) -> None:
        self._desk.settings_changed.connect(self._on_settings)
        self.list.chosen.connect(self.open_conversation)
        self.list.view.activated.connect(lambda _index: self.composer.setFocus())
        self.list.view.clicked.connect(lambda _index: self.composer.setFocus())
        self.list.wanted.connect(self.new_conversation)
        self.list.renamed.connect(self._rename)
        self.list.deleted.connect(self.delete_conversation)
        self.header.picker.chosen.connect(self.choose_model)
        self.header.picker.download_wanted.connect(self.get_model)
        self.header.panel_toggled.connect(self._show_panel)
        self.welcome.suggested.connect(self.send)
        self.welcome.model_wanted.connect(self.get_model)
        self.transcript.regenerate.connect(self.regenerate)
        self.composer.send.connect(self.send)
        self.composer.stop.connect(self.stop)
        self.inspector.system_prompt_changed.connect(self._set_system_prompt)
        self.inspector.sampling_changed.connect(self._set_sampling)


def _short(model: str) -> str:
    """The last part of a folder or Hub id."""
    return model.rstrip("/").rsplit("/", 1)[-1] or model
