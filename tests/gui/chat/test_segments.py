"""How a message's text is split, at once and as it arrives."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.chat.thought import NAMES
from gui.chat.segments import Segment, Splitter, plain_segments


def split(text: str, *, final: bool = True, tags: bool = True) -> list[Segment]:
    splitter = Splitter(tags=tags)
    splitter.feed(text)
    return splitter.segments(final=final)


def short(text: str, *, final: bool = True, tags: bool = True) -> list[tuple[str, str]]:
    return [(segment.kind, segment.text) for segment in split(text, final=final, tags=tags)]


# Text that is dense in what has a meaning here.
marks = [
    "```",
    "~~~",
    "````",
    "`",
    "2.",
    "#",
    ">",
    "---",
    "\n",
    "\n\n",
    "\r\n",
    " ",
    "    ",
    "- ",
    "| a | b |\n",
    "|--|--|\n",
]
tags = ["<think>", "</think>", "<reasoning>", "</reasoning>", "<answer>", "</answer>", "<th"]
pieces = st.sampled_from([*marks, *tags, "python", "x", "word " * 30])
texts = st.one_of(st.text(max_size=80), st.lists(pieces, max_size=60).map("".join))


@settings(max_examples=150, deadline=None)
@given(texts, st.lists(st.integers(1, 40), min_size=1, max_size=20))
@example("a\n```py\nx\n```\nb<think>c</think>d", [1])
def test_the_pieces_a_text_comes_in_make_no_difference(text: str, sizes: list[int]) -> None:
    splitter, at, turn = Splitter(), 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        splitter.feed(text[at : at + size])
        at, turn = at + size, turn + 1
        assert splitter.segments() == split(text[:at], final=False)
    assert splitter.segments() == split(text, final=False)
    assert splitter.segments(final=True) == split(text)


lines = st.sampled_from(
    ["\n```\n", "word " * 30, "\n", "    x", "- x\n", "2. word\n", "# x\n", "> word\n", "`x`", "<think>", "word" * 900]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(lines, max_size=200).map("".join))
def test_no_word_is_lost_or_made_up(text: str) -> None:
    shown = "".join(segment.text for segment in split(text, tags=False))
    assert shown.count("word") == text.count("word")
    assert shown.count("x") == text.count("x")


def test_the_demonstration_model_s_answer() -> None:
    assert split("<reasoning>7+8=15, so</reasoning><answer>85</answer>") == [
        Segment("reasoning", "7+8=15, so", closed=True),
        Segment("prose", "85"),
    ]


def test_code_is_told_from_prose() -> None:
    found = split("Look:\n```Python title=a\nx = 1\n\ny = 2\n```\nDone.")
    assert found == [
        Segment("prose", "Look:", closed=True),
        Segment("code", "x = 1\n\ny = 2", "python", closed=True),
        Segment("prose", "Done."),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("~~~\na\n~~~", "a"),
        ("````md\n```py\nx\n```\n````", "```py\nx\n```"),
        ("```\n~~~\n```", "~~~"),
        ("```\nnever closed\n", "never closed"),
        ("```\n  indented\n```", "  indented"),
        ("- item\n  ```\n  x\n    y\n  ```", "x\n  y"),
        ("1. ```sh\n   ls\n   ```", "ls"),
        ("\t```\n\tx\n\t```", "x"),
    ],
)
def test_fences(text: str, code: str) -> None:
    (found,) = [segment for segment in split(text) if segment.kind == "code"]
    assert found.text == code


def test_three_backticks_inside_a_line_are_no_fence() -> None:
    assert short("```x``` is code") == [("prose", "```x``` is code")]


def test_what_follows_code_in_a_list_is_no_indented_code_and_the_list_goes_on() -> None:
    found = short("1. one\n\n    ```\n    x\n    ```\n    more\n2. two")
    assert found == [("prose", "1. one"), ("code", "x"), ("prose", "more\n\n2. two")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>\na\n</think>\n\nb", [("reasoning", "a"), ("prose", "b")]),
        ("<think>a", [("reasoning", "a")]),
        ("<think>\n\n</think>\n\nb", [("prose", "b")]),
        ("<think>say `</think>` to end</think>b", [("reasoning", "say `</think>` to end"), ("prose", "b")]),
        ("<think>a</reasoning></think>b", [("reasoning", "a</reasoning>"), ("prose", "b")]),
        ("Use the <think> tag.", [("prose", "Use the <think> tag.")]),
        ("Use `<think>` here.", [("prose", "Use `<think>` here.")]),
        ("```\n<think>\n```", [("code", "<think>")]),
        ("It is <answer>5</answer>.", [("prose", "It is 5.")]),
        ("It is\n<answer>\n5\n</answer>\n", [("prose", "It is\n5")]),
        ("a < b and <foo>", [("prose", "a < b and <foo>")]),
        ("<answer>\n```py\nx\n```\n</answer>", [("code", "x")]),
        ("thought\nmore\n</think>\n\nanswer", [("reasoning", "thought\nmore"), ("prose", "answer")]),
    ],
)
def test_tags(text: str, expected: list[tuple[str, str]]) -> None:
    assert short(text) == expected


def test_tags_are_text_where_they_are_not_wanted() -> None:
    assert short("<think>a</think>", tags=False) == [("prose", "<think>a</think>")]


@pytest.mark.parametrize("tail", ["<", "<thi", "</answe", "\n-", "\n---", "\n``", "\n```pyth", "\n1.", "\n#", "\n|"])
def test_what_may_become_something_else_is_withheld_until_it_is_clear(tail: str) -> None:
    assert short(f"text{tail}", final=False) == [("prose", "text")]
    assert short(f"text{tail}")[0][1].startswith("text")
    assert len("".join(text for _, text in short(f"text{tail}"))) >= len("text")


def test_a_closing_fence_is_not_seen_as_code_while_it_arrives() -> None:
    assert short("```\nx\n``", final=False) == [("code", "x")]
    assert short("```\nx\n`y", final=False) == [("code", "x\n`y")]


def test_settled_segments_stay_the_same_objects() -> None:
    splitter = Splitter()
    splitter.feed("a\n```\nx\n```\n")
    before = splitter.segments()
    splitter.feed("more and more\nand more")
    assert all(old is new for old, new in zip(before, splitter.segments(), strict=False))


def test_long_prose_is_cut_at_block_borders() -> None:
    paragraph = "Some words of text. " * 20
    found = split("\n\n".join([paragraph] * 40))
    assert len(found) > 5
    assert all(len(segment.text) < 3_000 for segment in found)
    assert all(segment.text.strip() == "\n\n".join([paragraph] * 5)[: len(segment.text.strip())] for segment in found)


def test_a_long_list_is_cut_between_its_items() -> None:
    found = split("\n".join(f"{number}. item of a list" for number in range(1, 400)))
    assert len(found) > 2
    assert all(segment.text.split(".")[0].isdigit() for segment in found)
    assert all(segment.joined for segment in found[1:])


def test_a_long_table_is_cut_and_its_head_repeated() -> None:
    found = split("| a | b |\n|---|---|\n" + "| cell | another |\n" * 400)
    assert len(found) > 2
    assert all(segment.text.startswith("| a | b |\n|---|---|\n| cell") for segment in found)
    assert sum(segment.text.count("cell") for segment in found) == 400


def test_one_endless_line_is_cut_too() -> None:
    found = split("word " * 10_000)
    assert len(found) > 5
    assert "".join(segment.text for segment in found) == "word " * 10_000


def test_plain_text_is_cut_and_nothing_else() -> None:
    text = "\n".join(["a line of `text` <think>"] * 1_000)
    found = plain_segments(text)
    assert len(found) > 3
    assert "\n".join(segment.text for segment in found) == text
    assert "".join(segment.text for segment in plain_segments("x" * 20_000)) == "x" * 20_000
    assert len(plain_segments("a\n\nb\n" + "x" * 20_000 + "\nc")) == 5
    assert plain_segments("") == [Segment("prose", "", closed=True)]


def test_nothing_is_cut_within_a_formula() -> None:
    lines = "$$\n" + "- a_1 &= b\n" * 500 + "$$\n\n"
    for text in (lines, lines.replace("$$\n", "\\[\n", 1).replace("$$", "\\]")):
        found = split("word " * 410 + "\n\n" + text + "The end.")
        assert [segment.text.count("a_1") for segment in found] == [0, 500, 0]
    found = split("so $a + b$ is " * 3_000)
    assert len(found) > 4
    assert all(segment.text.count("$") % 2 == 0 for segment in found)


def test_quotes_and_indented_lines_are_cut_too() -> None:
    for line in ("> a quoted line\n", "  - an item of a list\n", "| a line\n"):
        assert all(len(segment.text) < 17_000 for segment in split(line * 4_000))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_timed_as_reasoning_is_shown_as_reasoning(name: str) -> None:
    assert [segment.kind for segment in split(f"<{name}>a</{name}>b")] == ["reasoning", "prose"]
