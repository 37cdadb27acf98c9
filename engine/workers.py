"""The lanes: threads and processes that run jobs beside the window. The only engine file that knows Qt; knows no model.

A lane takes requests and gives each a `Job`, whose signals arrive on the thread that made the lane (the window's),
at most one batch of events a frame.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable

from PySide6.QtCore import (
    QElapsedTimer,
    QObject,
    QProcess,
    QRunnable,
    Qt,
    QThread,
    QThreadPool,
    QTimer,
    Signal,
    Slot,
)

from engine import events, jobs, scheduler
from engine.errors import failed
from engine.events import Cancelled, Ending, Event, Failed
from engine.scheduler import Scheduler

_FRAME = 33  # milliseconds
_COMMAND = [sys.executable, "-m", "mlx_grpo"]


class Job(QObject):
    """A request under way, as the window sees it. `ended` is emitted exactly once, after the last `events`."""

    events = Signal(tuple)
    ended = Signal(object)

    def __init__(self, request: jobs.Request, lane: Lane) -> None:
        super().__init__(lane)
        self.request = request
        self.running = True
        self._lane = lane

    def cancel(self) -> None:
        """Close the job at its next step; it ends as Cancelled."""
        self._lane.control(self, "cancel")

    def pause(self) -> None:
        """Stop asking the job for events."""
        self._lane.control(self, "pause")

    def resume(self) -> None:
        """Go on after `pause`."""
        self._lane.control(self, "resume")


Post = Callable[[Job, Event], None]


class Lane(QObject):
    """What all lanes share: events gathered on any thread reach the jobs' signals on this object's thread."""

    _arrived = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._gathered: deque[tuple[Job, Event]] = deque()
        self._told = self._closed = False
        self._clock = QElapsedTimer()
        self._clock.start()
        self._last_delivery = -_FRAME
        self._timer = QTimer(self, singleShot=True, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._deliver)
        self._open: set[Job] = set()
        # Queued, so that the slot runs on this object's thread whichever thread posts.
        self._arrived.connect(self._schedule, Qt.ConnectionType.QueuedConnection)

    def submit(self, request: jobs.Request) -> Job:
        """Start a request; connect to the job's signals before returning to the event loop.

        On a lane that was closed the job ends as Cancelled.
        """
        job = Job(request, self)
        self._open.add(job)
        try:
            if self._closed:
                self._post(job, Cancelled())
            else:
                self._begin(job)
        except Exception as exception:
            self._post(job, failed(exception))
        return job

    def control(self, job: Job, command: str) -> None:
        """Carry out `cancel`, `pause` or `resume` for a job of this lane."""
        raise NotImplementedError

    def close(self) -> None:
        """Cancel what runs and wait until it has ended."""
        raise NotImplementedError

    @property
    def busy(self) -> bool:
        """Whether a job of this lane has not ended."""
        return bool(self._open)

    def _begin(self, job: Job) -> None:
        raise NotImplementedError

    def _post(self, job: Job, event: Event) -> None:
        """Hand an event over; callable from any thread."""
        self._gathered.append((job, event))
        if not self._told:
            self._told = True
            self._arrived.emit()

    @Slot()
    def _schedule(self) -> None:
        wait = _FRAME - (self._clock.elapsed() - self._last_delivery)
        if wait > 0:
            self._timer.start(int(wait))
        else:
            self._deliver()

    @Slot()
    def _deliver(self) -> None:
        self._told = False
        self._last_delivery = self._clock.elapsed()
        batches: dict[Job, list[Event]] = {}
        for _ in range(len(self._gathered)):
            job, event = self._gathered.popleft()
            batches.setdefault(job, []).append(event)
        for job, batch in batches.items():
            ending = batch.pop() if isinstance(batch[-1], Ending) else None
            if batch:
                job.events.emit(tuple(batch))
            if ending is not None:
                self._open.discard(job)
                job.running = False
                job.ended.emit(ending)
                job.deleteLater()


class ComputeLane(Lane):
    """One thread for the life of the program that owns MLX and advances its jobs, the most urgent first."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._scheduler: Scheduler[Job] = Scheduler(self._post)
        self._thread = _ComputeThread(self._scheduler)
        self._thread.start()

    def control(self, job: Job, command: str) -> None:
        self._scheduler.control(job, command)

    def close(self) -> None:
        self._closed = True
        self._scheduler.close()
        self._thread.wait()
        self._deliver()

    def _begin(self, job: Job) -> None:
        self._scheduler.add(job, job.request)


class _ComputeThread(QThread):
    def __init__(self, scheduler: Scheduler[Job]) -> None:
        super().__init__()
        self._scheduler = scheduler

    def run(self) -> None:
        self._scheduler.run()


