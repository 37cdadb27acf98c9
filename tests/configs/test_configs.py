"""The training configurations that come with the program."""

from __future__ import annotations

import tomllib

import pytest

from engine import places
from engine.grpo import config_file


def test_every_file_is_offered_by_name() -> None:
    there = {file.stem for file in places.configs_folder().glob("*.toml")} - {"suggested_models"}
    assert there == set(config_file.BUILT_IN)


@pytest.mark.parametrize("name", config_file.BUILT_IN)
def test_a_file_gives_what_it_states(name: str) -> None:
    stated = tomllib.loads(config_file.built_in(name).read_text("utf-8"))
    settings = config_file.load(name, []).model_dump(mode="json")
    assert {key: settings[key] for key in stated} == stated


def test_the_starter_needs_nothing_from_elsewhere() -> None:
    settings = config_file.load("starter", [])
    assert (settings.model_name, settings.dataset) == ("starter", "arithmetic")
    assert settings.system_prompt == settings.completion_prefill == ""
    assert len(settings.reward_weights) == len(settings.rewards)
    assert settings.eval_samples > 0
