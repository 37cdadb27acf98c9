"""The card of one token: how likely it was, and what else could have stood there. Knows one token, no answer."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QEnterEvent, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from engine.chat_events import TokenScored
from gui import theme
from gui.chat.token_view_flow import shown
from gui.chat.token_view_layout import visible
from gui.chat.token_view_scale import percent
from gui.parts import OneLine, words
from gui.text import number, tr
from gui.train.samples.looks import tint
from gui.train.samples.marks import displayable

WIDTH = 264
_ROW, _FIGURE, _GAP = 24, 76, 3
_SEEN = 0.002  # below this share a bar would be a line that says nothing


class TokenRow(QAbstractButton):
    """A token, its probability as a bar and a figure; can be pressed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text, self._share, self._marked = "", 0.0, False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        theme.current().changed.connect(self.update)

    def show_token(self, text: str, share: float, name: str, *, marked: bool = False) -> None:
        """Show another token; `name` says what pressing it does."""
        self._text, self._share, self._marked = visible(displayable(text)), share, marked
        self.setAccessibleName(name)
        self.setToolTip(f"<qt>{html.escape(name)}</qt>")
        self.update()

    def sizeHint(self) -> QSize:
        """A line."""
        return QSize(160, _ROW)

    def enterEvent(self, event: QEnterEvent) -> None:
        self.update()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self.update()
        super().leaveEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Return presses it too."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, _: QPaintEvent) -> None:
        """The bar on the ground of the row, the token on it and the figure beside it."""
        colours, painter = theme.current().colours, QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        if self.hasFocus() or self.underMouse():
            painter.setPen(QPen(QColor(colours.accent), 1.5) if self.hasFocus() else Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours.hover))
            painter.drawRoundedRect(rect, 5, 5)
        inner = rect.adjusted(_GAP, _GAP, -_GAP, -_GAP)
        room = inner.width() - _FIGURE
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(tint(colours.accent, 0.3 if theme.current().dark else 0.2))
        if self._share >= _SEEN:
            bar = QRectF(inner.left(), inner.top(), max(3.0, room * self._share), inner.height())
            painter.drawRoundedRect(bar, 3, 3)
        font = theme.ui_font(theme.BODY)
        font.setBold(self._marked)
        painter.setFont(font)
        painter.setPen(QColor(colours.text))
        text = painter.fontMetrics().elidedText(self._text, Qt.TextElideMode.ElideRight, int(room) - 12)
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(inner.adjusted(6, 0, -_FIGURE, 0), middle | Qt.AlignmentFlag.AlignLeft, text)
        painter.setPen(QColor(colours.text if self._marked else colours.muted))
        painter.drawText(inner.adjusted(0, 0, -4, 0), middle | Qt.AlignmentFlag.AlignRight, percent(self._share))


class TokenCard(QFrame):
    """Shown beside a token; a press on an alternative wants the answer to go on from there."""

    continued = Signal(int, int)  # a position, and the id of the token to put there
    left = Signal()  # by Escape, back to the tokens

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._within = parent
        self.setProperty("role", "card")
        self.setFixedWidth(WIDTH)
        self.setAccessibleName(tr("About the token"))
        self.position = -1
        self._text, self._share = OneLine("strong"), OneLine("strong")
        self._share.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._share.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self._rank = words(role="caption")
        self._hint = words(role="caption")
        head = QHBoxLayout()
        head.setSpacing(theme.SMALL)
        head.addWidget(self._text, 1)
        head.addWidget(self._share)
        column = self._column = QVBoxLayout(self)
        column.setContentsMargins(theme.MEDIUM, theme.SMALL, theme.MEDIUM, theme.SMALL)
        column.setSpacing(2)
        column.addLayout(head)
        column.addWidget(self._rank)
        column.addSpacing(theme.TINY)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(0)
        column.addLayout(self._rows)
        column.addSpacing(theme.TINY)
        column.addWidget(self._hint)
        self.rows: list[TokenRow] = []
        self._others: Sequence[tuple[int, str, float]] = ()
        self.hide()

    def show_token(self, token: TokenScored, place: QRect, across: QRect, *, going_on: bool) -> None:
        """Show a token.

        Args:
            place: of the token, below or above which the card goes.
            across: the width of it is what the card keeps to.
            going_on: whether an answer could go on from here now.
        """
        self.position, self._others = token.position, token.alternatives
        share = math.exp(token.logprob)
        self._text.show_text(visible(displayable(shown(token))) if token.text else tr("Part of a character"))
        self._share.show_text(percent(share))
        self._rank.setText(ranked(token.rank))
        while len(self.rows) < len(self._others):
            row = TokenRow(self)
            row.clicked.connect(partial(self._press, len(self.rows)))
            self._rows.addWidget(row)
            self.rows.append(row)
        for row, (number_, text, logprob) in zip(self.rows, self._others, strict=False):
            own = number_ == token.token
            name = tr("Continue from here with {token}", token=visible(displayable(text or "·")))
            row.show_token(text or "·", math.exp(logprob), name, marked=own)
            row.setEnabled(going_on)
        for place_, row in enumerate(self.rows):
            row.setVisible(place_ < len(self._others))
        busy = tr("Once the answer under way has ended, the answer can go on from here.")
        self._hint.setText(tr("Press one to continue from here with it.") if going_on else busy)
        self.setFixedHeight(self._column.totalHeightForWidth(WIDTH))
        self.move(self._beside(place, across))
        self.show()
        self.raise_()

    def focus_first(self) -> None:
        """Give the keys to the first alternative."""
        if self.rows and self.rows[0].isEnabled():
            self.rows[0].setFocus(Qt.FocusReason.OtherFocusReason)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Up and down among the alternatives, Escape back to the tokens."""
        if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.focusNextPrevChild(event.key() == Qt.Key.Key_Down)
        elif event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        else:
            super().keyPressEvent(event)

    def focusNextPrevChild(self, forward: bool) -> bool:  # noqa: N802
        """Stay within the card: it is left by Escape."""
        there = [row for row in self.rows if row.isVisible() and row.isEnabled()]
        at = next((place for place, row in enumerate(there) if row.hasFocus()), -1)
        if not there:
            return False
        there[(at + (1 if forward else -1)) % len(there)].setFocus(Qt.FocusReason.TabFocusReason)
        return True

    def _press(self, place: int) -> None:
        self.continued.emit(self.position, self._others[place][0])

    def _beside(self, place: QRect, across: QRect) -> QPoint:
        """Right below the token, or right above it, so that the mouse can go over; else beside it."""
        room = self._within.rect().adjusted(theme.TINY, theme.TINY, -theme.TINY, -theme.TINY)
        x = max(across.left(), min(place.left() - theme.MEDIUM, across.right() + 1 - WIDTH))
        if place.bottom() + self.height() <= room.bottom():
            return QPoint(x, place.bottom() + 1)
        if place.top() - self.height() >= room.top():
            return QPoint(x, place.top() - self.height())
        right = place.right() + 1
        x = right if right + WIDTH <= room.right() else max(room.left(), place.left() - WIDTH - 1)
        return QPoint(x, max(room.top(), room.bottom() - self.height()))


def ranked(rank: int) -> str:
    """A rank in words."""
    if rank == 0:
        return tr("The likeliest token in this place")
    if rank == 1:
        return tr("One token was likelier")
    return tr("{count} tokens were likelier", count=number(rank))
