"""Advances several generators on one thread, the most urgent first. Knows no Qt and no model."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar, cast

from engine import jobs
from engine.errors import failed
from engine.events import Cancelled, Done, Ending, Event

J = TypeVar("J")


class Scheduler(Generic[J]):
    """Runs requests for tickets of any kind `J`; `run` occupies the thread that owns MLX until `close`.

    Each ticket gets its events and exactly one ending, last, through `post`, called on that thread.
    """

    def __init__(self, post: Callable[[J, Event], None]) -> None:
        self._post = post
        self._entries: list[_Entry[J]] = []
        self._changed = threading.Condition()
        self._closing = False

    def add(self, ticket: J, request: jobs.Request) -> None:
        """Put a request in line; callable from any thread."""
        with self._changed:
            self._entries.append(_Entry(ticket, request))
            self._changed.notify()

    def control(self, ticket: J, command: str) -> None:
        """Carry out `cancel`, `pause` or `resume` before the ticket's next step; callable from any thread."""
        with self._changed:
            for entry in self._entries:
                if entry.ticket is ticket:
                    entry.cancelled |= command == "cancel"
                    entry.paused = command == "pause" or (entry.paused and command != "resume")
            self._changed.notify()

    def close(self) -> None:
        """Have `run` cancel what is left and return; callable from any thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def run(self) -> None:
        """Advance what there is until `close`."""
        bench = jobs.Workbench()
        while (entry := self._next()) is not None:
            event = entry.step(bench)
            if isinstance(event, Ending):
                with self._changed:
                    self._entries.remove(entry)
            self._post(entry.ticket, event)
        for entry in self._entries:
            self._post(entry.ticket, close(entry.steps))
        list(bench.clear())
        if (core := sys.modules.get("mlx.core")) is not None:
            # Streams belong to their thread and must go before it does.
            core.clear_streams()

    def _next(self) -> _Entry[J] | None:
        """The entry to advance, waiting for one; None when it is time to close."""
        with self._changed:
            while not self._closing:
                ready = [entry for entry in self._entries if entry.cancelled or not entry.paused]
                if ready:
                    return min(ready, key=lambda entry: (not entry.cancelled, entry.priority))
                self._changed.wait()
        return None


class _Entry(Generic[J]):
    """A generator in line."""

    def __init__(self, ticket: J, request: jobs.Request) -> None:
        self.ticket = ticket
        self.priority = getattr(request, "priority", jobs.CHAT)
        self.steps: Iterator[Event] | None = None
        self.paused = self.cancelled = False
        self._request = request

    def step(self, bench: jobs.Workbench) -> Event:
        if self.cancelled:
            return close(self.steps)
        if self.steps is None:
            self.steps = jobs.start(self._request, bench)
        return advance(self.steps)


def advance(steps: Iterator[Event]) -> Event:
    """The generator's next event, or its ending; an error of any kind ends the job, never its lane."""
    try:
        return next(steps)
    except StopIteration:
        return Done()
    except BaseException as exception:
        return failed(exception)


def close(steps: Iterator[Event] | None) -> Ending:
    """Close a generator; its `finally` blocks may fail like anything else."""
    try:
        if steps is not None:
            cast("Generator[Event, None, None]", steps).close()
    except Exception as exception:
        return failed(exception)
    return Cancelled()
