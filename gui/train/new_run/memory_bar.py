"""How much of the memory a run would take, and for what, as a bar. Knows a plan, forecasts nothing."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from engine.training_events import TrainingPlanned
from gui import theme
from gui.text import size, tr

_VISIBLE = 2.0  # pixels that even the smallest part has


def parts(plan: TrainingPlanned) -> list[tuple[str, int]]:
    """What the peak is made of, each with its bytes; what has no name of its own comes last."""
    named = [
        (tr("Model"), plan.weights),
        (tr("Optimiser"), plan.optimizer),
        (tr("Completions"), plan.kv_cache),
        (tr("Update"), plan.activations),
    ]
    # The completions and the update are not in memory together: what is named may be more than the peak.
    found, left = [], plan.peak
    for name, bytes_ in named:
        found.append((name, min(bytes_, max(0, left))))
        left -= bytes_
    return [(name, bytes_) for name, bytes_ in [*found, (tr("Other"), left)] if bytes_ > 0]


class MemoryBar(QWidget):
    """The peak's parts beside each other on the width of what is available; red where it is too much."""

    def __init__(self) -> None:
        super().__init__()
        self._plan: TrainingPlanned | None = None
        self.setFixedHeight(10)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.current().changed.connect(self.update)

    def show_plan(self, plan: TrainingPlanned | None) -> None:
        """Show another plan, or nothing."""
        self._plan = plan
        if plan is not None:
            lines = "<br>".join(f"{name}: {size(bytes_)}" for name, bytes_ in parts(plan))
            self.setToolTip(f"<qt>{lines}<br>{tr('{size} can be used', size=size(plan.available))}</qt>")
            self.setAccessibleName(tr("Memory: {need} of {there}", need=size(plan.peak), there=size(plan.available)))
        self.update()

    def sizeHint(self) -> QSize:
        """As wide as there is room."""
        return QSize(240, 10)

    def paintEvent(self, _: QPaintEvent) -> None:
        """The ground, the parts, and hairlines between them."""
        colours, painter = theme.current().colours, QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ground = QPainterPath()
        ground.addRoundedRect(QRectF(self.rect()), 5, 5)
        painter.setClipPath(ground)
        painter.fillRect(self.rect(), QColor(colours.selected))
        plan = self._plan
        if plan is None or not plan.peak:
            return
        whole, left = max(plan.available, plan.peak), 0.0
        shown = parts(plan)
        for place, (_name, bytes_) in enumerate(shown):
            width = max(self.width() * bytes_ / whole, _VISIBLE)
            colour = QColor(colours.accent if plan.fits else colours.error)
            colour.setAlphaF(1.0 - 0.75 * place / len(shown))
            painter.fillRect(QRectF(left, 0, max(0.0, width - 1), self.height()), colour)
            left += width
        if plan.peak > plan.available:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours.text))
            painter.drawRect(QRectF(self.width() * plan.available / whole - 1, 0, 2, self.height()))
