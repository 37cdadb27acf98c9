"""Makes a whole model from a checkpoint, and says what came of it. Knows the job, and no table of checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar

from engine import jobs, places
from engine.conversion_events import ModelConverted
from engine.events import Done, Event, Failed, Progress
from engine.run_events import CheckpointFound
from gui import theme
from gui.parts import Card, FailureCard, PathLabel, button, words
from gui.text import short_path, size, tr

if TYPE_CHECKING:
    from engine.workers import Job
    from gui.desk import Desk


class Exporting(Card):
    """Hidden until a model is being made; then its progress, and at last the model or an error."""

    chat_wanted = Signal(str)  # a model's folder
    convert_wanted = Signal(str)
    upload_wanted = Signal(str)
    models_changed = Signal()
    ended = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__("hint")
        self._desk = desk
        self._job: Job | None = None
        self._name = ""
        self.model = ""  # the folder of the last model that was made
        self._said, self._detail = words(role="strong"), words(role="muted")
        self._path = PathLabel("", "muted")
        self._bar = QProgressBar(textVisible=False)
        self._bar.setAccessibleName(tr("How far the model is written"))
        self.cancel = button(tr("Cancel"))
        self.cancel.clicked.connect(self._stop)
        self.failure = FailureCard()
        self.chat, self.convert = button(tr("Chat Now")), button(tr("Convert…"))
        self.convert.setToolTip(tr("Make it smaller, for example with 4 bits a weight"))
        self.upload = button(tr("Upload…"))
        self._buttons = (self.cancel, self.chat, self.convert, self.upload)
        self.chat.clicked.connect(lambda: self.chat_wanted.emit(self.model))
        self.convert.clicked.connect(lambda: self.convert_wanted.emit(self.model))
        self.upload.clicked.connect(lambda: self.upload_wanted.emit(self.model))
        row = QHBoxLayout()
        row.setSpacing(theme.SMALL)
        row.addStretch()
        for made in (self.upload, self.convert, self.chat, self.cancel):
            row.addWidget(made)
        for widget in (self._said, self._detail, self._path, self._bar, self.failure):
            self.rows.addWidget(widget)
        self.rows.addLayout(row)
        self.hide()

    @property
    def busy(self) -> bool:
        """Whether a model is being made."""
        return self._job is not None

    def make(self, checkpoint: CheckpointFound, run: str) -> None:
        """Make a whole model from a checkpoint, or from what the run of this name left at its end."""
        self._name = run if checkpoint.kind != "checkpoint" else f"{run}-step-{checkpoint.step}"
        output = str(_free(places.models_folder() / self._name))
        request: jobs.Request = jobs.ExportCheckpoint(checkpoint.folder, output)
        if checkpoint.kind != "checkpoint":
            request = jobs.Fuse(checkpoint.model, checkpoint.folder, output)
        self.model = ""
        self._show(tr("Making the model {name}…", name=Path(output).name), "", self._bar, self.cancel)
        self._bar.setRange(0, 0)
        self.cancel.setEnabled(True)
        job = self._job = self._desk.compute.submit(request)
        job.events.connect(self._on_events)
        job.ended.connect(self._on_ended)

    def text(self) -> str:
        """What is shown, for tests and screen readers."""
        return "\n".join(label.text() for label in (self._said, self._detail) if not label.isHidden())

    def clear(self) -> None:
        """Show nothing, unless a model is being made."""
        if not self.busy:
            self.hide()

    def _stop(self) -> None:
        if self._job is not None:
            self.cancel.setEnabled(False)
            self._job.cancel()

    def _show(self, said: str, detail: str, *widgets: object) -> None:
        self._said.setText(said)
        self._detail.setText(detail)
        self._said.setVisible(bool(said))
        self._detail.setVisible(bool(detail))
        for widget in (*self._buttons, self._path, self._bar, self.failure):
            widget.setVisible(widget in widgets)
        self.show()

    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Progress):
                self._detail.setText(tr(event.what))
                self._detail.show()
                self._bar.setRange(0, 1000 if event.total else 0)
                self._bar.setValue(int(1000 * event.done / event.total) if event.total else 0)
            elif isinstance(event, ModelConverted):
                self.model = event.folder
                self._path.set_path(short_path(event.folder))
                self._detail.setText(size(event.size))

    def _on_ended(self, ending: object) -> None:
        self._job = None
        if isinstance(ending, Failed):
            self.failure.show_failure(ending)
            self._show("", "", self.failure)
        elif isinstance(ending, Done) and self.model:
            made = Path(self.model).name
            self._show(
                tr("{name} is ready", name=made), self._detail.text(), self._path, self.chat, self.convert, self.upload
            )
            self.models_changed.emit()
        else:
            self.hide()
        self.ended.emit()


def _free(folder: Path) -> Path:
    """This folder, or one with a number where it is there already: no model is written over."""
    number, place = 2, folder
    while place.exists():
        place, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    return place
