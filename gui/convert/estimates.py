"""What a conversion would take and give, as bars against what is there. Knows a plan; reads no model."""

from __future__ import annotations

import os

from PySide6.QtCore import QRectF, QSize
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from engine.conversion_events import ConversionPlanned
from gui import theme
from gui.parts import Card, WarningCard, words
from gui.text import number, size, tr


def installed_memory() -> int:
    """The bytes of memory this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class Meter(QWidget):
    """A bar from nothing to all there is; red beyond it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.share = 0.0

    def show_share(self, share: float, text: str) -> None:
        """Fill this share of the bar; `text` says the same in words."""
        self.share = share
        self.setAccessibleDescription(text)
        self.setToolTip(text)
        self.update()

    def sizeHint(self) -> QSize:
        """A thin bar."""
        return QSize(160, 8)

    def paintEvent(self, _: QPaintEvent) -> None:
        """The track and what is filled of it."""
        colours, painter = theme.current().colours, QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor(0, 0, 0, 0))
        track = QRectF(0, (self.height() - 8) / 2, self.width(), 8)
        painter.setBrush(QColor(colours.selected))
        painter.drawRoundedRect(track, 4, 4)
        filled = QRectF(track)
        filled.setWidth(max(8.0, track.width() * min(1.0, self.share)))
        painter.setBrush(QColor(colours.error if self.share > 1 else colours.accent))
        painter.drawRoundedRect(filled, 4, 4)


class EstimateCard(Card):
    """Size, memory and disk, and a warning where one of them does not suffice."""

    def __init__(self) -> None:
        super().__init__()
        grid = QGridLayout()
        grid.setHorizontalSpacing(theme.LARGE)
        grid.setVerticalSpacing(theme.SMALL)
        grid.setColumnStretch(1, 1)
        self.rows.addLayout(grid)
        self._rows = {}
        for place, (key, title, tip) in enumerate(
            (
                ("size", tr("Size afterwards"), tr("What the new model takes on the disk, beside what it takes now.")),
                ("memory", tr("Memory meanwhile"), tr("The most that converting takes of this computer's memory.")),
                ("disk", tr("Disk needed"), tr("What converting writes, beside what is free on that disk.")),
            )
        ):
            label = QLabel(title)
            label.setProperty("role", "muted")
            meter, value = Meter(title), words(tip=tip)
            label.setToolTip(tip)
            value.setWordWrap(False)
            grid.addWidget(label, place, 0)
            grid.addWidget(meter, place, 1)
            grid.addWidget(value, place, 2)
            self._rows[key] = (meter, value)
        self.warnings = WarningCard()
        self.rows.addWidget(self.warnings)

    def show_plan(self, plan: ConversionPlanned) -> None:
        """Show the figures of a plan."""
        bits = tr("{bits} bits a weight", bits=number(plan.result_bits, 1))
        self._show("size", plan.result_bytes, plan.source_bytes, f"{size(plan.result_bytes)}, {bits}")
        memory = installed_memory()
        of = tr("{need} of {there}", need=size(plan.peak_memory), there=size(memory))
        self._show("memory", plan.peak_memory, memory, of)
        of = tr("{need} of {there} free", need=size(plan.disk_needed), there=size(plan.free_disk))
        self._show("disk", plan.disk_needed, plan.free_disk, of)
        self.warnings.show_sentences(_shortages(plan, memory))
        # A result may well be larger than its source.
        self._rows["size"][0].share = min(1.0, self._rows["size"][0].share)

    def texts(self) -> dict[str, str]:
        """The figures as they are shown."""
        return {key: value.text() for key, (_, value) in self._rows.items()}

    def _show(self, key: str, need: float, there: float, text: str) -> None:
        meter, value = self._rows[key]
        value.setText(text)
        meter.show_share(need / max(1, there), text)


def _shortages(plan: ConversionPlanned, memory: int) -> tuple[str, ...]:
    found = []
    if plan.disk_needed > plan.free_disk:
        lacking = size(plan.disk_needed - plan.free_disk)
        found.append(tr("The disk is too full: {size} more must be free, or choose fewer bits.", size=lacking))
    if plan.peak_memory > memory:
        found.append(tr("It takes more memory than this computer has. Without the check it takes less."))
    if plan.result_bytes > 0.75 * memory:
        found.append(tr("The result is too large to be used on this computer. Choose fewer bits."))
    return tuple(found)
