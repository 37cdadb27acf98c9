"""What can be compared and where it is chosen: models, checkpoints of runs, adapters. Loads none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from engine import jobs
from engine.events import Event, ModelFound
from engine.monitor.requests import ListCheckpoints, ListRuns
from engine.run_events import CheckpointFound, RunFound
from engine.workers import Job
from gui.desk import Desk
from gui.models.picker import ModelPicker
from gui.text import number, tr

_RUNS = 8  # the newest


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that answers: a model as it is named, with an adapter on it or ""."""

    model: str
    adapter: str = ""

    @property
    def name(self) -> str:
        """What it is called in short."""
        if self.model.startswith("run:"):
            return tr("{run}, as it trains", run=Path(self.model.removeprefix("run:")).name)
        path = Path(self.model.rstrip("/"))
        name = path.name or self.model
        if path.parent.name == "checkpoints":
            step = number(int(name)) if name.isdecimal() else name
            name = tr("{run}, step {step}", run=path.parent.parent.name, step=step)
        elif name in ("model", "fused") and path.parent.name:
            name = path.parent.name
        return tr("{model} with {adapter}", model=name, adapter=Path(self.adapter).name) if self.adapter else name

    def load(self, desk: Desk) -> jobs.LoadModel:
        """How it is loaded under the settings in force."""
        request = desk.load_request(self.model)
        return jobs.LoadModel(self.model, request.precision, request.memory_limit, self.adapter)


class Shelf(QObject):
    """What is on this computer: models, and what the newest runs left."""

    changed = Signal()

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.models: tuple[ModelFound, ...] = ()
        self.runs: dict[str, list[CheckpointFound]] = {}
        self._found: list[RunFound] = []
        self._jobs: list[Job] = []

    def look(self) -> None:
        """Look for all of it anew."""
        self._found, self.models, self.runs = [], (), {}
        for request in (jobs.ListModels(), ListRuns()):
            self._submit(request)

    def _submit(self, request: jobs.Request) -> None:
        job = self._desk.network.submit(request)
        job.events.connect(self._on_events)
        job.ended.connect(self._on_ended)
        self._jobs.append(job)

    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, ModelFound):
                self.models = (*self.models, event)
            elif isinstance(event, RunFound):
                self._found.append(event)
            elif isinstance(event, CheckpointFound):
                job = self.sender()
                request = job.request if isinstance(job, Job) else None
                if isinstance(request, ListCheckpoints):
                    self.runs.setdefault(request.folder, []).append(event)

    def _on_ended(self, _: object) -> None:
        # A folder that cannot be read offers nothing, which is no error here.
        job = self.sender()
        if isinstance(job, Job):
            self._jobs.remove(job)
            if isinstance(job.request, ListRuns):
                newest = sorted((run for run in self._found if run.checkpoints), key=lambda run: -run.changed)
                for run in newest[:_RUNS]:
                    self._submit(ListCheckpoints(run.folder))
        self.changed.emit()


class ContenderPicker(ModelPicker):
    """The button above an answer that names who gives it, and offers others."""

    picked = Signal(object)  # a Contender

    def __init__(self, shelf: Shelf, side: str, parent: QWidget | None = None) -> None:
        self._shelf, self._side = shelf, side
        self.contender: Contender | None = None
        super().__init__(parent)
        self.chosen.connect(lambda model: self.pick(Contender(model)))
        shelf.changed.connect(self._refill)
        self.setText(tr("Choose a Model"))
        self.setAccessibleName(tr("{side}: choose a model", side=side))
        self._refill()

    def pick(self, contender: Contender) -> None:
        """Have this one answer, and say so."""
        self.show_contender(contender)
        self.picked.emit(contender)

    def show_contender(self, contender: Contender) -> None:
        """Name this one."""
        self.contender = contender
        self.set_model(contender.model, contender.name)
        self.setAccessibleName(tr("{side}: {name}", side=self._side, name=contender.name))
        self.setToolTip(contender.name)

    def set_found(self, found: Sequence[ModelFound]) -> None:
        """Offer these models, what runs left, and adapters."""
        super().set_found(found)
        # A download has its place on the page.
        self._menu.removeAction(self._menu.actions()[-1])
        if self._shelf.runs:
            self._add_runs(self._menu.addMenu(tr("Checkpoints of Runs")))
        if self.contender is not None:
            self._menu.addAction(tr("Put an Adapter on It…"), self._ask_for_adapter)

    def _refill(self) -> None:
        if not self._menu.isVisible():  # nothing moves under the mouse
            self.set_found(self._shelf.models)

    def _add_runs(self, menu: QMenu) -> None:
        for folder, found in self._shelf.runs.items():
            inner = menu.addMenu(Path(folder).name.replace("&", "&&"))
            for one in found:
                if one.kind == "fused":
                    continue
                last = tr("After training")
                title = tr("Step {step}", step=number(one.step)) if one.kind == "checkpoint" else last
                inner.addAction(title, partial(self.pick, Contender(one.folder)))

    def _ask_for_adapter(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("Choose an Adapter Folder"))
        if folder and self.contender is not None:
            self.pick(Contender(self.contender.model, folder))
