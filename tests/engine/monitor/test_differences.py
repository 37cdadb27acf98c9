"""The words in which two texts differ."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engine.monitor import differences

_words = st.lists(st.sampled_from("a b c d".split()), max_size=30)


def longest(left: list[str], right: list[str]) -> int:
    """The length of a longest common sequence, by its table."""
    row = [0] * (len(right) + 1)
    for a in left:
        before = row[:]
        for place, b in enumerate(right):
            row[place + 1] = before[place] + 1 if a == b else max(before[place + 1], row[place])
    return row[-1]


@given(_words, _words)
def test_no_longer_sequence_is_in_both(left: list[str], right: list[str]) -> None:
    found = differences.alike(left, right)
    assert len(found) == longest(left, right)
    assert all(left[i] == right[j] for i, j in found)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(found))


@given(st.text(max_size=200), st.text(max_size=200))
def test_the_parts_are_all_of_the_texts(left: str, right: str) -> None:
    compared = differences.of_texts(left, right)
    assert "".join(text for _, text in compared.left) == left
    assert "".join(text for _, text in compared.right) == right
    sides = (compared.left, compared.right)
    same = ["".join("".join(text for kind, text in side if kind == "same").split()) for side in sides]
    assert same[0] == same[1]


def test_a_changed_word_is_marked_on_both_sides() -> None:
    compared = differences.of_texts("I add 2 and 2, that is 4.", "I add 2 and 2, that is 5.")
    assert compared.left == (("same", "I add 2 and 2, that is "), ("other", "4"), ("same", "."))
    assert compared.right == (("same", "I add 2 and 2, that is "), ("other", "5"), ("same", "."))


def test_ideographs_are_words_and_spaces_make_no_difference() -> None:
    compared = differences.of_texts("他有三个苹果", "他有四个苹果")
    assert compared.left == (("same", "他有"), ("other", "三"), ("same", "个苹果"))
    assert {kind for kind, _ in differences.of_texts("a\n\nb", "a b").left} == {"same"}
    assert differences.of_texts("", "") == differences.TextsCompared((), ())


def test_what_is_too_long_is_told_apart() -> None:
    left, right = " ".join(f"l{n}" for n in range(13_000)), " ".join(f"r{n}" for n in range(12_500))
    compared = differences.of_texts(f"begin {left} end", f"begin {right} end")
    for side, rest in ((compared.left, 1000), (compared.right, 500)):
        assert [kind for kind, _ in side] == ["same", "other", "rest", "same"]
        assert len(side[2][1].split()) == rest


def test_texts_that_say_one_thing_over_and_over() -> None:
    """A table of all pairs, or a search from each of their equal words, would not come to an end."""
    compared = differences.of_texts("5 + 5 = 10 " * 2000, "5 + 5 = 11 " * 2000)
    assert sum(len(text.split()) for kind, text in compared.left if kind == "same") == 8000
