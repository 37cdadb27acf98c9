"""What the signals that stop a command do while it works. Knows no command."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.events import Event

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def handled(stop: Callable[[int, object], None]) -> Iterator[None]:
    """Inside, `stop` is called for each signal to stop that is not ignored."""
    before = {number: signal.getsignal(number) for number in _NUMBERS}
    for number in _NUMBERS:
        # Ignored on purpose, as by nohup, it stays so.
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stoppable(events: Generator[Event, None, None]) -> Iterator[Event]:
    """The events, which the first signal to stop ends with everything cleared up; later ones cannot disturb that."""
    received: list[int] = []

    def stop(number: int, _: object) -> None:
        if not received:
            received.append(number)
            raise KeyboardInterrupt

    with handled(stop), closing(events):
        for event in events:
            if received:
                # Other people's code may have swallowed the exception.
                raise KeyboardInterrupt
            yield event
