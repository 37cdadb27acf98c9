"""The tokens of an answer through the real starter and lane, by mouse and by keys."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QEnterEvent
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from engine.chat_events import TokenScored
from gui import theme as looks
from gui.chat import token_view_scale as scale
from gui.chat.token_view import TokenView
from gui.chat.token_view_card import WIDTH, ranked
from gui.chat.token_view_flow import TokenFlow
from gui.chat.token_view_layout import Flow, visible
from gui.desk import Desk

WAIT = 60_000
ANSWER = "<reasoning>47 + 38 = 75</reasoning>\n<answer>85</answer>"

Open = Callable[..., TokenView]


@pytest.fixture
def desk(theme: looks.Theme) -> Iterator[Desk]:
    theme.wish("light")
    desk = Desk()
    yield desk
    desk.close()


@pytest.fixture(name="opened")
def _opened(qtbot: QtBot, desk: Desk) -> Open:
    def opened(text: str = ANSWER, *, writer: str = "starter", model: str = "starter", wait: bool = True) -> TokenView:
        conversation = desk.store.create(model="starter").id
        question = desk.store.add(conversation, None, "user", "What is 47 + 38?")
        answer = desk.store.add(conversation, question.id, "assistant", text, model=writer)
        view = TokenView(desk, answer, model)
        qtbot.addWidget(view)
        view.show()
        if wait:
            qtbot.waitUntil(lambda: not view.running, timeout=WAIT)
        return view

    return opened


def point(view: TokenView, token: int) -> QPoint:
    """The middle of a token in the flow's viewport."""
    return view.flow.place_of(token).center() - view.flow.viewport().pos()


def test_all_tokens_come_with_their_figures(opened: Open) -> None:
    view = opened()
    assert "".join(token.text for token in view.flow.tokens) == ANSWER
    logprobs = [token.logprob for token in view.flow.tokens]
    figures = view.figures.texts()
    assert figures["Tokens"] == str(len(logprobs))
    assert figures["Mean probability"] == scale.percent(sum(map(math.exp, logprobs)) / len(logprobs))
    assert figures["Perplexity"].replace(",", "") == f"{math.exp(-sum(logprobs) / len(logprobs)):.0f}"
    assert not view.bar.isVisible()
    assert not view.hint.isVisible()


def test_the_mouse_shows_a_token_and_a_press_goes_on_from_an_alternative(qtbot: QtBot, opened: Open) -> None:
    view = opened()
    view.flow.point(12)
    assert view.card.isVisible()
    token = view.flow.tokens[12]
    assert view.card.position == 12
    shown = [row for row in view.card.rows if row.isVisible()]
    assert len(shown) == 8
    place = view.flow.place_of(12).translated(view.flow.pos())
    assert view.card.y() in (place.bottom() + 1, place.top() - view.card.height()), "the mouse can go over"
    assert shown[0].accessibleName() == "Continue from here with <answer>"
    with qtbot.waitSignal(view.continued) as wanted:
        qtbot.mouseClick(shown[0], Qt.MouseButton.LeftButton)
    message, ids = wanted.args
    assert message == view._message.id
    assert ids == (*[one.token for one in view.flow.tokens[:12]], token.alternatives[0][0])
    assert not view.isVisible()


def test_the_card_follows_the_mouse_and_goes_with_it(qtbot: QtBot, opened: Open) -> None:
    view = opened()
    qtbot.mouseMove(view.flow.viewport(), point(view, 3))
    qtbot.waitUntil(lambda: view.card.position == 3 and view.card.isVisible())
    qtbot.mouseMove(view.flow.viewport(), point(view, 6))
    qtbot.waitUntil(lambda: view.card.position == 6)
    view.flow.point(-1)
    middle = QPointF(WIDTH / 2, 20)
    QApplication.sendEvent(view.card, QEnterEvent(middle, middle, middle))
    qtbot.wait(300)
    assert view.card.isVisible(), "the mouse is on it"
    QApplication.sendEvent(view.card, QEvent(QEvent.Type.Leave))
    qtbot.waitUntil(lambda: not view.card.isVisible())


