"""When a run ends before its last step, and that its model is saved all the same."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.grpo import stopping, trainer
from engine.grpo.settings import TrainConfig
from engine.training_events import Evaluated, StepFinished, TrainingFinished
from tests.engine.grpo.runs import last, only, reward_file, run, tiny
from tests.engine.grpo.test_resume import record, right_after, stop_at


def why(config: TrainConfig, **given: object) -> str | None:
    figures: dict[str, object] = {"reached": None, "stale": 0, "rewards": [], "best": 0.0}
    return stopping.reason(config, **figures | given)  # type: ignore[arg-type]


def test_nothing_ends_a_run_that_was_told_nothing() -> None:
    assert why(TrainConfig(), reached=1.0, stale=100, rewards=[0.0] * 100, best=1.0) is None


@pytest.mark.parametrize(("stale", "expected"), [(2, None), (3, "no progress"), (4, "no progress")])
def test_evaluations_without_a_rise(stale: int, expected: str | None) -> None:
    assert why(TrainConfig(early_stop_patience=3), stale=stale) == expected


@pytest.mark.parametrize(
    ("rewards", "best", "expected"),
    [
        ([0.2, 0.2], 1.0, "reward fell"),
        ([0.2, 0.8], 1.0, None),
        ([0.0], 1.0, None),
        ([-1.0, -1.0], 0.0, None),
        ([-1.0, -1.0], -0.5, None),
    ],
)
def test_a_fall_of_the_reward(rewards: list[float], best: float, expected: str | None) -> None:
    assert why(TrainConfig(early_stop_reward=0.5, early_stop_window=2), rewards=rewards, best=best) == expected


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=60), st.integers(1, 20))
def test_a_reward_that_only_rises_ends_nothing(rewards: list[float], window: int) -> None:
    config = TrainConfig(early_stop_reward=0.99, early_stop_window=window)
    recent: list[float] = []
    best = 0.0
    for reward in sorted(rewards):
        recent = [*recent, reward][-window:]
        best = stopping.best_mean(config, recent, best)
        assert why(config, rewards=recent, best=best) is None


def test_a_run_without_progress_ends_and_keeps_its_model(tmp_path: Path) -> None:
    # At this rate nothing changes.
    config = tiny(tmp_path, learning_rate=1e-12, eval_steps=1, early_stop_patience=2, max_steps=9, eval_samples=4)
    events = run(config)
    end = last(events)
    assert (end.step, end.steps, end.reason) == (2, 9, "no progress")
    assert [event.when for event in only(events, Evaluated)] == ["before", "during", "during"]
    assert (Path(end.model) / "model.safetensors").is_file()
    again = list(trainer.train(config, Path(end.run)))
    assert (last(again).step, last(again).reason) == (2, "no progress")
    assert not only(again, StepFinished)
    further = run_on(config.model_copy(update={"early_stop_patience": 3}), Path(end.run))
    assert (further.step, further.reason) == (3, "no progress")


def run_on(config: TrainConfig, folder: Path) -> TrainingFinished:
    return last(list(trainer.train(config, folder)))


# Good at first, worse with every call: 16 completions a step.
FALLING = """    calls.append(1)
    return [(8.0 - len(calls) + i % 2) for i, _ in enumerate(completions)]


calls = []"""


def test_a_run_whose_reward_falls_ends_after_an_evaluation(tmp_path: Path) -> None:
    given = {"eval_steps": 0, "eval_samples": 4, "max_steps": 9, "early_stop_reward": 0.7, "early_stop_window": 2}
    events = run(tiny(tmp_path, **reward_file(tmp_path, FALLING), **given))
    end = last(events)
    assert end.reason == "reward fell"
    means = [event.reward for event in only(events, StepFinished)]
    two = [(one + other) / 2 for one, other in itertools.pairwise(means)]
    assert two[-1] < 0.7 * max(two)
    assert all(mean >= 0.7 * max(two[: number + 1]) for number, mean in enumerate(two[:-1]))
    assert [event.when for event in only(events, Evaluated)] == ["before", "after"]
    assert end.accuracy_after is not None


def test_what_counts_towards_an_end_is_kept_by_a_checkpoint(tmp_path: Path) -> None:
    given = {"eval_steps": 1, "eval_samples": 4, "max_steps": 9, "learning_rate": 1e-12, "early_stop_patience": 3}
    config = tiny(tmp_path, **given)
    stop_at(trainer.train(config), right_after(StepFinished, 3))
    end = run_on(config, tmp_path / "run")
    assert (end.step, end.reason) == (3, "no progress")
    assert len(only(record(tmp_path / "run"), Evaluated)) == 4
