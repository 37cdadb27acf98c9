"""The column of runs: find one, choose one or several, and what can be done with them. Starts and deletes none."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QItemSelection, QItemSelectionModel, QPoint, Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui import macos, theme
from gui.parts import words
from gui.text import number, short_path, tr
from gui.train.runs.run_model import RunModel
from gui.train.runs.run_view import RunView
from gui.train.runs.runs import Runs
from gui.train.runs.words import RESUMABLE

_WIDTH = 240
_PAUSE = 120  # milliseconds until a growing selection counts as made
_OFFERED = 12  # runs that the menu offers to compare with
_Flag = QItemSelectionModel.SelectionFlag


class RunList(QWidget):
    """Every run, the newest at the top."""

    chosen = Signal(str)  # the folder of a run
    compare_wanted = Signal(list)  # two folders or more
    new_wanted = Signal()
    resume_wanted = Signal(str)
    duplicate_wanted = Signal(str)
    delete_wanted = Signal(str)

    def __init__(self, runs: Runs) -> None:
        super().__init__()
        self._runs = runs
        self._chosen: list[str] = []  # in view now, as far as this list knows
        self._filling = False
        self.setObjectName("conversations")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedWidth(_WIDTH)
        self.model = RunModel(self)
        self.view = RunView(self)
        self.view.setModel(self.model)
        self.view.delete_pressed.connect(self._delete_selected)
        self.view.opened.connect(self._open)
        self.view.menu_wanted.connect(self._show_menu)
        self.view.selectionModel().selectionChanged.connect(self._on_selection)
        self._pause = QTimer(self, singleShot=True, interval=_PAUSE)
        self._pause.timeout.connect(self._tell)
        self.filter = QLineEdit(placeholderText=tr("Find"), clearButtonEnabled=True)
        self.filter.setAccessibleName(tr("Find runs by name, model, tag or state"))
        self.filter.setToolTip(tr("Find runs by name, model, tag or state"))
        self.filter.textChanged.connect(self._search)
        self._empty = words(role="muted")
        self._empty.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        self._empty.setContentsMargins(theme.LARGE, theme.HUGE, theme.LARGE, 0)
        self._absent = words(role="caption")
        self._lay_out()
        theme.current().changed.connect(self._restyle)
        runs.changed.connect(self._show)
        self._restyle()
        self._show()

    def choose(self, folder: str) -> None:
        """Mark the run that is in view, "" for none; emits nothing."""
        self._chosen = [folder] if folder else []
        self._mark()
        if (row := self.model.row_of(folder)) >= 0:
            self.view.scrollTo(self.model.index(row))

    @property
    def selected(self) -> list[str]:
        """The folders of the selected runs, from top to bottom."""
        rows = sorted(index.row() for index in self.view.selectionModel().selectedIndexes())
        folders = self.model.folders
        return [folders[row] for row in rows]

    def menu(self, folders: Sequence[str]) -> QMenu:
        """What can be done with these runs."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if len(folders) > 1:
            count = number(len(folders))
            _add(menu, tr("Compare These {count} Runs", count=count), partial(self.compare_wanted.emit, list(folders)))
            menu.addSeparator()
            _add(menu, tr("Delete {count} Runs", count=count), partial(self._delete, folders))
            return menu
        (folder,) = folders
        run = self._runs.run(folder)
        status = run.status if run is not None else "unreadable"
        _add(menu, tr("Open"), partial(self.chosen.emit, folder))
        _add(menu, tr("Go On Training"), partial(self.resume_wanted.emit, folder), status in RESUMABLE)
        _add(menu, tr("New Run with These Settings…"), partial(self.duplicate_wanted.emit, folder))
        others = menu.addMenu(tr("Compare With"))
        for other in [other for other in self._runs.runs if other.folder != folder][:_OFFERED]:
            _add(others, other.name.replace("&", "&&"), partial(self._compare, folder, other.folder))
        others.setEnabled(not others.isEmpty())
        menu.addSeparator()
        reveal = tr("Show in Finder") if sys.platform == "darwin" else tr("Open Folder")
        _add(menu, reveal, partial(macos.reveal, folder))
        menu.addSeparator()
        _add(menu, tr("Delete"), partial(self._delete, folders), status != "training")
        return menu

    def folders_menu(self) -> QMenu:
        """Where runs are looked for, and what can be changed about it."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        _add(menu, tr("Add a Folder of Runs…"), self._ask_for_folder)
        for folder in self._runs.folders:
            name = short_path(folder).replace("&", "&&")
            _add(menu, tr("Stop Looking in {folder}", folder=name), partial(self._runs.remove_folder, folder))
        return menu

    def _lay_out(self) -> None:
        title = QLabel(tr("Runs"))
        title.setProperty("role", "section")
        self._new, self._more = QToolButton(), QToolButton()
        for made, name, act in (
            (self._more, tr("Folders of runs"), self._show_folders),
            (self._new, tr("New run"), self.new_wanted.emit),
        ):
            made.setToolTip(name)
            made.setAccessibleName(name)
            made.clicked.connect(act)
        head = QHBoxLayout()
        head.setContentsMargins(theme.LARGE, theme.MEDIUM, theme.SMALL, theme.TINY)
        head.setSpacing(0)
        head.addWidget(title, 1)
        head.addWidget(self._more)
        head.addWidget(self._new)
        find = QHBoxLayout()
        find.setContentsMargins(theme.MEDIUM, 0, theme.MEDIUM, theme.TINY)
        find.addWidget(self.filter)
        self._absent.setContentsMargins(theme.LARGE, theme.SMALL, theme.LARGE, theme.LARGE)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addLayout(find)
        column.addWidget(self.view, 1)
        column.addWidget(self._empty, 1)
        column.addWidget(self._absent)

    def _show(self) -> None:
        row = min((row for row in map(self.model.row_of, self._chosen) if row >= 0), default=-1)
        self._fill(lambda: self.model.set_runs(self._runs.runs))
        left = [folder for folder in self._chosen if self._runs.run(folder) is not None]
        if row < 0 or left == self._chosen or not self.model.rowCount():
            return
        # What was in view is gone: the others of a comparison stay, else its neighbour takes its place.
        self._chosen = left or [self.model.folders[min(row, self.model.rowCount() - 1)]]
        self._mark()
        self._announce()

    def _search(self, text: str) -> None:
        self._fill(lambda: self.model.search(text))

    def _fill(self, act: Callable[[], None]) -> None:
        """Change the rows; the selection and the place stay."""
        place = self.view.verticalScrollBar().value()
        self._filling = True
        act()
        self._filling = False
        self._mark()
        self.view.executeDelayedItemsLayout()
        self.view.verticalScrollBar().setValue(place)
        self._explain()

    def _mark(self) -> None:
        selection = QItemSelection()
        rows = sorted(row for row in map(self.model.row_of, self._chosen) if row >= 0)
        # Neighbours in one range: Qt compares each range with each.
        for _, together in itertools.groupby(enumerate(rows), lambda pair: pair[1] - pair[0]):
            first, *others = [row for _, row in together]
            selection.select(self.model.index(first), self.model.index(others[-1] if others else first))
        self._filling = True
        model = self.view.selectionModel()
        model.select(selection, _Flag.ClearAndSelect)
        if rows and not model.isSelected(model.currentIndex()):
            # A run that is marked, and not chosen by a person just now, is no reason to scroll.
            self.view.setAutoScroll(False)
            model.setCurrentIndex(self.model.index(rows[0]), _Flag.NoUpdate)
            self.view.setAutoScroll(True)
        self._filling = False

    def _explain(self) -> None:
        """Say why the list is empty, and which folder is not there."""
        if self.model.rowCount() or not self._runs.loaded:
            text = ""
        elif self._runs.runs:
            text = tr("No run matches “{words}”.", words=self.filter.text())
        else:
            text = tr("No runs yet. Those that the command line trains are listed here too.")
        self._empty.setText(text)
        self._empty.setVisible(bool(text))
        self.view.setVisible(not text)
        self.filter.setEnabled(bool(self._runs.runs))
        gone = tr("{folder} is not there: it was moved or deleted, or its disk is not connected.")
        self._absent.setText("\n".join(gone.format(folder=short_path(folder)) for folder in self._runs.absent))
        self._absent.setVisible(bool(self._runs.absent))

    def _on_selection(self) -> None:
        if not self._filling:
            self._pause.stop()
            if len(self.selected) > 1:
                self._pause.start()
            else:
                self._tell()

    def _tell(self) -> None:
        if self.selected and self.selected != self._chosen:
            self._open()

    def _open(self) -> None:
        if self.selected:
            self._chosen = self.selected
            self._announce()

    def _announce(self) -> None:
        """Have what was chosen shown."""
        if len(self._chosen) > 1:
            self.compare_wanted.emit(list(self._chosen))
        else:
            self.chosen.emit(self._chosen[0])

    def _compare(self, *folders: str) -> None:
        self._chosen = list(folders)
        self._mark()
        self._announce()

    def _delete_selected(self) -> None:
        self._delete(self.selected)

    def _delete(self, folders: Sequence[str]) -> None:
        for folder in folders:
            self.delete_wanted.emit(folder)

    def _show_menu(self, place: QPoint) -> None:
        if self.selected:
            self.menu(self.selected).popup(place)

    def _show_folders(self) -> None:
        self.folders_menu().popup(self._more.mapToGlobal(QPoint(0, self._more.height())))

    def _ask_for_folder(self) -> None:
        dialog = QFileDialog(self, tr("Add a Folder of Runs"))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self._runs.add_folder)
        dialog.open()

    def _restyle(self) -> None:
        self._new.setIcon(theme.icon("plus"))
        self._more.setIcon(theme.icon("more"))
        self.view.viewport().update()


def _add(menu: QMenu, text: str, act: Callable[..., object], enabled: bool = True) -> None:
    action = menu.addAction(text)
    action.setEnabled(enabled)
    action.triggered.connect(lambda _checked: act())