def test_keys_go_through_the_tokens_and_into_the_card(qtbot: QtBot, opened: Open) -> None:
    view = opened()
    view.activateWindow()
    view.flow.setFocus()
    for key, there in (
        (Qt.Key.Key_Right, 0),
        (Qt.Key.Key_Right, 1),
        (Qt.Key.Key_End, 16),
        (Qt.Key.Key_Home, 0),
        (Qt.Key.Key_Left, 0),
    ):
        qtbot.keyClick(view.flow, key)
        assert view.flow.current == there
    assert "<reasoning>" in view.flow.accessibleDescription()
    qtbot.keyClick(view.flow, Qt.Key.Key_Down)
    assert view.flow.tokens[view.flow.current].text == "<answer>"
    qtbot.keyClick(view.flow, Qt.Key.Key_Up)
    assert view.flow.current == 0
    qtbot.keyClick(view.flow, Qt.Key.Key_Return)
    assert view.card.rows[0].hasFocus()
    qtbot.keyClick(view.card.rows[0], Qt.Key.Key_Down)
    assert view.card.rows[1].hasFocus()
    qtbot.keyClick(view.card.rows[1], Qt.Key.Key_Escape)
    assert view.flow.hasFocus()
    assert not view.card.isVisible()
    assert view.isVisible()
    qtbot.keyClick(view.flow, Qt.Key.Key_Return)
    with qtbot.waitSignal(view.continued) as wanted:
        qtbot.keyClick(view.card.rows[0], Qt.Key.Key_Return)
    assert wanted.args[1] == (view.flow.tokens[0].alternatives[0][0],)


def test_the_least_likely_tokens_are_named_and_gone_to(qtbot: QtBot, opened: Open) -> None:
    view = opened("1 + 1 = 2\n" * 60)
    view.resize(700, 460)
    least = min(view.flow.tokens, key=lambda token: token.logprob)
    row = view.unlikely[0]
    assert row.isVisible()
    qtbot.mouseClick(row, Qt.MouseButton.LeftButton)
    assert view.flow.current == least.position
    assert view.flow.viewport().rect().contains(point(view, least.position))
    assert view.card.isVisible()


def test_another_model_in_use_is_said(opened: Open) -> None:
    view = opened(writer="somebody/else-7B")
    assert view.hint.isVisible()
    assert "else-7B" in view.hint.sentences[0]


def test_going_on_waits_for_the_answer_under_way(opened: Open) -> None:
    view = opened()
    view.set_busy(True)
    view.flow.point(2)
    assert not any(row.isEnabled() for row in view.card.rows)


def test_a_model_that_is_gone_is_an_error_in_its_place(opened: Open) -> None:
    view = opened(model="/nowhere/at/all")
    assert view.failure.isVisible()
    assert "/nowhere/at/all" in view.failure.text()
    assert not view.flow.isVisible()


def test_closing_ends_the_reading(qtbot: QtBot, desk: Desk, opened: Open) -> None:
    view = opened("1 " * 3000, wait=False)
    view.reject()
    qtbot.waitUntil(lambda: not desk.compute.busy, timeout=WAIT)
    assert len(view.flow.tokens) < 6000


def fake(position: int, text: str, logprob: float = -0.1) -> TokenScored:
    return TokenScored(position, 7, text, logprob, 0, ((7, text, logprob),))


