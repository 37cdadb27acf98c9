"""The committed demonstration model, and the script that trains it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from engine import arithmetic, places, starter
from engine.chat import prompts
from engine.errors import UserError
from engine.session import load
from engine.starter_evaluation import evaluate


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    return load(places.starter_folder())


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(places.starter_folder() / "tokenizer.json"))


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in places.starter_folder().iterdir()) <= 2_000_000


def test_it_is_right_on_40_to_50_percent_of_problems_it_never_saw(
    loaded: tuple[Any, Any], tokenizer: Tokenizer
) -> None:
    held_out = arithmetic.split().held_out
    greedy = evaluate(loaded[0], tokenizer, held_out)
    assert 0.40 <= greedy.accuracy <= 0.50
    assert greedy.well_formed >= 0.98
    sampled = evaluate(loaded[0], tokenizer, held_out, temperature=1.0, key=mx.random.key(0))
    assert 0.20 <= sampled.accuracy <= 0.40
    assert sampled.well_formed >= 0.96


@given(st.text())
@settings(deadline=None)
def test_any_text_survives_its_tokenizer(text: str) -> None:
    tokenizer = Tokenizer.from_file(str(places.starter_folder() / "tokenizer.json"))
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text


def test_conversations_of_several_turns_and_a_system_prompt_are_shown(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    turns: Sequence[tuple[str, str]] = [("user", "1 + 1"), ("assistant", "2"), ("user", "What is 12 + 34?")]
    plain = prompts.encode_chat(tokenizer, turns)
    told = prompts.encode_chat(tokenizer, turns, "Be brief.")
    assert len(told) > len(plain)
    assert "12 + 34" in tokenizer.decode(plain)


def test_a_short_training_gives_a_model_that_loads_and_the_same_bytes_again(tmp_path: Path) -> None:
    recipe = starter.Recipe(band=(0.0, 1.0), max_steps=4, rows=8, first_evaluation=4, steps_between_evaluations=4)
    for name in ("one", "two"):
        events = list(starter.train(0, tmp_path / name, recipe))
        assert [event.done for event in events][:4] == [1, 2, 3, 4]
    first, second = (path.read_bytes() for path in sorted(tmp_path.glob("*/model.safetensors")))
    assert first == second
    model, _ = load(tmp_path / "one")
    assert model(mx.array([[1, 2, 3]])).shape[:2] == (1, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(UserError, match="cannot be written"):
        list(starter.train(0, tmp_path, starter.Recipe(max_steps=1)))
    assert (tmp_path / "precious.txt").read_text() == "mine"
