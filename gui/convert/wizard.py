"""The pages of one conversion, in their order. Knows the conversion's state and which page shows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QStackedWidget, QVBoxLayout, QWidget

from gui import macos, theme
from gui.convert.about_view import AboutView
from gui.convert.conversion import Conversion
from gui.convert.progress_view import LookingView, ProgressView
from gui.convert.result_view import ResultView
from gui.convert.settings_view import SettingsView
from gui.convert.upload import UploadSheet
from gui.desk import Desk
from gui.parts import FailureCard, Pane, button
from gui.remedies import wants_download
from gui.text import tr

_STEPS = ("What it is", "Settings", "Progress", "Result")


class Wizard(QWidget):
    """Looks at a source and leads to its result."""

    chat_wanted = Signal(str)  # a model's folder
    another_wanted = Signal()

    def __init__(self, desk: Desk, conversion: Conversion, taken: Callable[[Path], bool]) -> None:
        super().__init__()
        self._desk, self._taken = desk, taken
        self.conversion = conversion
        self.looking = LookingView()
        self.about = AboutView()
        self.settings: SettingsView | None = None
        self.progress = ProgressView()
        self.result = ResultView(desk, conversion)
        self.failure = _FailureView()
        self._steps = _Steps()
        self.stack = QStackedWidget()
        for view in (self.looking, self.about, self.progress, self.result, self.failure):
            self.stack.addWidget(view)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._steps)
        column.addWidget(self.stack, 1)
        self._connect()
        self.show_state()

    def show_state(self) -> None:
        """Show the page of the conversion's state."""
        conversion = self.conversion
        match conversion.state:
            case "looking":
                self.looking.begin(tr("Looking at {name}…", name=conversion.name))
                self._go(self.looking, 0)
            case "downloading":
                self.looking.begin(tr("Downloading {name}…", name=conversion.name))
                self._go(self.looking, 0)
            case "choosing":
                if self.settings is not None:
                    self.show_settings()
                else:
                    self.show_about()
            case "waiting" if conversion.plan is not None and conversion.request is not None:
                self.progress.begin(conversion.name, conversion.plan, conversion.request)
                self._go(self.progress, 2)
            case "running":
                self.progress.run()
                self._go(self.progress, 2)
            case "done":
                self.result.show_result()
                self._go(self.result, 3)
            case "failed":
                self.failure.show_conversion(conversion)
                self._go(self.failure, 2 if conversion.failed_at in ("waiting", "running") else 0)
        if not conversion.busy:
            self.progress.end()

    def show_about(self) -> None:
        """Page 1."""
        if self.conversion.plan is not None:
            self.about.show_plan(self.conversion.plan)
            self._go(self.about, 0)

    def show_settings(self) -> None:
        """Page 2."""
        if self.settings is None:
            self.settings = SettingsView(self._desk, self.conversion, self._taken)
            self.settings.accepted.connect(self.conversion.convert)
            self.settings.left.connect(self.show_about)
            self.stack.addWidget(self.settings)
        else:
            self.settings.show_again()
        self._go(self.settings, 1)

    def stop_measuring(self) -> None:
        """End what was measured beside the conversion."""
        for panel in (self.result.quality, self.settings.quality if self.settings else None):
            if panel is not None:
                panel.measurement.forget()

    def take_focus(self) -> None:
        """Have the keyboard act on the page that is shown."""
        view = self.stack.currentWidget()
        first: dict[QWidget | None, QWidget] = {
            self.about: self.about.forward,
            self.progress: self.progress.cancel,
            self.result: self.result.chat,
            self.failure: self.failure.main_button(),
        }
        if self.settings is not None:
            cards = self.settings.choices.cards
            first[self.settings] = cards.cards[cards.preset.title]
        if view in first:
            first[view].setFocus(Qt.FocusReason.OtherFocusReason)

    def _go(self, view: QWidget, step: int) -> None:
        self._steps.mark(step)
        if self.stack.currentWidget() is not view:
            self.stack.setCurrentWidget(view)
            if self.isVisible():
                self.take_focus()

    def _connect(self) -> None:
        conversion = self.conversion
        conversion.changed.connect(self.show_state)
        conversion.progressed.connect(self._on_progress)
        self.looking.cancelled.connect(conversion.cancel)
        self.about.accepted.connect(self.show_settings)
        self.about.left.connect(conversion.gone)
        self.progress.cancelled.connect(self._cancel)
        self.failure.again.connect(self._again)
        self.failure.download.connect(conversion.download)
        self.failure.back.connect(self._back)
        self.result.chat_wanted.connect(self._chat)
        self.result.shown_wanted.connect(self._reveal)
        self.result.upload_wanted.connect(self.upload)
        self.result.another_wanted.connect(self.another_wanted)

    def _on_progress(self, event: object) -> None:
        view = self.progress if self.conversion.busy else self.looking
        view.show_progress(event)  # type: ignore[arg-type]

    def _cancel(self) -> None:
        self.progress.cancelling()
        self.conversion.cancel()

    def _again(self) -> None:
        if self.conversion.failed_at in ("waiting", "running") and self.conversion.request is not None:
            self.conversion.convert(self.conversion.request)
        else:
            self.conversion.look()

    def _back(self) -> None:
        if self.conversion.plan is not None:
            self.conversion.back_to_settings()
        else:
            self.conversion.gone.emit()

    def _chat(self) -> None:
        if self.conversion.converted is not None:
            self.chat_wanted.emit(self.conversion.converted.folder)

    def _reveal(self) -> None:
        if self.conversion.converted is not None and not macos.reveal(self.conversion.converted.folder):
            self._desk.notices.tell(tr("The folder could not be shown."))

    def upload(self) -> None:
        """Open the sheet that uploads the result."""
        result = self.conversion.converted
        if result is None:
            return
        sheet = UploadSheet(self._desk.network, result.folder, Path(result.folder).name, self.window())
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.open()


