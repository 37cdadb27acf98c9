"""Settings of runs in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytestqt.qtbot import QtBot

from engine.grpo import config_file
from engine.grpo.settings import TrainConfig
from gui.text import tr
from gui.train.runs import settings_table
from gui.train.runs.settings_table import SettingsTable, defaults, differing, shown, values_of

pytestmark = pytest.mark.usefixtures("theme")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("learning_rate", 1e-6, "1e-06"),
        ("learning_rate", 0.001, "0.001"),
        ("learning_rate", 0.0, "0.0"),
        ("adam_beta2", 0.999, "0.999"),
        ("max_new_tokens", 1024, "1,024 tokens"),
        ("fuse", True, "Yes"),
        ("clip_eps_high", None, "As below"),
        ("rewards", ["accuracy", "length"], "accuracy, length"),
        ("reward_weights", [1.0, 0.25], "1.0, 0.25"),
        ("columns", {"question": "q"}, "question = q"),
        ("run_name", "", "Empty"),
    ],
)
def test_values_in_words(name: str, value: Any, text: str) -> None:
    assert shown(name, value) == text


def test_all_settings_of_all_runs_can_be_shown() -> None:
    values = values_of(config_file.to_toml(TrainConfig()))
    assert list(values) == list(TrainConfig.model_fields)
    assert all(shown(name, value) for name, value in values.items())
    assert differing([values, defaults()]) == []


@given(st.lists(st.fixed_dictionaries({"seed": st.integers(0, 2), "loss_type": st.sampled_from("ab")}), min_size=1))
def test_what_differs_differs_somewhere_and_the_rest_nowhere(settings: list[dict[str, Any]]) -> None:
    names = differing(settings)
    for name in ("seed", "loss_type"):
        assert (name in names) == (len({values[name] for values in settings}) > 1)


def test_the_table_says_which_differ_and_finds_them(qtbot: QtBot) -> None:
    table = SettingsTable("Settings")
    qtbot.addWidget(table)
    one, two = TrainConfig(seed=1), TrainConfig(seed=2, system_prompt="Think\nfirst.")
    columns = [(name, values_of(config_file.to_toml(config))) for name, config in (("a", one), ("b", two))]
    table.show_settings(differing([values for _, values in columns]), columns)
    assert [row[0] for row in table.texts()] == [tr("Seed"), tr("System prompt")]
    assert table.texts()[1][2] == "Think first."
    assert table.item(1, 2).toolTip() == "Think\nfirst."  # type: ignore[union-attr]
    high = table.height()
    assert table.search("think") == 1
    assert [row[0] for row in table.texts()] == ["System prompt"]
    assert table.height() < high
    assert table.search("nothing such") == 0
    assert table.search("order of the data") == 1, "the help is searched too"
    assert settings_table.facts("seed").title == "Seed"
