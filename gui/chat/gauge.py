"""How full the model's context is: a thin ring with two numbers. Knows numbers, no model."""

from __future__ import annotations

import html
from math import ceil
from typing import Literal

from PySide6.QtCore import QPoint, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QActionGroup, QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QMenu, QToolButton, QWidget

from engine.config import WhenFull
from gui import theme
from gui.text import number, tr

_RING, _NARROW, _FULL = 12, 0.8, 0.95
CHOICES: dict[WhenFull, str] = {
    "stop": "Stop and say so",
    "drop oldest": "Leave the oldest messages out",
    "summarise": "Summarise the oldest messages",
}


class Gauge(QToolButton):
    """Tokens used and tokens there are; a click chooses what happens when they are used up."""

    chosen = Signal(str)  # a `WhenFull`, or "" for what the settings say

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "gauge")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._used = self._window = 0
        self._choice: WhenFull | Literal[""] = ""
        self._default: WhenFull = "stop"
        self.clicked.connect(self.open_menu)
        self.show_use(0, 0)

    @property
    def share(self) -> float:
        """How much of the window is used, from 0 to 1."""
        return min(1.0, self._used / self._window) if self._window else 0.0

    def show_use(self, used: int, window: int) -> None:
        """Show how many tokens of the window are used; `window` 0: the model does not say how many it reads."""
        self._used, self._window = used, window
        if window:
            words = tr("{used} / {window} tokens", used=number(used), window=number(window))
        else:
            words = tr("{used} tokens", used=number(used))
        self.setText(words)
        self.setVisible(bool(used or window))
        self._describe()
        self.updateGeometry()
        self.update()

    def set_choice(self, choice: WhenFull | Literal[""], default: WhenFull) -> None:
        """What happens when the window is full: this conversation's own choice or "", and that of the settings."""
        self._choice, self._default = choice, default
        self._describe()

    def open_menu(self) -> QMenu:
        """Offer what may happen when the window is full."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(tr("When the context is full")).setEnabled(False)
        group = QActionGroup(menu)
        as_usual = tr("As in the settings: {choice}", choice=tr(CHOICES[self._default]).lower())
        for value, words in (("", as_usual), *((name, tr(text)) for name, text in CHOICES.items())):
            action = group.addAction(menu.addAction(words))
            action.setCheckable(True)
            action.setChecked(value == self._choice)
            action.triggered.connect(lambda _=False, value=value: self.chosen.emit(value))
        menu.popup(self.mapToGlobal(QPoint(0, -menu.sizeHint().height() - theme.TINY)))
        return menu

    def sizeHint(self) -> QSize:
        """Room for the ring and the numbers."""
        return QSize(_RING + 18 + self.fontMetrics().horizontalAdvance(self.text()), 22)

    def paintEvent(self, _: QPaintEvent) -> None:
        """Ring and numbers, in a colour that warns when little is left."""
        colours, painter = theme.current().colours, QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.underMouse() or self.hasFocus():
            painter.setPen(QPen(QColor(colours.accent), 1) if self.hasFocus() else Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours.hover) if self.underMouse() else Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        full, narrow = self.share >= _FULL, self.share >= _NARROW
        colour = colours.error if full else colours.warning if narrow else colours.muted
        ring = QRectF(6, (self.height() - _RING) / 2, _RING, _RING).adjusted(1, 1, -1, -1)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(colours.line), 2))
        painter.drawEllipse(ring)
        if self.share:
            painter.setPen(QPen(QColor(colour), 2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap))
            painter.drawArc(ring, 90 * 16, -ceil(self.share * 360) * 16)
        painter.setPen(QColor(colour))
        place = self.rect().adjusted(_RING + 12, 0, -4, 0)
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self.text())

    def _describe(self) -> None:
        choice = tr(CHOICES[self._choice or self._default])
        if self._window:
            words = tr(
                "The conversation has {used} tokens, and the model reads {window} at most.",
                used=number(self._used),
                window=number(self._window),
            )
        else:
            words = tr("The conversation has {used} tokens.", used=number(self._used))
        full = tr("When it is full: {choice}.", choice=choice)
        self.setToolTip(f"<qt>{html.escape(words)}<br>{html.escape(full)}</qt>")
        self.setAccessibleName(tr("Context: {use}", use=self.text()))
        self.setAccessibleDescription(f"{words} {full}")
