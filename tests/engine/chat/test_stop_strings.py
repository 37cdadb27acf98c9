"""Stop strings in text that comes in pieces."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engine.chat.stop_strings import StopStrings

letters = st.text("ab.", max_size=30)


def pieces(text: str, cuts: list[int]) -> list[str]:
    at = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(at)]


@given(letters, st.lists(st.text("ab.", min_size=1, max_size=4), max_size=3), st.lists(st.integers(0, 30)))
def test_pieces_give_what_the_whole_gives(text: str, stops: list[str], cuts: list[int]) -> None:
    found = [start for stop in stops if (start := text.find(stop)) >= 0]
    watch = StopStrings(stops)
    shown = "".join(watch.feed(piece) for piece in pieces(text, cuts))
    shown += watch.finish()
    assert watch.found == bool(found)
    if not found:
        assert shown == text
    else:
        # Piecewise, the stop that completes first wins; nothing of it is shown.
        assert text.startswith(shown)
        assert not any(stop in shown for stop in stops)
        assert any(text.startswith(stop, len(shown)) for stop in stops)


def test_nothing_is_held_back_without_need() -> None:
    watch = StopStrings(["User:"])
    assert watch.feed("Hello Us") == "Hello "
    assert watch.feed("ual") == "Usual"
    assert watch.feed(" User") == " "
    assert watch.feed(": hi") == ""
    assert watch.found
    assert watch.feed("more") == ""
    assert watch.finish() == ""
