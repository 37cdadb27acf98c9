"""Searches the completions of a run: the field, and the list of what was found. Knows no completion as a whole."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QColor, QFont, QKeyEvent, QPainter, QTextCharFormat, QTextLayout, QTextOption
from PySide6.QtWidgets import QLineEdit, QStyledItemDelegate, QStyleOptionViewItem, QVBoxLayout, QWidget

from engine.events import Event, Failed, Progress
from engine.monitor.requests import SearchSamples
from engine.run_events import SampleFound
from engine.workers import Job
from gui import theme
from gui.desk import Desk
from gui.parts import words
from gui.text import number, tr
from gui.train.samples.lists import ITEM, Index, Rows, RowsModel
from gui.train.samples.looks import draw_ground, draw_line, tint
from gui.train.samples.marks import one_line

_PAUSE = 300  # milliseconds without a key after which a text counts as written
_LIMIT = 200
_BEFORE = 16  # characters shown before what was found
_LINE = 20


class SearchField(QLineEdit):
    """`wanted` is emitted with what is searched for, "" for nothing."""

    wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setPlaceholderText(tr("Search"))
        self.setToolTip(tr("Find a text in all completions and prompts of the run, the newest first"))
        self.setAccessibleName(tr("Search all completions"))
        self.setClearButtonEnabled(True)
        self.setMinimumWidth(110)
        self._icon = QAction(self)
        self.addAction(self._icon, QLineEdit.ActionPosition.LeadingPosition)
        self._pause = QTimer(self, singleShot=True, interval=_PAUSE)
        self._pause.timeout.connect(self._tell)
        self._told = ""
        self.textChanged.connect(self._on_text)
        self.returnPressed.connect(self._tell)
        theme.current().changed.connect(self._restyle)
        self._restyle()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        else:
            super().keyPressEvent(event)

    def _on_text(self, text: str) -> None:
        if text.strip():
            self._pause.start()
        else:
            self._tell()

    def _tell(self) -> None:
        self._pause.stop()
        text = self.text() if self.text().strip() else ""
        if text != self._told:
            self._told = text
            self.wanted.emit(text)

    def _restyle(self) -> None:
        self._icon.setIcon(theme.icon("search", theme.current().colours.muted))


class FoundModel(RowsModel):
    """What was found; more of it comes."""

    def words(self, row: SampleFound) -> str:
        return f"{_where(row)}: {one_line(row.excerpt)}"

    def add(self, rows: list[SampleFound]) -> None:
        """Show these too."""
        self.beginInsertRows(QModelIndex(), len(self.rows), len(self.rows) + len(rows) - 1)
        self.rows += rows
        self.endInsertRows()


class FoundRow(QStyledItemDelegate):
    """Draws what was found in its surroundings, and where it stands."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(120, 2 * _LINE + 2 * theme.TINY + 4)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        found, colours = index.data(ITEM), theme.current().colours
        inner = draw_ground(painter, option)
        before = found.excerpt[: found.start]
        short = one_line(before[-_BEFORE:])
        # A space beside what was found belongs to the excerpt, which `one_line` cannot know.
        lead = ("…" if len(before) > _BEFORE else "") + short + (" " if before[-1:].isspace() else "")
        hit = one_line(found.excerpt[found.start : found.start + found.length])
        tail = found.excerpt[found.start + found.length :]
        text = lead + hit + (" " if tail[:1].isspace() else "") + one_line(tail)
        top = QRectF(inner.left(), inner.top(), inner.width(), _LINE)
        _draw_marked(painter, top, text, _units(lead), _units(hit))
        below = top.translated(0, _LINE)
        draw_line(painter, below, _where(found), pixels=theme.CAPTION, colour=colours.muted)
        painter.restore()


