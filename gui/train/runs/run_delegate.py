"""Draws a run in the list: its name, how it stands, what it reached. Knows a run, no list."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from engine.run_events import RunFound
from gui import theme
from gui.train.runs import words
from gui.train.runs.run_model import RUN

_HEIGHT, _LINE, _ICON, _BAR = 70, 17, 14, 3
_Side = Qt.AlignmentFlag


class RunDelegate(QStyledItemDelegate):
    """Three lines and, while the run trains, a bar of how far it came."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """The ground and the run on it."""
        run: RunFound = index.data(RUN)
        colours, rect = theme.current().colours, QRectF(option.rect).adjusted(0, 1, 0, -1)
        state = option.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if state & QStyle.StateFlag.State_Selected:
            painter.setBrush(QColor(colours.selected))
            painter.drawRoundedRect(rect, 6, 6)
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(QColor(colours.hover))
            painter.drawRoundedRect(rect, 6, 6)
        if state & QStyle.StateFlag.State_HasFocus:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(colours.accent), 1.5))
            painter.drawRoundedRect(rect.adjusted(0.75, 0.75, -0.75, -0.75), 5.5, 5.5)
        self._lines(painter, rect.adjusted(8, 7, -8, -7), run)
        painter.restore()

    def sizeHint(self, _option: QStyleOptionViewItem, _index: QModelIndex | QPersistentModelIndex) -> QSize:
        """Room for three lines and the bar."""
        return QSize(100, _HEIGHT)

    def _lines(self, painter: QPainter, inner: QRectF, run: RunFound) -> None:
        colours = theme.current().colours
        line = QRectF(inner.left(), inner.top(), inner.width(), _LINE)
        when = words.moment(run.began)
        taken = _text(painter, line, when, theme.ui_font(theme.CAPTION), colours.muted, _Side.AlignRight)
        name = line.adjusted(0, 0, -taken - theme.SMALL, 0)
        _text(painter, name, run.name, theme.ui_font(), colours.text, elide=Qt.TextElideMode.ElideMiddle)
        line.translate(0, _LINE + 1)
        icon, colour = words.icon(run.status)
        place = QRectF(line.left() - 1, line.top() + (_LINE - _ICON) / 2, _ICON, _ICON)
        theme.icon(icon, getattr(colours, colour)).paint(painter, place.toRect())
        said = line.adjusted(_ICON + 3, 0, 0, 0)
        if run.problem:
            # The picture of a warning: the words are in the tooltip, and for screen readers.
            warning = QRectF(line.right() - _ICON, place.top(), _ICON, _ICON)
            theme.icon("warning", colours.warning).paint(painter, warning.toRect())
            said.adjust(0, 0, -_ICON - theme.TINY, 0)
        _text(painter, said, words.standing(run), theme.ui_font(theme.CAPTION), colours.text)
        line.translate(0, _LINE)
        results = words.results(run)
        # With tags there is room for one figure.
        third = " · ".join([*results[:1], *(f"#{tag}" for tag in run.tags)] if run.tags else results)
        _text(painter, line, third or run.model, theme.ui_font(theme.CAPTION), colours.muted)
        if run.status in words.LIVE and run.steps:
            self._bar(painter, inner, run.step / run.steps)

    @staticmethod
    def _bar(painter: QPainter, inner: QRectF, done: float) -> None:
        colours = theme.current().colours
        bar = QRectF(inner.left(), inner.bottom() - _BAR + 3, inner.width(), _BAR)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours.line))
        painter.drawRoundedRect(bar, _BAR / 2, _BAR / 2)
        bar.setWidth(max(_BAR, bar.width() * min(1.0, done)))
        painter.setBrush(QColor(colours.accent))
        painter.drawRoundedRect(bar, _BAR / 2, _BAR / 2)


def _text(
    painter: QPainter,
    rect: QRectF,
    text: str,
    font: QFont,
    colour: str,
    side: Qt.AlignmentFlag = _Side.AlignLeft,
    elide: Qt.TextElideMode = Qt.TextElideMode.ElideRight,
) -> int:
    """Draw one line, shortened to its room; the width it takes."""
    painter.setFont(font)
    painter.setPen(QColor(colour))
    metrics = QFontMetrics(font)
    shown = metrics.elidedText(" ".join(text.split()), elide, int(rect.width()))
    painter.drawText(rect, side | _Side.AlignVCenter | Qt.TextFlag.TextSingleLine.value, shown)
    return int(metrics.horizontalAdvance(shown))
