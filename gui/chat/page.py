"""The chat page: a conversation, its model and its settings. Knows requests and events, no model code."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from engine.events import ModelLoaded
from gui.chat.attaching import Attaching, attachable
from gui.chat.composer import Composer
from gui.chat.conversation_list import ConversationList
from gui.chat.conversing import Conversing
from gui.chat.header import ChatHeader
from gui.chat.inspector import Inspector
from gui.chat.layout import place_parts
from gui.chat.loading import Loading
from gui.chat.manners import Manners
from gui.chat.shelf import Shelf
from gui.chat.transcript import Transcript
from gui.chat.transfer import importable
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
        self.list = ConversationList()
        self.header = ChatHeader()
        self.welcome = Welcome()
        self.transcript = Transcript()
        self.composer = Composer()
        self.inspector = Inspector()
        self._stack = place_parts(self)
        self.loading = Loading(desk, self, self.header, self.welcome, self.composer)
        self.talk = Conversing(desk, self.loading, self.transcript)
        self.shelf = Shelf(desk, self.list, self.talk)
        self.manners = Manners(desk, self.talk, self.loading, self.inspector, self.composer)
        self.attaching = Attaching(desk, self.composer)
        self._connect()
        self.inspector.hide()
        self.shelf.fill()

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
        self.shelf.refresh(new.id)
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
        drops.offer(
            Taker(self.list, importable, lambda paths: self.shelf.transfer.take_in(paths[0]), words, "download")
        )
        drops.offer(Taker(self, attachable, self.attaching.read, tr("Drop to attach"), "clip"))

    @property
    def answering(self) -> bool:
        """Whether an answer is under way in the conversation shown."""
        return self.talk.answering

    def start(self) -> None:
        """Load the model of the settings and look for others; called once the window is visible."""
        self.manners.presetting.read()
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
        self.shelf.refresh(begun)
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
            self.shelf.fill()

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
        self.shelf.delete(conversation)

    def act(self, action: str) -> None:
        """Do with the conversation in view what `Shelf.act` can do with any; nothing where it is not stored."""
        if self.conversation is not None:
            self.shelf.act(self.conversation, action)

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
        self._stack.setCurrentWidget(self.transcript if self.talk.path else self.welcome)

    def _on_answering(self) -> None:
        self.composer.set_answering(self.answering)
        self._say_what_works()

    def _act_on(self, message: int, action: str) -> None:
        if action == "again":
            self.regenerate(message)
        elif action == "branch":
            self.branch(message)
        elif action == "copy markdown":
            QGuiApplication.clipboard().setText(self._desk.store.ancestors(message)[-1].text)
        elif action == "export":
            self.act("markdown")
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

    def _connect(self) -> None:
        self.loading.changed.connect(self._say_what_works)
        self.list.chosen.connect(self.open_conversation)
        self.list.view.activated.connect(lambda _index: self.composer.setFocus())
        self.list.view.clicked.connect(lambda _index: self.composer.setFocus())
        self.list.wanted.connect(self.new_conversation)
        self.list.found.connect(self.open_conversation)
        self.list.left.connect(self.composer.setFocus)
        self.shelf.opened.connect(self.open_conversation)
        self.shelf.branched.connect(self.branch)
        self.shelf.emptied.connect(self.new_conversation)
        self.talk.shown.connect(self._on_shown)
        self.talk.answering_changed.connect(self._on_answering)
        self.header.panel_toggled.connect(self._show_panel)
        self.welcome.suggested.connect(self.send)
        self.transcript.wanted.connect(self._act_on)
        self.transcript.chosen.connect(self.talk.choose)
        self.transcript.edited.connect(self.talk.edit)
        self.transcript.edited.connect(lambda *_: self.composer.setFocus())
        self.composer.send.connect(self.send)
        self.composer.stop.connect(self.stop)
