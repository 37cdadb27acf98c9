from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.grpo import reward_functions
from engine.grpo.settings import TrainConfig

PERFECT = "<reasoning>\n9 times 8\n</reasoning>\n<answer>\n72\n</answer>\n"
TAGS = ("<reasoning>", "</reasoning>", "<answer>", "</answer>")


def score(name: str, completion: str, answer: str = "72", tokens: int = 1, **settings: int) -> float | None:
    reward = reward_functions.built_in(TrainConfig(**settings))[name]
    (only,) = reward([completion], prompt=["9 x 8?"], answer=[answer], lengths=[tokens])
    return only


@pytest.mark.parametrize(
    ("name", "nominal"),
    [("correctness", 2.0), ("integer", 0.5), ("strict_format", 0.5), ("soft_format", 0.5), ("xml_count", 0.5)],
)
def test_a_perfect_answer_scores_the_nominal_value(name: str, nominal: float) -> None:
    assert score(name, PERFECT) == nominal
    # The prefill begins a completion, and the model wrote the rest.
    assert score(name, "<reasoning>" + PERFECT.removeprefix("<reasoning>")) == nominal


def test_a_bare_number_scores_nothing() -> None:
    assert [score(name, "72") for name in ("correctness", "accuracy", "integer", "soft_format", "xml_count")] == [
        0.0
    ] * 5


def test_accuracy_and_correctness_judge_alike() -> None:
    assert score("accuracy", "<answer>$1,080</answer>", "1080") == 1.0
    assert score("correctness", "<answer>$1,080</answer>", "1080") == 2.0
    assert score("accuracy", "<answer>1081</answer>", "1080") == 0.0
    assert score("accuracy", PERFECT, answer="") is None
    assert score("correctness", PERFECT, answer="") is None


@pytest.mark.parametrize(
    ("completion", "strict", "soft"),
    [
        ("<reasoning>a</reasoning><answer>b</answer>", 0.5, 0.5),
        ("Well: <reasoning>a</reasoning> <answer>b</answer>", 0.0, 0.5),
        ("<reasoning><reasoning>a</reasoning><answer>b</answer>", 0.0, 0.5),
        ("<reasoning>a</reasoning> so <answer>b</answer>", 0.0, 0.0),
        ("<reasoning>a</reasoning><answer>b", 0.0, 0.0),
        ("<answer>b</answer><reasoning>a</reasoning>", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_the_two_formats(completion: str, strict: float, soft: float) -> None:
    assert score("strict_format", completion) == strict
    assert score("soft_format", completion) == soft


@given(st.lists(st.sampled_from([*TAGS, "a", "\n", " "]), max_size=12).map("".join))
def test_soft_format_is_the_original_pattern(completion: str) -> None:
    original = re.search(r"<reasoning>.*?</reasoning>\s*<answer>.*?</answer>", completion, re.DOTALL)
    assert score("soft_format", completion) == (0.5 if original else 0.0)


def test_tags_count_once_each_and_a_tail_costs() -> None:
    assert score("xml_count", "<reasoning>a</reasoning>") == 0.25
    assert score("xml_count", "<reasoning><reasoning>a</reasoning>") == 0.125
    assert score("xml_count", PERFECT + "x" * 100) == pytest.approx(0.4)


def test_length_falls_between_the_target_and_its_double() -> None:
    assert [score("length", "", tokens=tokens, length_target=100) for tokens in (1, 100, 150, 200, 500)] == [
        1,
        1,
        0.5,
        0,
        0,
    ]
    assert score("length", "", tokens=96, max_new_tokens=128) == 0.5


def test_repetition_is_the_share_of_repeated_runs() -> None:
    assert score("repetition", "a b c d", repetition_size=2) == 0.0
    assert score("repetition", "a b a b a", repetition_size=2) == -0.5
    assert score("repetition", "one", repetition_size=2) == 0.0
    assert score("repetition", "", repetition_size=2) == 0.0


@given(st.text())
def test_any_text_has_its_scores(completion: str) -> None:
    for name in reward_functions.built_in(TrainConfig()):
        assert isinstance(score(name, completion), float)
