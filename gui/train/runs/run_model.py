"""The rows of the list of runs: those that match what is searched for. Knows runs, draws nothing."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from engine.run_events import RunFound
from gui.text import short_path, tr
from gui.train.runs import words

RUN = Qt.ItemDataRole.UserRole + 1
"""The role of a row's `RunFound`."""


class RunModel(QAbstractListModel):
    """Runs as rows: the name, all of it for screen readers, and the run under `RUN`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._all: Sequence[RunFound] = ()
        self._words: list[str] = []
        self._rows: list[RunFound] = []
        self._places: dict[str, int] = {}

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        run = self._rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return run.name
        if role == RUN:
            return run
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return words.aloud(run)
        if role == Qt.ItemDataRole.ToolTipRole:
            lines = (run.model, words.date(run.began), short_path(run.folder), *map(tr, run.problem.splitlines()))
            return "\n".join(line for line in lines if line)
        return None

    def set_runs(self, runs: Sequence[RunFound]) -> None:
        """Have these runs, in this order."""
        self._all = runs
        self._refresh()

    def search(self, text: str) -> None:
        """Show only the runs in whose name, model, tags, notes or state all words of the text are."""
        self._words = text.casefold().split()
        self._refresh()

    @property
    def folders(self) -> list[str]:
        """The folders of the rows, from top to bottom."""
        return [run.folder for run in self._rows]

    def row_of(self, folder: str) -> int:
        """The row of the run in a folder, -1 where there is none."""
        return self._places.get(folder, -1)

    def _refresh(self) -> None:
        rows = [run for run in self._all if self._matches(run)]
        before = self._rows
        if [run.folder for run in rows] == [run.folder for run in before]:
            self._rows = rows
            for row, (old, new) in enumerate(zip(before, rows, strict=True)):
                if old != new:
                    self.dataChanged.emit(self.index(row), self.index(row))
            return
        self.beginResetModel()
        self._rows = rows
        self._places = {run.folder: row for row, run in enumerate(rows)}
        self.endResetModel()

    def _matches(self, run: RunFound) -> bool:
        if not self._words:
            return True
        text = " ".join((run.name, run.model, words.status(run.status), *run.tags, run.notes)).casefold()
        return all(word in text for word in self._words)
