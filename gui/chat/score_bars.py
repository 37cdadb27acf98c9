"""What rewards gave an answer: a bar and a figure each, or why one gave nothing. Scores nothing itself."""

from __future__ import annotations

import html
from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from gui import theme
from gui.controls import number_text
from gui.parts import words
from gui.text import tr
from gui.train.new_run.words import said

Score = tuple[str, float | None, str]

# The most that each reward of the program gives; any other's bar ends at its own score, or at 1.
_MOST = {"correctness": 2.0, "integer": 0.5, "strict_format": 0.5, "soft_format": 0.5, "xml_count": 0.5}
_NAME, _FIGURE, _HEIGHT, _BAR = 118, 52, 24, 8


class ScoreBar(QWidget):
    """A reward's name, its score as a bar, and the figure; no bar where it gave none."""

    def __init__(self, name: str, score: float | None) -> None:
        super().__init__()
        self._name, self.score = name.rpartition(":")[2], score
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        figure = figure_of(score)
        self.setAccessibleName(f"{self._name}: {figure}")
        self.setToolTip(f"<qt>{html.escape(name)}</qt>" if name != self._name else "")
        theme.current().changed.connect(self.update)

    def sizeHint(self) -> QSize:
        """A line."""
        return QSize(_NAME + _FIGURE + 60, _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """The figure is worth more than the bar."""
        return QSize(_NAME + _FIGURE, _HEIGHT)

    def paintEvent(self, _: QPaintEvent) -> None:
        colours, painter = theme.current().colours, QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.ui_font())
        middle = Qt.AlignmentFlag.AlignVCenter
        rect = QRectF(self.rect())
        name = painter.fontMetrics().elidedText(self._name, Qt.TextElideMode.ElideRight, _NAME - theme.SMALL)
        painter.setPen(QColor(colours.text))
        painter.drawText(QRectF(0, 0, _NAME, rect.height()), middle, name)
        painter.setPen(QColor(colours.muted if self.score is None else colours.text))
        painter.drawText(rect, middle | Qt.AlignmentFlag.AlignRight, figure_of(self.score))
        room = rect.width() - _NAME - _FIGURE - theme.SMALL
        if self.score is None or room < 20:
            return
        painter.setPen(Qt.PenStyle.NoPen)
        track = QRectF(_NAME, (rect.height() - _BAR) / 2, room, _BAR)
        painter.setBrush(QColor(colours.selected))
        painter.drawRoundedRect(track, _BAR / 2, _BAR / 2)
        share = min(1.0, abs(self.score) / max(_MOST.get(self._name, 1.0), 1e-9))
        if share > 0:
            painter.setBrush(QColor(colours.accent if self.score > 0 else colours.error))
            width = max(_BAR, room * share)
            painter.drawRoundedRect(QRectF(_NAME, track.top(), width, _BAR), _BAR / 2, _BAR / 2)


class ScoreBars(QWidget):
    """All scores of an answer; `scores` is what is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.scores: tuple[Score, ...] = ()
        self._rows = QVBoxLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setSpacing(0)
        self.setAccessibleName(tr("Scores"))

    def show_scores(self, scores: Sequence[Score]) -> None:
        """Show these in the place of those before."""
        self.scores = tuple(scores)
        while (item := self._rows.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        for name, score, problem in self.scores:
            self._rows.addWidget(ScoreBar(name, score))
            if problem:
                self._rows.addWidget(words(said(problem), "caption"))
                self._rows.addSpacing(theme.TINY)


def figure_of(score: float | None) -> str:
    """A score with the digits it needs, a dash for none."""
    return "–" if score is None else number_text(round(score, 3)).replace("-", "−")
