"""Every kind of field on real widgets, driven by keys and the mouse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication, QLineEdit, QPushButton, QScrollArea
from pytestqt.qtbot import QtBot

from engine.config import Sampling, Settings
from gui.controls import Choice, NumberBox, Slider, Switch, number_text
from gui.form import Form
from gui.texts import Chips, TextArea, TextLine, escaped, unescaped
from tests.gui.form_bench import Bench, Everything, bench, retype, wheel

pytestmark = pytest.mark.usefixtures("theme")


@pytest.fixture(name="everything", params=[False, True], ids=["wide", "compact"])
def _everything(qtbot: QtBot, request: pytest.FixtureRequest) -> Bench:
    return bench(qtbot, Everything(), compact=request.param)


def test_the_slider_and_the_number_move_together(everything: Bench, qtbot: QtBot) -> None:
    """The keys of the slider go by steps; the field takes what lies between them."""
    slider, box = everything.find(Slider, "Share"), everything.find(NumberBox, "Share")
    slider.setFocus()
    qtbot.keyClick(slider, Qt.Key.Key_Right)
    assert (box.text(), everything.emitted[-1].share) == ("0.75", 0.75)
    qtbot.keyClick(slider, Qt.Key.Key_Home)
    assert everything.emitted[-1].share == 0.25  # above 0, by a step
    retype(qtbot, box, "0.6")
    assert everything.emitted[-1].share == 0.6
    assert slider.value() == 1
    qtbot.mouseClick(slider, Qt.MouseButton.LeftButton, pos=QPoint(slider.width() - 4, slider.height() // 2))
    assert everything.emitted[-1].share == 1.0


def test_arrow_keys_step_in_decimal_numbers_and_stop_at_the_bounds(everything: Bench, qtbot: QtBot) -> None:
    """0.1 and 0.2 are 0.3, a small number goes in tenths of its own size, and no key leads out of the range."""
    rate = everything.find(NumberBox, "Learning rate")
    rate.setFocus()
    qtbot.keyClick(rate, Qt.Key.Key_Up)
    assert everything.emitted[-1].rate == 1.1e-6
    qtbot.keyClick(rate, Qt.Key.Key_Down)
    assert everything.emitted[-1].rate == 1e-6
    count = everything.find(NumberBox, "Count")
    count.setFocus()
    qtbot.keyClick(count, Qt.Key.Key_PageDown)
    qtbot.keyClick(count, Qt.Key.Key_Down)
    assert everything.emitted[-1].count == 2
    assert isinstance(everything.emitted[-1].count, int)


def test_a_number_is_tidied_when_the_field_is_left(everything: Bench, qtbot: QtBot) -> None:
    """Not while it is being typed."""
    box = everything.find(NumberBox, "Share")
    retype(qtbot, box, " 0.250")
    assert box.text() == " 0.250"
    assert everything.form.settings().share == 0.25  # type: ignore[attr-defined]
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert box.text() == "0.25"


def test_the_wheel_turns_nothing_that_has_no_focus(qtbot: QtBot) -> None:
    """It scrolls the panel instead."""
    made = bench(qtbot, Everything(), compact=True)
    scroll = QScrollArea()
    qtbot.addWidget(scroll)
    scroll.setWidgetResizable(True)
    scroll.setWidget(made.form)
    scroll.resize(280, 200)
    with qtbot.waitExposed(scroll):
        scroll.show()
    made.find(TextLine, "Name").setFocus()
    bar = scroll.verticalScrollBar()
    for kind, title in ((NumberBox, "Layers"), (Slider, "Layers"), (Choice, "Kind")):
        control = made.find(kind, title)
        scroll.ensureWidgetVisible(control)
        before = bar.value()
        wheel(control, 120)
        assert bar.value() < before, title
    assert made.emitted == []
    for kind, title in ((NumberBox, "Layers"), (Slider, "Layers"), (Choice, "Kind")):
        control = made.find(kind, title)
        scroll.ensureWidgetVisible(control)
        control.setFocus()
        wheel(control, -120)
    assert [(one.layers, one.kind) for one in made.emitted] == [(15, "grpo"), (12, "grpo"), (12, "float32")]


def test_an_optional_number_may_be_empty(qtbot: QtBot) -> None:
    """And says what that means."""
    made = bench(qtbot, Sampling(seed=5), compact=True)
    box = made.find(NumberBox, "Seed")
    assert box.findChild(QLineEdit).placeholderText() == "Random"
    retype(qtbot, box, "")
    assert made.emitted[-1].seed is None
    qtbot.keyClicks(box, "2147483648")
    assert made.emitted[-1].seed == 214748364
    most = number_text(2147483647, grouped=True)
    assert made.complaints() == [f"Enter a whole number between 0 and {most}, or leave this empty."]


def test_choices_have_plain_names(everything: Bench, qtbot: QtBot) -> None:
    """Those the model gives, those of keys, and otherwise the value with a capital; technical names stay."""
    box = everything.find(Choice, "Kind")
    assert [box.itemText(place) for place in range(box.count())] == ["GRPO", "float32", "Dr grpo"]
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Down)
    assert everything.emitted[-1].kind == "float32"
    maybe = everything.find(Choice, "Maybe")
    assert maybe.currentText() == "None"
    maybe.setFocus()
    qtbot.keyClick(maybe, Qt.Key.Key_Down)
    assert everything.emitted[-1].maybe == "yes"
    keys = Bench(Form(Settings())).find(Choice, "Send messages with")
    assert [keys.itemText(place) for place in range(2)] in (["Return", "Ctrl+Return"], ["↩", "⌘↩"])


def test_the_menu_of_a_choice_can_be_drawn_and_used(everything: Bench, qtbot: QtBot) -> None:
    """Its item lies over the field, with the check mark beside."""
    box = everything.find(Choice, "Kind")
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Space)
    menu = box.view()
    assert menu.isVisible()
    assert not menu.window().grab().isNull()
    qtbot.keyClick(menu, Qt.Key.Key_Down)
    qtbot.keyClick(menu, Qt.Key.Key_Return)
    assert everything.emitted[-1].kind == "float32"


def test_a_switch_goes_by_space_and_by_mouse(everything: Bench, qtbot: QtBot) -> None:
    """Everywhere on its track."""
    switch = everything.find(Switch, "Switch")
    switch.setFocus()
    qtbot.keyClick(switch, Qt.Key.Key_Space)
    qtbot.mouseClick(switch, Qt.MouseButton.LeftButton, pos=QPoint(30, 12))
    assert [one.on for one in everything.emitted] == [True, False]


def test_texts_are_emitted_when_typing_pauses(everything: Bench, qtbot: QtBot) -> None:
    """Once, and at once where somebody asks, or leaves the field."""
    area = everything.find(TextArea, "Text")
    area.setFocus()
    with qtbot.waitSignal(everything.form.changed):
        qtbot.keyClicks(area, "Answer in verse.")
    assert [one.text for one in everything.emitted] == ["Answer in verse."]
    line = everything.find(TextLine, "Alias")
    line.setFocus()
    qtbot.keyClicks(line, "me")
    assert everything.form.settings().alias == "me"  # type: ignore[attr-defined]
    retype(qtbot, line, "")
    qtbot.keyClick(line, Qt.Key.Key_Tab)
    assert everything.emitted[-1].alias is None
    retype(qtbot, area, "Be brief.")
    everything.form.hide()
    assert everything.emitted[-1].text == "Be brief."


def test_stop_strings_are_chips(everything: Bench, qtbot: QtBot) -> None:
    """Return closes one, Backspace opens the last again, a click or Delete takes one away."""
    chips = everything.find(Chips, "Stop strings")
    line = chips.line
    line.setFocus()
    qtbot.keyClicks(line, r"\nUser: ")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    qtbot.keyClicks(line, "</s>")
    qtbot.keyClick(line, Qt.Key.Key_Tab)
    assert everything.emitted[-1].stop == ("\nUser: ", "</s>")
    line.setFocus()
    qtbot.keyClick(line, Qt.Key.Key_Backspace)
    assert (line.text(), everything.emitted[-1].stop) == ("</s>", ("\nUser: ",))
    qtbot.keyClicks(line, "x")
    assert everything.form.settings().stop == ("\nUser: ", "</s>x")  # type: ignore[attr-defined]
    first = next(child for child in chips.findChildren(QPushButton) if child.isVisible())
    assert (first.text(), first.accessibleName()) == (r"\nUser:␣  ×", r"Remove \nUser:␣")
    qtbot.mouseClick(first, Qt.MouseButton.LeftButton)
    assert everything.emitted[-1].stop == ("</s>x",)
    qtbot.keyClick(line, Qt.Key.Key_Tab)
    last = QApplication.focusWidget()
    assert isinstance(last, QPushButton)
    qtbot.keyClick(last, Qt.Key.Key_Delete)
    assert everything.emitted[-1].stop == ()
    assert line.hasFocus()


def test_many_chips_flow_into_rows(qtbot: QtBot) -> None:
    """The field grows, and no chip is cut off."""
    made = bench(qtbot, Sampling(), compact=True)
    chips = made.find(Chips, "Stop strings")
    before = chips.height()
    made.form.set_settings(Sampling(stop=("one", "two", "a very long stop string, longer than a row", "three", "four")))
    assert chips.height() > 2 * before
    for button in chips.findChildren(QPushButton):
        assert not button.isVisible() or chips.rect().contains(button.geometry())


@given(st.text())
def test_every_text_can_be_written_in_one_line(text: str) -> None:
    """And is read back as it was."""
    shown = escaped(text)
    assert shown.isprintable()
    assert unescaped(shown) == text


def test_a_field_without_an_editor_is_a_fault_of_the_program() -> None:
    """It is found when the form is made, not when somebody looks for the field."""

    class Odd(BaseModel):
        mapping: dict[str, int] = {}

    with pytest.raises(TypeError, match="mapping"):
        Form(Odd())
