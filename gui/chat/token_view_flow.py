"""Tokens as running text, each on the colour of its probability: one painted widget. Knows no model and no card."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleEvent,
    QColor,
    QFocusEvent,
    QFontMetricsF,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea

from engine.chat_events import TokenScored
from gui import theme
from gui.chat.token_view_layout import Box, Flow, visible
from gui.chat.token_view_scale import percent, shade
from gui.text import tr
from gui.train.samples.marks import displayable

_PAD, _AROUND, _LEADING = 1.5, 16, 9
_WHITE = "␣↵⇥␍"
_STEPS = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Home: -(10**9), Qt.Key.Key_End: 10**9}


class TokenFlow(QAbstractScrollArea):
    """Shows tokens as they come; the one under the mouse or chosen by keys is told."""

    pointed = Signal(int)  # at this token by the mouse, -1 at none
    moved = Signal(int)  # to this token by keys, a jump or a click
    entered = Signal()  # Return: into what is shown of the token

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[TokenScored] = []
        self.current = -1
        self._pointed = -1
        self.setProperty("role", "card")
        # Its own, as the style sheet gives widgets another one once they are shown.
        self._font = theme.ui_font(theme.READING)
        self.setAccessibleName(tr("Tokens of the answer"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setMouseTracking(True)
        metrics = QFontMetricsF(self._font)
        self._height = math.ceil(metrics.height()) + _LEADING
        self._flow = Flow(lambda text: metrics.horizontalAdvance(text) + 2 * _PAD)
        self._advance = metrics.horizontalAdvance
        self.verticalScrollBar().setSingleStep(self._height)
        self.verticalScrollBar().valueChanged.connect(lambda _: self.point(-1))
        theme.current().changed.connect(self.viewport().update)

    def clear(self) -> None:
        """Show no token."""
        self.tokens.clear()
        self._flow.clear()
        self.current = self._pointed = -1
        self._fit()

    def add(self, tokens: Sequence[TokenScored]) -> None:
        """More tokens at the end."""
        for token in tokens:
            self.tokens.append(token)
            self._flow.add(displayable(shown(token)))
        self._fit()

    def go_to(self, token: int) -> None:
        """Make a token the current one and bring it into view."""
        if not self.tokens:
            return
        self.current = max(0, min(len(self.tokens) - 1, token))
        bar, top = self.verticalScrollBar(), self._flow.line_of(self.current) * self._height
        if not bar.value() <= top <= bar.value() + self.viewport().height() - 2 * _AROUND - self._height:
            bar.setValue(top - self.viewport().height() // 3)
        self.viewport().update()
        self.setAccessibleDescription(spoken(self.tokens[self.current]))
        QAccessible.updateAccessibility(QAccessibleEvent(self, QAccessible.Event.DescriptionChanged))
        self.moved.emit(self.current)

    def place_of(self, token: int) -> QRect:
        """Where a token begins, in this widget."""
        _, box = next(self._flow.boxes(token))
        rect = self._rect(self._flow.line_of(token), box).toAlignedRect()
        return rect.translated(self.viewport().pos())

    def point(self, token: int) -> None:
        """Have a token marked as being under the mouse, -1 for none."""
        if token != self._pointed:
            changed = [each for each in (self._pointed, token) if each >= 0]
            self._pointed = token
            for each in changed:
                self._repaint(each)
            self.pointed.emit(token)

    def sizeHint(self) -> QSize:
        """Room for some lines."""
        return QSize(520, 12 * self._height)

    def minimumSizeHint(self) -> QSize:
        """Room for a few."""
        return QSize(280, 5 * self._height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Flow anew; the first token in view stays."""
        bar = self.verticalScrollBar()
        line = bar.value() // self._height
        first = next((box.token for boxes in self._flow.lines[line:] for box in boxes), -1)
        self._flow.set_width(max(60.0, self.viewport().width() - 2.0 * _AROUND))
        self._fit()
        if line and first >= 0:
            bar.setValue(self._flow.line_of(first) * self._height)
        super().resizeEvent(event)

    def viewportEvent(self, event: QEvent) -> bool:
        """Follow the mouse."""
        if event.type() == QEvent.Type.MouseMove and isinstance(event, QMouseEvent):
            self.point(self.token_at(event.position().toPoint()))
        elif event.type() == QEvent.Type.MouseButtonPress and isinstance(event, QMouseEvent):
            token = self.token_at(event.position().toPoint())
            if token >= 0:
                self.go_to(token)
        elif event.type() == QEvent.Type.Leave:
            self.point(-1)
        return super().viewportEvent(event)

    def token_at(self, place: QPoint) -> int:
        """The token at a place of the viewport, -1 for none."""
        line = (place.y() - _AROUND + self.verticalScrollBar().value()) // self._height
        return self._flow.token_at(line, place.x() - _AROUND)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows go from token to token and from line to line, Return into what is shown of one."""
        key = Qt.Key(event.key())
        if key in _STEPS:
            self.go_to(self.current + _STEPS[key])
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down) and self.tokens:
            self.go_to(self._beside(1 if key == Qt.Key.Key_Down else -1))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self.tokens:
            self.go_to(self.current)
            self.entered.emit()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """The keys begin at the first token in view."""
        super().focusInEvent(event)
        by_key = event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)
        if by_key and self.tokens:
            self.go_to(max(0, self.current))
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The lines in view."""
        colours, painter = theme.current().colours, QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._font)
        top = self.verticalScrollBar().value() - _AROUND
        first = max(0, (event.rect().top() + top) // self._height)
        last = (event.rect().bottom() + top) // self._height + 1
        for line in range(first, min(last, len(self._flow.lines))):
            for box in self._flow.lines[line]:
                self._paint(painter, self._rect(line, box), box, colours)

    def _paint(self, painter: QPainter, rect: QRectF, box: Box, colours: theme.Colours) -> None:
        ground, ink = shade(math.exp(self.tokens[box.token].logprob))
        current = box.token == self.current
        if ground or box.token == self._pointed or current:
            painter.setPen(QPen(QColor(colours.accent), 2) if current else Qt.PenStyle.NoPen)
            painter.setBrush(QColor(ground or colours.window))
            if box.token == self._pointed and not current:
                painter.setPen(QPen(QColor(colours.muted), 1.5))
            painter.drawRoundedRect(rect, 3, 3)
        faint = QColor(ink)
        faint.setAlphaF(0.45)
        x, base = rect.left() + _PAD, rect.top() + 0.76 * rect.height()
        text = box.text
        if self._advance(text) > rect.width():
            text = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(rect.width()))
        # Signs for spaces stand back behind what is said.
        inner = text.strip(_WHITE)
        lead, middle, tail = text.partition(inner) if inner else (text, "", "")
        for part, colour in ((lead, faint), (middle, QColor(ink)), (tail, faint)):
            if part:
                painter.setPen(colour)
                painter.drawText(QPointF(x, base), part)
                x += self._advance(part)

    def _rect(self, line: int, box: Box) -> QRectF:
        top = _AROUND - self.verticalScrollBar().value() + line * self._height
        return QRectF(_AROUND + box.x, top + 2, box.width, self._height - 4)

    def _repaint(self, token: int) -> None:
        """Paint what a token covers, and no more: a long answer fills the view."""
        for line, box in self._flow.boxes(token):
            self.viewport().update(self._rect(line, box).toAlignedRect().adjusted(-2, -2, 2, 2))

    def _beside(self, step: int) -> int:
        """The token above or below the current one; a line that is empty is passed over."""
        line, box = next(self._flow.boxes(max(0, self.current)))
        while 0 <= (line := line + step) < len(self._flow.lines):
            token = self._flow.token_at(line, box.x + box.width / 2, near=True)
            if token >= 0:
                return token
        return self.current

    def _fit(self) -> None:
        height = len(self._flow.lines) * self._height + 2 * _AROUND
        bar = self.verticalScrollBar()
        bar.setRange(0, max(0, height - self.viewport().height()))
        bar.setPageStep(self.viewport().height())
        self.viewport().update()


def shown(token: TokenScored) -> str:
    """What stands for a token: what it added, or what it is where that is nothing yet."""
    own = next((text for number, text, _ in token.alternatives if number == token.token), "")
    return token.text or own or "·"


def spoken(token: TokenScored) -> str:
    """A token in words."""
    text, share = visible(shown(token)), percent(math.exp(token.logprob))
    return tr("Token {number}: {token}, {share}", number=token.position + 1, token=text, share=share)