class NetworkLane(Lane):
    """A small pool of threads for downloads and disk walks; never MLX."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(4)
        self._tasks: dict[Job, _NetworkTask] = {}

    def control(self, job: Job, command: str) -> None:
        if task := self._tasks.get(job):
            task.control(command)

    def close(self) -> None:
        self._closed = True
        for job, task in self._tasks.items():
            if not isinstance(job.request, jobs.UNBROKEN):
                task.control("cancel")
        self._pool.waitForDone()
        self._deliver()

    def _begin(self, job: Job) -> None:
        task = self._tasks[job] = _NetworkTask(job, self._post)
        job.ended.connect(lambda _, job=job: self._tasks.pop(job))
        self._pool.start(task)


class _NetworkTask(QRunnable):
    def __init__(self, job: Job, post: Post) -> None:
        super().__init__()
        self._job, self._post = job, post
        self._cancelled = threading.Event()
        self._going = threading.Event()
        self._going.set()

    def control(self, command: str) -> None:
        if command == "cancel":
            self._cancelled.set()
        if command == "pause":
            self._going.clear()
        else:
            self._going.set()

    def run(self) -> None:
        steps = jobs.start(self._job.request, jobs.Workbench())
        event: Event | None = None
        while not isinstance(event, Ending):
            self._going.wait()
            event = scheduler.close(steps) if self._cancelled.is_set() else scheduler.advance(steps)
            self._post(self._job, event)


class ProcessLane(Lane):
    """The same interface over child processes that print their events as JSON lines."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._children: dict[Job, _Child] = {}

    def control(self, job: Job, command: str) -> None:
        if child := self._children.get(job):
            child.control(command)

    def close(self) -> None:
        self._closed = True
        for child in list(self._children.values()):
            child.finish()
        self._deliver()

    def _begin(self, job: Job) -> None:
        child = self._children[job] = _Child(job, self._post, self)
        job.ended.connect(self._forget)
        child.start()

    @Slot()
    def _forget(self) -> None:
        for job in [job for job in self._children if not job.running]:
            self._children.pop(job).deleteLater()


class _Child(QObject):
    """One child process and the job it does."""

    def __init__(self, job: Job, post: Post, parent: QObject) -> None:
        super().__init__(parent)
        self._job, self._post = job, post
        self._ending: Ending | None = None
        self._cancelled = False
        self._process = QProcess(self)
        self._process.setStandardInputFile(QProcess.nullDevice())
        self._process.started.connect(self._started)
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.finished.connect(self._finished)
        self._process.errorOccurred.connect(self._failed)

    def start(self) -> None:
        self._process.start(_COMMAND[0], [*_COMMAND[1:], *jobs.command_line(self._job.request)])

    def control(self, command: str) -> None:
        self._cancelled |= command == "cancel"
        if self._process.state() != QProcess.ProcessState.Running:
            return
        pid = self._process.processId()
        if command == "cancel":
            # A stopped process does not see the interrupt.
            os.kill(pid, signal.SIGCONT)
        os.kill(pid, {"cancel": signal.SIGINT, "pause": signal.SIGSTOP, "resume": signal.SIGCONT}[command])

    def finish(self) -> None:
        """Interrupt the process and wait for its end; one that does not heed is killed."""
        self.control("cancel")
        if not self._process.waitForFinished(5000):
            self._process.kill()
            self._process.waitForFinished()

    @Slot()
    def _started(self) -> None:
        if self._cancelled:
            self.control("cancel")

    @Slot()
    def _read(self) -> None:
        while self._process.canReadLine():
            line = self._process.readLine().toStdString()
            try:
                event = events.from_json(line)
            except (ValueError, TypeError):
                # Code that comes with a model may print what it likes.
                logging.getLogger(__name__).info("not an event: %s", line)
                continue
            if isinstance(event, Ending):
                # Said when the process is gone too, so that an ended job leaves nothing behind.
                self._ending = event
            else:
                self._post(self._job, event)

    @Slot()
    def _finished(self) -> None:
        self._read()
        unexpected = Failed(
            "The process that did this work ended unexpectedly.",
            f"Its exit status was {self._process.exitCode()}.",
            "Try again; the window itself is not affected.",
            "bug",
            self._process.readAllStandardError().toStdString()[-4000:],
        )
        # Interrupted before it could say so, as while it still imports, it is cancelled all the same.
        self._post(self._job, self._ending or (Cancelled() if self._cancelled else unexpected))

    @Slot()
    def _failed(self) -> None:
        if self._process.error() == QProcess.ProcessError.FailedToStart:
            reason = self._process.errorString()
            self._post(self._job, Failed("The process for this work could not be started.", reason, "", "bug"))
