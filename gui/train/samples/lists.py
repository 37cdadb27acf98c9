"""The lists of a step's prompts and of a prompt's completions: models and drawn rows. Knows no files and no text view.

Only rows that are seen are drawn, so that a step may have thousands of completions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter
from PySide6.QtWidgets import QAbstractItemView, QListView, QStyledItemDelegate, QStyleOptionViewItem

from engine.run_events import SampleRead
from gui import theme
from gui.text import number, tr
from gui.train.samples.group import Group
from gui.train.samples.looks import (
    draw_ground,
    draw_line,
    draw_rewards,
    draw_verdict,
    figure,
    short_figure,
    sign_colour,
    signed,
)
from gui.train.samples.marks import gist, one_line

ITEM = Qt.ItemDataRole.UserRole
_LINE = 20
_STRIP = 62
_FIGURES, _NUMBER = 116, 50
Index = QModelIndex | QPersistentModelIndex


class RowsModel(QAbstractListModel):
    """Rows of one kind of things, each under `ITEM`."""

    def __init__(self, parent: QListView) -> None:
        super().__init__(parent)
        self.rows: list[Any] = []

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        row = self.rows[index.row()]
        if role == ITEM:
            return row
        return self.words(row) if role == Qt.ItemDataRole.AccessibleTextRole else None

    def set_rows(self, rows: Sequence[Any]) -> None:
        """Show these instead."""
        self.beginResetModel()
        self.rows = list(rows)
        self.endResetModel()

    def words(self, row: Any) -> str:
        """A row for a screen reader."""
        return str(row)


class GroupsModel(RowsModel):
    """The prompts of a step; `scale` is from the lowest reward to the highest."""

    scale = (0.0, 1.0)

    def set_rows(self, rows: Sequence[Group]) -> None:
        """Show these instead; their rewards are drawn on one scale."""
        rewards = [reward for group in rows for reward in (group.best.reward, group.worst.reward)]
        self.scale = (min(rewards), max(rewards)) if rewards else (0.0, 1.0)
        super().set_rows(rows)

    def words(self, row: Group) -> str:
        return (
            tr("Prompt {number}: {prompt}", number=row.number + 1, prompt=one_line(row.prompt))
            + f". {standing(row)}. {rewards(row)}"
        )


class CompletionsModel(RowsModel):
    """The completions of a prompt."""

    def words(self, row: SampleRead) -> str:
        verdict = "" if row.right is None else tr("right") if row.right else tr("not right")
        reward = tr("reward {reward}", reward=figure(row.reward))
        advantage = tr("advantage {advantage}", advantage=signed(row.advantage))
        told = [verdict, reward, advantage, details(row), one_line(row.text)]
        return ", ".join(part for part in told if part)


class Rows(QListView):
    """A list of drawn rows; Left and Right turn to the step before and behind."""

    turned = Signal(int)
    picked = Signal(object)

    def __init__(self, model: type[RowsModel], delegate: type[QStyledItemDelegate], name: str) -> None:
        super().__init__()
        self.rows = model(self)
        self.setModel(self.rows)
        self.setItemDelegate(delegate(self))
        self.setAccessibleName(name)
        self.setObjectName("samples")
        self.setMouseTracking(True)
        self.setUniformItemSizes(True)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setMinimumSize(120, 64)
        self.selectionModel().currentChanged.connect(self._on_current)

    def show_rows(self, rows: Sequence[Any], current: int = 0) -> None:
        """Show these, and pick one of them; says so."""
        blocked = self.selectionModel().blockSignals(True)
        self.rows.set_rows(rows)
        self.selectionModel().blockSignals(blocked)
        if rows:
            self.setCurrentIndex(self.rows.index(min(max(0, current), len(rows) - 1)))

    @property
    def current(self) -> Any:
        """What is picked, None where nothing is."""
        index = self.currentIndex()
        return index.data(ITEM) if index.isValid() else None

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right) and not event.modifiers():
            self.turned.emit(1 if event.key() == Qt.Key.Key_Right else -1)
        else:
            super().keyPressEvent(event)

    def _on_current(self, index: QModelIndex) -> None:
        if index.isValid():
            self.picked.emit(index.data(ITEM))


class GroupRow(QStyledItemDelegate):
    """Draws a prompt: its text, its rewards in figures and as a strip."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(120, 3 * _LINE + 2 * theme.TINY)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        group, colours = index.data(ITEM), theme.current().colours
        model = index.model()
        low, high = model.scale if isinstance(model, GroupsModel) else (0.0, 1.0)
        inner = draw_ground(painter, option)
        top = QRectF(inner.left(), inner.top(), inner.width(), _LINE)
        colour = colours.muted if group.left_out else colours.text
        draw_line(painter, top, one_line(group.prompt) or tr("(an empty prompt)"), colour=colour)
        strip = QRectF(inner.right() - _STRIP, top.bottom() + 2, _STRIP, _LINE - 4)
        draw_rewards(painter, strip, [sample.reward for sample in group.ranked], low, high)
        line = QRectF(inner.left(), top.bottom(), inner.width() - _STRIP - theme.SMALL, _LINE)
        draw_line(painter, line, standing(group), pixels=theme.CAPTION, colour=colours.muted)
        line = top.translated(0, 2 * _LINE - 2)
        draw_line(painter, line, rewards(group), pixels=theme.CAPTION, colour=colours.muted)
        painter.restore()


