"""A chart in its frame: title, figures at the cursor, menu. Knows a canvas, not the page around it."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Literal

from PySide6.QtCore import QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QAction, QColor, QContextMenuEvent, QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from gui import theme
from gui.text import tr
from gui.train.charts import colours
from gui.train.charts.hands import LiveCanvas
from gui.train.charts.marks import Mark
from gui.train.charts.series import Point, Series
from gui.train.charts.span import Span
from gui.train.charts.specification import Chart
from gui.train.charts.ticks import Unit, figure

Ink = int | Literal["text", "muted"]
"""The colour of a run, counted from 0, or one of the theme."""
_ALIGN = Qt.AlignmentFlag
HEIGHT = 196


class Heading(QWidget):
    """A title at the left, figures in their runs' colours at the right; painted, since it changes with the mouse."""

    def __init__(self, title: str, tip: str) -> None:
        super().__init__()
        self.title = title
        self.figures: list[tuple[str, Ink]] = []
        self.setToolTip(f"<qt>{html.escape(tip)}</qt>")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.show_figures([])

    def show_figures(self, figures: list[tuple[str, Ink]]) -> None:
        """Show these texts in their inks."""
        if figures == self.figures and self.accessibleName():
            return
        self.figures = figures
        self.setAccessibleName(", ".join([self.title, *(text for text, _ in figures)]))
        self.update()

    def sizeHint(self) -> QSize:
        """One line."""
        return QSize(120, 20)

    def paintEvent(self, _: QPaintEvent) -> None:
        """The figures have their room first; the title is shortened."""
        painter, known = QPainter(self), theme.current().colours
        runs = colours.of_runs(len(self.figures))
        right = self.width()
        for text, ink in reversed(self.figures):
            muted = ink == "muted"
            painter.setFont(theme.ui_font(theme.CAPTION if muted else theme.BODY))
            wide = painter.fontMetrics().horizontalAdvance(text)
            if right - wide < self.width() / 3 and muted:
                continue
            painter.setPen(QColor(runs[ink] if isinstance(ink, int) else known.muted if muted else known.text))
            painter.drawText(QRect(right - wide - 1, 0, wide + 1, self.height()), _ALIGN.AlignVCenter, text)
            right -= wide + theme.SMALL
        painter.setFont(theme.ui_font(theme.BODY, QFont.Weight.DemiBold))
        painter.setPen(QColor(known.text))
        title = painter.fontMetrics().elidedText(self.title, Qt.TextElideMode.ElideRight, right)
        painter.drawText(QRect(0, 0, right, self.height()), _ALIGN.AlignVCenter, title)


class Card(QFrame):
    """One chart of the page."""

    woken = Signal()  # there is something to take over
    wanted = Signal(str, str)  # the chart's key, and what is to be done: "window", "png", "svg" or "csv"

    def __init__(self, chart: Chart, span: Span) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.chart, self._span = chart, span
        self.stale = True
        self.heading = Heading(chart.title, chart.tip)
        self.canvas = LiveCanvas(span, chart.title, chart.unit)
        self.canvas.resized.connect(self._on_resized)
        self.menu = QMenu(self)
        self.menu.triggered.connect(self._tell)
        self.more = QToolButton(popupMode=QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setAccessibleName(tr("More for {chart}", chart=chart.title))
        self.more.setIconSize(QSize(16, 16))
        self.more.setMenu(self.menu)
        self.offer_window(True)
        row = QHBoxLayout()
        row.setContentsMargins(theme.MEDIUM, theme.TINY, theme.TINY, 0)
        row.setSpacing(theme.TINY)
        row.addWidget(self.heading, 1)
        row.addWidget(self.more)
        column = QVBoxLayout(self)
        column.setContentsMargins(1, 1, 1, theme.TINY)
        column.setSpacing(0)
        column.addLayout(row)
        column.addWidget(self.canvas, 1)
        self.setMinimumHeight(HEIGHT)
        self.restyle()

    def offer_window(self, offered: bool) -> None:
        """Fill the menu, with a window of its own in it or not."""
        self.menu.clear()
        if offered:
            self._offer(tr("Open in Own Window"), "window")
            self.menu.addSeparator()
        self._offer(tr("Save as Picture (PNG)…"), "png")
        self._offer(tr("Save as Drawing (SVG)…"), "svg")
        self._offer(tr("Save Figures (CSV)…"), "csv")

    def show_series(self, series: Sequence[Series], marks: Sequence[Mark]) -> None:
        """Draw these runs, the first above the others."""
        self.canvas.show_series(series, colours.of_runs(len(series)), marks)
        self.stale = True

    def restyle(self) -> None:
        """Take the colours in force."""
        self.more.setIcon(theme.icon("more", theme.current().colours.muted))
        self.canvas.restyle()
        self.stale = True

    @property
    def is_seen(self) -> bool:
        """Whether any of it is on the screen."""
        return self.canvas.is_seen or (self.isVisible() and not self.heading.visibleRegion().isEmpty())

    def sync(self) -> None:
        """Take over what is new; for a card that is seen."""
        self.stale = False
        self.canvas.sync()
        self.show_values()

    def sync_cursor(self) -> None:
        """Show the figures where the cursor is."""
        self.canvas.sync_cursor()
        self.show_values()

    def show_values(self) -> None:
        """Write the figures at the cursor, or the latest, into the heading."""
        points = self.canvas.at_cursor()
        alone = len(points) == 1
        figures: list[tuple[str, Ink]] = []
        for run, point in enumerate(points):
            if point is not None and math.isfinite(point.value):
                value, aside = texts(point, self.chart.unit)
                figures.append((value, "text" if alone else run))
                if alone and aside:
                    figures.append((aside, "muted"))
            else:
                figures.append(("–", "muted" if alone else run))
        self.heading.show_figures(figures)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """The same menu under the mouse."""
        self.menu.popup(event.globalPos() + QPoint(1, 1))

    def _on_resized(self) -> None:
        self.stale = True
        self.woken.emit()

    def _offer(self, text: str, what: str) -> None:
        action = self.menu.addAction(text)
        action.setData(what)

    def _tell(self, action: QAction) -> None:
        self.wanted.emit(self.chart.key, action.data())


def texts(point: Point, unit: Unit) -> tuple[str, str]:
    """A figure in words, and what is said beside it: the average of the figures before, or the bounds of its band."""
    value = figure(point.value, unit)
    if math.isfinite(point.average):
        return tr("≈ {average}", average=figure(point.average, unit)), value
    if math.isfinite(point.low) and math.isfinite(point.high):
        return value, tr("{low} to {high}", low=figure(point.low, unit), high=figure(point.high, unit))
    return value, ""
