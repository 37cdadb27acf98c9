"""The file of a person's own rewards: opened, written and saved here. Runs none of it, and knows no run.

A file of rewards is small, so that it is read and written at once; its functions are found without running it.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QIODevice, QSaveFile, QTimer, Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from engine import places
from engine.errors import UserError
from gui import theme
from gui.parts import PathLabel, button, words
from gui.text import short_path, tr
from gui.train.new_run.code_editor import CodeEditor
from gui.train.new_run.known_rewards import TEMPLATE, Fault, Reward, read

_PAUSE = 400  # milliseconds without a key after which what is typed is looked at
_LARGEST = 200_000  # bytes
_QUICK = 30_000  # characters that are read while a person types


class RewardCode(QWidget):
    """The editor, its file, and what is wrong with a line of it."""

    opened = Signal(str)  # the path of another file, "" for none
    saved = Signal()
    found = Signal()  # the functions may be others now
    judged = Signal()  # whether all of it is saved may be another answer now

    def __init__(self) -> None:
        super().__init__()
        self.path = ""
        self.functions: tuple[Reward, ...] = ()  # of what was saved last
        self.editor = CodeEditor()
        self.editor.setMinimumHeight(260)
        self.name = PathLabel(role="strong")
        self.save_button, self.close_button = button(tr("Save")), button(tr("Leave Out"))
        self.close_button.setToolTip(tr("Use no file of your own; the file itself stays as it is"))
        self.fault = words(role="complaint")
        self.fault.hide()
        self._pages = (self._beginning(), self._writing())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for page in self._pages:
            column.addWidget(page)
        self._pause = QTimer(self, singleShot=True, interval=_PAUSE)
        self._pause.timeout.connect(self._look)
        self.save_button.clicked.connect(self.save)
        self.close_button.clicked.connect(self.leave_out)
        self.editor.textChanged.connect(self._pause.start)
        self.editor.document().modificationChanged.connect(self._on_modified)
        self._show_page(0)

    @property
    def writing(self) -> bool:
        """Whether there is code, saved or not."""
        return not self._pages[1].isHidden()

    @property
    def unsaved(self) -> bool:
        """Whether what is written is not what is in the file."""
        return self.writing and (not self.path or self.editor.document().isModified())

    def open(self, path: str) -> None:
        """Show the file of this path, "" for none; emits only what was found in it."""
        self.path = path
        if not path:
            if self.writing and not self.editor.document().isModified():
                self._show_page(0)
            self._know(())
            return
        self._show_page(1)
        self.name.set_path(short_path(path))
        self.show_fault(None)
        code, reason = _text(path)
        if reason:
            self._put("")
            self.editor.setReadOnly(True)
            self.fault.setText(tr("This file cannot be read: {reason}", reason=reason))
            self.fault.show()
            self._know(())
            return
        self.editor.setReadOnly(False)
        self._put(code)
        self._look()
        self._know(read(code)[0])

    def write_own(self) -> None:
        """Begin a new file with an example."""
        self.path = ""
        self.name.set_path(tr("New file, not saved yet"))
        self._show_page(1)
        self.editor.setReadOnly(False)
        self._put(TEMPLATE)
        self.editor.document().setModified(True)
        self.editor.setFocus()

    def ask(self) -> None:
        """Let the person choose a file."""
        chosen, _ = QFileDialog.getOpenFileName(self, tr("Choose a Reward File"), "", _kinds())
        if chosen:
            self.open(chosen)
            self.opened.emit(chosen)

    def leave_out(self) -> None:
        """Have no file."""
        self.editor.document().setModified(False)
        self.open("")
        self._show_page(0)
        self.opened.emit("")

    def save(self) -> bool:
        """Write the file, whose place the person is asked for where it has none; whether that was done."""
        path, fresh = self.path, not self.path
        if fresh:
            path, _ = QFileDialog.getSaveFileName(self, tr("Save Your Rewards"), "my_rewards.py", _kinds())
            if not path:
                return False
            path = path if Path(path).suffix else f"{path}.py"
        code = self.editor.toPlainText()
        file = QSaveFile(str(places.expand(path)))
        data = code.encode()
        written = file.open(QIODevice.OpenModeFlag.WriteOnly) and file.write(data) == len(data) and file.commit()
        if not written:
            self.fault.setText(tr("The file could not be saved: {reason}", reason=file.errorString()))
            self.fault.show()
            return False
        self.path = path
        self.name.set_path(short_path(places.expand(path)))
        self.editor.document().setModified(False)
        self._look()
        self._know(read(code)[0])
        if fresh:
            self.opened.emit(path)
        self.saved.emit()
        return True

    def show_fault(self, fault: Fault | None, *, reveal: bool = False) -> None:
        """Mark a line, and say what is wrong with it; `reveal` brings it into view."""
        self.editor.mark_fault(fault.line if fault else 0, reveal=reveal)
        line = tr("Line {number}: {what}", number=fault.line, what=fault.what) if fault and fault.line else ""
        self.fault.setText(line or (fault.what if fault else ""))
        self.fault.setVisible(fault is not None)

    def _look(self) -> None:
        """Tell a slip of the pen while it is fresh."""
        self._pause.stop()
        code = self.editor.toPlainText()
        self.show_fault(read(code)[1] if len(code) <= _QUICK else None)

    def _know(self, functions: tuple[Reward, ...]) -> None:
        self.functions = functions
        self.found.emit()

    def _put(self, code: str) -> None:
        self.editor.set_code(code)
        self.editor.document().setModified(False)
        self._pause.stop()
        self._on_modified()

    def _on_modified(self) -> None:
        self.save_button.setEnabled(self.unsaved)
        self.save_button.setText(tr("Save") if self.path else tr("Save…"))
        self.judged.emit()

    def _show_page(self, page: int) -> None:
        for place, shown in enumerate(self._pages):
            shown.setVisible(place == page)
        self._on_modified()

    def _beginning(self) -> QWidget:
        page = QWidget()
        write, choose = button(tr("Write Your Own…")), button(tr("Open a File…"))
        write.clicked.connect(self.write_own)
        choose.clicked.connect(self.ask)
        row = QHBoxLayout(page)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SMALL)
        row.addWidget(words(tr("A reward of your own is a function in a Python file."), "muted"), 1)
        row.addWidget(write)
        row.addWidget(choose)
        return page

    def _writing(self) -> QWidget:
        page = QWidget()
        head = QHBoxLayout()
        head.setSpacing(theme.SMALL)
        head.addWidget(self.name, 1)
        head.addWidget(self.close_button)
        head.addWidget(self.save_button)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SMALL)
        column.addLayout(head)
        column.addWidget(self.editor)
        column.addWidget(self.fault)
        about = tr(
            "It runs on this computer as any program of yours does: when you try it here, and while a run trains."
        )
        column.addWidget(words(about, "caption"))
        return page


def _text(path: str) -> tuple[str, str]:
    """What is in the file of this path, and why it cannot be read, "" where it can."""
    try:
        file = places.expand(path)
        if file.stat().st_size > _LARGEST:
            return "", tr("It is too large to be a file of rewards.")
        return file.read_text("utf-8-sig"), ""
    except UserError as error:
        return "", error.why
    except OSError as error:
        return "", error.strerror or str(error)
    except ValueError:
        return "", tr("It is no text in UTF-8.")


def _kinds() -> str:
    return f"{tr('Python files')} (*.py);;{tr('All files')} (*)"
