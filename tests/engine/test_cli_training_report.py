"""The events of a training run as lines for a terminal."""

from __future__ import annotations

from typing import Literal

import pytest

from engine import cli_training_report
from engine.cli_render import Renderer
from engine.events import Event
from engine.training_events import (
    CheckpointSaved,
    Evaluated,
    SettingChanged,
    StepFinished,
    TrainingFinished,
    TrainingPlanned,
    TrainingStarted,
    TrainingStopped,
)

PLAN = TrainingPlanned(
    model="starter",
    train_type="full",
    parameters=200_000,
    trainable=50_000,
    rows=1000,
    held_out=-1,
    steps=400,
    prompts_per_step=32,
    generations=8,
    weights=800_000,
    optimizer=2_400_000,
    kv_cache=12_000_000,
    activations=30_000_000,
    peak=46_000_000,
    available=8_000_000_000,
    fits=True,
    seconds_per_step=1.5,
)
STARTED = TrainingStarted("/runs/a b", "starter", "full", 200_000, 0, 400, False)
STEP = StepFinished(
    step=12,
    steps=400,
    epoch=0.1,
    loss=0.0123,
    reward=0.61,
    reward_spread=0.2,
    rewards=(("accuracy", 0.52, 0.5), ("strict_format", 0.49, 0.1)),
    flat_groups=0.25,
    replaced=0,
    kl=0.003,
    entropy=0.4,
    ratio=1.0,
    clipped_low=0.0,
    clipped_high=0.0,
    gradient_norm=1.2,
    learning_rate=1.5e-4,
    completions=256,
    tokens=6400,
    mean_length=25.04,
    shortest=20,
    longest=40,
    cut_short=0.02,
    rollout_seconds=1.0,
    reward_seconds=0.1,
    update_seconds=0.9,
    elapsed=24.0,
    peak_memory=1,
)
EVALUATED = Evaluated("before", 0, 500, 0.43, 0.39, 0.474, 0.98, 0.62, 25.1, 0.0, 2.5, 2.5)


def rendered(capsys: pytest.CaptureFixture[str], event: Event) -> tuple[str, str]:
    Renderer(stream=False, verbose=False)(event)
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_a_step_is_one_line_with_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    out, said = rendered(capsys, STEP)
    assert out == ""
    assert said.count("\n") == 1
    for part in (
        "step  12/400",
        "reward 0.610 ±0.200",
        "accuracy 0.520",
        "strict_format 0.490",
        "length 25.0 (2% cut)",
    ):
        assert part in said
    for part in ("KL 0.0030", "flat groups 25%", "3,200 tokens/s", "2.0 s"):
        assert part in said


def test_an_evaluation_states_its_interval(capsys: pytest.CaptureFixture[str]) -> None:
    out, said = rendered(capsys, EVALUATED)
    assert out == ""
    assert said.startswith("Before training: accuracy 43.0% (95 % interval 39.0% to 47.4%, 500 rows)")
    several = Evaluated(
        "quick", 40, 50, 0.5, 0.4, 0.6, 1.0, 1.0, 9.0, 0.1, 1.0, 1.0, 4, 0.45, pass_at_k=((1, 0.45), (4, 0.75))
    )
    line = cli_training_report.remark(several)
    assert line is not None
    assert line.startswith("Quick look at step 40: ")
    assert "sampled 45.0%, pass@1 45.0%, pass@4 75.0%" in line


def test_a_plan_is_a_table_of_what_the_run_would_need(capsys: pytest.CaptureFixture[str]) -> None:
    out, said = rendered(capsys, PLAN)
    assert out == ""
    for part in (
        "0.05 million of 0.20 million parameters (25.0%)",
        "1,000 rows to learn from, held-out rows not counted",
        "about 46.00 MB at most, 8.00 GB can be used",
        "key-value cache 12.00 MB",
        "up to about 1.5 s a step",
        "10 min 0 s in all",
        "less where completions end early",
    ):
        assert part in said
    assert "Fits        yes" in said


def test_a_plan_says_what_would_fit_and_where_no_forecast_is_possible() -> None:
    values = {field: getattr(PLAN, field) for field in PLAN.__slots__}
    tight = TrainingPlanned(**values | {"fits": False, "suggestion": ("train_type=lora", "micro_batch_tokens=512")})
    line = cli_training_report.remark(tight)
    assert line is not None
    assert "Fits        NO" in line
    assert "--set train_type=lora --set micro_batch_tokens=512" in line
    absent = TrainingPlanned(
        **values | {"parameters": 0, "trainable": 0, "seconds_per_step": 0.0, "steps": 0, "rows": -1}
    )
    line = cli_training_report.remark(absent)
    assert line is not None
    assert "no forecast: the model is not on this computer" in line
    assert "Data        not counted" in line
    assert "Fits" not in line


def test_the_model_is_the_result_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    finished = TrainingFinished("/runs/a", "/runs/a/adapters", "", 400, 400, "finished", 0.43, 0.81, 500.0)
    out, said = rendered(capsys, finished)
    assert out == "/runs/a/adapters\n"
    assert "43.0% before, 81.0% after" in said
    assert "8 min 20 s" in said
    fused = TrainingFinished("/runs/a", "/runs/a/adapters", "/runs/a/model", 9, 400, "target reached", None, None, 9e3)
    out, said = rendered(capsys, fused)
    assert out == "/runs/a/model\n"
    assert "2 h 30 min" in said
    assert "the wanted accuracy is reached" in said
    assert "the best so far" in str(cli_training_report.remark(CheckpointSaved(9, "/runs/a/checkpoints/9", True)))
    assert "/runs/a b" in str(cli_training_report.remark(STARTED))


def test_a_changed_setting_is_one_line() -> None:
    line = cli_training_report.remark(SettingChanged(12, "learning_rate", 1e-6, 2.5e-7))
    assert line == "Changed after step 12: learning_rate from 1e-06 to 2.5e-07"


@pytest.mark.parametrize(
    ("reason", "words"),
    [("no progress", "the accuracy did not rise any more"), ("reward fell", "the mean reward fell far below its best")],
)
def test_an_early_end_says_why(reason: Literal["no progress", "reward fell"], words: str) -> None:
    finished = TrainingFinished("/runs/a", "/runs/a/model", "", 60, 400, reason, 0.43, 0.44, 5.0)
    assert f"{words}: step 60 of 400" in str(cli_training_report.remark(finished))


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (TrainingStopped("", 0), "The run was stopped before its first step. Nothing of it is kept.\n"),
        (
            TrainingStopped("/runs/one", 0),
            "The run was stopped before its first step. Go on with: mlx-grpo train --resume /runs/one\n",
        ),
        (
            TrainingStopped("/runs/a b", 1200),
            "The run was stopped and is saved up to step 1,200. Go on with: mlx-grpo train --resume '/runs/a b'\n",
        ),
    ],
)
def test_a_stopped_run_is_told_how_to_go_on(capsys: pytest.CaptureFixture[str], event: Event, said: str) -> None:
    assert rendered(capsys, event) == ("", said)
