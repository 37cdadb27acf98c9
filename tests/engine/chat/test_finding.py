"""Where a text was said, and the words around it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import jobs
from engine.chat.conversations import Conversations
from engine.chat.finding import place
from engine.chat.requests import SearchConversations
from engine.chat_events import MessageFound


def found(database: Path, text: str) -> list[MessageFound]:
    events = list(jobs.start(SearchConversations(database, text), jobs.Workbench()))
    return [event for event in events if isinstance(event, MessageFound)]


def test_the_words_around_it_are_said_and_where_it_stands_in_them(tmp_path: Path) -> None:
    database = tmp_path / "conversations.sqlite3"
    with Conversations(database) as store:
        made = store.create(title="Baking").id
        first = store.add(made, None, "user", "x" * 500 + " How do I bake BREAD at home? " + "y" * 500)
        second = store.add(made, first.id, "assistant", "Bread needs flour.")
        other = store.create(title="Gone").id
        store.add(other, None, "user", "bread too")
        store.delete(other)
    newest, oldest = found(database, "bread")
    assert (newest.message, newest.role, newest.title, newest.start, newest.length) == (
        second.id,
        "assistant",
        "Baking",
        0,
        5,
    )
    assert oldest.message == first.id
    assert oldest.excerpt[oldest.start : oldest.start + oldest.length] == "BREAD"
    assert len(oldest.excerpt) < 200
    assert found(database, "") == found(database, "rye") == []


@pytest.mark.parametrize(
    ("text", "wanted", "match"),
    [
        ("Die Straße hier", "STRASSE", "Straße"),
        ("ßßab", "AB", "ab"),
        ("İstanbul", "stan", "stan"),
        ("Große Maße", "maße", "Maße"),
        ("日本語のテキスト", "テキ", "テキ"),
        ("ABC", "abc", "ABC"),
        ("abc", "x", ""),
        ("abc", "", ""),
    ],
)
def test_the_place_of_a_text_in_any_letter_case(text: str, wanted: str, match: str) -> None:
    start, length = place(text, wanted)
    assert text[start : start + length] == match


@settings(max_examples=200)
@given(before=st.text(max_size=12), wanted=st.text(min_size=1, max_size=6), after=st.text(max_size=12))
def test_what_is_found_contains_what_was_looked_for(before: str, wanted: str, after: str) -> None:
    text = before + wanted + after
    start, length = place(text, wanted.upper().casefold())
    if length:
        assert wanted.upper().casefold() in text[start : start + length].casefold()
    start, length = place(text, wanted)
    assert wanted.casefold() in text[start : start + length].casefold()
