"""Imports what the charts are made of beside the window's thread. Knows names of modules only.

Taken at once, on the window's thread, they would hold it up for a quarter of a second and more.
"""

from __future__ import annotations

import importlib
import time

from PySide6.QtCore import QObject, QThread, Signal

_MODULES = ("numpy", "pyqtgraph", "gui.train.record", "gui.train.charts.view")
_PAUSE = 0.002  # seconds in which the window's thread has its turn


class WarmUp(QObject):
    """Imports once; `ready` comes on the window's thread, also where everything was there already."""

    ready = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.is_ready = False
        self._thread = _Importing(self)
        self._thread.finished.connect(self._finish)

    def start(self) -> None:
        """Begin, unless it was begun."""
        if not self.is_ready and not self._thread.isRunning():
            self._thread.start(QThread.Priority.LowPriority)

    def close(self) -> None:
        """Wait until the import at hand is done; an import cannot be interrupted."""
        self._thread.requestInterruption()
        self._thread.wait()

    def _finish(self) -> None:
        if not self._thread.isInterruptionRequested():
            self.is_ready = True
            self.ready.emit()


class _Importing(QThread):
    def run(self) -> None:
        for name in _MODULES:
            if self.isInterruptionRequested():
                return
            importlib.import_module(name)
            time.sleep(_PAUSE)
