"""What a run keeps between its steps: its time, and what was judged when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.grpo import run as steps
from engine.grpo import trainer
from engine.training_events import Evaluated, StepFinished
from tests.engine.grpo.runs import last, only, reward_file, run, tiny
from tests.engine.grpo.test_resume import right_after, stop_at, whole_record
from tests.engine.grpo.test_stopping import FALLING


def test_a_stopped_watch_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(steps.time, "monotonic", lambda: clock[0])
    watch = steps.Stopwatch(3.0)
    clock[0] = 1.0
    watch.stop()
    clock[0] = 6.0
    assert watch.read() == 4.0
    watch.stop()
    assert watch.read() == 4.0
    watch.go_on()
    clock[0] = 8.0
    assert watch.read() == 6.0


LOOKS: dict[str, Any] = {
    "eval_steps": 0, "eval_every_updates": 1, "eval_subset_size": 2, "eval_samples": 4, "max_steps": 9,
    "early_stop_reward": 0.7, "early_stop_window": 2,
}  # fmt: skip


def test_a_quick_look_does_not_judge_the_last_step(tmp_path: Path) -> None:
    """A run that ends early right after one is evaluated as a whole all the same."""
    events = run(tiny(tmp_path, **reward_file(tmp_path, FALLING), **LOOKS))
    end, found = last(events), only(events, Evaluated)
    assert end.reason == "reward fell"
    assert [event.when for event in found] == ["before", *["quick"] * end.step, "after"]
    assert end.accuracy_after == found[-1].accuracy


def test_a_quick_look_is_not_had_again_by_a_run_that_goes_on(tmp_path: Path) -> None:
    changes = LOOKS | {"early_stop_reward": 0.0, "max_steps": 3}
    run(tiny(tmp_path, "whole", **changes))
    config = tiny(tmp_path, "stopped", **changes)
    said = stop_at(trainer.train(config), right_after(Evaluated, 2))
    assert len(only(said, StepFinished)) == 1
    list(trainer.train(config, tmp_path / "stopped"))
    assert whole_record(tmp_path / "stopped") == whole_record(tmp_path / "whole")
