"""What the browser's rows are drawn with: grounds, tints, figures. Knows no completion."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPen
from PySide6.QtWidgets import QStyle, QStyleOptionViewItem

from gui import theme
from gui.drawing import ROUND
from gui.text import number

_BARS = 28  # at most, in a strip of rewards


def tint(colour: str, share: float = 0.14) -> QColor:
    """A colour laid thinly over a ground."""
    made = QColor(colour)
    made.setAlphaF(share)
    return made


def figure(value: float) -> str:
    """A reward as it is read: 1.20."""
    return number(value, 2).replace("-", "−")


def short_figure(value: float | None) -> str:
    """A score with no more digits than it needs; a dash where a reward had no opinion."""
    if value is None:
        return "–"
    digits = next((digits for digits in (0, 1) if round(value, digits) == value), 2)
    return number(value, digits).replace("-", "−")


def signed(value: float) -> str:
    """A number with its sign, which says as much as its colour."""
    sign = "" if abs(value) < 0.005 else "+" if value > 0 else "−"
    return f"{sign}{number(abs(value), 2)}"


def sign_colour(value: float) -> str:
    """The colour of an advantage."""
    colours = theme.current().colours
    return colours.muted if abs(value) < 0.005 else colours.good if value > 0 else colours.error


def draw_ground(painter: QPainter, option: QStyleOptionViewItem, inset: float = theme.TINY) -> QRectF:
    """The ground of a row, selected or under the mouse; where its contents go."""
    colours = theme.current().colours
    state = option.state
    rect = QRectF(option.rect).adjusted(inset, 1, -inset, -1)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    if state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver):
        selected = bool(state & QStyle.StateFlag.State_Selected)
        focused = selected and bool(state & QStyle.StateFlag.State_HasFocus)
        painter.setPen(QPen(QColor(colours.accent), 1) if focused else Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours.selected if selected else colours.hover))
        painter.drawRoundedRect(rect.adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
    return rect.adjusted(theme.SMALL, theme.TINY, -theme.SMALL, -theme.TINY)


def draw_line(
    painter: QPainter,
    rect: QRectF,
    text: str,
    *,
    pixels: int = theme.BODY,
    colour: str = "",
    bold: bool = False,
    right: bool = False,
) -> float:
    """One line of text, cut off with dots where there is no room; its width."""
    font = theme.ui_font(pixels, QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
    painter.setFont(font)
    metrics = painter.fontMetrics()
    shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, int(rect.width()))
    painter.setPen(QColor(colour or theme.current().colours.text))
    # Of a text that runs from right to left too the beginning has to be seen where the rows begin.
    side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
    painter.drawText(rect, side | Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignAbsolute, shown)
    return float(metrics.horizontalAdvance(shown))


def draw_rewards(painter: QPainter, rect: QRectF, rewards: Sequence[float], low: float, high: float) -> None:
    """A small strip of bars, one a reward, the best first; of very many some are drawn."""
    if len(rewards) > _BARS:
        rewards = [rewards[place * (len(rewards) - 1) // (_BARS - 1)] for place in range(_BARS)]
    step = min(7.0, rect.width() / max(1, len(rewards)))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(tint(theme.current().colours.accent, 0.75))
    for place, reward in enumerate(rewards):
        share = (reward - low) / (high - low) if high > low else 0.5
        height = 2.0 + share * (rect.height() - 2.0)
        left = rect.right() - step * (len(rewards) - place)
        painter.drawRoundedRect(QRectF(left, rect.bottom() - height, max(1.0, step - 1.5), height), 1, 1)


def draw_verdict(painter: QPainter, centre: QPointF, right: bool | None) -> None:
    """A check mark, a cross, or a small ring where nobody knows."""
    colours = theme.current().colours
    colour = colours.muted if right is None else colours.good if right else colours.error
    painter.setPen(QPen(QColor(colour), 1.8, *ROUND))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if right is None:
        painter.drawEllipse(centre, 3, 3)
    elif right:
        painter.drawPolyline([centre + QPointF(x, y) for x, y in ((-4, 0.5), (-1.2, 3.5), (4.5, -3.5))])
    else:
        for way in (1, -1):
            painter.drawLine(centre + QPointF(-3.5, -3.5 * way), centre + QPointF(3.5, 3.5 * way))
