"""The hands of a person on a chart: choosing a part, moving on, leading the cursor. Knows a canvas, no figures.

Dragging chooses a part of all charts, a steep drag a part of this one's height too; a double click shows all again.
The wheel scrolls the page and zooms with the command key; pinching zooms, a sideways swipe moves on.
"""

from __future__ import annotations

import math

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QNativeGestureEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from gui.train.charts.canvas import Canvas
from gui.train.charts.span import Span
from gui.train.charts.ticks import Unit

_CLICK, _STRAIGHT = 4, 14  # pixels that a click may tremble, and a drag straight up
_STEEP = 0.45  # of the height: a drag as high as this chooses a part of the height too
_WHEEL, _KEY = 0.002, 0.7


class LiveCanvas(Canvas):
    """A chart that answers to mouse, track pad and keys."""

    def __init__(self, span: Span, name: str, unit: Unit, parent: QWidget | None = None) -> None:
        super().__init__(span, name, unit, parent)
        self._pressed: QPointF | None = None
        self._panned: float | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin to choose a part, or with Shift to move on."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._pressed = event.position()
            if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                self._panned = event.position().x()
                self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
        else:
            event.ignore()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Move the cursor of all charts, and what is being chosen."""
        place = event.position()
        if self._panned is not None:
            left, right = self.span.view
            self.span.pan((self._panned - place.x()) * (right - left) / self.box.width())
            self._panned = place.x()
            return
        if self._pressed is not None:
            self.overlay.choice = self._choice(place)
            self.overlay.update()
        inside = self.led = self.box.sceneBoundingRect().contains(self.mapToScene(place.toPoint()))
        self.span.point(self._nearest(self._value_at(place)[0]) if inside else None)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Show what was chosen."""
        choice, self.overlay.choice = self.overlay.choice, None
        self._pressed = self._panned = None
        self.viewport().unsetCursor()
        self.overlay.update()
        if choice is None or event.button() != Qt.MouseButton.LeftButton:
            return
        corner, other = (self.box.mapToView(point) for point in (choice.bottomLeft(), choice.topRight()))
        if choice.height() < self.box.height() - 1:
            self.choose_height((corner.y(), other.y()))
        if choice.width() < self.box.width() - 1:
            self.span.show(corner.x(), other.x())
        self.changed.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Show all again."""
        self._pressed = None
        self.choose_height(None)
        self.span.fit()
        self.changed.emit()

    def leaveEvent(self, event: QEvent) -> None:
        """No cursor."""
        self.led = False
        self.span.point(None)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom with the command key, move on sideways; anything else scrolls the page."""
        turned = event.pixelDelta() if not event.pixelDelta().isNull() else event.angleDelta()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.span.zoom(math.exp(-_WHEEL * turned.y()), self._value_at(event.position())[0])
        elif self.span.zoomed and abs(turned.x()) > abs(turned.y()):
            left, right = self.span.view
            self.span.pan(-turned.x() * (right - left) / self.box.width())
        else:
            event.ignore()

    def viewportEvent(self, event: QEvent) -> bool:
        """Zoom by pinching on a track pad."""
        if isinstance(event, QNativeGestureEvent) and event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture:
            self.span.zoom(1 / max(0.1, 1 + event.value()), self._value_at(event.position())[0])
            return True
        return bool(super().viewportEvent(event))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows move the cursor, + and - zoom, 0 or Escape show all."""
        key, centre = event.key(), self.span.cursor
        middle = sum(self.span.view) / 2 if centre is None else centre
        if key in {Qt.Key.Key_Left, Qt.Key.Key_Right} and self.series:
            self._step(1 if key == Qt.Key.Key_Right else -1)
        elif key in {Qt.Key.Key_Plus, Qt.Key.Key_Equal}:
            self.span.zoom(_KEY, middle)
        elif key == Qt.Key.Key_Minus:
            self.span.zoom(1 / _KEY, middle)
        elif key in {Qt.Key.Key_0, Qt.Key.Key_Escape} and (self.span.zoomed or self.zoomed_in):
            self.choose_height(None)
            self.span.fit()
            self.changed.emit()
        else:
            event.ignore()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show where the focus is."""
        self._focus(event.reason() in {Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason})

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """No ring, no cursor."""
        self._focus(False)

    def _focus(self, focused: bool) -> None:
        self.overlay.focused = self.led = focused
        self.overlay.update()
        if not focused:
            self.span.point(None)

    def _step(self, steps: int) -> None:
        """Move the cursor from one figure to the next; it begins at the last."""
        series, axis = self.series[0], self.span.axis
        if not len(series):
            return
        point = series.last(axis) if self.span.cursor is None else series.at(axis, self.span.cursor)
        row = len(series) - 1 if point is None else point.row
        if self.span.cursor is not None:
            row = min(max(0, row + steps), len(series) - 1)
        self.span.point(series.point(axis, row).x)

    def _choice(self, place: QPointF) -> QRectF | None:
        """The part between press and mouse; None where the mouse hardly moved."""
        if self._pressed is None:
            return None
        start, end = (self.box.mapFromScene(self.mapToScene(p.toPoint())) for p in (self._pressed, place))
        part = QRectF(start, end).normalized()
        inside = self.box.rect()
        if part.height() < _STEEP * inside.height():
            if part.width() < _CLICK:
                return None
            part.setTop(inside.top())
            part.setBottom(inside.bottom())
        elif part.width() < _STRAIGHT:
            part.setLeft(inside.left())
            part.setRight(inside.right())
        return part.intersected(inside)

    def _value_at(self, place: QPointF) -> tuple[float, float]:
        found = self.box.mapSceneToView(self.mapToScene(place.toPoint()))
        return found.x(), found.y()

    def _nearest(self, where: float) -> float:
        found = self.series[0].at(self.span.axis, where) if self.series else None
        return where if found is None else found.x
