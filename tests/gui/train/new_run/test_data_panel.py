"""The data of a run as its page shows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui import theme
from gui.train.new_run.prompt_card import PromptCard
from gui.train.new_run.view import NewRunView
from tests.gui.train.new_run.steps import WAIT, click


def cards(view: NewRunView) -> list[PromptCard]:
    return [card for card in view.data.cards if isinstance(card, PromptCard)]


def shown(qtbot: QtBot, view: NewRunView) -> list[PromptCard]:
    """The cards of the settings as they stand."""
    qtbot.waitUntil(lambda: not view.preview.busy and not view.data._to_come, timeout=WAIT)
    return cards(view)


def test_rows_are_read_when_they_are_looked_at_and_again_when_they_change(qtbot: QtBot, view: NewRunView) -> None:
    assert not view.preview.busy
    view.show_page("data")
    assert view.preview.busy
    first = shown(qtbot, view)
    assert [card.row.held_out for card in first] == [False] * 8 + [True] * 2
    assert first[0].text.toPlainText() == first[0].row.rendered
    view.draft.change({"learning_rate": 0.1})
    assert not view.preview.busy, "this is no matter of the data"
    view.draft.change({"system_prompt": "Be brief & <b>kind</b>."})
    again = shown(qtbot, view)
    assert "Be brief & <b>kind</b>." in again[0].text.toPlainText()
    assert again[0].row.tokens > first[0].row.tokens


def test_special_tokens_are_quiet_in_every_appearance(qtbot: QtBot, view: NewRunView) -> None:
    view.show_page("data")
    card = shown(qtbot, view)[0]
    for look in ("dark", "light"):
        theme.current().wish(look)
        colours = theme.current().colours
        assert colour_of(card, card.row.rendered.index("<|user|>")) == colours.muted
        assert colour_of(card, card.row.rendered.index("What is")) == colours.text


def colour_of(card: PromptCard, place: int) -> str:
    cursor = card.text.textCursor()
    cursor.setPosition(place + 1)
    return cursor.charFormat().foreground().color().name()


def test_long_rows_are_marked_and_endless_ones_cut(qtbot: QtBot, view: NewRunView, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [("小明有三个苹果", "三"), ("word " * 4000, ""), ("x" * 9000, "1"), ("short", "2")]
    file.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in rows))
    view.draft.change({"dataset": str(file), "eval_fraction": 0.0, "answer_pattern": ""})
    view.show_page("data")
    found = {card.row.row: card for card in shown(qtbot, view)}
    assert found[1].warning.text() == "Left out: longer than the longest prompt, 64 tokens"
    assert len(found[1].text.toPlainText()) < 5000
    assert "小明有三个苹果" in found[0].text.toPlainText()
    assert found[1].answer.text() == "No right answer is known."
    for width in (900, 544):
        view.resize(width, 480)
        qtbot.waitUntil(lambda: view.data.widget().width() <= view.data.viewport().width())
        text = found[2].text
        assert text.document().idealWidth() <= text.viewport().width()
        assert text.height() >= text.document().size().height()


@pytest.mark.parametrize(
    ("changes", "words"), [({"dataset": "nowhere.csv"}, "nowhere.csv"), ({"model_name": "a/b"}, "a/b")]
)
def test_what_cannot_be_read_is_said_in_its_place(
    qtbot: QtBot, view: NewRunView, changes: dict[str, str], words: str
) -> None:
    view.draft.change(changes)
    view.show_page("data")
    qtbot.waitUntil(lambda: view.preview.failure is not None, timeout=WAIT)
    assert words in view.data.failure.text()
    assert view.data.failure.isVisible()
    assert cards(view) == []
    click(qtbot, view.data, "Try Again")
    assert view.preview.busy
    assert not view.data.failure.isVisible()
    view.draft.change({"dataset": "arithmetic", "model_name": "starter"})
    assert shown(qtbot, view)
    assert not view.data.failure.isVisible()


def test_a_link_leads_to_the_settings_of_the_data(qtbot: QtBot, view: NewRunView) -> None:
    view.show_page("data")
    click(qtbot, view.data, "Change the Data…")
    assert view.stack.currentWidget() is view.settings
    holder = view.settings._holders["Data"]
    qtbot.waitUntil(lambda: view.settings._column.verticalScrollBar().value() == holder.y() > 0, timeout=WAIT)
