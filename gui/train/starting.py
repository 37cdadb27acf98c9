"""What is shown of a run until its first step: what it waits for, or why it could not begin. Knows no figures."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QProgressBar

from gui import theme
from gui.parts import FailureCard, Pane, button, words
from gui.text import number, size, tr
from gui.train.training import Training


class Starting(Pane):
    """One run that begins."""

    back_wanted = Signal()
    download_wanted = Signal()

    def __init__(self, training: Training) -> None:
        super().__init__(tr("Starting {name}", name=training.name))
        self.training: Training | None = training
        self.what = words()
        self.bar = QProgressBar(textVisible=False)
        self.bar.setProperty("role", "thick")
        self.bar.setAccessibleName(tr("Progress of the start"))
        self.failure = FailureCard()
        self.failure.hide()
        for widget in (self.what, self.bar, self.failure):
            self.rows.addWidget(widget)
        self.rows.addStretch()
        self.back = button(tr("Back to the Settings"), primary=True)
        self.back.clicked.connect(self.back_wanted)
        self.back.hide()
        self.cancel = button(tr("Cancel"))
        self.cancel.clicked.connect(training.stop)
        self.footer.addStretch()
        self.footer.addWidget(self.cancel)
        self.footer.addWidget(self.back)
        self.footer.setSpacing(theme.SMALL)
        training.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what it does now."""
        training = self.training
        if training is None:
            return
        said = training.progress
        if training.state == "waiting":
            self.what.setText(tr("It waits until what runs now has ended."))
        elif said is not None:
            amount = ""
            if said.total and said.unit == "bytes":
                amount = tr("{done} of {total}", done=size(said.done), total=size(said.total))
            elif said.total:
                amount = tr("{done} of {total}", done=number(said.done), total=number(said.total))
            self.what.setText(" · ".join(part for part in (f"{tr(said.what)}…", said.detail, amount) if part))
        else:
            self.what.setText(tr("Reading model and data…"))
        known = said is not None and said.total
        self.bar.setRange(0, 1000 if known else 0)
        if said is not None and said.total:
            self.bar.setValue(int(1000 * said.done / said.total))
        if training.state == "ended":
            self._show_end(training)

    def _show_end(self, training: Training) -> None:
        self.training = None
        self.cancel.hide()
        self.bar.hide()
        self.back.show()
        self.title.setText(tr("{name} did not start", name=training.name))
        failure = training.failure
        self.failure.setVisible(failure is not None)
        self.what.setVisible(failure is None)
        if failure is not None:
            self.failure.show_failure(failure)
        else:
            self.what.setText(tr("It was cancelled, and left nothing behind."))