class Found(QWidget):
    """The list of what was found; `picked` is emitted with the one to go to."""

    picked = Signal(object)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._job: Job | None = None
        self.text = ""
        self.state = words(role="caption")
        self.list = Rows(FoundModel, FoundRow, tr("What was found"))
        self.list.clicked.connect(self._on_clicked)
        self.list.activated.connect(self._on_clicked)
        self.list.picked.connect(self._on_picked)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.TINY)
        self.state.setContentsMargins(theme.MEDIUM, theme.TINY, theme.MEDIUM, 0)
        column.addWidget(self.state)
        column.addWidget(self.list, 1)

    def search(self, folder: str, text: str) -> None:
        """Search a run for a text; "" ends the search."""
        if self._job is not None:
            self._job.cancel()
            self._job = None
        self.text = text
        self.list.rows.set_rows([])
        self.state.setText("")
        if text and folder:
            self.state.setText(tr("Searching…"))
            self._job = self._desk.network.submit(SearchSamples(folder, text, _LIMIT))
            self._job.events.connect(self._on_events)
            self._job.ended.connect(self._on_ended)

    @property
    def over(self) -> bool:
        """Whether all there is of the text was found."""
        return bool(self.text) and self._job is None

    @property
    def count(self) -> int:
        """How many places were found."""
        return len(self.list.rows.rows)

    def _on_events(self, events: tuple[Event, ...]) -> None:
        model = self.list.rows
        if self.sender() is not self._job or not isinstance(model, FoundModel):
            return
        found = [event for event in events if isinstance(event, SampleFound)]
        if found:
            model.add(found)
        told = [event for event in events if isinstance(event, Progress)]
        if told and told[-1].total:
            self.state.setText(
                tr(
                    "Searching… {percent} %, {count} found",
                    percent=number(100 * told[-1].done / told[-1].total),
                    count=number(len(model.rows)),
                )
            )

    def _on_ended(self, ending: object) -> None:
        if self.sender() is not self._job:
            return
        self._job = None
        count = len(self.list.rows.rows)
        if isinstance(ending, Failed):
            self.state.setText(f"{ending.what} {ending.why} {ending.remedy}")
        elif not count:
            self.state.setText(tr("Nothing was found. All completions and prompts of this run were searched."))
        elif count >= _LIMIT:
            self.state.setText(tr("The {count} newest places. There may be more.", count=number(count)))
        else:
            self.state.setText(tr("1 place") if count == 1 else tr("{count} places", count=number(count)))

    def _on_clicked(self) -> None:
        if self.list.current is not None:
            self.picked.emit(self.list.current)

    def _on_picked(self, found: SampleFound) -> None:
        """Arrow keys go from place to place."""
        if self.list.hasFocus():
            self.picked.emit(found)


def _where(found: SampleFound) -> str:
    if found.completion < 0:
        return tr("Step {step} · the prompt", step=number(found.step))
    return tr("Step {step} · completion {number}", step=number(found.step), number=number(found.completion + 1))


def _units(text: str) -> int:
    """The length of a text as Qt counts it."""
    return len(text.encode("utf-16-le", "replace")) // 2


def _draw_marked(painter: QPainter, rect: QRectF, text: str, start: int, length: int) -> None:
    """A line of text with a part of it marked, cut off with dots."""
    colours = theme.current().colours
    font = theme.ui_font()
    layout = QTextLayout(text, font)
    option = QTextOption()
    option.setWrapMode(QTextOption.WrapMode.NoWrap)
    layout.setTextOption(option)
    mark = QTextLayout.FormatRange()
    mark.start, mark.length = start, length
    style = QTextCharFormat()
    style.setBackground(tint(colours.warning, 0.4))
    style.setFontWeight(QFont.Weight.DemiBold)
    mark.format = style
    layout.setFormats([mark])
    layout.beginLayout()
    line = layout.createLine()
    line.setLineWidth(10_000)
    layout.endLayout()
    painter.setPen(QColor(colours.text))
    painter.setClipRect(rect)
    layout.draw(painter, QPointF(rect.left(), rect.top() + (rect.height() - line.height()) / 2))
    painter.setClipping(False)
