"""Collects Python's garbage on the window's thread alone. Knows no widget.

Python collects on whichever thread happens to allocate. On a computing thread that would destroy Qt objects which
belong to the window's thread: PySide6 6.11.3 then deadlocks, one thread holding the interpreter and the other the
object's lock.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

_INTERVAL = 500  # milliseconds


class Garbage(QObject):
    """Takes the collecting over from Python until `close`."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._collect)
        self._timer.start(_INTERVAL)

    def close(self) -> None:
        """Give it back to Python."""
        self._timer.stop()
        gc.enable()

    def _collect(self) -> None:
        """Collect the oldest generation that is due, as Python would."""
        due = [
            generation
            for generation, (count, limit) in enumerate(zip(gc.get_count(), gc.get_threshold(), strict=True))
            if count > limit
        ]
        if due:
            gc.collect(due[-1])
