"""The controls that the style draws: each state looks different, in both appearances."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QRadioButton,
    QSlider,
    QSpinBox,
    QStyle,
    QStyleOptionSpinBox,
    QWidget,
)
from pytestqt.qtbot import QtBot

from gui.theme import Theme


@pytest.fixture(autouse=True, params=["light", "dark"])
def _appearance(theme: Theme, request: pytest.FixtureRequest) -> Iterator[None]:
    theme.wish(request.param)
    yield
    theme.wish("system")


def shown(qtbot: QtBot, control: QWidget) -> Callable[[], QImage]:
    """Put a control in a window, without the focus; the answer takes its picture."""
    window = QWidget()
    qtbot.addWidget(window)
    other = QCheckBox(window)
    control.setParent(window)
    control.move(0, 40)
    with qtbot.waitExposed(window):
        window.show()
    window.activateWindow()
    other.setFocus()
    return lambda: window.grab(control.geometry()).toImage()


def all_differ(pictures: list[QImage]) -> bool:
    """Whether no two pictures are the same."""
    return all(one != other for one, other in combinations(pictures, 2))


@pytest.mark.parametrize("kind", [QCheckBox, QRadioButton])
def test_boxes_and_circles_show_what_they_hold(qtbot: QtBot, kind: type[QCheckBox] | type[QRadioButton]) -> None:
    """On, off, with the focus, disabled."""
    control = kind("Words")
    picture = shown(qtbot, control)
    pictures = [picture()]
    control.setChecked(True)
    pictures.append(picture())
    control.setFocus(Qt.FocusReason.TabFocusReason)
    pictures.append(picture())
    if isinstance(control, QCheckBox):
        control.setCheckState(Qt.CheckState.PartiallyChecked)
        pictures.append(picture())
    control.setEnabled(False)
    pictures.append(picture())
    assert all_differ(pictures)


def test_the_buttons_of_a_number_field_are_where_they_are_drawn(qtbot: QtBot) -> None:
    """Each half is pressed for itself, and counts."""
    control = QSpinBox()
    picture = shown(qtbot, control)
    pictures = [picture()]
    option = QStyleOptionSpinBox()
    control.initStyleOption(option)
    for part, value in ((QStyle.SubControl.SC_SpinBoxUp, 1), (QStyle.SubControl.SC_SpinBoxDown, 0)):
        place = control.style().subControlRect(QStyle.ComplexControl.CC_SpinBox, option, part, control).center()
        qtbot.mousePress(control, Qt.MouseButton.LeftButton, pos=place)
        pictures.append(picture())
        qtbot.mouseRelease(control, Qt.MouseButton.LeftButton, pos=place)
        assert control.value() == value
    assert all_differ(pictures)


def test_a_slider_can_be_dragged_by_its_knob(qtbot: QtBot) -> None:
    """Also one that runs from right to left; upright ones are left to the system."""
    for direction, way in ((Qt.LayoutDirection.LeftToRight, 1), (Qt.LayoutDirection.RightToLeft, -1)):
        control = QSlider(Qt.Orientation.Horizontal)
        control.setLayoutDirection(direction)
        control.setValue(50)
        picture = shown(qtbot, control)
        control.resize(100, control.sizeHint().height())
        pictures = [picture()]
        middle = control.rect().center()
        qtbot.mousePress(control, Qt.MouseButton.LeftButton, pos=middle)
        qtbot.mouseMove(control, middle + QPoint(20, 0))
        qtbot.mouseRelease(control, Qt.MouseButton.LeftButton, pos=middle + QPoint(20, 0))
        assert (control.value() - 50) * way > 10
        pictures.append(picture())
        control.setEnabled(False)
        pictures.append(picture())
        assert all_differ(pictures)
    assert not QSlider(Qt.Orientation.Vertical).grab().isNull()


def test_a_combo_box_that_can_be_edited_is_drawn_too(qtbot: QtBot) -> None:
    """It has the same arrow."""
    control = QComboBox()
    control.setEditable(True)
    control.addItems(["one", "two"])
    picture = shown(qtbot, control)
    pictures = [picture()]
    control.setEnabled(False)
    pictures.append(picture())
    assert all_differ(pictures)
