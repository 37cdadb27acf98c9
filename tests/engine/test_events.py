"""Events as JSON lines."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import events
from engine.events import Event, Progress, Token, from_json, to_json

any_event = st.one_of([st.from_type(kind) for kind in Event.__args__])


@given(any_event)
def test_an_event_survives_its_json_line(event: Event) -> None:
    line = to_json(event)
    assert "\n" not in line
    assert repr(from_json(line)) == repr(event)  # repr, because nan is not equal to itself


def test_the_kind_is_named_in_plain_words() -> None:
    assert json.loads(to_json(Token("a", 1, -0.5))) == {"event": "token", "text": "a", "token": 1, "logprob": -0.5}
    assert events.event_name(events.ReplyFinished) == "reply_finished"


def test_a_key_of_a_newer_version_is_ignored() -> None:
    line = '{"event": "progress", "what": "x", "done": 1, "colour": "blue"}'
    assert from_json(line) == Progress("x", 1)


@pytest.mark.parametrize("line", ["", "[]", "3", '{"event": "nonsense"}', '{"what": 1}', "{"])
def test_what_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"not an event|Expecting"):
        from_json(line)


def test_events_are_frozen_plain_data() -> None:
    for kind in Event.__args__:
        assert dataclasses.is_dataclass(kind)
        assert kind.__dataclass_params__.frozen
