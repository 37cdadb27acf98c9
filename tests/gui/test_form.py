"""Forms on real widgets: what they mark, emit, reset and draw."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from engine.config import Sampling
from gui.controls import Choice, NumberBox, Slider, Switch
from gui.form import Form
from gui.texts import TextArea, TextLine
from gui.theme import Theme
from tests.gui.form_bench import Bench, Everything, Inner, bench, retype

pytestmark = pytest.mark.usefixtures("theme")


class Pair(BaseModel):
    """Two fields that depend on each other, and one without a default."""

    model_config = ConfigDict(frozen=True)

    low: int = Field(1, ge=0, le=9, title="Low")
    high: int = Field(ge=0, le=9, title="High")

    @model_validator(mode="after")
    def _ordered(self) -> Pair:
        if self.low > self.high:
            raise ValueError("Low must not be above high.")
        return self


@pytest.fixture(name="everything", params=[False, True], ids=["wide", "compact"])
def _everything(qtbot: QtBot, request: pytest.FixtureRequest) -> Bench:
    return bench(qtbot, Everything(), compact=request.param)


@given(
    st.builds(
        Sampling,
        temperature=st.floats(0, 2),
        top_p=st.floats(0, 1, exclude_min=True),
        top_k=st.integers(0, 1000),
        min_p=st.floats(0, 1),
        repetition_penalty=st.floats(1, 2),
        max_tokens=st.integers(1, 131072),
        seed=st.none() | st.integers(0, 2**31 - 1),
        stop=st.lists(st.text()).map(tuple),
    ),
    st.booleans(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_form_gives_back_exactly_what_it_was_given(qtbot: QtBot, sampling: Sampling, compact: bool) -> None:
    """Whatever the controls can show: no value is rounded on its way through."""
    form = Form(sampling, compact=compact)
    assert form.settings() == sampling
    other = Form(Sampling())
    other.set_settings(sampling)
    assert other.settings() == sampling
    form.deleteLater()
    other.deleteLater()


def test_every_control_has_a_name_help_and_a_place_in_the_tab_order(everything: Bench, qtbot: QtBot) -> None:
    """Nothing is out of reach of the keyboard or of a screen reader."""
    form = everything.form
    box = everything.find(NumberBox, "Learning rate")
    assert box.accessibleDescription() == "How far a step goes; a < b."
    assert box.toolTip() == "<qt>How far a step goes; a &lt; b.</qt>"
    everything.find(NumberBox, "Untitled one")
    reached: list[str] = []
    box.setFocus()
    for _ in range(40):
        focus = QApplication.focusWidget()
        assert focus is not None
        above = focus.parentWidget()
        name = focus.accessibleName() or (above.accessibleName() if above else "")
        reached.append(f"{type(focus).__name__} {name}")
        qtbot.keyClick(focus, Qt.Key.Key_Tab)
    first_round = reached[: reached.index(reached[0], 1)]
    assert first_round == [
        "NumberBox Learning rate",
        "Slider Share",
        "NumberBox Share",
        "NumberBox Clip",
        "Switch Switch",
        "Choice Kind",
        "Choice Maybe",
        "TextLine Name",
        "TextLine Alias",
        "TextArea Text",
        "QLineEdit Stop strings",
        "Slider Depth",
        "NumberBox Depth",
        "NumberBox Untitled one",
        "NumberBox Count",
        "Slider Layers",
        "NumberBox Layers",
        "Disclosure ",
    ]
    assert form.settings() == Everything()
    assert everything.emitted == []


@pytest.mark.parametrize(
    ("title", "text", "sentence"),
    [
        ("Share", "3", "Enter a number above 0 up to 1."),
        ("Share", "", "Enter a number above 0 up to 1."),
        ("Learning rate", "fast", "Enter a number above 0."),
        ("Learning rate", "inf", "Enter a number above 0."),
        ("Count", "1", "Enter a whole number from 2."),
        ("Count", "2.5", "Enter a whole number from 2."),
        ("Layers", "65", "Enter a whole number between 1 and 64."),
        ("Clip", "-1", "Enter a number above 0, or leave this empty."),
    ],
)
def test_what_is_not_valid_is_marked_and_never_emitted(
    everything: Bench, qtbot: QtBot, title: str, text: str, sentence: str
) -> None:
    """The field is red and says what it takes, until it holds that."""
    box = everything.find(NumberBox, title)
    retype(qtbot, box, text)
    assert everything.complaints() == [sentence]
    assert box.property("state") == "wrong"
    assert title in everything.resets()
    assert all(Everything.model_validate(dict(one)) for one in everything.emitted)
    before = everything.form.settings()
    qtbot.keyClick(box, Qt.Key.Key_Tab)
    assert box.text() == text  # leaving it does not hide it
    everything.form.set_settings(before)  # nor does an echo of what was emitted
    assert everything.complaints() == [sentence]
    everything.form.revert()
    assert everything.complaints() == []
    assert not box.property("state")
    assert everything.form.settings() == before


def test_a_field_that_differs_has_a_way_back(everything: Bench, qtbot: QtBot) -> None:
    """The arrow is there only then, can be used from the keyboard, and hands the focus to the field."""
    box = everything.find(NumberBox, "Count")
    assert everything.resets() == []
    retype(qtbot, box, "40")
    assert everything.resets() == ["Count"]
    qtbot.keyClick(box, Qt.Key.Key_Tab)
    button = QApplication.focusWidget()
    assert isinstance(button, QToolButton)
    qtbot.keyClick(button, Qt.Key.Key_Space)
    assert (box.text(), everything.emitted[-1], everything.resets()) == ("4", Everything(), [])
    assert box.hasFocus()


def test_reset_goes_back_everywhere_and_emits_once(everything: Bench, qtbot: QtBot) -> None:
    """Also in models inside, whose default is what the outer model says, and from what was not valid."""
    retype(qtbot, everything.find(NumberBox, "Depth"), "9")
    retype(qtbot, everything.find(NumberBox, "Count"), "x")
    assert everything.resets() == ["Depth", "Count"]
    everything.emitted.clear()
    everything.form.reset()
    assert everything.emitted == [Everything()]
    assert everything.resets() == everything.complaints() == []
    assert everything.find(NumberBox, "Depth").text() == "5"
    everything.form.reset()
    assert len(everything.emitted) == 1


def test_other_defaults_can_be_given(qtbot: QtBot) -> None:
    """A conversation goes back to the person's settings, not to the program's."""
    made = bench(qtbot, Sampling(), defaults=Sampling(temperature=0.2))
    assert made.resets() == ["Temperature"]
    made.form.reset()
    assert made.emitted == [Sampling(temperature=0.2)]


def test_a_text_that_the_model_refuses_is_marked(everything: Bench, qtbot: QtBot) -> None:
    """In the model's words."""
    line = everything.find(TextLine, "Name")
    retype(qtbot, line, "too long")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert everything.complaints() == ["String should have at most 5 characters"]
    assert everything.emitted == []
    retype(qtbot, line, "short")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert everything.complaints() == []
    assert everything.emitted[-1].name == "short"


