"""The page "Convert": where conversions begin, and the wizard of each. Knows which there are, not what they do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QWidget

from gui.convert.conversion import Conversion
from gui.convert.conversion_list import ConversionList
from gui.convert.start import StartView
from gui.convert.wizard import Wizard
from gui.desk import Desk
from gui.text import tr

# Files that are parts of a model; a .gguf or .pt file is a model by itself.
_PARTS = {".safetensors", ".bin", ".json", ".model", ".jinja", ".txt", ".md"}


class ConvertPage(QWidget):
    """The list of conversions on the left once there is one; the start or a wizard beside it."""

    working = Signal(str)
    chat_wanted = Signal(str)  # a model's folder
    models_changed = Signal()  # there is a new one on this computer
    result_wanted = Signal()  # the page shows a result and should be shown itself

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.wizards: dict[Conversion, Wizard] = {}
        self.start = StartView()
        self.start.chosen.connect(self.open)
        self.list = ConversionList()
        self.list.hide()
        self.list.chosen.connect(self.show_conversion)
        self.list.removed.connect(self.remove)
        self.list.wanted.connect(self.show_start)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.start)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.list)
        row.addWidget(self.stack, 1)

    @property
    def current(self) -> Wizard | None:
        """The wizard in view."""
        view = self.stack.currentWidget()
        return view if isinstance(view, Wizard) else None

    @property
    def busy(self) -> list[Conversion]:
        """The conversions that run or wait for their turn."""
        return [conversion for conversion in self.wizards if conversion.busy]

    def open(self, sources: Sequence[str]) -> None:
        """Begin a conversion of each; the first is shown."""
        begun = [self._begin(source) for source in _models(sources)]
        if begun:
            self.show_conversion(begun[0])

    def show_start(self) -> None:
        """Where another conversion begins."""
        self.stack.setCurrentWidget(self.start)
        self.list.choose(None)
        self.start.name.setFocus()

    def show_conversion(self, conversion: Conversion) -> None:
        """Show the wizard of this conversion."""
        self.stack.setCurrentWidget(self.wizards[conversion])
        self.list.choose(conversion)

    def remove(self, conversion: Conversion) -> None:
        """Take a conversion off the list; one that is under way is cancelled."""
        if conversion not in self.wizards:
            return
        wizard = self.wizards.pop(conversion)
        conversion.cancel()
        wizard.stop_measuring()
        was_shown = self.current is wizard
        self.list.drop(conversion)
        self.stack.removeWidget(wizard)
        wizard.hide()
        wizard.deleteLater()
        # The job still tells its end; nobody listens to the conversion by then.
        conversion.blockSignals(True)
        self.list.setVisible(bool(self.wizards))
        if was_shown:
            rest = list(self.wizards)
            if rest:
                self.show_conversion(rest[-1])
            else:
                self.show_start()
            if self.isVisible():
                self.take_focus()
        self._say_what_works()

    def take_focus(self) -> None:
        """Have the keyboard act on what is shown."""
        if self.current is not None:
            self.current.take_focus()
        else:
            self.start.name.setFocus()

    def _begin(self, source: str) -> Conversion:
        conversion = Conversion(self._desk, source, self)
        wizard = Wizard(self._desk, conversion, lambda folder: self._is_taken(conversion, folder))
        self.wizards[conversion] = wizard
        self.stack.addWidget(wizard)
        self.list.add(conversion)
        self.list.show()
        conversion.changed.connect(lambda: self._on_changed(conversion))
        conversion.gone.connect(lambda: self.remove(conversion))
        wizard.chat_wanted.connect(self.chat_wanted)
        wizard.another_wanted.connect(self.show_start)
        conversion.look()
        return conversion

    def _is_taken(self, asking: Conversion, folder: Path) -> bool:
        """Whether another conversion under way writes to this folder."""
        requests = [conversion.request for conversion in self.busy if conversion is not asking]
        return any(request is not None and Path(request.output) == folder for request in requests)

    def _on_changed(self, conversion: Conversion) -> None:
        if conversion.state == "done":
            self.models_changed.emit()
            if self.current is not self.wizards.get(conversion) or not self.isVisible():
                name = conversion.converted.name if conversion.converted else conversion.name
                self._desk.notices.tell(
                    tr("{name} is ready.", name=name), tr("Show"), lambda: self._show_result(conversion)
                )
        self._say_what_works()

    def _show_result(self, conversion: Conversion) -> None:
        if conversion in self.wizards:
            self.show_conversion(conversion)
            self.result_wanted.emit()  # the window goes to this page, which takes the focus

    def _say_what_works(self) -> None:
        # The first in line is the one that runs.
        self.working.emit(tr("Converting {name}", name=self.busy[0].name) if self.busy else "")


def _models(sources: Sequence[str]) -> list[str]:
    """What is named, the files of one model that were dropped together being that model's folder."""
    parts = [Path(source) for source in sources if Path(source).suffix in _PARTS]
    together = {part.parent for part in parts if sum(part.parent == other.parent for other in parts) > 1}
    models = [
        str(path.parent) if path.parent in together and path.suffix in _PARTS else source
        for source, path in ((source, Path(source)) for source in sources)
    ]
    return list(dict.fromkeys(models))
