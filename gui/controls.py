"""The controls of a form, with the manners of a Mac. Knows no setting.

None of them turns under the wheel while it has no focus: a person who scrolls past must not change a value.
"""

from __future__ import annotations

from decimal import Decimal
from math import floor, isfinite, log10

from PySide6.QtCore import Property, QLocale, QRectF, QSize, Qt, QVariantAnimation, Signal
from PySide6.QtGui import (
    QColor,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QValidator,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QSlider, QStyle, QStyleOptionSlider, QWidget

from gui import theme
from gui.drawing import draw_knob

UNREADABLE = object()  # what a number field says when its text is no number
_PAUSE = 400  # milliseconds without a key after which a text counts as written
_SHORTEST = QLocale.FloatingPointPrecisionOption.FloatingPointShortest.value


def number_text(value: float, *, grouped: bool = False) -> str:
    """All digits of a number and no more, as the person's language writes them."""
    locale = QLocale()
    if not grouped:
        locale.setNumberOptions(QLocale.NumberOption.OmitGroupSeparator)
    if isinstance(value, int):
        return locale.toString(value)
    plain = value == 0 or 1e-4 <= abs(value) < 1e15
    return locale.toString(value, "f" if plain else "e", _SHORTEST)


def read_number(text: str, *, whole: bool) -> object:
    """The number in a text, in the person's spelling or a programmer's; `UNREADABLE` where there is none."""
    for locale in (QLocale(), QLocale.c()):
        value, good = locale.toLongLong(text.strip()) if whole else locale.toDouble(text.strip())
        if good and isfinite(value):
            return value
    return UNREADABLE


class NumberBox(QAbstractSpinBox):
    """A number field that takes any text and says at once what it holds, so that a view can tell what is wrong."""

    edited = Signal(object)  # a number, None where the field may be empty and is, or UNREADABLE

    def __init__(
        self,
        lowest: float | None = None,
        highest: float | None = None,
        *,
        whole: bool = False,
        step: float | None = None,
        empty: str | None = None,
    ) -> None:
        super().__init__()
        self._lowest, self._highest, self._whole, self._step = lowest, highest, whole, step
        self._optional = empty is not None
        self._number: float | None = None  # the last readable one, exact where the text is rounded
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.lineEdit().textEdited.connect(self._read)
        self.editingFinished.connect(self._tidy)
        if empty is not None:
            self.lineEdit().setPlaceholderText(empty)
            self.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)

    value = Property(float, lambda self: self._number or 0.0)  # assistive programs ask for it by this name

    def set_number(self, number: float | None) -> None:
        """Show a number; emits nothing."""
        self._number = number
        self.lineEdit().setText("" if number is None else number_text(number))
        self.lineEdit().setCursorPosition(0)

    def sizeHint(self) -> QSize:
        """Room for the longest number of the range, within reason."""
        ends = [number_text(end) for end in (self._lowest, self._highest) if end is not None]
        digits = min(max([5, *map(len, ends)]), 10)
        width = self.fontMetrics().horizontalAdvance("0" * digits) + 34
        return QSize(width, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """As wide as the hint: a number that is cut off misleads."""
        return self.sizeHint()

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Any text may be typed; what is wrong with it is said beside the field."""
        return QValidator.State.Acceptable, text, position

    def stepEnabled(self) -> QAbstractSpinBox.StepEnabledFlag:  # noqa: N802
        """Up and down, as far as the range goes."""
        flags, number = QAbstractSpinBox.StepEnabledFlag.StepNone, self._number or 0
        if self._highest is None or number < self._highest:
            flags |= QAbstractSpinBox.StepEnabledFlag.StepUpEnabled
        if self._lowest is None or number > self._lowest:
            flags |= QAbstractSpinBox.StepEnabledFlag.StepDownEnabled
        return flags

    def stepBy(self, steps: int) -> None:  # noqa: N802
        """Some steps up or down, in decimal numbers: 0.1 and 0.2 are 0.3."""
        number = Decimal(repr(self._number or 0))
        target: float = float(number + steps * self._step_at(float(number)))
        if self._lowest is not None:
            target = max(target, self._lowest)
        if self._highest is not None:
            target = min(target, self._highest)
        self.set_number(int(target) if self._whole else target)
        self.edited.emit(self._number)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Turn only with the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def _step_at(self, number: float) -> Decimal:
        if self._step is not None or self._whole or not number:
            return Decimal(repr(self._step or 1))
        return Decimal(10) ** (floor(log10(abs(number))) - 1)  # a learning rate goes in tenths of its own size

    def _tidy(self) -> None:
        """Show a number as numbers are written; what is no number stays, for the person to mend."""
        if read_number(self.text(), whole=self._whole) == self._number:
            self.set_number(self._number)

    def _read(self, text: str) -> None:
        empty = self._optional and not text.strip()
        value = None if empty else read_number(text, whole=self._whole)
        if value is None or isinstance(value, (int, float)):
            self._number = value
        self.edited.emit(value)


class Slider(QSlider):
    """A horizontal slider whose knob goes where it is clicked."""

    def __init__(self, positions: int) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setRange(0, positions)
        self.setPageStep(max(1, positions // 10))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(80)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Turn only with the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Bring the knob under the mouse, and let it be dragged from there."""
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        parts = (QStyle.ComplexControl.CC_Slider, option, QStyle.SubControl.SC_SliderHandle, self)
        knob, place = self.style().subControlRect(*parts), event.position()
        if event.button() == Qt.MouseButton.LeftButton and not knob.contains(place.toPoint()):
            room = max(1, self.width() - knob.width())
            left = round(place.x() - knob.width() / 2)
            self.setValue(QStyle.sliderValueFromPosition(0, self.maximum(), left, room, option.upsideDown))
        super().mousePressEvent(event)


class Choice(QComboBox):
    """A combo box."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMaxVisibleItems(20)
        self.setMinimumWidth(120)
        popup = self.view().window()
        popup.setContentsMargins(5, 5, 5, 5)
        popup.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)  # its corners are round

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Turn only with the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class Switch(QCheckBox):
    """A check box drawn as a switch: what it turns on is on at once."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._slide = QVariantAnimation(self, duration=120, startValue=0.0, endValue=1.0)
        self._slide.valueChanged.connect(lambda _: self.update())
        self.toggled.connect(self._move)

    def sizeHint(self) -> QSize:
        """The size of a switch, with room for the focus ring."""
        return QSize(40, 24)

    def hitButton(self, _: object) -> bool:  # noqa: N802
        """All of it can be clicked."""
        return True

    def paintEvent(self, _: QPaintEvent) -> None:
        """The track, the knob on its way, and the focus ring."""
        colours, painter = theme.current().colours, QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setOpacity(1.0 if self.isEnabled() else 0.45)
        if self._slide.state() == QVariantAnimation.State.Running:
            share = float(self._slide.currentValue())
        else:
            share = float(self.isChecked())
        track = QRectF(2, (self.height() - 20) / 2, 36, 20)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours.accent if self.isChecked() else colours.selected))
        painter.drawRoundedRect(track, 10, 10)
        draw_knob(painter, QRectF(track.left() + 2 + 16 * share, track.top() + 2, 16, 16))
        if self.hasFocus():
            painter.setPen(QPen(QColor(colours.link), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(track.adjusted(-1, -1, 1, 1), 11, 11)

    def _move(self, checked: bool) -> None:
        forward, backward = QVariantAnimation.Direction.Forward, QVariantAnimation.Direction.Backward
        self._slide.setDirection(forward if checked else backward)
        if self.isVisible():
            self._slide.start()


def mark(control: QWidget, wrong: bool) -> None:
    """Give a control its red border, or take it away."""
    state = "wrong" if wrong else ""
    if (control.property("state") or "") != state:
        control.setProperty("state", state)
        control.style().unpolish(control)
        control.style().polish(control)
        control.update()
