"""What guessing ahead did for an answer, in words, and the switch for it."""

from __future__ import annotations

import dataclasses

from pytestqt.qtbot import QtBot

from engine.chat.conversations import Message
from engine.config import Sampling
from gui import theme as looks
from gui.chat.footer import details, summary
from gui.chat.inspector import Inspector
from gui.chat.speed import Speeds, tokens_a_pass
from gui.window import MainWindow
from tests.gui.chat.messages import message
from tests.gui.chat.test_page import WAIT, answered, say


def answer(speed: float, drafted: int = 0, accepted: int = 0) -> Message:
    made = message("assistant", "x", stop="end")
    assert made.stats is not None
    stats = dataclasses.replace(made.stats, tokens_per_second=speed, drafted=drafted, accepted=accepted)
    return dataclasses.replace(made, stats=stats)


def test_the_share_of_right_guesses_is_said_and_the_speed_compared_where_it_was_measured() -> None:
    speeds, guessed = Speeds(), answer(70.0, drafted=50, accepted=31)
    assert speeds.effect(guessed) == "The last answer: 62 % of guesses right"
    assert speeds.effect(answer(50.0)) == ""
    speeds.note(answer(50.0))
    speeds.note(guessed)
    assert speeds.effect(guessed) == ("The last answer: 62 % of guesses right, 1.4x the speed of the last one without")
    assert speeds.effect(message("assistant", "no figures")) == ""


def test_the_footer_says_it_too() -> None:
    guessed = answer(70.0, drafted=50, accepted=31)
    assert "62 % of guesses right" in summary(guessed)
    assert "Guessed ahead: 31 of 50 tokens right, 4.1 tokens a pass of the model" in details(guessed)
    assert "uess" not in summary(answer(50.0)) + details(answer(50.0))
    assert tokens_a_pass(answer(50.0)) == 1.0
    assert tokens_a_pass(answer(50.0, drafted=50, accepted=41)) == 41.0


def test_what_was_left_out_stands_in_the_details() -> None:
    made = answer(50.0)
    assert made.stats is not None
    for summarised, words in ((False, "Left out: 6"), (True, "Summarised: 6")):
        stats = dataclasses.replace(made.stats, left_out=6, summarised=summarised)
        assert f"{words} of the oldest messages" in details(dataclasses.replace(made, stats=stats))


def test_the_switch_is_a_setting(qtbot: QtBot, window: MainWindow) -> None:
    with qtbot.waitSignal(window.shown):
        pass
    inspector = window.chat.inspector
    window.chat.header.panel.setChecked(True)
    assert not inspector.speculative.isChecked()
    inspector.speculative.click()
    assert window.desk.settings.speculative
    assert window.desk.chat_options().draft == "auto"
    window.desk.change_settings(window.desk.settings.model_copy(update={"speculative": False}))
    assert not inspector.speculative.isChecked()


def test_the_effect_is_shown_while_it_is_on(qtbot: QtBot, theme: looks.Theme) -> None:
    inspector = Inspector()
    qtbot.addWidget(inspector)
    inspector.show_speculation(True, "measured")
    assert inspector.effect.text() == "measured"
    inspector.show_speculation(False, "measured")
    assert "guesses ahead" in inspector.effect.text()
    assert theme.dark is False


def test_guesses_are_measured_and_shown(qtbot: QtBot, window: MainWindow) -> None:
    chat = window.chat
    qtbot.waitUntil(lambda: chat.loaded is not None, timeout=WAIT)
    chat.manners.set_sampling(Sampling(temperature=0.0))
    say(qtbot, chat, "What is 47 + 38?")
    plain = answered(qtbot, chat)
    window.desk.change_settings(window.desk.settings.model_copy(update={"speculative": True, "draft_model": "starter"}))
    chat.regenerate(plain.id)
    guessed = answered(qtbot, chat)
    assert guessed.stats is not None
    assert guessed.stats.drafted > 0
    assert guessed.text == plain.text
    assert "of guesses right" in summary(guessed)
    assert chat.inspector.effect.text().startswith("The last answer: ")
    assert chat.inspector.effect.text().endswith("the speed of the last one without")
