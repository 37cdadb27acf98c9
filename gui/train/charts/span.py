"""Which part of the runs all charts show, and where their common cursor is. Knows numbers, no chart."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from gui.train.charts.series import STEPS

_MARGIN = 0.01
_CLOSEST = 2.0  # no closer than so many steps or seconds


class Span(QObject):
    """A range of steps or seconds; all of it, and what comes, until a person chooses a part.

    A part that reaches to the latest step moves along with it.
    """

    changed = Signal()
    moved = Signal()  # the cursor

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.axis = STEPS
        self.cursor: float | None = None
        self._whole = (0.0, 1.0)
        self._part: tuple[float, float] | None = None

    @property
    def view(self) -> tuple[float, float]:
        """From where to where the charts show."""
        return self._part or self.whole

    @property
    def whole(self) -> tuple[float, float]:
        """All there is, with a little room at both sides."""
        low, high = self._whole
        room = max(_MARGIN * (high - low), 0.5)
        return low - room, high + room

    @property
    def zoomed(self) -> bool:
        """Whether a part is shown."""
        return self._part is not None

    def reach(self, low: float, high: float) -> None:
        """This is all there is now."""
        if (low, high) == self._whole:
            return
        before = self.whole[1]
        self._whole = (low, high)
        if self._part is not None and self._part[1] >= before:
            on = self.whole[1] - self._part[1]
            self._part = (self._part[0] + on, self._part[1] + on)
        self.changed.emit()

    def count(self, axis: str) -> None:
        """Count steps or seconds; shows all."""
        if axis != self.axis:
            self.axis, self._part, self.cursor = axis, None, None
            self.moved.emit()
            self.changed.emit()

    def show(self, low: float, high: float) -> None:
        """Show this part, as far as there is something."""
        least, most = self.whole
        width = min(most - least, max(_CLOSEST, high - low))
        middle = (low + high) / 2
        left = min(max(middle - width / 2, least), most - width)
        # What is everything but for rounding is everything, and grows.
        part = None if width >= (1 - 1e-6) * (most - least) else (left, left + width)
        if part != self._part:
            self._part = part
            self.changed.emit()

    def zoom(self, factor: float, centre: float) -> None:
        """Show more (above 1) or less (below 1), with what is at `centre` staying where it is."""
        left, right = self.view
        width = max(_CLOSEST, factor * (right - left))
        share = (centre - left) / (right - left)
        self.show(centre - share * width, centre + (1 - share) * width)

    def pan(self, distance: float) -> None:
        """Move on by so much."""
        if self._part is not None:
            self.show(self._part[0] + distance, self._part[1] + distance)

    def fit(self) -> None:
        """Show everything."""
        if self._part is not None:
            self._part = None
            self.changed.emit()

    def point(self, place: float | None) -> None:
        """Put the cursor there, or take it away."""
        if place != self.cursor:
            self.cursor = place
            self.moved.emit()