def test_showing_other_settings_emits_nothing(everything: Bench) -> None:
    """And shows them everywhere."""
    other = Everything(
        rate=0.5, share=0.25, count=99, layers=1, clip=2.0, on=True, kind="dr-grpo", maybe="no", name="n", alias="a",
        text="t", stop=("s",), inner=Inner(depth=1), rare=5, untitled_one=0,
    )  # fmt: skip
    everything.form.set_settings(other)
    assert everything.emitted == []
    assert everything.find(NumberBox, "Learning rate").text() == "0.5"
    assert everything.find(NumberBox, "Depth").text() == "1"
    assert everything.find(Switch, "Switch").isChecked()
    assert everything.find(Choice, "Kind").currentText() == "Dr grpo"
    assert everything.find(TextArea, "Text").toPlainText() == "t"
    assert everything.form.settings() == other


def test_fields_can_be_left_out_and_keep_their_value(qtbot: QtBot) -> None:
    """A panel may show a part of a model."""
    made = bench(qtbot, Sampling(seed=3), exclude=("seed", "stop"))
    retype(qtbot, made.find(NumberBox, "Top-k"), "5")
    assert made.emitted[-1] == Sampling(seed=3, top_k=5)
    assert not [child for child in made.form.findChildren(QWidget) if child.accessibleName() == "Seed"]


