"""The runs on this computer, looked at again and again; deletes one and brings it back. Knows no widget."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from engine.events import Event, Failed
from engine.monitor.requests import DeleteRuns, ListRuns, PurgeRuns, RestoreRuns
from engine.run_events import RunFound, RunMoved, RunStatus
from gui.text import number, tr
from gui.train.runs.words import LIVE

if TYPE_CHECKING:
    from engine.workers import Job
    from gui.desk import Desk

_INTERVAL = 2000  # milliseconds between two looks
_HOUR = 3_600_000  # as long what was deleted can be brought back


class Runs(QObject):
    """All runs in the program's own folder of runs, and in those that a person added.

    Attributes:
        runs: what is known of each, the newest first.
        absent: the added folders that are not there.
        loaded: the runs were looked for at least once.
        paused: the folders of the runs that this window holds, which no file tells of.
    """

    changed = Signal()  # there is another run, or one stands otherwise
    deleted = Signal(str)  # this folder was put aside
    restored = Signal(str)  # a run is back, in this folder

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.runs: list[RunFound] = []
        self.absent: list[str] = []
        self._by_folder: dict[str, RunFound] = {}
        self.loaded = False
        self.paused: frozenset[str] = frozenset()
        self._found: list[RunFound] = []
        self._gone: list[str] = []
        self._job: Job | None = None
        self._outdated = False
        self._moving: set[Job] = set()
        self._moved: list[RunMoved] = []
        self._aside: set[str] = set()  # where deleted runs were
        self._added = ""  # a folder that was not looked at yet
        self._unwanted: list[str] = []
        self._deleting = QTimer(self, singleShot=True, interval=0)
        self._deleting.timeout.connect(self._delete)
        self._timer = QTimer(self, interval=_INTERVAL)
        self._timer.timeout.connect(self.look)
        self._cleaner = QTimer(self, interval=_HOUR)
        self._cleaner.timeout.connect(self._purge)

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of runs that a person added."""
        return self._desk.settings.run_folders

    def run(self, folder: str) -> RunFound | None:
        """What is known of the run in a folder."""
        return self._by_folder.get(folder)

    def follow(self) -> None:
        """Look now, and from time to time; at first, delete for good what was deleted before."""
        if not self._cleaner.isActive():
            self._cleaner.start()
            self._purge()
        self._timer.start()
        self.look()

    def rest(self) -> None:
        """Look no more; what is known stays."""
        self._timer.stop()

    def look(self) -> None:
        """Look for runs now."""
        if self._job is not None:
            return
        self._found, self._gone, self._outdated = [], [], False
        job = self._job = self._desk.network.submit(ListRuns(self.folders))
        job.events.connect(self._on_found)
        job.ended.connect(self._on_looked)

    def add_folder(self, folder: str) -> None:
        """Look for runs there too, from now on; the folder may be that of one run, or one of its files be named."""
        path = Path(folder)
        self._added = str(path.parent if path.is_file() else path)
        if self._added not in self.folders:
            self._keep((*self.folders, self._added))

    def remove_folder(self, folder: str) -> None:
        """Do not look there any more; nothing is deleted."""
        self._keep(tuple(other for other in self.folders if other != folder))

    def delete(self, folder: str) -> None:
        """Put a run aside; a notice offers to bring it back."""
        self._unwanted.append(folder)
        self._deleting.start()

    def _keep(self, folders: tuple[str, ...]) -> None:
        self._desk.change_settings(self._desk.settings.model_copy(update={"run_folders": folders}))
        self._look_again()

    def _look_again(self) -> None:
        """Look now; what is being looked at may be as it was before."""
        self._outdated = True
        self.look()

    def _purge(self) -> None:
        self._desk.network.submit(PurgeRuns(self.folders)).events.connect(self._on_purged)

    def _on_purged(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, RunMoved) and event.folder in self.folders:
                self.remove_folder(event.folder)

    def _on_found(self, events: tuple[Event, ...]) -> None:
        self._found += [event for event in events if isinstance(event, RunFound)]
        # A run that was added by itself and is deleted is not missed.
        gone = (event.folder for event in events if isinstance(event, RunMoved))
        self._gone += [folder for folder in gone if folder not in self._aside]

    def _on_looked(self, ending: object) -> None:
        self._job = None
        if isinstance(ending, Failed):
            self._timer.stop()
            self._desk.notices.error(ending)
        elif self._outdated:
            self.look()
        else:
            self._show(self._found, self._gone)
            self._judge_added()

    def mark_paused(self, folders: Collection[str]) -> None:
        """Say of these runs of the window, and of no others, that they are held."""
        if self.paused != (paused := frozenset(folders)):
            self.paused = paused
            self._show(self.runs, self.absent)

    def _judge_added(self) -> None:
        """Say so where there is nothing in a folder that was added just now."""
        added, self._added = self._added, ""
        if added and not any(Path(run.folder).is_relative_to(added) for run in self.runs):
            name = Path(added).name
            none = tr("There are no runs in {name} yet. Those that come appear in the list.", name=name)
            self._desk.notices.tell(none, tr("Undo"), lambda: self.remove_folder(added))

    def _show(self, runs: list[RunFound], absent: list[str]) -> None:
        runs = [_as_it_is(run, self.paused) for run in runs]
        if not self.loaded or (runs, absent) != (self.runs, self.absent):
            self.runs, self.absent, self.loaded = runs, absent, True
            self._by_folder = {run.folder: run for run in runs}
            self.changed.emit()

    def _delete(self) -> None:
        unwanted, self._unwanted = self._unwanted, []
        self._move(DeleteRuns(tuple(unwanted)))

    def _move(self, request: DeleteRuns | RestoreRuns) -> None:
        job = self._desk.network.submit(request)
        self._moving.add(job)
        job.events.connect(self._on_deleted if isinstance(request, DeleteRuns) else self._on_restored)
        job.ended.connect(self._on_move_ended)

    def _on_deleted(self, events: tuple[Event, ...]) -> None:
        moved = [event for event in events if isinstance(event, RunMoved)]
        self._moved += moved
        self._aside |= {event.folder for event in moved}
        self._show([run for run in self.runs if run.folder not in self._aside], self.absent)
        for event in moved:
            self.deleted.emit(event.folder)

    def _on_restored(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, RunMoved):
                self._aside.discard(event.now)
                self.restored.emit(event.now)

    def _on_move_ended(self, ending: object) -> None:
        self._moving = {job for job in self._moving if job.running}
        self._look_again()
        if self._moving:
            return
        moved, self._moved = self._moved, []
        failure = ending if isinstance(ending, Failed) else None
        if not moved:
            if failure is not None:
                self._desk.notices.error(failure)
            return
        name = Path(moved[0].folder).name
        one, many = tr("Deleted {name}", name=name), tr("Deleted {count} runs", count=number(len(moved)))
        said = one if len(moved) == 1 else many
        undo = RestoreRuns(tuple(event.now for event in moved))
        said = f"{said}. {tr(failure.what)}" if failure is not None else said
        self._desk.notices.tell(said, tr("Undo"), lambda: self._move(undo))


def _as_it_is(run: RunFound, paused: Collection[str]) -> RunFound:
    """The run as this window knows it."""
    if run.status not in LIVE:
        return run
    status: RunStatus = "paused" if run.folder in paused else "training"
    return run if run.status == status else dataclasses.replace(run, status=status)
