"""The browser of completions: a step of a run, its prompts, and the completions of one of them.

Knows the run's record and reads its completions by jobs; knows no page around it.
"""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QResizeEvent, QShortcut, QShowEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget
from shiboken6 import isValid

from engine.run_events import SampleFound, SamplesRead
from gui import theme
from gui.controls import Choice
from gui.desk import Desk
from gui.parts import words
from gui.text import tr
from gui.train.record import Record
from gui.train.samples.group import ORDERS, Group, in_order
from gui.train.samples.group_view import GroupView
from gui.train.samples.lists import GroupRow, GroupsModel, Rows
from gui.train.samples.reader import Reader
from gui.train.samples.search import Found, SearchField
from gui.train.samples.states import StatePage, remarks
from gui.train.samples.steps_bar import StepsBar
from gui.train.samples.warm_up import WarmUp

_NARROW, _NARROWEST = 620, 500  # below them: no list of prompts; the search in a row of its own
_SIDE = 250


class SamplesView(QWidget):
    """Every completion of every step of one run; `chat_wanted` is emitted with a `SampleRead` to go on from."""

    chat_wanted = Signal(object)

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.record: Record | None = None
        self.reader = Reader(desk, self)
        self.reader.done.connect(self._on_read)
        self.reader.failed.connect(self._on_failed)
        self.groups: list[Group] = []
        self._target: SampleFound | None = None
        self._warm_up: WarmUp | None = None
        self._narrow = self._stacked = False
        self._asked = 0  # the last step of the record at which was looked for completions
        self.steps = StepsBar()
        self.steps.chosen.connect(self._on_step)
        self.field = SearchField()
        self.field.wanted.connect(self._on_search)
        self.remark = words(role="caption")
        self.remark.hide()
        self.order = Choice()
        self.order.setAccessibleName(tr("Order of the prompts"))
        for order, name in zip(
            ORDERS,
            (tr("Prompts as asked"), tr("Largest spread"), tr("Best mean reward"), tr("Worst mean reward")),
            strict=True,
        ):
            self.order.addItem(name, order)
        self.order.setToolTip(tr("How the prompts of the step are sorted, by the rewards of their completions"))
        self.order.currentIndexChanged.connect(self._sort)
        self.list = Rows(GroupsModel, GroupRow, tr("Prompts"))
        self.list.picked.connect(self._on_group)
        self.list.turned.connect(self.steps.turn)
        self.found = Found(desk)
        self.found.picked.connect(self._on_found)
        self.group = GroupView(desk)
        self.group.chat_wanted.connect(self.chat_wanted)
        self.group.turned.connect(self._turn)
        self.group.completions.turned.connect(self.steps.turn)
        self.state = StatePage()
        self.state.acted.connect(self._on_act)
        self._build()
        shortcut = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(self._focus_search)
        self.setFocusProxy(self.list)
        self.show_record(None)

    def show_record(self, record: Record | None) -> None:
        """Show the completions of this run, of the newest step first; None is no run."""
        if record is self.record and record is not None:
            return
        if self.record is not None and isValid(self.record):
            self.record.changed.disconnect(self._on_changed)
            self.record.replaced.disconnect(self._on_replaced)
        self.record = record
        self.field.clear()
        self._forget()
        if record is None:
            self.state.say(tr("No run is chosen."), tr("Choose one to see what its model wrote."))
            return
        record.changed.connect(self._on_changed)
        record.replaced.connect(self._on_replaced)
        self._read()

    def go(self, step: int) -> None:
        """Show the completions of a step."""
        self.steps.follow(False)
        self.steps.set_range(min(step, self.steps.first or step), max(step, self.steps.last))
        self.steps.set_step(step)
        self._read(step)

    @property
    def shown_step(self) -> int:
        """The step whose completions are shown, 0 where none are."""
        return self.groups[0].samples[0].step if self.groups else 0

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what was written while nobody looked."""
        super().showEvent(event)
        if self._warm_up is None:
            self._warm_up = WarmUp(self, self.list, self.group.completions)
        self._on_changed()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Where there is little room, prompts come one at a time."""
        super().resizeEvent(event)
        narrow, stacked = self.width() < _NARROW, self.width() < _NARROWEST
        if (narrow, stacked) != (self._narrow, self._stacked):
            self._narrow, self._stacked = narrow, stacked
            self._arrange()

    def _build(self) -> None:
        self._top = QWidget()
        self._bar = QGridLayout(self._top)
        self._bar.setContentsMargins(theme.LARGE, theme.SMALL, theme.LARGE, theme.SMALL)
        self._bar.setSpacing(theme.SMALL)
        self._bar.setColumnStretch(0, 5)
        self._bar.setColumnStretch(1, 2)
        prompts = QWidget()
        column = QVBoxLayout(prompts)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.TINY)
        sorting = QHBoxLayout()
        sorting.setContentsMargins(theme.MEDIUM, theme.SMALL, theme.MEDIUM, 0)
        sorting.addWidget(self.order, 1)
        column.addLayout(sorting)
        column.addWidget(self.list, 1)
        self._side = QStackedWidget()
        self._side.setObjectName("groups")
        self._side.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._side.addWidget(prompts)
        self._side.addWidget(self.found)
        self._pages = QStackedWidget()
        self._pages.addWidget(self.group)
        self._pages.addWidget(self.state)
        body = QHBoxLayout()
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(0)
        body.addWidget(self._side)
        body.addWidget(self._pages, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self._top)
        whole.addLayout(body, 1)
        self._arrange()

    def _arrange(self) -> None:
        """Put the field beside the steps or below them, and the list where there is room for it."""
        self._top.setVisible(bool(self.groups) or self.steps.last > 0)
        self.steps.make_room(not self._narrow)
        self._bar.addWidget(self.steps, 0, 0, 1, 2 if self._stacked else 1)
        self._bar.addWidget(self.remark, 2, 0, 1, 2)
        self._bar.addWidget(self.field, *((1, 0, 1, 2) if self._stacked else (0, 1, 1, 1)))
        searching = self._side.currentWidget() is self.found
        alone = self._narrow and searching and self._target is None
        self._pages.setVisible(not alone)
        self._side.setVisible(alone or (not self._narrow and (searching or bool(self.groups))))
        self._side.setMaximumWidth(16_777_215 if alone else _SIDE)
        self._side.setMinimumWidth(0 if alone else _SIDE)

    def _forget(self) -> None:
        self.reader.cancel()
        self.groups, self._target, self._asked = [], None, 0
        self.list.show_rows([])
        self.group.comparison.clear()
        self.steps.follow(True)
        self.steps.set_range(0, 0)
        self._pages.setCurrentWidget(self.state)
        self._arrange()

    def _read(self, step: int = 0) -> None:
        if self.record is not None:
            if not self.groups:
                self.state.say(tr("Reading the completions…"))
            self.reader.read(self.record.folder, step)

    def _on_step(self, step: int) -> None:
        self._target = None
        self._read(step)

    def _on_changed(self) -> None:
        """The record has more, or says that there is no run any more."""
        record = self.record
        if record is None or not self.isVisible():
            return
        if record.failure is not None and not self.groups:
            self._on_failed(record.failure)
        elif record.loaded and record.step > max(self.steps.last, self._asked):
            self._asked = record.step
            if self.steps.last:
                self.steps.set_range(self.steps.first, record.step)
            if self.steps.newest or not self.groups:
                self._read()

    def _on_replaced(self) -> None:
        """Another run lies in the folder, or this one went on from an earlier checkpoint."""
        self._forget()
        self._read()

    def _on_read(self, read: SamplesRead, groups: list[Group]) -> None:
        record = self.record
        recorded = record.step if record is not None and record.loaded else 0
        if read.last:
            self.steps.set_range(read.first or 1, max(read.last, recorded, read.step))
            if not self.reader.waiting:
                self.steps.set_step(read.step)
        live = record is not None and record.live
        self.remark.setText(remarks(read, self.reader.notes, live=live))
        self.remark.setVisible(bool(self.remark.text()))
        if not groups:
            self.groups = []
            self.state.explain(read, live=live, recorded=recorded)
            self._pages.setCurrentWidget(self.state)
            self._arrange()
            return
        before = self.group.group.number if self.group.group is not None else 0
        self.groups = groups
        self._pages.setCurrentWidget(self.group)
        self._arrange()
        target = self._target.group if self._target is not None else before
        self._list(target)

    def _list(self, picked: int) -> None:
        """List the groups, and pick the one of this number."""
        rows = in_order(self.groups, self.order.currentData())
        places = [place for place, group in enumerate(rows) if group.number == picked]
        self.list.show_rows(rows, places[0] if places else 0)

    def _sort(self) -> None:
        if self.groups:
            self._list(self.list.current.number)

    def _on_group(self, group: Group) -> None:
        target = self._target if self._target is not None and self._target.group == group.number else None
        wanted = self.found.text if target is not None else ""
        completion = target.completion if target is not None else -1
        self.group.show_group(group, len(self.groups), completion=completion, wanted=wanted)

    def _turn(self, steps: int) -> None:
        self._target = None
        count = len(self.groups)
        if count:
            self.list.setCurrentIndex(self.list.rows.index((self.list.currentIndex().row() + steps) % count))

    def _on_failed(self, failure: object) -> None:
        self.groups = []
        self.state.fail(failure)
        self._pages.setCurrentWidget(self.state)
        self._arrange()

    def _on_act(self) -> None:
        """Do what the page that is shown instead of completions proposes."""
        if self.state.step:
            self.go(self.state.step)
        else:
            self._read()

    def _focus_search(self) -> None:
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.field.selectAll()

    def _on_search(self, text: str) -> None:
        self._target = None
        self.found.search(self.record.folder if self.record is not None else "", text)
        self._side.setCurrentIndex(1 if text else 0)
        self._arrange()

    def _on_found(self, found: SampleFound) -> None:
        self._target = found
        self._arrange()
        if self.shown_step == found.step:
            self._list(found.group)
        else:
            self.go(found.step)
        self.steps.follow(False)