def test_a_rule_between_fields_is_told_and_kept(qtbot: QtBot) -> None:
    """What is not valid yet is taken as soon as another change makes it so."""
    made = bench(qtbot, Pair(high=5))
    low, high = made.find(NumberBox, "Low"), made.find(NumberBox, "High")
    retype(qtbot, low, "7")
    assert made.complaints() == ["Low must not be above high."]
    assert made.emitted == []
    retype(qtbot, high, "8")
    assert made.complaints() == []
    assert made.emitted == [Pair(low=7, high=8)]
    assert made.resets() == ["Low"]  # there is no default for the other
    made.form.reset()
    assert made.emitted[-1] == Pair(low=1, high=8)


def test_advanced_fields_are_folded_away(everything: Bench, qtbot: QtBot) -> None:
    """One click or key shows them; until then they are not even made."""
    assert "Rare" not in [box.accessibleName() for box in everything.form.findChildren(NumberBox)]
    (fold,) = [button for button in everything.form.findChildren(QToolButton) if button.text() == "Advanced"]
    fold.setFocus()
    qtbot.keyClick(fold, Qt.Key.Key_Space)
    rare = everything.find(NumberBox, "Rare")
    assert rare.isVisible()
    retype(qtbot, rare, "4")
    assert everything.emitted[-1].rare == 4
    assert fold.text() == "Advanced · 1 changed"
    qtbot.mouseClick(fold, Qt.MouseButton.LeftButton)
    assert not rare.isVisible()


def test_what_is_folded_away_can_be_set_and_found(everything: Bench) -> None:
    """A value given from outside is there when the rows are made, and a search opens what it finds."""
    form = everything.form
    form.set_settings(Everything(rare=5))
    form.enable(["rare"], False)
    assert form.search("rare") == 1
    rare = everything.find(NumberBox, "Rare")
    assert (rare.isVisible(), rare.text(), rare.isEnabled()) == (True, "5", False)
    assert not everything.find(NumberBox, "Count").isVisible()
    assert form.search("How far a STEP") == 1  # the help of a field counts
    assert everything.find(NumberBox, "Learning rate").isVisible()
    assert not rare.isVisible()
    assert form.search("nothing of this") == 0
    assert form.search("") == len(Everything.model_fields)
    assert everything.find(NumberBox, "Count").isVisible()
    assert not rare.isVisible()  # closed again, as the person left it


def test_a_reset_goes_back_to_the_defaults_it_was_given(everything: Bench) -> None:
    everything.form.set_defaults(Everything(count=9))
    assert everything.resets() == ["Count"]
    everything.form.reset()
    assert everything.form.settings() == Everything(count=9)


def test_groups_and_models_inside_have_titles(everything: Bench) -> None:
    """And units stand beside their fields."""
    words = [label.text() for label in everything.form.findChildren(QLabel) if label.isVisible()]
    assert {"Numbers", "Inside", "parts", "Untitled one"} <= set(words)


def test_both_appearances_can_be_drawn_in_every_state(everything: Bench, theme: Theme, qtbot: QtBot) -> None:
    """With the focus, wrong, and disabled; a warning of the painter would fail this."""
    try:
        for wish in ("dark", "light"):
            theme.wish(wish)
            pictures = [everything.form.grab().toImage()]
            for kind, title in ((Slider, "Layers"), (NumberBox, "Layers"), (Switch, "Switch"), (Choice, "Kind")):
                everything.find(kind, title).setFocus()
                pictures.append(everything.form.grab().toImage())
            retype(qtbot, everything.find(NumberBox, "Count"), "x")
            pictures.append(everything.form.grab().toImage())
            everything.form.setEnabled(False)
            pictures.append(everything.form.grab().toImage())
            everything.form.setEnabled(True)
            assert all(one != other for one, other in pairwise(pictures)), "the focus is not seen"
    finally:
        theme.wish("system")
