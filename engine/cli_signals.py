"""What the signals that stop a command do while it works. Knows no command."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
