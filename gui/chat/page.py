"""The chat page: a conversation, its model and its settings. Knows requests and events, no model code."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Literal

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from engine.config import Sampling, WhenFull
from engine.errors import UserError
from engine.events import ModelLoaded
from gui.chat.attaching import Attaching, attachable
from gui.chat.composer import Composer
from gui.chat.conversation_list import ConversationList
from gui.chat.conversing import Conversing
from gui.chat.header import ChatHeader
from gui.chat.inspector import Inspector
from gui.chat.layout import place_parts
from gui.chat.loading import Loading
from gui.chat.manner import Manner
from gui.chat.search import Search
from gui.chat.transcript import Transcript
from gui.chat.transfer import Transfer, importable
from gui.chat.welcome import Welcome
from gui.desk import Desk
from gui.drops import Drops, Taker
from gui.text import tr


class ChatPage(QWidget):
    """Conversations on the left, the one in use in the middle, its settings on the right."""

    working = Signal(str)
    message_wanted = Signal(int, str)  # a message, and what is done with it elsewhere: "tokens", "score", "compare"

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._defaults = Manner.of_settings(desk.settings)
        self.list = ConversationList()
        self.header = ChatHeader()
        self.welcome = Welcome()
        self.transcript = Transcript()
        self.composer = Composer()
        self.inspector = Inspector()
        self._stack = place_parts(self)
        self.loading = Loading(desk, self, self.header, self.welcome, self.composer)
        self.talk = Conversing(desk, self.loading, self.transcript)
        self.search = Search(desk, self)
        self.transfer = Transfer(desk, self)
        self.attaching = Attaching(desk, self.composer)
        self._connect()
        self._show_manner()
        self.inspector.hide()
        self._fill_list()

    # What the person and the window can ask for

    @property
    def model(self) -> str:
        """The model in use, as it is named."""
        return self.loading.model

    @property
    def loaded(self) -> ModelLoaded | None:
        """The model that is ready, if one is."""
        return self.loading.loaded

    @property
    def conversation(self) -> int | None:
        """The conversation in view; None for one that is not stored yet."""
        return self.talk.id

    def branch(self, message: int) -> None:
        """Go on from a message in a new conversation, and leave this one as it is."""
        self.inspector.flush()
        new = self._desk.store.branch(message)
        self._refresh(new.id)
        self.open_conversation(new.id)
        self.composer.setFocus()

    def find_text(self) -> None:
        """Let the person write what to look for in all conversations."""
        if self.list.isHidden():
            self.header.panel.setChecked(False)
        self.list.take_search_focus()

    def offer_drops(self, drops: Drops) -> None:
        """Have text files that are dropped here attached, and exports that are dropped on the list taken in."""
        words = tr("Drop to import")
        drops.offer(Taker(self.list, importable, lambda paths: self.transfer.take_in(paths[0]), words, "download"))
        drops.offer(Taker(self, attachable, self.attaching.read, tr("Drop to attach"), "clip"))

    @property
    def answering(self) -> bool:
        """Whether an answer is under way in the conversation shown."""
        return self.talk.answering

    def start(self) -> None:
        """Load the model of the settings and look for others; called once the window is visible."""
        self.load(self._desk.settings.model)
        self.find_models()

    def load(self, model: str) -> None:
        """Have this model answer from now on."""
        self.loading.load(model)

    def choose_model(self, model: str) -> None:
        """Load a model the person picked, and begin with it next time."""
        self.loading.choose(model)

    def find_models(self) -> None:
        """Look for the models on this computer again."""
        self.loading.find()

    def get_model(self) -> None:
        """Open the dialog that fetches a model."""
        self.loading.get()

    def new_conversation(self) -> None:
        """Begin with an empty page; it is stored with its first message."""
        self.inspector.flush()
        self.talk.begin()
        self.composer.setFocus()

    def begin_with(self, question: str, answer: str, system_prompt: str, model: str) -> None:
        """Begin a conversation that goes on from an answer which was given elsewhere."""
        store = self._desk.store
        sampling = self._desk.settings.sampling
        begun = store.create(model=model, system_prompt=system_prompt, sampling=sampling).id
        said = store.add(begun, None, "user", question)
        store.add(begun, said.id, "assistant", answer, model=model)
        self._refresh(begun)
        self.open_conversation(begun)
        self.composer.setFocus()

    def open_conversation(self, conversation: int, message: int | None = None) -> None:
        """Show a stored conversation, and in it a message."""
        self.inspector.flush()
        self.talk.open(conversation, message)

    def send(self, text: str) -> None:
        """Say something, with what is attached, and have it answered."""
        self.inspector.flush()
        if self.talk.say(text, self.composer.attached):
            self.composer.clear()
            self._stack.setCurrentWidget(self.transcript)
        else:
            self._fill_list()

    def regenerate(self, message: int, prefix: tuple[int, ...] = ()) -> None:
        """Have a message answered once more, beside the answer it has; `prefix` are token ids it begins with."""
        self.inspector.flush()
        self.talk.answer_again(message, prefix)

    def regenerate_last(self) -> None:
        """Answer the last question once more."""
        if self.talk.path and self.talk.path[-1].role == "assistant":
            self.regenerate(self.talk.path[-1].id)

    def stop(self) -> None:
        """End the answer under way in this conversation."""
        self.talk.stop()

    def delete_conversation(self, conversation: int) -> None:
        """Remove a conversation; it can be brought back for a while."""
        if conversation in self.talk.exchanges:
            self.talk.exchanges[conversation].stop()
        self._desk.store.delete(conversation)
        if conversation == self.conversation:
            self.new_conversation()
        self.list.remove(conversation, self.conversation)
        self._desk.notices.tell(tr("The conversation was deleted."), tr("Undo"), lambda: self._restore(conversation))

    # Events

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.answering:
            self.stop()
            return
        super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._make_room()

    # Pieces

    def _on_shown(self) -> None:
        """Another conversation or branch is in view."""
        self._show_manner()
        self._stack.setCurrentWidget(self.transcript if self.talk.path else self.welcome)
        self.list.mark(self.conversation)

    def _show_speculation(self) -> None:
        answer = next((message for message in reversed(self.talk.path) if message.stats is not None), None)
        effect = self.talk.speeds.effect(answer) if answer is not None else ""
        self.inspector.show_speculation(self._desk.settings.speculative, effect)

    def _set_speculative(self, on: bool) -> None:
        self._desk.change_settings(self._desk.settings.model_copy(update={"speculative": on}))

    def _on_answering(self) -> None:
        self._show_speculation()
        self.composer.set_answering(self.answering)
        self._say_what_works()

    def _show_fit(self) -> None:
        fit, loaded = self.talk.fit, self.loading.loaded
        self.composer.gauge.show_use(fit.tokens, fit.window or (loaded.context if loaded is not None else 0))

    def _act_on(self, message: int, action: str) -> None:
        if action == "again":
            self.regenerate(message)
        elif action == "branch":
            self.branch(message)
        elif action == "copy markdown":
            QGuiApplication.clipboard().setText(self._desk.store.ancestors(message)[-1].text)
        elif action == "export" and self.conversation is not None:
            self._act_on_conversation(self.conversation, "markdown")
        else:
            self.message_wanted.emit(message, action)

    def _show_panel(self, shown: bool) -> None:
        self.inspector.setVisible(shown)
        self._make_room()

    def _make_room(self) -> None:
        """Hide the list of conversations where it would squeeze the conversation itself."""
        panel = self.inspector.width() if self.header.panel.isChecked() else 0
        self.list.setVisible(self.width() - panel >= 700)

    def _say_what_works(self) -> None:
        """Name for the status bar what runs on this page's behalf."""
        self.working.emit(self.loading.work or (tr("Answering") if self.talk.exchanges else ""))

    def _restore(self, conversation: int) -> None:
        self._desk.store.restore(conversation)
        self._refresh(conversation)
        self.open_conversation(conversation)

    def _fill_list(self) -> None:
        self.list.show_conversations(self._desk.store.all(), self.conversation)

    def _refresh(self, conversation: int) -> None:
        """Show in the list what became of a conversation; one that is deleted meanwhile is not in it."""
        with contextlib.suppress(UserError):
            self.list.put(self._desk.store.get(conversation), self.conversation)

    def _rename(self, conversation: int, title: str) -> None:
        self._desk.store.change(conversation, title=title)
        self._refresh(conversation)

    def _act_on_conversation(self, conversation: int, action: str) -> None:
        stored = self._desk.store.get(conversation)
        if action in ("pin", "unpin"):
            self._desk.store.change(conversation, pinned=action == "pin")
            self._refresh(conversation)
        elif action == "branch" and stored.leaf is not None:
            self.branch(stored.leaf)
        elif action == "markdown":
            self.transfer.ask_to_export(conversation, stored.title, "markdown")
        elif action == "json":
            self.transfer.ask_to_export(conversation, stored.title, "json")

    def _on_imported(self, conversations: tuple[int, ...]) -> None:
        self._fill_list()
        if conversations:
            self.open_conversation(conversations[0])

    def _show_manner(self) -> None:
        manner = self.talk.manner
        self.inspector.show_settings(manner.system_prompt, manner.sampling)
        self.composer.gauge.set_choice(manner.when_full, self._desk.settings.when_full)

    def _set_when_full(self, choice: WhenFull | Literal[""]) -> None:
        self.talk.change(dataclasses.replace(self.talk.manner, when_full=choice))
        self._show_manner()

    def _set_system_prompt(self, text: str) -> None:
        self.talk.change(dataclasses.replace(self.talk.manner, system_prompt=text))

    def _set_sampling(self, sampling: Sampling) -> None:
        self.talk.change(dataclasses.replace(self.talk.manner, sampling=sampling))

    def _on_settings(self) -> None:
        settings = self._desk.settings
        self.composer.set_send_key(settings.send_key)
        self._show_speculation()
        self.composer.gauge.set_choice(self.talk.manner.when_full, settings.when_full)
        defaults = Manner.of_settings(settings)
        if self.conversation is None and defaults != self._defaults:
            self._defaults = defaults
            self.talk.change(defaults)
            self._show_manner()

    def _connect(self) -> None:
        self._desk.settings_changed.connect(self._on_settings)
        self.loading.changed.connect(self._say_what_works)
        self.loading.changed.connect(self._show_fit)
        self.talk.fitted.connect(self._show_fit)
        self.composer.gauge.chosen.connect(self._set_when_full)
        self.list.chosen.connect(self.open_conversation)
        self.list.view.activated.connect(lambda _index: self.composer.setFocus())
        self.list.view.clicked.connect(lambda _index: self.composer.setFocus())
        self.list.wanted.connect(self.new_conversation)
        self.list.renamed.connect(self._rename)
        self.list.deleted.connect(self.delete_conversation)
        self.list.acted.connect(self._act_on_conversation)
        self.list.found.connect(self.open_conversation)
        self.list.left.connect(self.composer.setFocus)
        self.list.search.textChanged.connect(self.search.look_for)
        self.search.answered.connect(self.list.show_found)
        self.transfer.imported.connect(self._on_imported)
        self.talk.shown.connect(self._on_shown)
        self.talk.stored.connect(self._refresh)
        self.talk.answering_changed.connect(self._on_answering)
        self.header.panel_toggled.connect(self._show_panel)
        self.welcome.suggested.connect(self.send)
        self.transcript.wanted.connect(self._act_on)
        self.transcript.chosen.connect(self.talk.choose)
        self.transcript.edited.connect(self.talk.edit)
        self.composer.send.connect(self.send)
        self.composer.stop.connect(self.stop)
        self.inspector.system_prompt_changed.connect(self._set_system_prompt)
        self.inspector.sampling_changed.connect(self._set_sampling)
        self.inspector.speculative_changed.connect(self._set_speculative)
