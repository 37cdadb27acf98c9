"""Typesets formulas on a thread of its own and keeps their pictures. Knows ziamath, and no document.

ziamath is imported there and at the first need: a formula takes it some ten milliseconds.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QCoreApplication, QObject, QPointF, QRectF, Qt, QThread, QThreadPool, QTimer, Signal
from PySide6.QtGui import QColor, QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer
from shiboken6 import isValid

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_LONGEST = 2_000  # characters; what is longer stays text
_DEAREST = 1_500  # letters to lay out; each takes less than a millisecond
_KEPT = 600  # pictures
_WIDEST, _TALLEST = 6_000, 3_000
_ENLARGED = 1.15  # the letters of the formulas' font are smaller than those of the window's
_PAUSE = 50  # milliseconds between two announcements of pictures
# What defines commands, names an address, or draws boxes of any size has no place in an answer's formulas.
_REFUSED = re.compile(r"\\(?:[gex]?def|let|(?:re)?new|provide|Declare|href|url|include|input|rule|style|class|html|css)")
_SHAPES = {"svg", "g", "path", "rect", "line"}
_DOUBLED = {"math", "mrow", "mfenced", "msqrt", "mtd", "mstyle", "mpadded", "menclose", "merror"}
_TAG = re.compile(r"\\tag\*?\s*\{([^{}]*)\}")
_NAMES = re.compile(r"\\label\s*\{[^{}]*\}|\\(?:nonumber|notag)(?![A-Za-z])")
_WHOLE = re.compile(r"\\begin\{(equation|displaymath|math)(\*?)\}(.*)\\end\{\1\2\}", re.DOTALL)
# What ziamath does not know, or would number.
_NUMBERED = re.compile(r"\\(begin|end)\{(?:align|alignat|flalign|eqnarray|split|gather|gathered|multline)\*?\}(?:\{\d+\})?")


@dataclass(frozen=True, slots=True)
class Request:
    """A formula in a size of its letters in pixels."""

    latex: str
    display: bool
    size: int


class Picture:
    """A typeset formula: its width, and how far it reaches above and below the line the text stands on, in pixels."""

    def __init__(self, svg: bytes, width: float, ascent: float, descent: float, ratio: float) -> None:
        """Drawn at once for a screen of `ratio` pixels a pixel."""
        self.width, self.ascent, self.descent = width, ascent, descent
        self._svg = svg
        self._mask = self._drawn(ratio)
        self._tinted: QImage | None = None
        self._colour = ""

    def image(self, colour: str, ratio: float) -> QImage:
        """The formula in a colour, with `ratio` dots a pixel."""
        if self._mask.devicePixelRatio() != ratio:
            self._mask, self._tinted = self._drawn(ratio), None
        if self._tinted is None or self._colour != colour:
            self._tinted, self._colour = self._mask.copy(), colour
            painter = QPainter(self._tinted)
            painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceIn)
            painter.fillRect(QRectF(0, 0, self.width + 1, self.ascent + self.descent + 1), QColor(colour))
            painter.end()
        return self._tinted

    def _drawn(self, ratio: float) -> QImage:
        height = self.ascent + self.descent
        image = QImage(
            max(1, round(self.width * ratio)), max(1, round(height * ratio)), QImage.Format.Format_ARGB32_Premultiplied
        )
        image.setDevicePixelRatio(ratio)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        QSvgRenderer(QByteArray(self._svg)).render(painter, QRectF(QPointF(), image.deviceIndependentSize()))
        painter.end()
        return image


def typeset(request: Request, ratio: float = 1.0) -> Picture | None:
    """The formula's picture; None where it cannot be read, or is too large.

    The time is bounded: ziamath lays out each row twice, so its cost doubles with each level of depth.
    """
    import ziafont
    import ziamath
    from ziamath.escapes import unescape
    from ziamath.tex import tex2mml

    if len(request.latex) > _LONGEST or _REFUSED.search(request.latex):
        return None
    ziafont.config.svg2 = False
    ziafont.config.precision = 3
    import xml.etree.ElementTree as ET

    try:
        element = ET.fromstring(unescape(tex2mml(_prepared(request.latex), inline=not request.display)))  # noqa: S314
        if not _is_affordable(element):
            return None
        formula = ziamath.Math(element, size=request.size * _ENLARGED)
        if any(ord(letter) > 127 and not formula.font.glyphindex(letter) for letter in "".join(element.itertext())):
            return None
        drawing = formula.svgxml()
    except Exception:  # noqa: BLE001
        # Whatever a model wrote that ziamath stumbles over stays as it was written.
        return None
    if any(shape.tag not in _SHAPES for shape in drawing.iter()):
        return None
    left, top, width, height = (float(number) for number in drawing.attrib["viewBox"].split())
    if not (0 < width <= _WIDEST and 0 < height <= _TALLEST):
        return None
    return Picture(ET.tostring(drawing), width, -top, height + top, ratio)


def _prepared(latex: str) -> str:
    """The formula without what only numbers it."""
    whole = _WHOLE.fullmatch(latex.strip())
    latex = _NUMBERED.sub(r"\\\1{align*}", whole[3] if whole else latex)
    return _TAG.sub(r"\\qquad (\\text{\1})", _NAMES.sub("", latex)).strip()


def _is_affordable(element: Element) -> bool:
    waiting, cost = [(element, 1)], 0
    while waiting and cost <= _DEAREST:
        each, factor = waiting.pop()
        if each.tag.rpartition("}")[2] in _DOUBLED:
            factor *= 2
        children = list(each)
        cost += 0 if children else factor + len(each.text or "") // 4
        waiting += [(child, factor) for child in children]
    return cost <= _DEAREST


class Typesetter(QObject):
    """Has formulas typeset, one after the other, and keeps the pictures last used."""

    arrived = Signal()  # there are new pictures
    _done = Signal(object, object)

    def __init__(self, parent: QObject | None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._pool.setThreadPriority(QThread.Priority.LowPriority)
        self._pictures: OrderedDict[Request, Picture | None] = OrderedDict()
        self._waiting: set[Request] = set()
        self._timer = QTimer(self, singleShot=True, interval=_PAUSE)
        self._timer.timeout.connect(self.arrived)
        self._done.connect(self._keep)

    def knows(self, request: Request) -> bool:
        """Whether it was typeset, or found not to be readable."""
        return request in self._pictures

    def picture(self, request: Request) -> Picture | None:
        """The picture as far as there is one; else it is made, and `arrived` follows."""
        if request in self._pictures:
            self._pictures.move_to_end(request)
            return self._pictures[request]
        if request not in self._waiting:
            self._waiting.add(request)
            screen = QGuiApplication.primaryScreen()
            ratio = screen.devicePixelRatio() if screen is not None else 1.0
            self._pool.start(lambda: self._work(request, ratio))
        return None

    def _work(self, request: Request, ratio: float) -> None:
        picture = typeset(request, ratio)
        if isValid(self):
            self._done.emit(request, picture)

    def _keep(self, request: Request, picture: Picture | None) -> None:
        self._waiting.discard(request)
        self._pictures[request] = picture
        if len(self._pictures) > _KEPT:
            self._pictures.popitem(last=False)
        if not self._timer.isActive():
            self._timer.start()


_typesetter: list[Typesetter] = []


def current() -> Typesetter:
    """The one of this program."""
    if not _typesetter or not isValid(_typesetter[0]):
        _typesetter[:] = [Typesetter(QCoreApplication.instance())]
    return _typesetter[0]
