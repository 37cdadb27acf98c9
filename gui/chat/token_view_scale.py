"""How a token is coloured by its probability, and the legend that says so. Knows no answer.

Six classes whose lightness falls (in the dark appearance: rises) from step to step, so that they are told apart without
seeing hues.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui import theme
from gui.text import number, tr

# From where on a token belongs to a class, the least likely first.
BOUNDS = (0.01, 0.05, 0.2, 0.5, 0.9)
# Ground and text, the least likely first; what is nearly certain has the ground of the page.
LIGHT = (
    ("#9c3a12", "#ffffff"),
    ("#e5843c", "#1d1d22"),
    ("#f9b96a", "#1d1d22"),
    ("#fddba6", "#1d1d22"),
    ("#fff1d8", "#1d1d22"),
    ("", "#1d1d22"),
)
DARK = (
    ("#ffd79a", "#1b1b1f"),
    ("#d79a48", "#1b1b1f"),
    ("#8d611f", "#ffffff"),
    ("#5d4319", "#ececf1"),
    ("#3c301c", "#ececf1"),
    ("", "#ececf1"),
)
_SWATCH, _GAP, _HEIGHT = 14, 6, 20


def shade(probability: float) -> tuple[str, str]:
    """The colours of ground ("" for none) and text of a token of this probability."""
    return (DARK if theme.current().dark else LIGHT)[bisect_right(BOUNDS, probability)]


def percent(probability: float) -> str:
    """A probability as it is read: 83 %, 4.2 %, 0.03 %."""
    share = 100 * probability
    if 0 < share < 0.001:
        return f"< {number(0.001, 3)} %"
    digits = 0 if share >= 99.95 else 1 if share >= 1 else 2 if share >= 0.1 else 3
    return f"{number(share, digits)} %"


class Legend(QWidget):
    """The classes in a row, the most likely first."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("Colours: the darker or brighter a token, the less likely it was"))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setFont(theme.ui_font(theme.CAPTION))
        theme.current().changed.connect(self.update)

    def sizeHint(self) -> QSize:
        """As wide as the row."""
        metrics = self.fontMetrics()
        widths = [_SWATCH + _GAP + metrics.horizontalAdvance(text) + theme.MEDIUM for text in self.texts()]
        return QSize(sum(widths), _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """All of it: a legend that is cut explains nothing."""
        return self.sizeHint()

    def texts(self) -> list[str]:
        """What each class is called, the most likely first."""
        steps = [number(100 * bound) for bound in BOUNDS]
        between = [tr("{low}–{high} %", low=low, high=high) for low, high in itertools.pairwise(steps)]
        return [tr("over {share} %", share=steps[-1]), *reversed(between), tr("under {share} %", share=steps[0])]

    def paintEvent(self, _: QPaintEvent) -> None:
        colours, painter = theme.current().colours, QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        x = 0.5
        for text, (ground, _text) in zip(self.texts(), reversed(DARK if theme.current().dark else LIGHT), strict=True):
            painter.setPen(QColor(ground if ground else colours.muted))
            painter.setBrush(QColor(ground) if ground else Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(x, (_HEIGHT - _SWATCH) / 2 + 0.5, _SWATCH - 1, _SWATCH - 1), 3, 3)
            x += _SWATCH + _GAP
            painter.setPen(QColor(colours.muted))
            width = self.fontMetrics().horizontalAdvance(text)
            painter.drawText(QRectF(x, 0, width + 2, _HEIGHT), Qt.AlignmentFlag.AlignVCenter, text)
            x += width + theme.MEDIUM
