"""The wizard's third page: how far a conversion is, or that it waits. Knows progress events, runs nothing."""

from __future__ import annotations

import time

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from engine.conversion_events import ConversionPlanned
from engine.events import Progress
from engine.jobs import Convert
from gui import theme
from gui.convert import words as say
from gui.convert.journey import TITLES, Journey
from gui.parts import Card, Pane, PathLabel, button, words
from gui.text import duration, number, short_path, size, tr

_STEPS = 10_000


class ProgressView(Pane):
    """One bar for all, the tensor in hand, speed, time left, and the stages."""

    cancelled = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._journey: Journey | None = None
        self.bar = QProgressBar(textVisible=False)
        self.bar.setProperty("role", "thick")
        self.bar.setAccessibleName(tr("Progress of the conversion"))
        self.figures = words()
        self.detail = PathLabel(role="caption")
        self.output = PathLabel(role="caption")
        self.stages = Card()
        self._lines: list[tuple[QLabel, QLabel]] = []
        self.rows.setSpacing(theme.SMALL)
        self.rows.addWidget(self.output)
        self.rows.addSpacing(theme.MEDIUM)
        for widget in (self.bar, self.figures, self.detail):
            self.rows.addWidget(widget)
        self.rows.addSpacing(theme.SMALL)
        self.rows.addWidget(self.stages)
        self.rows.addStretch()
        self.cancel = button(tr("Cancel"))
        self.cancel.clicked.connect(self.cancelled)
        self.footer.addWidget(
            words(tr("Cancelling leaves nothing behind. You can chat and use other pages meanwhile."), "caption"), 1
        )
        self.footer.addWidget(self.cancel)
        # Between two tensors the time goes on.
        self._clock = QTimer(self, interval=1000)
        self._clock.timeout.connect(self._show_figures)
        theme.current().changed.connect(self._show_stages)

    def begin(self, name: str, plan: ConversionPlanned, request: Convert) -> None:
        """Show a conversion that stands in line."""
        self._journey, self._last = Journey(plan, request), Progress("", 0)
        self.title.setText(tr("{name} waits for its turn", name=name))
        self.output.set_path(tr("to {path}", path=short_path(request.output or plan.output)))
        self.figures.setText(tr("It begins when the one before it is finished."))
        self.detail.set_path("")
        self.cancel.setText(tr("Remove from the Queue"))
        self.bar.setRange(0, _STEPS)
        self.bar.setValue(0)
        self._name = name
        self._show_stages()

    def run(self) -> None:
        """It is its turn."""
        self.title.setText(tr("Converting {name}", name=self._name))
        self.figures.setText(tr("Getting ready…"))
        self.cancel.setEnabled(True)
        self.cancel.setText(tr("Cancel"))
        self._clock.start()

    def end(self) -> None:
        """It is over."""
        self._clock.stop()
        self.cancel.setEnabled(True)

    def cancelling(self) -> None:
        """The step in hand is still finished."""
        self.cancel.setEnabled(False)
        self.figures.setText(tr("Cancelling…"))
        self._clock.stop()

    def show_progress(self, event: Progress) -> None:
        """Something was done."""
        if self._journey is None or not self.cancel.isEnabled():
            return
        before = self._journey.stage, len(self._journey.stages)
        self._journey.feed(event, time.monotonic())
        self._last = event
        self.bar.setValue(round(_STEPS * self._journey.share))
        self.detail.set_path(event.detail)
        self._show_figures()
        if before != (self._journey.stage, len(self._journey.stages)):
            self._show_stages()

    def _show_figures(self) -> None:
        journey, event = self._journey, self._last
        if journey is None or not event.what:
            return
        parts = [tr(event.what), say.amount(event.done, event.total, event.unit)]
        if journey.speed > 0:
            parts.append(tr("{speed} a second", speed=size(journey.speed)))
        if journey.left is not None and journey.left >= 1:
            parts.append(tr("about {time} left", time=duration(journey.left)))
        self.figures.setText(" · ".join(part for part in parts if part))
        percent = number(100 * journey.share)
        self.bar.setAccessibleDescription(tr("{percent} %", percent=percent))

    def _show_stages(self) -> None:
        if self._journey is None:
            return
        stages, colours = self._journey.stages, theme.current().colours
        while len(self._lines) < len(stages):
            self._add_line()
        at = stages.index(self._journey.stage)
        waiting = not self._last.what
        for place, (mark, label) in enumerate(self._lines):
            shown = place < len(stages)
            mark.setVisible(shown)
            label.setVisible(shown)
            if not shown:
                continue
            name, colour = (
                ("check", colours.good)
                if place < at
                else ("chevron-right", colours.accent)
                if place == at and not waiting
                else ("circle", colours.muted)
            )
            mark.setPixmap(theme.icon(name, colour).pixmap(16, 16))
            label.setText(tr(TITLES[stages[place]]))
            role = "strong" if place == at and not waiting else "" if place < at else "muted"
            if label.property("role") != role:
                label.setProperty("role", role)
                label.style().polish(label)

    def _add_line(self) -> None:
        mark, label = QLabel(), QLabel()
        mark.setFixedWidth(20)
        holder = QWidget()
        line = QHBoxLayout(holder)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(mark)
        line.addWidget(label, 1)
        self.stages.rows.addWidget(holder)
        self._lines.append((mark, label))


class LookingView(QWidget):
    """What is shown while a source is looked at or downloaded."""

    cancelled = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._began = self._already = 0.0
        self.state = words(role="heading")
        self.figures = words(role="muted")
        self.bar = QProgressBar(textVisible=False)
        self.bar.setAccessibleName(tr("Progress"))
        cancel = button(tr("Cancel"))
        cancel.clicked.connect(self.cancelled)
        inner = QWidget()
        inner.setFixedWidth(420)
        column = QVBoxLayout(inner)
        column.setSpacing(theme.MEDIUM)
        column.addStretch(2)
        for widget in (self.state, self.bar, self.figures):
            column.addWidget(widget)
        foot = QHBoxLayout()
        foot.addStretch()
        foot.addWidget(cancel)
        column.addLayout(foot)
        column.addStretch(3)
        row = QHBoxLayout(self)
        row.addStretch()
        row.addWidget(inner)
        row.addStretch()

    def begin(self, text: str) -> None:
        """Say what goes on; how far is not known yet."""
        self._began, self._already = time.monotonic(), -1.0
        self.state.setText(text)
        self.figures.setText("")
        self.bar.setRange(0, 0)

    def show_progress(self, event: Progress) -> None:
        """How far it is."""
        if not event.total:
            return
        if self._already < 0:
            self._already = event.done
        speed = (event.done - self._already) / max(0.1, time.monotonic() - self._began)
        self.bar.setRange(0, 1000)
        self.bar.setValue(int(1000 * event.done / event.total))
        amount = say.amount(event.done, event.total, event.unit)
        pace = tr("{speed} a second", speed=size(speed)) if event.unit == "bytes" and speed > 0 else ""
        self.figures.setText(" · ".join(part for part in (amount, pace) if part))
