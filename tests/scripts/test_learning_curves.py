"""Reading the records of runs, and drawing them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.grpo.data_rows import Row
from engine.grpo.rewards import RewardSet
from engine.grpo.settings import TrainConfig
from scripts import learning_curves

STEP = {"event": "step_finished", "reward": 1.0}


def evaluated(step: int, accuracy: float, when: str = "during") -> dict[str, Any]:
    figures = {"accuracy": accuracy, "low": accuracy - 0.05, "high": accuracy + 0.05, "seconds": 2.0}
    return {"event": "evaluated", "when": when, "step": step} | figures


def stepped(step: int, strict: float) -> dict[str, Any]:
    rewards = [["strict_format", strict, 0.1], ["soft_format", strict, 0.1], ["xml_count", 0.5, 0.0]]
    return STEP | {"step": step, "elapsed": 10.0 * step, "rewards": rewards}


def recorded(folder: Path, rewards: list[str], tail: str = "") -> Path:
    """A run of two steps whose accuracy climbs from 40 to 80 %."""
    folder.mkdir()
    (folder / "config.toml").write_text(f"seed = 3\nrewards = {json.dumps(rewards)}\n", "utf-8")
    events = [
        evaluated(0, 0.4, "before"),
        stepped(1, 0.05),
        evaluated(1, 0.9, "quick"),
        stepped(2, 0.45),
        evaluated(2, 0.8, "after"),
    ]
    text = "".join(json.dumps(event) + "\n" for event in events)
    (folder / "events.jsonl").write_text(text + tail, "utf-8")
    return folder


@pytest.mark.parametrize(
    ("rewards", "kind"),
    [
        (["accuracy", "strict_format"], "starter"),
        (["shuffled_accuracy", "shuffled_format"], "shuffled"),
        (["strict_format", "soft_format", "xml_count", "accuracy"], "format"),
    ],
)
def test_a_run_says_what_it_is_by_its_rewards(tmp_path: Path, rewards: list[str], kind: str) -> None:
    curve = learning_curves.read(recorded(tmp_path / "run", rewards))
    assert (curve.kind, curve.seed) == (kind, 3)


def test_a_record_that_is_being_written_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    curve = learning_curves.read(recorded(tmp_path / "run", ["accuracy"], '{"event": "step_fin'))
    assert [event["step"] for event in curve.steps] == [1, 2]
    assert [event["step"] for event in curve.evaluations] == [0, 2]  # a quick look has other rows


def test_the_summary_counts_evaluations_in_the_time_to_a_goal(tmp_path: Path) -> None:
    said = learning_curves.summary(learning_curves.read(recorded(tmp_path / "run", ["accuracy"])))
    assert "40.0% (35.0% to 45.0%) -> 80.0% (75.0% to 85.0%)" in said
    assert "75% at step 2 after 24 s" in said
    assert "85%" not in said.split("; ", 1)[1]


def test_format_rewards_are_shares_of_their_maximum(tmp_path: Path) -> None:
    curve = learning_curves.read(recorded(tmp_path / "run", ["strict_format", "soft_format", "xml_count"]))
    assert learning_curves.format_shares(curve, "strict_format") == [0.1, 0.9]


def test_a_moving_mean_looks_back() -> None:
    assert learning_curves.moving_mean([2.0, 4.0, 9.0], 2) == [2.0, 3.0, 6.5]


def test_the_curves_of_runs_are_drawn_alike_each_time(tmp_path: Path) -> None:
    starter = recorded(tmp_path / "starter", ["accuracy"])
    form = recorded(tmp_path / "form", ["strict_format", "soft_format", "xml_count"])
    for images in ("first", "second"):
        arguments = ["--from", str(starter), str(form), "--images", str(tmp_path / images)]
        assert learning_curves.main(arguments) == 0
    for name in ("learning-starter.svg", "learning-format.svg"):
        drawn = (tmp_path / "first" / name).read_text("utf-8")
        assert drawn.startswith("<?xml")
        assert drawn == (tmp_path / "second" / name).read_text("utf-8")


def test_the_control_hands_out_the_same_rewards_to_other_completions(tmp_path: Path) -> None:
    file = tmp_path / "shuffled.py"
    file.write_text(learning_curves._REWARD_FILE, "utf-8")
    names = ("shuffled_accuracy", "shuffled_format")
    right = [number % 2 == 0 for number in range(40)]
    texts = [f"<reasoning>x</reasoning><answer>{1 if one else 2}</answer>" for one in right]
    rows = [Row(number, "", "1", {"prompt": "", "answer": "1"}) for number in range(40)]
    rewards = RewardSet(TrainConfig(reward_file=str(file), rewards=names))
    try:
        scores = rewards.score(texts, rows, [5] * 40)
    finally:
        rewards.close()
    assert sorted(scores[:, 0]) == [0.0] * 20 + [1.0] * 20
    assert list(scores[:, 0]) != [float(one) for one in right]
    assert (scores[:, 1] == 0.5).all()
