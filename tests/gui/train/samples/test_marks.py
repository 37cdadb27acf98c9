"""A completion in parts: what is reasoning, what is the answer, and which tags have no partner."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gui.train.samples.marks import displayable, gist, one_line, parts
from tests.gui.train.samples.made import sample

_pieces = st.lists(
    st.sampled_from(
        ["<reasoning>", "</reasoning>", "<answer>", "</answer>", "<think>", "</think>", "4", " x\n", "é", "<b>"]
    )
).map("".join)


def kinds(text: str, **changes: object) -> list[tuple[str, str]]:
    return [(part.kind, part.text) for part in parts(sample(text, **changes))]


def test_the_matched_format_is_told_apart() -> None:
    assert kinds("<reasoning>2 and 2</reasoning>\n<answer>4</answer>") == [
        ("tag", "<reasoning>"),
        ("reasoning", "2 and 2"),
        ("tag", "</reasoning>"),
        ("plain", "\n"),
        ("tag", "<answer>"),
        ("right", "4"),
        ("tag", "</answer>"),
    ]
    assert ("wrong", "5") in kinds("<think>so</think><answer>5</answer>")
    assert ("answer", "5") in kinds("<answer>5</answer>", answer="")


def test_the_last_answer_counts() -> None:
    found = kinds("<answer>5</answer> no, <answer>4</answer>")
    assert ("answer", "5") in found
    assert ("right", "4") in found


def test_an_answer_that_was_cut_off_runs_to_the_end() -> None:
    assert kinds("<answer>4") == [("loose tag", "<answer>"), ("right", "4")]


def test_tags_without_partners_are_told() -> None:
    assert kinds("<reasoning>on and on") == [("loose tag", "<reasoning>"), ("plain", "on and on")]
    assert kinds("4</answer>") == [("plain", "4"), ("loose tag", "</answer>")]


def test_reasoning_that_began_in_the_prompt() -> None:
    assert kinds("2 and 2</reasoning>4")[:2] == [("reasoning", "2 and 2"), ("tag", "</reasoning>")]
    found = kinds("2 and 2</reasoning>", prefill="<reasoning>")
    assert found == [("prefill", "<reasoning>"), ("reasoning", "2 and 2"), ("tag", "</reasoning>")]
    # A part that the prefill only begins belongs to both.
    assert kinds("d 2</reasoning>", prefill="<reasoning>I ad")[:2] == [
        ("prefill", "<reasoning>I ad"),
        ("reasoning", "d 2"),
    ]


@given(_pieces, _pieces)
def test_the_parts_are_all_of_the_text(prefill: str, text: str) -> None:
    made = parts(sample(text, prefill=prefill))
    assert "".join(part.text for part in made) == prefill + text
    assert "".join(part.text for part in made if part.kind == "prefill") == prefill
    assert all(part.text for part in made)


@given(_pieces)
def test_what_is_marked_as_the_answer_is_what_the_rewards_take(text: str) -> None:
    made = sample(text)
    marked = [part.text.strip() for part in parts(made) if part.kind in {"right", "wrong"}]
    if made.found and not any(tag in made.found for tag in ("<reasoning>", "</reasoning>", "<think>", "</think>")):
        assert marked == [made.found]


@given(st.text())
def test_what_cannot_be_seen_is_shown_without_changing_the_length(text: str) -> None:
    shown = displayable(text)
    assert len(shown) == len(text)
    assert not set(shown) & {"\0", "\x1b", "\r", "\x7f", "\u202e", "\ufdd0", "\ufffc", "\u2029"}
    assert displayable(shown) == shown


@pytest.mark.parametrize(
    ("text", "line"), [("a\n\n b\tc ", "a b c"), ("x" * 999, "x" * 240), ("a\0b\u202ec", "a\u2400b\ufffdc"), ("", "")]
)
def test_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


def test_the_gist_has_no_tags() -> None:
    assert gist("<reasoning>2 and 2</reasoning>\n<answer>4</answer>") == "2 and 2 4"