class _Steps(QWidget):
    """The names of the pages, the one in view marked."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("Steps"))
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.HUGE, theme.MEDIUM, theme.HUGE, theme.TINY)
        row.setSpacing(theme.SMALL)
        row.addStretch()
        self._labels = []
        for place, step in enumerate(_STEPS):
            if place:
                arrow = QLabel("›")
                arrow.setProperty("role", "caption")
                row.addWidget(arrow)
            label = QLabel(tr(step))
            self._labels.append(label)
            row.addWidget(label)
        row.addStretch()

    def mark(self, step: int) -> None:
        """Show this step as the one in view."""
        for place, label in enumerate(self._labels):
            label.setProperty("role", "step" if place == step else "caption")
            label.style().unpolish(label)
            label.style().polish(label)


class _FailureView(Pane):
    """An error in the place of the page it prevented, with the ways on."""

    again = Signal()
    download = Signal()
    back = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.card = FailureCard()
        self.rows.addWidget(self.card)
        self.rows.addStretch()
        self._back, self._again = button(tr("Back")), button(tr("Try Again"))
        self._download = button(tr("Download It"), primary=True)
        self._back.clicked.connect(self.back)
        self._again.clicked.connect(self.again)
        self._download.clicked.connect(self.download)
        self.footer.addWidget(self._back)
        self.footer.addStretch()
        self.footer.addWidget(self._again)
        self.footer.addWidget(self._download)

    def show_conversion(self, conversion: Conversion) -> None:
        """Say what went wrong with it."""
        if conversion.failure is None:
            return
        converting = conversion.failed_at in ("waiting", "running")
        cannot = tr("{name} cannot be converted", name=conversion.name)
        absent = conversion.on_hub and wants_download(conversion.failure)
        if absent:
            self.title.setText(tr("{name} must be downloaded first", name=conversion.name))
        else:
            self.title.setText(tr("{name} was not converted", name=conversion.name) if converting else cannot)
        self._again.setVisible(not absent)
        self.card.show_failure(conversion.failure)
        self._download.setVisible(conversion.on_hub and not converting)
        self._back.setText(tr("Back to the Settings") if converting else tr("Choose Another"))

    def main_button(self) -> QWidget:
        """The way on that is meant first."""
        return self._again if self._download.isHidden() else self._download
