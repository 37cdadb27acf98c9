"""The sheet that puts a converted model on the Hugging Face Hub. Knows the network lane, holds no token."""

from __future__ import annotations

import re
import time

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QCheckBox, QDialog, QHBoxLayout, QLineEdit, QProgressBar, QVBoxLayout, QWidget

from engine import jobs
from engine.conversion_events import ModelUploaded
from engine.events import Done, Failed, Note, Progress
from engine.workers import Job, NetworkLane
from gui import theme
from gui.convert.pace import Pace
from gui.convert.words import amount
from gui.parts import FailureCard, PathLabel, button, words
from gui.text import duration, number, short_path, size, tr


class UploadSheet(QDialog):
    """Asks where to, uploads or only tries it, and shows the address."""

    def __init__(self, lane: NetworkLane, folder: str, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lane, self._folder = lane, folder
        self._job: Job | None = None
        self._pace = Pace()
        self.uploaded: ModelUploaded | None = None
        self.setWindowTitle(tr("Upload to Hugging Face"))
        self.setMinimumWidth(520)
        self.repository = QLineEdit(_repository(name))
        self.repository.setAccessibleName(tr("Repository name"))
        self.repository.textChanged.connect(self._update)
        self.private = QCheckBox(tr("Private: only you can see it"))
        self.private.setChecked(True)
        self.bar = QProgressBar(textVisible=False)
        self.bar.setAccessibleName(tr("Upload progress"))
        self.state = words()
        self.notes = words(role="caption")
        self.failure = FailureCard()
        self.address = button("")
        self.address.setProperty("role", "link")
        self.address.clicked.connect(self._open)
        self.close_button = button(tr("Cancel"))
        self.close_button.clicked.connect(self.reject)
        self.dry = button(tr("Try Without Sending"))
        self.dry.setToolTip(tr("Says what would be sent where, and sends nothing."))
        self.dry.clicked.connect(lambda: self._start(dry_run=True))
        self.send = button(tr("Upload"), primary=True)
        self.send.setDefault(True)
        self.send.clicked.connect(lambda: self._start(dry_run=False))
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.HUGE, theme.HUGE, theme.HUGE, theme.LARGE)
        column.setSpacing(theme.SMALL)
        column.addWidget(words(tr("Upload to Hugging Face"), "heading"))
        column.addWidget(
            words(
                tr("The model goes up with a card that states its source, settings and measured quality."),
                "muted",
            )
        )
        column.addWidget(PathLabel(short_path(folder), "caption"))
        column.addSpacing(theme.SMALL)
        column.addWidget(words(tr("Repository, as name or owner/name"), "muted"))
        for widget in (self.repository, self.private, self.bar, self.state, self.notes, self.failure, self.address):
            column.addWidget(widget)
        column.addStretch(1)
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.SMALL)
        buttons.addWidget(self.dry)
        buttons.addStretch(1)
        buttons.addWidget(self.close_button)
        buttons.addWidget(self.send)
        column.addLayout(buttons)
        for widget in (self.bar, self.state, self.notes, self.failure, self.address):
            widget.hide()
        self._update()

    def reject(self) -> None:
        """Close; an upload under way stops and can be taken up again later."""
        if self._job is not None:
            self._job.cancel()
        super().reject()

    def _start(self, *, dry_run: bool) -> None:
        request = jobs.Upload(self._folder, self.repository.text().strip(), self.private.isChecked(), dry_run)
        self._job = self._lane.submit(request)
        self._job.events.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self._pace = Pace()
        for widget in (self.notes, self.failure, self.address):
            widget.hide()
        self.notes.setText("")
        self.bar.setRange(0, 0)
        self.bar.show()
        self._say(tr("Asking Hugging Face…"))
        self._update()

    def _update(self) -> None:
        running = self._job is not None
        for widget in (self.send, self.dry):
            widget.setEnabled(not running and bool(self.repository.text().strip()))
        sent = self.uploaded is not None and self.uploaded.sent
        for field in (self.repository, self.private):
            field.setEnabled(not running and not sent)
        self.close_button.setText(tr("Close") if sent and not running else tr("Cancel"))
        for widget in (self.send, self.dry):
            widget.setVisible(not sent)
        self._fit()

    def _fit(self) -> None:
        """Grow with what is shown; texts that wrap do not make a dialog grow by themselves."""
        layout = self.layout()
        if layout is not None:
            self.resize(self.width(), max(self.height(), layout.totalHeightForWidth(self.width())))

    def _on_events(self, events: tuple[object, ...]) -> None:
        for event in events:
            if isinstance(event, Progress):
                self._show_progress(event)
            elif isinstance(event, Note):
                self.notes.setText("\n".join(filter(None, (self.notes.text(), event.text))))
            elif isinstance(event, ModelUploaded):
                self._show_uploaded(event)

    def _show_progress(self, event: Progress) -> None:
        self.bar.setRange(0, 1000 if event.total else 0)
        if event.total:
            self.bar.setValue(int(1000 * event.done / event.total))
        parts = [tr(event.what), amount(event.done, event.total, event.unit)]
        if event.unit == "bytes" and event.total:
            self._pace.feed(event.done, time.monotonic())
            left = self._pace.left(event.total)
            parts.append(tr("{speed} a second", speed=size(self._pace.speed)) if self._pace.speed else "")
            parts.append(tr("about {time} left", time=duration(left)) if left else "")
        self._say(" · ".join(part for part in parts if part))

    def _show_uploaded(self, event: ModelUploaded) -> None:
        self.uploaded = event
        values = {"files": number(event.files), "size": size(event.size), "name": event.repository}
        if event.sent:
            self._say(tr("{files} files ({size}) are at {name}.", **values))
        else:
            self._say(tr("{files} files ({size}) would go to {name}. Nothing was sent.", **values))
        self.notes.setVisible(not event.sent)
        self.address.setText(event.address)
        self.address.setVisible(bool(event.sent and event.address))

    def _on_ended(self, ending: object) -> None:
        self._job = None
        self.bar.hide()
        if isinstance(ending, Failed):
            self.state.hide()
            self.failure.show_failure(ending)
            self.failure.show()
        elif not isinstance(ending, Done):
            self.state.hide()
        self._update()
        # The button that was pressed lost the focus when it was switched off.
        (self.send if self.send.isVisible() else self.close_button).setFocus()

    def _say(self, text: str) -> None:
        self.state.setText(text)
        self.state.show()
        self._fit()

    def _open(self) -> None:
        if self.uploaded is not None:
            QDesktopServices.openUrl(QUrl(self.uploaded.address))


def _repository(name: str) -> str:
    """The name with what the Hub allows in one: Latin letters, digits, and single marks between them."""
    return re.sub(r"([-.]){2,}", r"\1", re.sub(r"[^A-Za-z0-9._-]+", "-", name)).strip("-.")[:96] or "model"
