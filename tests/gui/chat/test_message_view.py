"""One message: the bubble, the reasoning, the footer, the error, what assistive programs are told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from engine.chat.conversations import Message
from gui import theme as looks
from gui.chat.column import Work
from gui.chat.footer import Footer, summary
from gui.chat.message_view import AnswerView, MessageView
from gui.chat.prose_view import ProseView
from gui.chat.reasoning_view import ReasoningView
from gui.chat.user_view import UserView
from tests.gui.chat.messages import message

Make = Callable[[Message], MessageView]
WIDTH = 616


@pytest.fixture
def make(qtbot: QtBot, theme: looks.Theme) -> Iterator[Make]:
    theme.wish("light")
    parent = QWidget()
    parent.resize(640, 480)
    qtbot.addWidget(parent)
    parent.show()

    def build(what: Message) -> MessageView:
        view = UserView(parent, what) if what.role == "user" else AnswerView(parent, what)
        fit(view)
        view.show()
        return view

    yield build
    parent.close()


def fit(view: MessageView) -> int:
    height = view.fit(WIDTH, 0, 10_000, Work(10))
    view.resize(WIDTH, height)
    return height


def button(view: QWidget, name: str) -> QToolButton:
    return next(found for found in view.findChildren(QToolButton) if found.accessibleName() == name)


def texts(view: QWidget) -> list[str]:
    return [prose.toPlainText() for prose in view.findChildren(ProseView) if prose.isVisible()]


def test_a_short_question_has_a_narrow_bubble_at_the_right(make: Make) -> None:
    short, long = make(message("user", "Hi")), make(message("user", "word " * 200))
    assert isinstance(short, UserView)
    assert isinstance(long, UserView)
    assert short._bubble.right() == long._bubble.right() == WIDTH - 8
    assert short._bubble.width() < 60
    assert 440 < long._bubble.width() <= 480
    assert texts(short) == ["Hi"]


def test_a_question_is_shown_and_copied_as_it_was_typed(qtbot: QtBot, make: Make) -> None:
    view = make(message("user", "# not a *heading*\n  1 < 2"))
    assert texts(view) == ["# not a *heading*\n  1 < 2"]
    qtbot.mouseClick(button(view, "Copy"), Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == "# not a *heading*\n  1 < 2"


def test_a_message_says_who_wrote_it_and_what(make: Make) -> None:
    question, answer = make(message("user", "Why?")), make(message("assistant", "So.", stop="end"))
    assert (question.accessibleName(), question.accessibleDescription()) == ("You", "Why?")
    assert (answer.accessibleName(), answer.accessibleDescription()) == ("Answer", "So.")
    for view in (question, answer):
        assert all(control.accessibleName() for control in view.controls())


@pytest.mark.parametrize(
    ("state", "stop", "words"),
    [
        ("done", "end", "41 tokens · 52.3 tokens/s · first token 0.21 s · complete"),
        ("done", "length", "41 tokens · 52.3 tokens/s · first token 0.21 s · stopped at the maximum length"),
        ("stopped", "stopped", "41 tokens · 52.3 tokens/s · first token 0.21 s · stopped by you"),
        ("stopped", "", "stopped by you"),
        ("interrupted", "", "interrupted when the program closed"),
        ("failed", "", ""),
        ("done", "", ""),
    ],
)
def test_the_figures(state: str, stop: str, words: str) -> None:
    assert summary(message("assistant", "x", state, stop=stop)) == words


def test_one_token_is_not_tokens() -> None:
    one = message("assistant", "x", stop="end")
    assert one.stats is not None
    one = dataclasses.replace(one, stats=dataclasses.replace(one.stats, completion_tokens=1, tokens_per_second=0.0))
    assert summary(one) == "1 token · first token 0.21 s · complete"


def test_the_footer_tells_more_under_the_mouse_and_reads_no_markup_in_names(make: Make) -> None:
    view = make(dataclasses.replace(message("assistant", "x", stop="end"), model="<img src=x>"))
    figures = next(label for label in view.findChildren(QLabel) if "tokens" in label.text())
    assert "Seed: 42" in figures.toolTip()
    assert "&lt;img src=x&gt;" in figures.toolTip()


def test_an_answer_can_be_asked_for_again_unless_another_is_under_way(qtbot: QtBot, make: Make) -> None:
    view = make(message("assistant", "x", stop="end"))
    again = button(view, "Answer again")
    with qtbot.waitSignal(view.wanted) as signal:
        qtbot.mouseClick(again, Qt.MouseButton.LeftButton)
    assert signal.args == ["again"]
    view.set_busy(True)
    assert not again.isEnabled()


def test_copying_an_answer_gives_what_the_model_wrote(qtbot: QtBot, make: Make) -> None:
    raw = "<reasoning>a</reasoning><answer>**5**</answer>"
    view = make(message("assistant", raw, stop="end"))
    qtbot.mouseClick(button(view, "Copy the answer"), Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == raw
    assert texts(view) == ["a", "5"]


def test_a_failed_answer_says_why(make: Make) -> None:
    view = make(message("assistant", "", "failed", error="Out of memory.\nChoose a <b>smaller</b> model."))
    (label,) = [found for found in view.findChildren(QLabel) if "memory" in found.text()]
    assert label.text() == "Out of memory.\nChoose a <b>smaller</b> model."
    assert label.textFormat() == Qt.TextFormat.PlainText
    assert label.height() >= label.heightForWidth(label.width())
    assert not button(view, "Copy the answer").isVisible()


def test_from_the_reading_of_the_prompt_to_the_footer(make: Make) -> None:
    start = message("assistant", "", "writing")
    view = make(start)
    assert isinstance(view, AnswerView)
    footer = view.findChild(Footer)
    assert not footer.isVisible()
    view.set_reading(1024, 4096)
    assert any("1,024 of 4,096" in label.text() for label in view.findChildren(QLabel) if label.isVisible())
    view.append("Hel")
    view.append("lo")
    height = fit(view)
    assert texts(view) == ["Hello"]
    view.set_reading(4096, 4096)
    view.finish(dataclasses.replace(start, text="Hello", state="done"))
    assert fit(view) == height
    assert footer.isVisible()


def test_the_stored_text_wins_over_the_streamed_one(make: Make) -> None:
    start = message("assistant", "", "writing")
    view = make(start)
    assert isinstance(view, AnswerView)
    view.append("Hello, w")
    view.finish(dataclasses.replace(start, text="Hello", state="stopped"))
    fit(view)
    assert texts(view) == ["Hello"]
    assert view.text == "Hello"


def heading(view: QWidget) -> QWidget:
    return view.findChild(ReasoningView)._header


def test_short_reasoning_is_open_and_long_is_folded(qtbot: QtBot, make: Make) -> None:
    assert texts(make(message("assistant", "<think>short</think>answer"))) == ["short", "answer"]
    view = make(message("assistant", f"<think>{'long ' * 100}</think>answer"))
    assert texts(view) == ["answer"]
    assert heading(view).accessibleName() == "Reasoning"
    with qtbot.waitSignal(view.reshaped):
        qtbot.keyClick(heading(view), Qt.Key.Key_Space)
    fit(view)
    assert len(texts(view)) == 2
    assert view.in_use
    qtbot.mouseClick(heading(view), Qt.MouseButton.LeftButton)
    fit(view)
    assert texts(view) == ["answer"]


def test_reasoning_that_arrives_is_folded_and_never_shrinks(
    qtbot: QtBot, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("gui.chat.message_view.time", SimpleNamespace(monotonic=lambda: now[0]))
    start = message("assistant", "", "writing")
    view = make(start)
    assert isinstance(view, AnswerView)
    heights = []
    for piece in ["<think>First ", "thought, and ", "more of it, " * 30, "</think>", "Answer"]:
        view.append(piece)
        heights.append(fit(view))
        assert texts(view) == (["Answer"] if piece == "Answer" else [])
        if piece == "thought, and ":
            assert heading(view).accessibleName() == "Thinking…"
            assert any("First thought" in label.text() for label in view.findChildren(QLabel) if label.isVisible())
        now[0] += 1.0
    assert heights == sorted(heights)
    assert heading(view).accessibleName() == "Thought for 3 seconds"


def test_markup_of_messages_is_never_html(make: Make) -> None:
    view = make(message("assistant", "```<b>x\ncode\n```\n<i>y</i>"))
    assert any(
        label.text() == "<b>x" and label.textFormat() == Qt.TextFormat.PlainText for label in view.findChildren(QLabel)
    )
    assert texts(view) == ["<i>y</i>"]


def test_how_long_it_thought_is_known_after_a_restart(make: Make) -> None:
    stored = dataclasses.replace(message("assistant", "<think>Well.</think>Yes", stop="end"), thought=75.4)
    view = make(stored)
    assert heading(view).accessibleName() == "Thought for 1 minute"
