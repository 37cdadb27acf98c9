"""The dialog that fetches a model from the Hugging Face Hub. Knows the network lane, loads nothing."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QLineEdit, QProgressBar, QPushButton, QVBoxLayout, QWidget

from engine import config, jobs, places
from engine.config import SuggestedModels
from engine.events import Done, Failed, ModelFetched, Progress
from engine.workers import Job, NetworkLane
from gui import theme
from gui.text import size, tr


class GetModel(QDialog):
    """Asks for a Hub id, downloads it with progress, and announces the id when it is there."""

    fetched = Signal(str)

    def __init__(self, lane: NetworkLane, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Get a Model from Hugging Face"))
        self.setMinimumWidth(520)
        self._lane = lane
        self._job: Job | None = None
        self._began, self._already = 0.0, -1.0
        title = QLabel(tr("Get a model"))
        title.setProperty("role", "heading")
        about = QLabel(
            tr("Name a model on Hugging Face in MLX format. It is kept in the Hugging Face cache."), wordWrap=True
        )
        about.setProperty("role", "muted")
        self.name = QLineEdit(placeholderText="mlx-community/Qwen2.5-0.5B-Instruct-4bit")
        self.name.setAccessibleName(tr("Hugging Face id"))
        self.name.textChanged.connect(self._update)
        self.bar = QProgressBar(textVisible=False)
        self.bar.setAccessibleName(tr("Download progress"))
        self.state = QLabel(wordWrap=True)
        self.state.setTextFormat(Qt.TextFormat.PlainText)
        self.start_button = QPushButton(tr("Download"), default=True)
        self.start_button.setProperty("role", "primary")
        self.start_button.clicked.connect(self._start)
        cancel = QPushButton(tr("Cancel"), autoDefault=False)
        cancel.clicked.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.HUGE, theme.HUGE, theme.HUGE, theme.LARGE)
        column.setSpacing(theme.SMALL)
        for widget in (title, about, self.name):
            column.addWidget(widget)
        self._suggestions = _suggestions(self.name)
        column.addWidget(self._suggestions)
        column.addSpacing(theme.SMALL)
        column.addWidget(self.bar)
        column.addWidget(self.state)
        column.addStretch(1)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(cancel)
        buttons.addWidget(self.start_button)
        column.addLayout(buttons)
        self.bar.hide()
        self._update()

    def reject(self) -> None:
        """Close the dialog; a running download stops and can be taken up again later."""
        if self._job is not None:
            self._job.cancel()
        super().reject()

    def _update(self) -> None:
        self.start_button.setEnabled(self._job is None and "/" in self.name.text().strip())
        self.name.setEnabled(self._job is None)
        self._suggestions.setEnabled(self._job is None)

    def _start(self) -> None:
        self._job = self._lane.submit(jobs.Download(self.name.text().strip()))
        self._job.events.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self._began, self._already = time.monotonic(), -1.0
        self.bar.setRange(0, 0)
        self.bar.show()
        self.state.setProperty("role", "muted")
        self.state.style().polish(self.state)
        self.state.setText(tr("Looking the model up…"))
        self._update()

    def _on_events(self, events: tuple[object, ...]) -> None:
        for event in events:
            if isinstance(event, ModelFetched):
                self.fetched.emit(event.name)
            elif isinstance(event, Progress) and event.total:
                if self._already < 0:
                    self._already = event.done
                speed = (event.done - self._already) / max(0.1, time.monotonic() - self._began)
                self.bar.setRange(0, 1000)
                self.bar.setValue(int(1000 * event.done / event.total))
                self.state.setText(
                    tr(
                        "{done} of {total}, {speed} a second",
                        done=size(event.done),
                        total=size(event.total),
                        speed=size(speed),
                    )
                )

    def _on_ended(self, ending: object) -> None:
        self._job = None
        self._update()
        self.bar.hide()
        if isinstance(ending, Done):
            self.accept()
        elif isinstance(ending, Failed):
            self.state.setProperty("role", "wrong")
            self.state.style().polish(self.state)
            self.state.setText("\n".join(part for part in (ending.what, ending.why, ending.remedy) if part))


def suggested_models() -> tuple[str, ...]:
    """Ids from the list that comes with the program."""
    return config.read(SuggestedModels, places.configs_folder() / "suggested_models.toml").models


def _suggestions(edit: QLineEdit) -> QWidget:
    holder = QWidget()
    column = QVBoxLayout(holder)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(2)
    heading = QLabel(tr("Small models to begin with"))
    heading.setProperty("role", "caption")
    column.addWidget(heading)
    for name in suggested_models():
        button = QPushButton(name, flat=True, autoDefault=False)
        button.setProperty("role", "link")
        button.setAccessibleName(tr("Use {name}", name=name))
        button.clicked.connect(lambda _=False, name=name: edit.setText(name))
        column.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
    return holder
