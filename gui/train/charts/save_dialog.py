"""Asks where charts are to be saved, saves them there, and tells of it. Knows charts as sheets and tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QStandardPaths, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QWidget

from gui.text import tr
from gui.train.charts import tables
from gui.train.charts.picture import Sheet
from gui.train.charts.saving import File, Saving

if TYPE_CHECKING:
    from gui.notices import Notices
    from gui.train.charts.specification import Chart
    from gui.train.record import Record


class SaveDialog(QObject):
    """Saves pictures (png), drawings (svg) and figures (csv)."""

    def __init__(self, parent: QWidget, notices: Notices) -> None:
        super().__init__(parent)
        self._parent, self._notices = parent, notices
        self.saving = Saving(self)
        self.saving.saved.connect(self._tell)
        self.saving.failed.connect(notices.error)

    def ask(self, what: str, name: str, save: Callable[[Path], None]) -> None:
        """Ask for a file for `what`, and save there."""
        kinds = {
            "png": tr("Picture (*.png)"),
            "svg": tr("Drawing (*.svg)"),
            "csv": tr("Figures (*.csv)"),
        }
        folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
        safe = "".join("-" if letter in '/\\:*?"<>|' else letter for letter in name)
        dialog = QFileDialog(self._parent, tr("Save the charts"), str(Path(folder) / f"{safe}.{what}"), kinds[what])
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(what)
        dialog.fileSelected.connect(lambda path: save(Path(path)))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def save_sheet(self, path: Path, sheet: Sheet) -> None:
        """Save a picture or a drawing, by the file's ending."""
        self.saving.save_sheet(path, sheet)

    def save_figures(self, path: Path, charts: Sequence[Chart], records: Sequence[Record]) -> None:
        """Save the figures of one chart; of all with all that was recorded, the evaluations in a file beside."""
        if len(charts) == 1:
            self.saving.save_files([(path, tables.of_chart(charts[0], records))])
            return
        files: list[File] = [(path, tables.steps(records))]
        if any(record.evaluations for record in records):
            beside = path.with_name(f"{path.stem}-evaluations{path.suffix}")
            files.append((beside, tables.evaluations(records)))
        self.saving.save_files(files)

    def _tell(self, path: str) -> None:
        self._notices.tell(
            tr("Saved as {name}.", name=Path(path).name),
            tr("Show in Folder"),
            lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(Path(path).parent))),
        )
