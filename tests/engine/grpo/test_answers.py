from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.grpo import answers


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("<reasoning>a</reasoning><answer> 72 </answer>", "72"),
        ("<answer>1</answer> no, <answer>\n2\n</answer> done", "2"),
        ("<answer>7", "7"),
        ("<answer></answer>", ""),
        ("72", None),
        ("", None),
        ("</answer>72", None),
    ],
)
def test_the_answer_stands_in_its_tags(completion: str, answer: str | None) -> None:
    assert answers.extract(completion) == answer


@pytest.mark.parametrize(
    "text", ["1,080", "1080", "1080.0", "$1,080", " $ 1,080.00 ", "1080.", "+1080", "1.08e3", "$1080$"]
)
def test_a_number_is_the_same_however_it_is_written(text: str) -> None:
    assert answers.number(text) == 1080
    assert answers.same(text, "1080")
    assert answers.is_integer(text)


@pytest.mark.parametrize(
    ("text", "number"), [("-$5", -5), ("$-5", -5), ("−5", -5), (".5", Decimal("0.5")), ("50%", 50), ("50%.", 50)]
)
def test_signs_and_units(text: str, number: Decimal) -> None:
    assert answers.number(text) == number


@pytest.mark.parametrize(
    "text", ["", ".", "-", "$", "--5", "-$-5", "1,2", "12,34", "1 2", "5²", "٣", "72 apples", "nan", "1/2"]
)
def test_what_is_no_number(text: str) -> None:
    assert answers.number(text) is None
    assert not answers.is_integer(text)


@pytest.mark.parametrize(
    ("answer", "gold", "equal"),
    [
        ("Paris", "paris.", True),
        ("New   York\n", "new york", True),
        ("Paris", "London", False),
        ("72 apples", "72", False),
        ("1,2", "12", False),
        ("0.5", ".50", True),
        ("-0", "0", True),
        ("", "72", False),
    ],
)
def test_texts_are_compared_without_case_and_spaces(answer: str, gold: str, equal: bool) -> None:
    assert answers.same(answer, gold) is equal


def test_an_answer_without_tags_is_not_right() -> None:
    assert answers.is_right("<answer>72</answer>", "72.0")
    assert not answers.is_right("72", "72")
    assert not answers.is_right("<answer></answer>", "72")


@given(st.integers(), st.integers(0, 3))
def test_every_integer_equals_its_grouped_form(value: int, zeros: int) -> None:
    written = f"{value:,}" + ("." + "0" * zeros if zeros else "")
    assert answers.same(written, str(value))
    assert answers.is_integer(written)


@given(st.text(), st.text())
def test_any_texts_can_be_compared(answer: str, gold: str) -> None:
    assert answers.same(answer, gold) == answers.same(gold, answer)
    assert answers.same(answer, answer)
    answers.is_integer(answer)
    assert answers.extract(f"x<answer>{answer}</answer>") is not None
