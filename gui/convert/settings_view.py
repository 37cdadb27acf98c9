"""The wizard's second page: what to make of the source, and what that takes. Knows settings, converts nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox

from engine import jobs, library
from engine.convert.estimate import estimate
from engine.events import Failed
from gui.convert.choices import Choices
from gui.convert.conversion import Conversion
from gui.convert.estimates import EstimateCard
from gui.convert.output import OutputField
from gui.convert.quality_panel import QualityPanel
from gui.desk import Desk
from gui.parts import Pane, button, words
from gui.remedies import in_window
from gui.text import tr


class SettingsView(Pane):
    """Cards, forms, output folder, and live figures; emits the request when the person is content."""

    accepted = Signal(object)  # a jobs.Convert
    left = Signal()

    def __init__(self, desk: Desk, conversion: Conversion, taken: Callable[[Path], bool]) -> None:
        super().__init__(tr("How should it be?"))
        plan = conversion.plan
        if plan is None:
            raise ValueError("a conversion has settings only once it has a plan")
        self._conversion = conversion
        self.choices = Choices(plan)
        self.estimates = EstimateCard()
        self.output = OutputField(plan.source, taken)
        self.quality = QualityPanel(desk, tr("Measure Quality First"), self._measure_request)
        self.quality.measured.connect(conversion.keep_quality)
        self.report = QCheckBox(tr("Measure quality while converting"))
        self.report.setToolTip(tr("Takes longer, and shows on the last page what the settings cost."))
        self.quality.rows.insertWidget(3, self.report)
        for widget in (self.choices, self.estimates, self.output, self.quality):
            self.rows.addWidget(widget)
        self.rows.addStretch()
        back = button(tr("Back"))
        back.clicked.connect(self.left)
        self.start = button(tr("Convert"), primary=True)
        self.start.clicked.connect(self._accept)
        self.footer.addWidget(back)
        self.obstacle = words(role="complaint")
        self.obstacle.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.footer.addWidget(self.obstacle, 1)
        self.footer.addWidget(self.start)
        self.choices.changed.connect(self._on_choices)
        self.choices.judged.connect(self._show_figures)
        self.output.changed.connect(self._on_output)
        self.output.judged.connect(self._show_figures)
        conversion.planned.connect(self._show_figures)
        conversion.refused.connect(self._on_refused)
        self._on_choices()

    def show_again(self) -> None:
        """Come back to it: a folder may exist by now."""
        self.output.check()

    def _accept(self) -> None:
        settings = self.choices.settings()
        if not (self.output.check() and self.choices.valid):
            return
        self.quality.measurement.cancel()
        request = jobs.Convert(
            self._conversion.source,
            str(self.output.folder),
            settings,
            overwrite=self.output.replace.isChecked(),
            report=self.report.isChecked(),
            text=self.quality.text if self.report.isChecked() else "",
        )
        self.accepted.emit(request)

    def _measure_request(self, text: str) -> jobs.MeasureQuality:
        return jobs.MeasureQuality(self._conversion.source, self.choices.settings(), text=text)

    def _on_choices(self) -> None:
        plan = self._conversion.plan
        if plan is not None:
            self.output.set_default(library.folder_for(plan.name, self.choices.settings_in_force().label()))
        # What was measured belongs to other settings.
        self.quality.forget()
        self._conversion.keep_quality([])
        self._show_figures()

    def _on_output(self) -> None:
        self._conversion.look_again(str(self.output.folder), self.choices.settings_in_force())
        self._show_figures()

    def _on_refused(self, failure: Failed) -> None:
        source = Path(self._conversion.source)
        if source.is_absolute() and not source.exists():
            # That is not the output folder's fault; converting says it on a page of its own.
            return
        self.output.refuse(" ".join(in_window(part) for part in (failure.what, failure.why) if part))

    def _show_figures(self) -> None:
        if self._conversion.plan is not None:
            self.estimates.show_plan(estimate(self._conversion.plan, self.choices.settings_in_force()))
        wrong = "" if self.choices.valid else tr("A setting marked in red is not valid.")
        # The field that it is about may be scrolled out of sight.
        self.obstacle.setText(wrong or self.output.complaint.text())
        self.start.setEnabled(not self.obstacle.text())
