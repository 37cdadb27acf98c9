"""Has formulas typeset by a process of its own and keeps their pictures. Knows no LaTeX and no document."""

from __future__ import annotations

import atexit
import dataclasses
import json
import logging
import sys
from collections import OrderedDict, deque
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QByteArray, QCoreApplication, QObject, QProcess, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer
from shiboken6 import isValid

import gui

_KEPT = 600  # pictures
_WAITING = 2_000  # formulas that may wait for theirs
_PAUSE = 50  # milliseconds between two announcements of pictures
_LIMIT, _FIRST_LIMIT = 3_000, 20_000  # milliseconds a formula may take; the first one with the start of the process
_IDLE = 120_000  # milliseconds without a formula after which the process ends
_DEATHS = 3  # of the process in a row, after which it is not started again
_PROGRAM = ["-W", "ignore", "-m", "gui.chat.formula_setter"]


@dataclass(frozen=True, slots=True)
class Request:
    """A formula in a size of its letters in pixels."""

    latex: str
    display: bool
    size: int


class Picture:
    """A typeset formula: its width, and how far it reaches above and below the line the text stands on, in pixels."""

    def __init__(self, svg: str, width: float, ascent: float, descent: float) -> None:
        self.width, self.ascent, self.descent = width, ascent, descent
        self._svg = svg
        self._drawn: tuple[str, float, QImage] | None = None

    def image(self, colour: str, ratio: float) -> QImage:
        """The formula in a colour, with `ratio` dots a pixel; drawn at the first need."""
        if self._drawn is None or self._drawn[:2] != (colour, ratio):
            self._drawn = (colour, ratio, self._draw(colour, ratio))
        return self._drawn[2]

    def _draw(self, colour: str, ratio: float) -> QImage:
        width, height = round(self.width * ratio), round((self.ascent + self.descent) * ratio)
        image = QImage(max(1, width), max(1, height), QImage.Format.Format_ARGB32_Premultiplied)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        QSvgRenderer(QByteArray(self._svg.encode())).render(painter, QRectF(image.rect()))
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceIn)
        painter.fillRect(image.rect(), QColor(colour))
        painter.end()
        image.setDevicePixelRatio(ratio)
        return image


class Typesetter(QObject):
    """Has formulas typeset, one after the other, and keeps the pictures last used."""

    arrived = Signal()  # there are new pictures

    def __init__(self, parent: QObject | None) -> None:
        super().__init__(parent)
        self._pictures: OrderedDict[Request, Picture | None] = OrderedDict()
        self._waiting: deque[Request] = deque()
        self._asked: Request | None = None
        self._process: QProcess | None = None
        self._deaths, self._is_broken = 0, False
        self._announcing = QTimer(self, singleShot=True, interval=_PAUSE)
        self._announcing.timeout.connect(self.arrived)
        self._limit = QTimer(self, singleShot=True)
        self._limit.timeout.connect(self._give_up)
        self._idle = QTimer(self, singleShot=True, interval=_IDLE)
        self._idle.timeout.connect(self.stop)
        # Before Qt goes, which would complain about a process that runs.
        atexit.register(self.stop)

    def knows(self, request: Request) -> bool:
        """Whether it was typeset, or found not to be readable."""
        return request in self._pictures

    def picture(self, request: Request) -> Picture | None:
        """The picture as far as there is one; else it is made, and `arrived` follows."""
        if request in self._pictures:
            self._pictures.move_to_end(request)
            return self._pictures[request]
        if request != self._asked and request not in self._waiting and not self._is_broken:
            self._waiting.append(request)
            if len(self._waiting) > _WAITING:
                # The one that waited longest is out of view by now, and asked for again when it comes back.
                self._waiting.popleft()
            self._next()
        return None

    def stop(self) -> None:
        """End the process; it starts again at the next need."""
        if not isValid(self):
            return
        self._limit.stop()
        process, self._process = self._process, None
        if process is not None:
            process.blockSignals(True)
            process.kill()
            process.waitForFinished()
            process.deleteLater()
        if self._asked is not None:
            self._waiting.appendleft(self._asked)
            self._asked = None

    def _next(self) -> None:
        if self._asked is not None or not self._waiting:
            return
        self._idle.start()
        limit = _LIMIT
        if self._process is None:
            self._process, limit = self._start(), _FIRST_LIMIT
        self._asked = self._waiting.popleft()
        self._limit.start(limit)
        self._process.write(json.dumps(dataclasses.asdict(self._asked)).encode() + b"\n")

    def _start(self) -> QProcess:
        process = QProcess(self)
        # From there `-m` finds our own package first.
        process.setWorkingDirectory(str(Path(gui.__path__[0]).parent))
        process.setStandardErrorFile(QProcess.nullDevice())
        process.readyReadStandardOutput.connect(self._read)
        process.finished.connect(self._died)
        process.errorOccurred.connect(self._failed)
        process.start(sys.executable, _PROGRAM)
        return process

    def _read(self) -> None:
        while self._process is not None and self._process.canReadLine():
            self._deaths = 0
            drawing = json.loads(self._process.readLine().toStdString())
            self._keep(Picture(*drawing) if drawing else None)
            self._next()

    def _keep(self, picture: Picture | None) -> None:
        self._limit.stop()
        request, self._asked = self._asked, None
        if request is None:
            return
        self._pictures[request] = picture
        if len(self._pictures) > _KEPT:
            self._pictures.popitem(last=False)
        if not self._announcing.isActive():
            self._announcing.start()

    def _give_up(self) -> None:
        """Leave a formula as it was written that took too long, or took the process with it."""
        self._keep(None)
        self.stop()
        self._next()

    def _died(self) -> None:
        self._deaths += 1
        if self._deaths < _DEATHS:
            self._give_up()
        else:
            self._stay_without("it ended three times without an answer")

    def _failed(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart and self._process is not None:
            self._stay_without(self._process.errorString())

    def _stay_without(self, reason: str) -> None:
        logging.getLogger(__name__).warning("formulas stay as they were written: %s", reason)
        self._is_broken = True
        self._waiting.clear()
        self._keep(None)
        self.stop()


_typesetter: list[Typesetter] = []


def current() -> Typesetter:
    """The one of this program."""
    if not _typesetter or not isValid(_typesetter[0]):
        _typesetter[:] = [Typesetter(QCoreApplication.instance())]
    return _typesetter[0]
