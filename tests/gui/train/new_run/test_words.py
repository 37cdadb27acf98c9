"""What of the new run is pure: drafts, suggestions, the functions of a file, and the pieces of a prompt and a bar."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.grpo import config_file, forecast, reward_functions
from engine.grpo.reward_judges import Judge
from engine.grpo.settings import TrainConfig
from engine.training_events import TrainingPlanned
from gui.train.new_run import known_rewards, memory_bar, suggestions
from gui.train.new_run.draft import Draft
from gui.train.new_run.prompt_card import pieces
from gui.train.new_run.recipes import RECIPES
from gui.train.new_run.settings_panel import GROUPS, group_of


def test_every_recipe_is_a_file_that_comes_with_the_program() -> None:
    assert sorted(recipe.name for recipe in RECIPES) == sorted(config_file.BUILT_IN)
    assert RECIPES[0].name == config_file.BUILT_IN[0]


def test_the_rewards_that_are_offered_are_those_there_are() -> None:
    there = {*reward_functions.built_in(TrainConfig()), *Judge.NAMES}
    assert {reward.name for reward in known_rewards.BUILT_IN} == there


def test_every_setting_has_a_group_and_every_group_an_essential() -> None:
    """A group whose settings were all folded away would be an empty card."""
    extras = {name: field.json_schema_extra for name, field in TrainConfig.model_fields.items()}
    assert all(map(group_of, extras))
    essential = {
        group_of(name) for name, extra in extras.items() if isinstance(extra, dict) and "advanced" not in extra
    }
    assert essential == set(GROUPS)


@given(st.text(), st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9))))
def test_the_pieces_of_a_prompt_are_the_prompt(text: str, cuts: list[tuple[int, int]]) -> None:
    marks, place = [], 0
    for gap, length in cuts:
        if place + gap + length <= len(text):
            marks.append((place + gap, length))
            place += gap + length
    found = list(pieces(text, tuple(marks)))
    assert "".join(piece for piece, _ in found) == text
    assert [piece for piece, special in found if special] == [text[at : at + length] for at, length in marks]


def planned(**changes: int) -> TrainingPlanned:
    base = {"weights": 10, "optimizer": 20, "kv_cache": 30, "activations": 40, "peak": 70, "available": 100}
    return TrainingPlanned("m", "full", 1, 1, 1, 1, 1, 1, 1, fits=True, seconds_per_step=1.0, **base | changes)


@given(st.lists(st.integers(0, 99), min_size=4, max_size=4), st.integers(0, 400))
def test_the_parts_of_the_bar_are_the_peak(sizes: list[int], peak: int) -> None:
    names = ("weights", "optimizer", "kv_cache", "activations")
    plan = planned(peak=peak, **dict(zip(names, sizes, strict=True)))
    found = memory_bar.parts(plan)
    assert sum(size for _, size in found) == plan.peak
    assert all(size > 0 for _, size in found)


def test_a_suggestion_is_values_and_words() -> None:
    pairs = ("micro_batch_tokens=256", "gradient_checkpointing=true", "train_type=lora")
    values = suggestions.values(pairs)
    assert values == {"micro_batch_tokens": 256, "gradient_checkpointing": True, "train_type": "lora"}
    assert TrainConfig(**values).train_type in get_args(TrainConfig.model_fields["train_type"].annotation)
    assert suggestions.in_words(pairs) == (
        "Tokens at once: 256, Recompute activations: on, What is trained: Adapters (LoRA)"
    )


def test_whatever_a_forecast_may_suggest_is_understood() -> None:
    """All settings that the forecast tries, in its own spelling."""
    config = TrainConfig(share_prompts=False, quantize_for_rollouts=True, train_type="full")
    shape = forecast.Shape(**dict.fromkeys(forecast.Shape.__slots__, 1))
    for name, tries in forecast._smaller(config, shape):
        for value in tries:
            (pair,) = [f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
            assert suggestions.values([pair]) == {name: value}


def test_the_functions_of_a_file_are_found_without_running_it() -> None:
    source = '''raise SystemExit
def first(completions, **columns):
    """Say one thing.

    And more.
    """
def _hidden(completions, **columns): ...
class Judge:
    def inner(self): ...
def first(completions, **columns): ...
def second(completions, **columns): "A sentence."
'''
    found, fault = known_rewards.read(source)
    assert fault is None
    assert found == (known_rewards.Reward("first", "", 10), known_rewards.Reward("second", "A sentence", 11))


@pytest.mark.parametrize(
    ("source", "line"), [("x = 1\n\ny = (\n", 3), ("\0", 0), ("def f(:\n    pass", 1), ("  x\n y", 1)]
)
def test_a_file_that_is_no_python_is_told_by_its_line(source: str, line: int) -> None:
    found, fault = known_rewards.read(source)
    assert found == ()
    assert fault is not None
    assert fault.line == line
    assert fault.what


def test_the_template_is_a_reward_that_works() -> None:
    space: dict[str, object] = {}
    exec(known_rewards.TEMPLATE, space)  # noqa: S102  it is ours
    (reward,) = known_rewards.read(known_rewards.TEMPLATE)[0]
    assert space[reward.name](["Yes, please.", "No."], answer=["", ""]) == [1.0, 0.0]  # type: ignore[operator]
    assert reward.about


@given(st.lists(st.sampled_from(["begin", "change", "back"])))
def test_a_draft_loses_no_change(acts: list[str]) -> None:
    """The last one is in force or put aside, however a person goes to and fro between recipes."""
    draft, counter = Draft(), 0
    for act in acts:
        if act == "begin":
            draft.begin(TrainConfig(seed=1000), "recipe")
        elif act == "change" and draft.origin is not None:
            counter += 1
            draft.change({"seed": counter})
        elif act == "back":
            draft.bring_back()
        kept = {draft.config.seed, *(config.seed for config, _ in draft.put_aside)}
        assert not counter or counter in kept


def test_a_draft_is_always_valid() -> None:
    draft = Draft()
    with pytest.raises(ValidationError):
        draft.change({"rewards": ("accuracy",), "reward_weights": (1.0, 2.0)})
    assert draft.config == TrainConfig()
    draft.begin(TrainConfig(seed=1), "first")
    draft.change({"seed": 2})
    draft.begin(TrainConfig(seed=3), "second")
    assert len(draft.put_aside) == 1
    draft.bring_back()
    assert (draft.config.seed, draft.origin, draft.put_aside) == (2, (TrainConfig(seed=1), "first", False), [])
