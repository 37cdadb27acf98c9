"""Draws combo boxes, number fields, sliders and check boxes as a Mac would. Knows colours, not where they come from.

A style sheet alone cannot do it: its arrows and check marks have to be picture files, one for each appearance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import (
    QComboBox,
    QProxyStyle,
    QStyle,
    QStyleOption,
    QStyleOptionComboBox,
    QStyleOptionComplex,
    QStyleOptionMenuItem,
    QStyleOptionSlider,
    QStyleOptionSpinBox,
    QWidget,
)

from gui.drawing import EDGE, ROUND, draw_chevron, draw_field, draw_knob

if TYPE_CHECKING:
    from gui.theme import Colours

_HEIGHT, _INSET = 26, 10
_STEPPER, _ARROW = 16, 14  # the width of a number field's buttons, and of a combo box's arrow
_KNOB, _TEXT = 16, 24  # a slider's knob; where the text of a menu's item begins
_FAINT = 0.45  # the opacity of what cannot be used
_State = QStyle.StateFlag
_Sub = QStyle.SubControl


class Style(QProxyStyle):
    """Fusion, with its own drawing of the controls that Fusion makes look foreign."""

    def __init__(self, colours: Callable[[], Colours]) -> None:
        super().__init__("Fusion")
        self._colours = colours

    def drawComplexControl(  # noqa: N802
        self,
        control: QStyle.ComplexControl,
        option: QStyleOptionComplex,
        painter: QPainter,
        widget: QWidget | None = None,
    ) -> None:
        """A combo box or a number field."""
        if control == QStyle.ComplexControl.CC_ComboBox and isinstance(option, QStyleOptionComboBox):
            self._combo_box(option, painter, widget)
        elif control == QStyle.ComplexControl.CC_SpinBox and isinstance(option, QStyleOptionSpinBox):
            self._number_field(option, painter, widget)
        elif control == QStyle.ComplexControl.CC_Slider and isinstance(option, QStyleOptionSlider):
            self._slider(option, painter)
        else:
            super().drawComplexControl(control, option, painter, widget)

    def drawControl(  # noqa: N802
        self, element: QStyle.ControlElement, option: QStyleOption, painter: QPainter, widget: QWidget | None = None
    ) -> None:
        """An item of a combo box's menu."""
        menu = element == QStyle.ControlElement.CE_MenuItem and isinstance(widget, QComboBox)
        if menu and isinstance(option, QStyleOptionMenuItem):
            self._item(option, painter)
        else:
            super().drawControl(element, option, painter, widget)

    def drawPrimitive(  # noqa: N802
        self,
        element: QStyle.PrimitiveElement,
        option: QStyleOption,
        painter: QPainter,
        widget: QWidget | None = None,
    ) -> None:
        """A check box's box, a radio button's circle, or the ground of a combo box's menu."""
        if element == QStyle.PrimitiveElement.PE_IndicatorCheckBox:
            self._check_box(option, painter)
        elif element == QStyle.PrimitiveElement.PE_IndicatorRadioButton:
            self._radio_button(option, painter)
        elif element == QStyle.PrimitiveElement.PE_PanelMenu:
            self._menu(option, painter)
        else:
            super().drawPrimitive(element, option, painter, widget)

    def subControlRect(  # noqa: N802
        self,
        control: QStyle.ComplexControl,
        option: QStyleOptionComplex,
        part: QStyle.SubControl,
        widget: QWidget | None = None,
    ) -> QRect:
        """Where the text and the buttons of a combo box or a number field are."""
        whole = option.rect
        if control == QStyle.ComplexControl.CC_SpinBox and isinstance(option, QStyleOptionSpinBox):
            bare = option.buttonSymbols == option.buttonSymbols.NoButtons
            buttons = QRect(whole.right() - _STEPPER - 3, whole.top() + 4, _STEPPER, whole.height() - 8)
            found = {
                _Sub.SC_SpinBoxFrame: whole,
                _Sub.SC_SpinBoxUp: QRect() if bare else buttons.adjusted(0, 0, 0, -(buttons.height() // 2)),
                _Sub.SC_SpinBoxDown: QRect() if bare else buttons.adjusted(0, (buttons.height() + 1) // 2, 0, 0),
                _Sub.SC_SpinBoxEditField: whole.adjusted(_INSET - 2, 2, -_INSET if bare else -_STEPPER - 6, -2),
            }.get(part)
        elif control == QStyle.ComplexControl.CC_ComboBox:
            found = {
                _Sub.SC_ComboBoxFrame: whole,
                _Sub.SC_ComboBoxEditField: whole.adjusted(_INSET, 1, -_ARROW - 10, -1),
                _Sub.SC_ComboBoxArrow: QRect(whole.right() - _ARROW - 6, whole.top(), _ARROW, whole.height()),
                # The items' texts lie over the field's own text, their check marks left of it.
                _Sub.SC_ComboBoxListBoxPopup: whole.adjusted(_INSET - _TEXT - 5, -4, 5, -4),
            }.get(part)
        elif control == QStyle.ComplexControl.CC_Slider and isinstance(option, QStyleOptionSlider):
            found = self._slider_rect(option, part)
        else:
            found = None
        if found is None:
            return super().subControlRect(control, option, part, widget)  # type: ignore[arg-type]  # None is allowed
        return self.visualRect(option.direction, whole, found)

    def sizeFromContents(  # noqa: N802
        self, kind: QStyle.ContentsType, option: QStyleOption, contents: QSize, widget: QWidget | None = None
    ) -> QSize:
        """The size a combo box or a number field asks for around its text."""
        if kind == QStyle.ContentsType.CT_ComboBox:
            return QSize(contents.width() + _INSET + _ARROW + 14, max(_HEIGHT, contents.height() + 8))
        if kind == QStyle.ContentsType.CT_SpinBox:
            return QSize(contents.width() + _INSET + _STEPPER + 6, max(_HEIGHT, contents.height() + 2))
        if kind == QStyle.ContentsType.CT_Slider:
            return QSize(contents.width(), max(_KNOB + 6, contents.height()))
        if kind == QStyle.ContentsType.CT_MenuItem and isinstance(widget, QComboBox):
            return QSize(contents.width() + _TEXT + _INSET, 24)
        return super().sizeFromContents(kind, option, contents, widget)  # type: ignore[arg-type]  # None is allowed

    @staticmethod
    def _slider_rect(option: QStyleOptionSlider, part: QStyle.SubControl) -> QRect | None:
        whole = option.rect
        if option.orientation != Qt.Orientation.Horizontal:
            return None
        if part == _Sub.SC_SliderGroove:
            return whole
        if part != _Sub.SC_SliderHandle:
            return None
        way = (option.minimum, option.maximum, option.sliderPosition, whole.width() - _KNOB, option.upsideDown)
        left = QStyle.sliderPositionFromValue(*way)
        return QRect(whole.left() + left, whole.center().y() - _KNOB // 2 + 1, _KNOB, _KNOB)

    def _combo_box(self, option: QStyleOptionComboBox, painter: QPainter, widget: QWidget | None) -> None:
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._field(option, painter, widget, clickable=not option.editable)
        arrow = self.subControlRect(QStyle.ComplexControl.CC_ComboBox, option, _Sub.SC_ComboBoxArrow, widget)
        centre = QRectF(arrow).center()
        self._pen(painter, option)
        draw_chevron(painter, centre - QPointF(0, 3.5), up=True)
        draw_chevron(painter, centre + QPointF(0, 3.5), up=False)
        painter.restore()

    def _number_field(self, option: QStyleOptionSpinBox, painter: QPainter, widget: QWidget | None) -> None:
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._field(option, painter, widget, clickable=False)
        if option.buttonSymbols != option.buttonSymbols.NoButtons:
            colours = self._colours()
            control = QStyle.ComplexControl.CC_SpinBox
            up = QRectF(self.subControlRect(control, option, _Sub.SC_SpinBoxUp, widget))
            down = QRectF(self.subControlRect(control, option, _Sub.SC_SpinBoxDown, widget))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours.selected))
            painter.drawRoundedRect(up.united(down), 4, 4)
            pressed = option.activeSubControls if option.state & _State.State_Sunken else _Sub.SC_None
            for part, half in ((_Sub.SC_SpinBoxUp, up), (_Sub.SC_SpinBoxDown, down)):
                if pressed == part:
                    painter.setBrush(EDGE)
                    painter.drawRoundedRect(half, 4, 4)
            self._pen(painter, option)
            draw_chevron(painter, QPointF(up.center().x(), up.center().y() + 0.5), up=True)
            draw_chevron(painter, QPointF(down.center().x(), down.center().y() - 0.5), up=False)
        painter.restore()

    def _slider(self, option: QStyleOptionSlider, painter: QPainter) -> None:
        colours = self._colours()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if not option.state & _State.State_Enabled:
            painter.setOpacity(_FAINT)
        knob = QRectF(self.subControlRect(QStyle.ComplexControl.CC_Slider, option, _Sub.SC_SliderHandle, None))
        groove = QRectF(option.rect.left() + 2, knob.center().y() - 2, option.rect.width() - 4, 4)
        done = QRectF(groove)
        if option.upsideDown:
            done.setLeft(knob.center().x())
        else:
            done.setRight(knob.center().x())
        painter.setBrush(QColor(colours.selected))
        painter.drawRoundedRect(groove, 2, 2)
        painter.setBrush(QColor(colours.accent))
        painter.drawRoundedRect(done, 2, 2)
        draw_knob(painter, knob)
        if option.state & _State.State_HasFocus:
            painter.setPen(QPen(QColor(colours.accent), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(knob.adjusted(1, 1, -1, -1))
        painter.restore()

    def _menu(self, option: QStyleOption, painter: QPainter) -> None:
        colours = self._colours()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor(colours.line))
        painter.setBrush(QColor(colours.raised))
        painter.drawRoundedRect(QRectF(option.rect).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
        painter.restore()

    def _item(self, option: QStyleOptionMenuItem, painter: QPainter) -> None:
        colours = self._colours()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        selected = bool(option.state & _State.State_Selected)
        if selected:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours.accent))
            painter.drawRoundedRect(option.rect, 5, 5)
        colour = QColor(colours.on_accent if selected else colours.text)
        middle = QRectF(option.rect).center().y()
        if option.checked:
            painter.setPen(QPen(colour, 1.5, *ROUND))
            painter.drawPolyline([QPointF(x, middle + y) for x, y in ((8, 0.5), (11, 3.5), (16.5, -3.5))])
        painter.setPen(colour)
        painter.drawText(option.rect.adjusted(_TEXT, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, option.text)
        painter.restore()

    def _field(self, option: QStyleOption, painter: QPainter, widget: QWidget | None, *, clickable: bool) -> None:
        state = option.state
        draw_field(
            painter,
            option.rect,
            self._colours(),
            focused=bool(state & _State.State_HasFocus),
            wrong=widget is not None and widget.property("state") == "wrong",
            hovered=clickable and bool(state & (_State.State_Sunken | _State.State_On | _State.State_MouseOver)),
        )

    def _pen(self, painter: QPainter, option: QStyleOption) -> None:
        colours = self._colours()
        colour = QColor(colours.text if option.state & _State.State_Enabled else colours.muted)
        painter.setPen(QPen(colour, 1.3, *ROUND))
        painter.setBrush(Qt.BrushStyle.NoBrush)

    def _check_box(self, option: QStyleOption, painter: QPainter) -> None:
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        square = self._indicator(option, painter, 4.0)
        colours = self._colours()
        painter.setPen(QPen(QColor(colours.on_accent), 1.8, *ROUND))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        unit, corner = square.width() / 14, square.topLeft()
        mark: list[tuple[float, float]] = []
        if option.state & _State.State_NoChange:
            mark = [(3.5, 7), (10.5, 7)]
        elif option.state & _State.State_On:
            mark = [(3.4, 7.3), (6, 10), (10.7, 4.3)]
        if mark:
            painter.drawPolyline([corner + QPointF(x, y) * unit for x, y in mark])
        painter.restore()

    def _radio_button(self, option: QStyleOption, painter: QPainter) -> None:
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        circle = self._indicator(option, painter, QRectF(option.rect).width() / 2)
        if option.state & _State.State_On:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(self._colours().on_accent))
            painter.drawEllipse(circle.center(), circle.width() * 0.2, circle.width() * 0.2)
        painter.restore()

    def _indicator(self, option: QStyleOption, painter: QPainter, radius: float) -> QRectF:
        colours, state = self._colours(), option.state
        filled = bool(state & (_State.State_On | _State.State_NoChange))
        focused = bool(state & _State.State_HasFocus)
        if not state & _State.State_Enabled:
            painter.setOpacity(_FAINT)
        line = (colours.text if filled else colours.accent) if focused else colours.accent if filled else colours.muted
        width = 2.0 if focused else 1.0
        painter.setBrush(QColor(colours.accent if filled else colours.raised))
        painter.setPen(QPen(QColor(line), width))
        inset = width / 2
        rect = QRectF(option.rect).adjusted(inset, inset, -inset, -inset)
        painter.drawRoundedRect(rect, radius - inset, radius - inset)
        return QRectF(option.rect)