def test_thousands_of_tokens_are_one_widget_and_only_what_is_seen_is_painted(
    qtbot: QtBot, theme: looks.Theme, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = TokenFlow()
    qtbot.addWidget(flow)
    flow.resize(500, 300)
    flow.show()
    flow.add([fake(place, f" word{place}") for place in range(20_000)])
    painted: list[int] = []
    paint = TokenFlow._paint
    monkeypatch.setattr(TokenFlow, "_paint", lambda *given: (painted.append(given[3].token), paint(*given)))
    flow.go_to(10_000)
    flow.grab()
    assert 0 < len(painted) < 300
    assert 10_000 in painted
    assert len(flow.findChildren(QWidget)) < 20


def test_the_mouse_has_only_the_tokens_under_it_painted(
    qtbot: QtBot, theme: looks.Theme, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = TokenFlow()
    qtbot.addWidget(flow)
    flow.resize(500, 300)
    flow.show()
    flow.add([fake(place, f" word{place}") for place in range(500)])
    qtbot.waitExposed(flow)
    qtbot.wait(50)
    lines: set[int] = set()
    paint = TokenFlow._paint
    monkeypatch.setattr(
        TokenFlow, "_paint", lambda *given: (lines.add(flow._flow.line_of(given[3].token)), paint(*given))
    )
    flow.point(20)
    qtbot.waitUntil(lambda: bool(lines))
    assert len(lines) <= 3


def test_what_cannot_be_seen_has_a_sign(qtbot: QtBot, theme: looks.Theme) -> None:
    flow = TokenFlow()
    qtbot.addWidget(flow)
    flow.add([fake(0, "a\n\n"), fake(1, "  b\t"), fake(2, ""), fake(3, "\x1b\u202e\r")])
    texts = [box.text for line in flow._flow.lines for box in line]
    assert texts == ["a↵", "↵", "␣␣b⇥", "·", "␛�␍"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab \n", max_size=6), min_size=1, max_size=60), st.integers(20, 200), st.integers(20, 200))
def test_tokens_flow_in_order_and_are_found_where_they_stand(texts: list[str], before: int, width: int) -> None:
    flow = Flow(lambda text: 7.0 * len(text))
    flow.set_width(before)
    for text in texts:
        flow.add(text)
    flow.set_width(width)
    again = Flow(lambda text: 7.0 * len(text))
    again.set_width(width)
    for text in texts:
        again.add(text)
    assert flow.lines == again.lines
    order = [box.token for line in flow.lines for box in line]
    assert order == sorted(order)
    assert set(order) == set(range(len(texts)))
    for token, text in enumerate(texts):
        boxes = list(flow.boxes(token))
        assert boxes[0][0] == flow.line_of(token)
        assert "".join(box.text for _, box in boxes) == visible(text)
        for line, box in boxes:
            assert box.x + box.width <= width + 1e-9
            assert flow.token_at(line, box.x + box.width / 2) == token


def luminance(colour: str) -> float:
    """As WCAG 2 defines it."""
    parts = [channel / 12.92 if channel <= 0.03928 else ((channel + 0.055) / 1.055) ** 2.4
             for channel in QColor(colour).getRgbF()[:3]]  # fmt: skip
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize(("classes", "colours"), [(scale.LIGHT, looks.LIGHT), (scale.DARK, looks.DARK)])
def test_the_classes_are_readable_and_told_apart_by_lightness(
    classes: tuple[tuple[str, str], ...], colours: looks.Colours
) -> None:
    grounds = [luminance(ground or colours.raised) for ground, _ in classes]
    for ground, (_, text) in zip(grounds, classes, strict=True):
        low, high = sorted((ground, luminance(text)))
        assert (high + 0.05) / (low + 0.05) >= 4.5
    assert grounds in (sorted(grounds), sorted(grounds, reverse=True))


@pytest.mark.parametrize(
    ("probability", "said"),
    [(1.0, "100 %"), (0.9996, "100 %"), (0.5, "50.0 %"), (0.0042, "0.42 %"), (0.00003, "0.003 %"), (1e-9, "< 0.001 %")],
)
def test_a_probability_is_said_with_the_digits_it_needs(probability: float, said: str) -> None:
    assert scale.percent(probability) == said


def test_a_rank_is_said_in_words() -> None:
    assert [ranked(rank) for rank in (0, 1, 1234)] == [
        "The likeliest token in this place",
        "One token was likelier",
        "1,234 tokens were likelier",
    ]
