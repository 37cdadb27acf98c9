"""How long an answer's reasoning took."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.chat.thought import ThoughtClock


def seconds(*pieces: str) -> float | None:
    """The pieces come at 1 s, 2 s, …, and the answer is over a second after the last."""
    clock = ThoughtClock()
    for number, piece in enumerate(pieces, 1):
        clock.feed(piece, float(number))
    return clock.finish(float(len(pieces) + 1))


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["<think>", "well", "</think>", "42"], 2),
        (["\n<thi", "nk>\nwell", "\n</thi", "nk>", "42"], 3),
        (["<reasoning>7+8", "</reasoning><answer>15</answer>"], 1),
        (["<thinking>a</think>", "b", "</thinking>"], 2),
        (["well", "\n</think>", "42"], 1),
        (["<think>", "never", "closed"], 3),
        (["<think>", "\n", "</think>", "42"], None),
        (["Use the <think> tag", " and </think>", "."], None),
        (["Words.\n", "<think>", "a", "</think>\n", "<think>", "b", "c", "</think>"], 5),
        (["42"], None),
        (["a < b", " <"], None),
        ([], None),
        (["", "<think>a", "", "</think>"], 2),
    ],
)
def test_only_reasoning_counts(pieces: list[str], expected: float | None) -> None:
    assert seconds(*pieces) == expected


def test_reasoning_that_goes_on_has_no_duration_yet() -> None:
    clock = ThoughtClock()
    clock.feed("<think>well", 1.0)
    assert clock.seconds is None
    clock.feed("</think>", 3.5)
    assert clock.seconds == 2.5


words = st.sampled_from(["<think>", "</think>", "<reasoning>", "</reasoning>", "<", "</", "\n", " ", "word", "k>"])


@settings(max_examples=100, deadline=None)
@given(st.lists(words, max_size=30).map("".join), st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_the_pieces_an_answer_comes_in_make_no_difference(text: str, sizes: list[int]) -> None:
    whole, pieces = ThoughtClock(), ThoughtClock()
    whole.feed(text, 1.0)
    at = turn = 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        pieces.feed(text[at : at + size], 1.0)
        at, turn = at + size, turn + 1
    assert pieces.finish(2.0) == whole.finish(2.0)
