"""A person's notes and tags of a run, kept when typing pauses. Knows where to send them, and no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QLabel, QPlainTextEdit

from engine.events import Failed
from engine.monitor.requests import ChangeNotes
from engine.run_events import RunFound
from gui import theme
from gui.parts import Card
from gui.text import tr
from gui.texts import Chips

if TYPE_CHECKING:
    from gui.desk import Desk

_PAUSE = 600  # milliseconds without a key after which notes count as written
_LINES = 4
_Kept = tuple[str, tuple[str, ...]]


class Notes(Card):
    """Two fields; what is typed in them is never overwritten by what a file says meanwhile."""

    kept = Signal(str)  # the folder whose notes are on the disk now

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._folder = ""
        self._known: _Kept = ("", ())
        self._seen: set[_Kept] = set()
        self._tags: tuple[str, ...] = ()
        self.tags = Chips(tr("A word such as “baseline”, then Return"))
        self.tags.line.setAccessibleName(tr("Tags"))
        self.tags.edited.connect(self._on_tags)
        self.text = QPlainTextEdit(placeholderText=tr("What is this run for? What came out?"))
        self.text.setAccessibleName(tr("Notes"))
        self.text.setTabChangesFocus(True)
        self.text.setFixedHeight(_LINES * self.text.fontMetrics().lineSpacing() + 2 * theme.MEDIUM)
        self.text.textChanged.connect(self._wait)
        self._pause = QTimer(self, singleShot=True, interval=_PAUSE)
        self._pause.timeout.connect(self.flush)
        for title, field in ((tr("Notes"), self.text), (tr("Tags"), self.tags)):
            label = QLabel(title)
            label.setProperty("role", "section")
            self.rows.addWidget(label)
            self.rows.addWidget(field)

    def show_run(self, run: RunFound | None) -> None:
        """Show what is kept of a run; of the same run only what was changed elsewhere."""
        folder = run.folder if run is not None else ""
        known = (run.notes, run.tags) if run is not None else ("", ())
        if folder != self._folder:
            self.flush()
        elif known in self._seen or self._pause.isActive():
            # What the file said before this field's own words reached it is no news.
            return
        self._folder, self._known, self._tags, self._seen = folder, known, known[1], {known}
        self.setEnabled(bool(folder))
        self.text.blockSignals(True)
        if self.text.toPlainText() != known[0]:
            self.text.setPlainText(known[0])
        self.text.blockSignals(False)
        self.tags.set_texts(known[1])

    def flush(self) -> None:
        """Keep what was typed, without waiting for the pause."""
        self._pause.stop()
        now = (self.text.toPlainText(), self._tags)
        if self._folder and now != self._known:
            self._known = now
            self._seen.add(now)
            job = self._desk.network.submit(ChangeNotes(self._folder, *now))
            job.ended.connect(self._on_kept)

    def hideEvent(self, event: QHideEvent) -> None:
        """What was typed before the page went is not lost."""
        self.flush()
        super().hideEvent(event)

    def _wait(self) -> None:
        self._pause.start()

    def _on_tags(self, tags: tuple[str, ...]) -> None:
        self._tags = tags
        self.flush()

    def _on_kept(self, ending: object) -> None:
        if isinstance(ending, Failed):
            self._desk.notices.error(ending)
        else:
            self.kept.emit(self._folder)
