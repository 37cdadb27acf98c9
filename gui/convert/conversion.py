"""One conversion from the first look to its result: which job runs, and what it said. Knows no widget."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, Signal

from engine import jobs
from engine.conversion_events import ConversionPlanned, ModelChecked, ModelConverted, QualityMeasured
from engine.convert.settings import ConversionSettings
from engine.events import Done, Event, Failed, ModelFetched, Note, Progress
from engine.workers import Job, Lane
from gui.desk import Desk
from gui.drops import hub_name

State = Literal["looking", "downloading", "choosing", "waiting", "running", "done", "failed"]


class Conversion(QObject):
    """What is known of one conversion; lives on the window's thread.

    `failed_at` is the state in which it failed: an error while looking leads back to the start, one while running
    to the settings.
    """

    changed = Signal()  # its state is another
    progressed = Signal(object)  # a Progress
    planned = Signal()  # the plan is another: other settings, or another output folder
    refused = Signal(object)  # a Failed: the output folder that was looked at cannot be used
    gone = Signal()  # given up before it was a conversion

    def __init__(self, desk: Desk, source: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.source = source
        self.state: State = "looking"
        self.failed_at: State = "looking"
        self.failure: Failed | None = None
        self.plan: ConversionPlanned | None = None
        self.progress: Progress | None = None
        self.request: jobs.Convert | None = None
        self.checked: ModelChecked | None = None
        self.converted: ModelConverted | None = None
        self.quality: list[QualityMeasured] = []
        self.notes: list[str] = []
        self._job: Job | None = None
        self._plan_job: Job | None = None

    @property
    def name(self) -> str:
        """The short name of what is converted."""
        return self.plan.name if self.plan else Path(self.source).name or self.source

    @property
    def on_hub(self) -> bool:
        """Whether the source is named by its id on the Hugging Face Hub."""
        return bool(hub_name(self.source)) and not Path(self.source).exists()

    @property
    def busy(self) -> bool:
        """Whether it converts, or waits for its turn."""
        return self.state in ("waiting", "running")

    def look(self) -> None:
        """Find out what the source is."""
        self._become("looking")
        self._begin(self._desk.network, jobs.LookAt(self.source))

    def look_again(self, output: str, settings: ConversionSettings) -> None:
        """Make the plan anew for another output folder, without leaving the settings."""
        if self._plan_job is not None:
            self._plan_job.cancel()
        job = self._plan_job = self._desk.network.submit(jobs.LookAt(self.source, output, settings))
        job.events.connect(lambda events: self._on_plan(job, events))
        job.ended.connect(lambda ending: self._on_plan_ended(job, ending))

    def download(self) -> None:
        """Fetch a source that is on the Hugging Face Hub, then look at it."""
        self._become("downloading")
        self._begin(self._desk.network, jobs.Download(self.source, any_kind=True))

    def convert(self, request: jobs.Convert) -> None:
        """Stand in line with these settings."""
        self.request, self.progress, self.checked, self.converted, self.notes = request, None, None, None, []
        if request.report:
            self.quality = []
        self._become("waiting")
        self._begin(self._desk.compute, request)

    def cancel(self) -> None:
        """Give up what is under way; nothing half-made is left."""
        if self._job is not None:
            self._job.cancel()

    def back_to_settings(self) -> None:
        """Choose again, after an error or a result."""
        self._become("choosing")

    def keep_quality(self, quality: list[QualityMeasured]) -> None:
        """Remember what was measured before converting."""
        self.quality = quality

    def _begin(self, lane: Lane, request: jobs.Request) -> None:
        job = self._job = lane.submit(request)
        job.events.connect(lambda events: self._on_events(job, events))
        job.ended.connect(lambda ending: self._on_ended(job, ending))

    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        if job is not self._job:
            return
        if self.state == "waiting":
            self._become("running")
        for event in events:
            match event:
                case Progress():
                    self.progress = event
                case ConversionPlanned():
                    self.plan = event
                case ModelChecked():
                    self.checked = event
                case ModelFetched():
                    # From here on it is the folder, or the one file, that was fetched.
                    self.source = event.folder
                case QualityMeasured():
                    self.quality.append(event)
                case ModelConverted():
                    self.converted = event
                case Note():
                    self.notes.append(event.text)
        if self.progress is not None:
            self.progressed.emit(self.progress)

    def _on_ended(self, job: Job, ending: object) -> None:
        if job is not self._job:
            return
        self._job = None
        was = self.state
        if isinstance(ending, Failed):
            self.failure, self.failed_at = ending, was
            self._become("failed")
        elif was == "downloading" and isinstance(ending, Done):
            self.look()
        elif was == "looking" and isinstance(ending, Done):
            self._become("choosing")
        elif isinstance(ending, Done):
            self._become("done")
        elif self.busy:
            self._become("choosing")
        else:
            self.gone.emit()

    def _on_plan(self, job: Job, events: tuple[Event, ...]) -> None:
        plans = [event for event in events if isinstance(event, ConversionPlanned)]
        if job is self._plan_job and plans:
            self.plan = plans[-1]
            self.planned.emit()

    def _on_plan_ended(self, job: Job, ending: object) -> None:
        if job is not self._plan_job:
            return
        self._plan_job = None
        if isinstance(ending, Failed):
            self.refused.emit(ending)

    def _become(self, state: State) -> None:
        self.state = state
        if state != "failed":
            self.failure = None
        self.changed.emit()


class Measurement(QObject):
    """A measurement of quality beside a conversion: one job, and the figures it gave."""

    changed = Signal()
    progressed = Signal(object)

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._job: Job | None = None
        self.figures: list[QualityMeasured] = []
        self.notes: list[str] = []
        self.failure: Failed | None = None

    @property
    def running(self) -> bool:
        """Whether it measures, or waits for its turn."""
        return self._job is not None

    def begin(self, request: jobs.MeasureQuality) -> None:
        """Measure what these settings and their neighbours cost."""
        self.cancel()
        self.figures, self.notes, self.failure = [], [], None
        job = self._job = self._desk.compute.submit(request)
        job.events.connect(lambda events: self._on_events(job, events))
        job.ended.connect(lambda ending: self._on_ended(job, ending))
        self.changed.emit()

    def cancel(self) -> None:
        """Stop measuring; the figures that are there stay."""
        if self._job is not None:
            self._job.cancel()

    def forget(self) -> None:
        """Stop measuring and hear no more of it; emits nothing."""
        self.cancel()
        self._job = None
        self.figures, self.notes, self.failure = [], [], None

    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        if job is not self._job:
            return
        for event in events:
            if isinstance(event, QualityMeasured):
                self.figures.append(event)
                self.changed.emit()
            elif isinstance(event, Note):
                self.notes.append(event.text)
            elif isinstance(event, Progress):
                self.progressed.emit(event)

    def _on_ended(self, job: Job, ending: object) -> None:
        if job is not self._job:
            return
        self._job = None
        self.failure = ending if isinstance(ending, Failed) else None
        self.changed.emit()
