"""Presets: those that come with the program, and the person's own, which win."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import places
from engine.chat import presets
from engine.chat.presets import Preset
from engine.config import Sampling
from engine.errors import UserError

_NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(str.strip)


def names() -> list[str]:
    return [preset.name for preset in presets.all_presets()]


@pytest.mark.usefixtures("home")
def test_some_come_with_the_program_and_say_what_they_are_good_for() -> None:
    assert {"Precise", "Creative", "Step by step"} <= set(names())
    assert all(preset.description and preset.system_prompt for preset in presets.all_presets())
    assert presets.own_names() == set()


@pytest.mark.usefixtures("home")
def test_what_is_saved_is_there_and_what_is_deleted_is_not() -> None:
    mine = Preset(name="My own / 我的", system_prompt="Be\nbrief.", model="a/b", sampling=Sampling(top_k=7, seed=3))
    presets.save(mine)
    assert mine in presets.all_presets()
    changed = mine.model_copy(update={"system_prompt": ""})
    presets.save(changed)
    assert names().count(mine.name) == 1
    assert changed in presets.all_presets()
    assert presets.own_names() == {mine.name}
    presets.delete(mine.name)
    assert mine.name not in names()
    with pytest.raises(UserError, match="no preset"):
        presets.delete(mine.name)


@pytest.mark.usefixtures("home")
def test_one_of_the_same_name_wins_over_what_came_with_the_program() -> None:
    before = names()
    presets.save(Preset(name="Precise", system_prompt="Mine"))
    assert names() == before
    assert next(preset for preset in presets.all_presets() if preset.name == "Precise").system_prompt == "Mine"
    presets.delete("Precise")
    assert names() == before
    with pytest.raises(UserError):
        presets.delete("Precise")


def test_a_damaged_file_takes_no_other_away_and_is_named_in_the_log(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = places.settings_file().parent / "presets"
    folder.mkdir(parents=True)
    (folder / "bad.toml").write_text("name = ", "utf-8")
    (folder / "unnamed.toml").write_text('system_prompt = "x"', "utf-8")
    assert "unnamed" in names()
    assert "Precise" in names()
    assert home in folder.parents
    assert "bad.toml" in caplog.text
    caplog.clear()


@pytest.mark.usefixtures("home")
def test_a_preset_without_a_name_is_not_saved() -> None:
    with pytest.raises(UserError, match="cannot be saved"):
        presets.save(Preset(name=" "))


@settings(max_examples=40)
@given(found=st.lists(_NAMES, unique=True, max_size=4))
def test_any_names_live_side_by_side(tmp_path_factory: pytest.TempPathFactory, found: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLX_GRPO_HOME", str(tmp_path_factory.mktemp("home")))

        for name in found:
            presets.save(Preset(name=name, description=name))
        assert presets.own_names() == set(found)
        for name in found:
            presets.delete(name)
        assert presets.own_names() == set()
