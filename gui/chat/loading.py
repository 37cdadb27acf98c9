"""Loads the model that answers and says so on the page. Knows model events, no conversation."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QWidget

from engine import jobs
from engine.events import Event, Failed, ModelFound, ModelLoaded, Progress
from engine.workers import Job
from gui.chat.composer import Composer
from gui.chat.header import ChatHeader
from gui.chat.welcome import Welcome
from gui.desk import Desk
from gui.models.get_model import GetModel
from gui.text import tr


class Loading(QObject):
    """The model in use, from the wish for it to its readiness.

    `model` is how it is named: a folder, an id, an alias, or "run:FOLDER" for what trains there.
    """

    changed = Signal()  # whether something is being loaded, or what is

    def __init__(self, desk: Desk, page: QWidget, header: ChatHeader, welcome: Welcome, composer: Composer) -> None:
        super().__init__(page)
        self._desk, self._page = desk, page
        self._header, self._welcome, self._composer = header, welcome, composer
        self.model = desk.settings.model
        self.loaded: ModelLoaded | None = None
        self._job: Job | None = None
        self._failed = False
        header.picker.set_model(self.model, short_name(self.model))
        header.picker.chosen.connect(self.choose)
        header.picker.download_wanted.connect(self.get)
        welcome.model_wanted.connect(self.get)

    @property
    def work(self) -> str:
        """What is being loaded, in words for the status bar; "" for nothing."""
        return tr("Loading {model}", model=short_name(self.model)) if self._job is not None else ""

    def load(self, model: str) -> None:
        """Have this model answer from now on."""
        self.model = model
        self._header.picker.set_model(model, short_name(model))
        self._header.show_progress(Progress("Starting the engine", 0))
        self.loaded = None
        if self._failed:
            self._desk.notices.withdraw()
            self._failed = False
        self._welcome.show_model(None)
        if self._job is not None:
            self._job.cancel()
        job = self._job = self._desk.compute.submit(self._desk.load_request(model))
        self.changed.emit()
        job.events.connect(lambda events: self._on_events(job, events))
        job.ended.connect(lambda ending: self._on_ended(job, ending))

    def choose(self, model: str) -> None:
        """Load a model the person picked, and begin with it next time."""
        self._desk.change_settings(self._desk.settings.model_copy(update={"model": model}))
        self.load(model)

    def find(self) -> None:
        """Look for the models on this computer again."""
        found: list[ModelFound] = []
        job = self._desk.network.submit(jobs.ListModels())
        job.events.connect(lambda events: found.extend(e for e in events if isinstance(e, ModelFound)))
        job.ended.connect(lambda ending: self._on_found(found, ending))

    def get(self) -> None:
        """Open the dialog that fetches a model."""
        dialog = GetModel(self._desk.network, self._page.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fetched.connect(self.choose)
        dialog.fetched.connect(lambda _: self.find())
        dialog.open()

    def show_progress(self, event: Progress) -> None:
        """Show how far the loading has come, whoever asked for it."""
        self._header.show_progress(event)

    def show_loaded(self, model: ModelLoaded) -> None:
        """Take note of a model that is ready, whoever had it loaded."""
        self.loaded = model
        name = short_name(model.name)
        self._header.picker.set_model(self.model, name)
        self._header.show_model(model, trains=self.model.startswith("run:"))
        self._welcome.show_model(model)
        self._composer.set_model(name)
        self.changed.emit()

    def forget(self) -> None:
        """Take note that the model was given back."""
        self.loaded = None

    def show_state(self, ending: object) -> None:
        """After an answer: name the model again, or say that there is none."""
        if self.loaded is not None:
            self._header.show_model(self.loaded, trains=self.model.startswith("run:"))
        elif isinstance(ending, Failed):
            self._header.show_failure()

    def _on_found(self, found: list[ModelFound], ending: object) -> None:
        self._header.picker.set_found(found)
        if isinstance(ending, Failed):
            self._desk.notices.error(ending)

    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        if job is not self._job:
            return
        for event in events:
            if isinstance(event, Progress):
                self._header.show_progress(event)
            elif isinstance(event, ModelLoaded):
                self.show_loaded(event)

    def _on_ended(self, job: Job, ending: object) -> None:
        if job is not self._job:
            return
        self._job = None
        self.changed.emit()
        if isinstance(ending, Failed):
            self._header.show_failure()
            self._welcome.show_failure()
            self._failed = True
            self._desk.notices.error(ending)


def short_name(model: str) -> str:
    """The last part of a folder or Hub id."""
    return model.rstrip("/").rsplit("/", 1)[-1] or model
