"""The view of one run: how it stands, what can be done, and its charts, samples and checkpoints. Knows no engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QStackedWidget, QVBoxLayout, QWidget

from engine.events import Failed
from engine.run_events import RunFound
from engine.training_events import TrainingFailed
from gui import theme
from gui.desk import Desk
from gui.parts import FailureCard, OneLine, WarningCard, words
from gui.text import tr
from gui.train import standing
from gui.train.controls import Controls
from gui.train.record import Record
from gui.train.tabs import Tabs
from gui.train.training import Training, Trainings

_TITLE = 200  # what the name of the run has at least


class Monitor(QWidget):
    """One run, of this window or any other process; nothing but its folder is needed to show it."""

    chat_wanted = Signal(str)  # a model's folder, or the policy that trains now
    sample_chat_wanted = Signal(object)  # a SampleRead
    convert_wanted = Signal(str)
    upload_wanted = Signal(str)
    models_changed = Signal()
    notes_kept = Signal()

    def __init__(self, desk: Desk, trainings: Trainings, folder: str) -> None:
        super().__init__()
        self._desk, self._trainings = desk, trainings
        self.record = Record(desk, folder, self)
        self._run: RunFound | None = None
        self._failed: Failed | None = None  # why the last try of this window to train here failed
        self.title, self.state, self.figures = OneLine("heading"), words("", "strong"), OneLine("muted")
        self.title.show_text(Path(folder).name)
        self.bar = QProgressBar(textVisible=False)
        self.bar.setAccessibleName(tr("Progress of the run"))
        self.bar.setFixedHeight(3)
        self.controls = Controls()
        self.failure, self.warnings = FailureCard(), WarningCard()
        self.failure.hide()
        self.tabs = Tabs()
        self.stack = QStackedWidget()
        self._views: dict[str, QWidget] = {}
        self._lay_out()
        self.tabs.chosen.connect(self.show_tab)
        self.record.changed.connect(self.refresh)
        trainings.changed.connect(self.refresh)
        trainings.ended.connect(self._on_ended)
        self.record.follow()
        self.refresh()

    @property
    def training(self) -> Training | None:
        """The run's training in this window, None where it trains elsewhere or not at all."""
        return self._trainings.of(self.record.folder)

    def show_tab(self, name: str) -> None:
        """Show charts, samples, checkpoints, the comparison or what there is to say of the run."""
        if name not in self._views:
            self._views[name] = _VIEWS[name](self)
            self.stack.addWidget(self._views[name])
        self.stack.setCurrentWidget(self._views[name])
        self.tabs.mark(name)

    def view(self, name: str) -> QWidget:
        """The view of a tab, made if it was not shown yet."""
        self.show_tab(name)
        return self._views[name]

    def show_found(self, run: RunFound) -> None:
        """Take what the list of runs knows of it: notes and tags."""
        if run != self._run:
            self._run = run
            self._show_about()

    def refresh(self) -> None:
        """Show how the run stands now."""
        record, training = self.record, self.training
        self.state.setText(standing.state(record, training))
        parts = (standing.progress(record, training), standing.results(record), standing.doing(training))
        self.figures.show_text(" · ".join(part for part in parts if part))
        self.bar.setRange(0, max(1, record.steps))
        self.bar.setValue(record.step)
        live = record.live or training is not None
        self.bar.setVisible(live)
        self.controls.show_run(record, training)
        self._make_room()
        failure = record.failure or self._failed or _recorded(record)
        self.failure.setVisible(failure is not None and not live)
        if failure is not None:
            self.failure.show_failure(failure)
        self.warnings.show_sentences(standing.problems(record))

    def rest(self) -> None:
        """Follow the run no more, as before its folder is moved."""
        self.record.rest()

    def flush(self) -> None:
        """Keep the notes that are being typed, as before the window closes."""
        about = self._views.get("about")
        if about is not None:
            about.flush()  # type: ignore[attr-defined]

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._make_room()

    def _make_room(self) -> None:
        self.controls.make_room(self.width() - _TITLE)

    def _on_ended(self, training: Training) -> None:
        if training.folder == self.record.folder:
            self._failed = training.failure
            self.record.look()
            self.refresh()

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(theme.MEDIUM)
        head.addWidget(self.title, 1)
        head.addWidget(self.controls)
        line = QHBoxLayout()
        line.setSpacing(theme.SMALL)
        self.state.setWordWrap(False)
        line.addWidget(self.state)
        line.addWidget(self.figures, 1)
        names = QVBoxLayout()
        names.setContentsMargins(theme.LARGE, theme.MEDIUM, theme.LARGE, 0)
        names.setSpacing(theme.TINY)
        names.addLayout(head)
        names.addLayout(line)
        cards = QVBoxLayout()
        cards.setContentsMargins(theme.LARGE, 0, theme.LARGE, 0)
        cards.setSpacing(theme.SMALL)
        cards.addWidget(self.failure)
        cards.addWidget(self.warnings)
        for name, text in _TABS.items():
            self.tabs.add(name, tr(text))
        rule = QFrame()
        rule.setProperty("role", "line")
        rule.setFixedHeight(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SMALL)
        column.addLayout(names)
        column.addWidget(self.bar)
        column.addLayout(cards)
        tabs = QHBoxLayout()
        tabs.setContentsMargins(theme.LARGE, 0, theme.LARGE, 0)
        tabs.addWidget(self.tabs)
        column.addLayout(tabs)
        column.addWidget(rule)
        column.addWidget(self.stack, 1)

    def _show_about(self) -> None:
        about = self._views.get("about")
        if about is not None:
            about.show_record(self.record, self._run, here=self.training is not None)  # type: ignore[attr-defined]

    def _charts(self) -> QWidget:
        from gui.train.charts.view import ChartsView

        view = ChartsView(self._desk.notices)
        view.show_records([self.record])
        return view

    def _samples(self) -> QWidget:
        from gui.train.samples.view import SamplesView

        view = SamplesView(self._desk)
        view.show_record(self.record)
        view.chat_wanted.connect(self.sample_chat_wanted)
        return view

    def _checkpoints(self) -> QWidget:
        from gui.train.runs.checkpoints import CheckpointsView

        view = CheckpointsView(self._desk)
        view.show_record(self.record)
        view.chat_wanted.connect(self.chat_wanted)
        view.convert_wanted.connect(self.convert_wanted)
        view.upload_wanted.connect(self.upload_wanted)
        view.models_changed.connect(self.models_changed)
        view.compare_wanted.connect(self._compare)
        return view

    def _comparison(self) -> QWidget:
        from gui.train.compare.view import CompareView

        view = CompareView(self._desk)
        view.show_record(self.record)
        return view

    def _about(self) -> QWidget:
        from gui.train.runs.about import AboutRun

        view = AboutRun(self._desk)
        view.notes_kept.connect(self.notes_kept)
        view.show_record(self.record, self._run, here=self.training is not None)
        return view

    def _compare(self, folder: str) -> None:
        view = self.view("compare")
        view.choose(folder)  # type: ignore[attr-defined]


def _recorded(record: Record) -> Failed | None:
    """Why the run failed, as its record says."""
    end = record.ending
    return Failed(end.what, end.why, end.remedy, end.fault, end.details) if isinstance(end, TrainingFailed) else None


_TABS = {
    "charts": "Charts",
    "samples": "Samples",
    "checkpoints": "Checkpoints",
    "compare": "Before and After",
    "about": "About",
}
_VIEWS: dict[str, Callable[[Monitor], QWidget]] = {
    "charts": Monitor._charts,
    "samples": Monitor._samples,
    "checkpoints": Monitor._checkpoints,
    "compare": Monitor._comparison,
    "about": Monitor._about,
}