class CompletionRow(QStyledItemDelegate):
    """Draws a completion: whether it is right, how it begins, its rewards by name, its reward and advantage."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(120, 2 * _LINE + 2 * theme.TINY + 4)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        sample, colours = index.data(ITEM), theme.current().colours
        inner = draw_ground(painter, option, 0.0)
        draw_verdict(painter, QPointF(inner.left() + 6, inner.top() + _LINE / 2), sample.right)
        left, room = inner.left() + 20, inner.width() - 20 - _FIGURES - theme.SMALL
        top, below = QRectF(left, inner.top(), room, _LINE), QRectF(left, inner.top() + _LINE, room, _LINE)
        text = gist(sample.text) or tr("(nothing was written)")
        draw_line(painter, top, text, colour=colours.text if sample.text.strip() else colours.muted)
        draw_line(painter, below, details(sample), pixels=theme.CAPTION, colour=colours.muted)
        side = QRectF(inner.right() - _FIGURES, inner.top(), _FIGURES - _NUMBER, _LINE)
        last = QRectF(inner.right() - _NUMBER, inner.top(), _NUMBER, _LINE)
        caption = theme.CAPTION
        draw_line(painter, side, tr("reward"), pixels=caption, colour=colours.muted, right=True)
        draw_line(painter, last, figure(sample.reward), bold=True, right=True)
        side, last = side.translated(0, _LINE), last.translated(0, _LINE)
        draw_line(painter, side, tr("advantage"), pixels=caption, colour=colours.muted, right=True)
        draw_line(painter, last, signed(sample.advantage), colour=sign_colour(sample.advantage), right=True)
        painter.restore()


def standing(group: Group) -> str:
    """How many completions of a group are right, and whether it counts."""
    count = number(len(group.samples))
    if group.right is None:
        told = tr("1 completion") if len(group.samples) == 1 else tr("{count} completions", count=count)
    else:
        told = tr("{right} of {count} right", right=number(group.right), count=count)
    return tr("{standing}, left out", standing=told) if group.left_out else told


def rewards(group: Group) -> str:
    """The best, mean and worst reward of a group."""
    if group.spread == 0:
        return tr("all earned {reward}", reward=figure(group.mean))
    best, mean, worst = (figure(reward) for reward in (group.best.reward, group.mean, group.worst.reward))
    return tr("best {best} · mean {mean} · worst {worst}", best=best, mean=mean, worst=worst)


def details(sample: SampleRead) -> str:
    """The rewards by name, the length and how the completion ended, in a line."""
    told = [tr("cut off")] if sample.stop_reason == "length" else []
    told += [f"{one_line(name, 60)} {short_figure(score)}" for name, score in sample.rewards]
    told.append(tr("1 token") if sample.tokens == 1 else tr("{count} tokens", count=number(sample.tokens)))
    return " · ".join(told)
