"""Writes pictures, drawings and figures of charts to files, beside the window's thread. Knows bytes and files.

A file is there whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QRunnable, QThreadPool, QTimer, Signal

from gui.train.charts.picture import Drawing, Sheet, png

File = tuple[Path, Callable[[], bytes]]


class Saving(QObject):
    """Saves one thing after another; `saved` tells the file, `failed` the exception."""

    saved = Signal(str)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._drawings: list[tuple[Drawing, Path]] = []
        self._turn = QTimer(self, interval=0)
        self._turn.timeout.connect(self._draw)

    def save_files(self, files: Sequence[File]) -> None:
        """Write these; the first is the one that is told of."""
        self._pool.start(_Writing(self, files))

    def save_sheet(self, path: Path, sheet: Sheet) -> None:
        """Draw charts into a file, as a picture or a drawing by the file's ending."""
        self._drawings.append((Drawing(sheet, "svg" if path.suffix.lower() == ".svg" else "png"), path))
        self._turn.start()

    def close(self) -> None:
        """Give up what is not drawn yet, and wait for what is being written."""
        self._turn.stop()
        self._drawings.clear()
        self._pool.waitForDone()

    def _draw(self) -> None:
        drawing, path = self._drawings[0]
        if drawing.draw():
            return
        self._drawings.pop(0)
        if not self._drawings:
            self._turn.stop()
        image = drawing.image
        made = drawing.svg
        self.save_files([(path, (lambda: made) if image is None else (lambda: png(image)))])


class _Writing(QRunnable):
    def __init__(self, saving: Saving, files: Sequence[File]) -> None:
        super().__init__()
        self._saving, self._files = saving, files

    def run(self) -> None:
        try:
            for path, make in self._files:
                write(path, make())
        except Exception as error:  # told to the person
            self._saving.failed.emit(error)
        else:
            self._saving.saved.emit(str(self._files[0][0]))


def write(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, and rename it.

    Raises:
        OSError: the folder is not there, not writable, or full; what was at the path is as it was.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
