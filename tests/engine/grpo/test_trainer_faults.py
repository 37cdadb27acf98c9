"""Runs that cannot begin or must not go on: what is said, and what is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from engine import errors
from engine.errors import UserError
from engine.events import Event, Progress
from engine.grpo import checkpoint, config_file, forecast, policy, trainer
from engine.grpo.settings import TrainConfig
from engine.training_events import StepFinished, TrainingFailed, TrainingFinished, TrainingPlanned, TrainingStarted
from tests.engine.grpo.runs import last, only, reward_file, rows, run, tiny
from tests.engine.grpo.test_resume import record, right_after, stop_at


def fault_of(kind: str, folder: Path) -> dict[str, Any]:
    """Settings with this fault."""
    (folder / "empty.jsonl").write_text("", "utf-8")
    good = rows(folder, [(f"{a}+{a}", str(2 * a)) for a in range(11, 31)])
    bad = folder / "bad.jsonl"
    bad.write_text(good.read_text("utf-8") + '{"question": 1, "ans\n', "utf-8")
    bodies = {
        "syntax error": "    return [",
        "reward raises": "    raise KeyError('x')",
        "wrong number of rewards": "    return [1.0]",
    }
    if kind in bodies:
        return reward_file(folder, bodies[kind])
    changes: dict[str, dict[str, Any]] = {
        "empty data": {"dataset": str(folder / "empty.jsonl")},
        "missing data": {"dataset": str(folder / "missing.jsonl")},
        "bad row": {"dataset": str(bad)},
        "missing column": {"dataset": str(good), "prompt_column": "nothing"},
        "no such reward": {"rewards": ["kindness"], "reward_weights": []},
        "missing model": {"model_name": str(folder / "missing")},
        "long prompts": {"max_prompt_length": 3, "eval_samples": 0},
        "no such module": {"train_type": "lora", "lora_keys": ["self_attn.nothing"]},
    }
    return changes[kind]


FAULTS = (
    "empty data",
    "missing data",
    "bad row",
    "missing column",
    "no such reward",
    "syntax error",
    "reward raises",
    "wrong number of rewards",
    "missing model",
    "long prompts",
    "no such module",
)


# These show once the run has begun.
LATE = ("reward raises", "wrong number of rewards", "long prompts")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_explained_and_nothing_is_left_of_a_run_that_did_not_begin(fault: str, tmp_path: Path) -> None:
    from engine.cli import run as command

    config = tiny(tmp_path / "runs", **fault_of(fault, tmp_path))
    with pytest.raises((UserError, OSError)) as raised:
        run(config)
    said = errors.explain(raised.value)
    assert all((said.what, said.why, said.remedy))
    assert said.fault == "input"
    assert (tmp_path / "runs" / "run").exists() == (fault in LATE)
    file = tmp_path / "settings.toml"
    file.write_text(config_file.to_toml(config), "utf-8")
    with pytest.raises(SystemExit, match="2"):
        command(["train", "--config", str(file)])
    assert (tmp_path / "runs" / "run").exists() == (fault in LATE)


def test_a_fault_before_the_first_step_can_be_mended_and_the_run_resumed(tmp_path: Path) -> None:
    config = tiny(tmp_path, **fault_of("reward raises", tmp_path))
    with pytest.raises(UserError):
        run(config)
    reward_file(tmp_path, "    return [float(i % 3) for i, _ in enumerate(completions)]")
    events = list(trainer.train(config, tmp_path / "run"))
    assert last(events).step == 4
    record = (tmp_path / "run" / "events.jsonl").read_text("utf-8")
    assert record.count('"training_started"') == 1


def test_steps_that_were_not_told_are_not_thrown_away(tmp_path: Path) -> None:
    """A fault of ours in the third step of a run that tells every fourth."""
    file = tmp_path / "judge.py"
    file.write_text(
        "calls = []\n\n\ndef judge(completions, **columns):\n    calls.append(1)\n"
        "    return [float(i % 3) for i, _ in enumerate(completions)] if len(calls) < 4 else 1 / 0\n",
        "utf-8",
    )
    given = {"rewards": ["judge"], "reward_weights": [], "reward_file": str(file)}
    events = trainer.train(tiny(tmp_path, logging_steps=4, eval_steps=0, eval_samples=0, save_steps=0, **given))
    with pytest.raises(UserError):
        list(events)
    newest, _ = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert newest is not None


def test_closing_before_the_first_step_leaves_nothing(tmp_path: Path) -> None:
    for wanted in ("Starting the engine", "Evaluating"):
        events = trainer.train(tiny(tmp_path))
        for event in events:
            if isinstance(event, Progress) and event.what == wanted:
                break
        events.close()  # type: ignore[attr-defined]
        assert not (tmp_path / "run").exists()
    assert last(run(tiny(tmp_path))).step == 4


@pytest.mark.parametrize(
    ("save_steps", "iterations", "rate", "limit"), [(1, 1, 2e-3, 0.01), (0, 1, 2e-3, 0.01), (0, 2, 1e-3, 0.6)]
)
def test_a_policy_that_runs_away_is_stopped(
    save_steps: int, iterations: int, rate: float, limit: float, tmp_path: Path
) -> None:
    """Before the step that shows it changes the weights: those of the step before are saved."""
    events: list[Event] = []
    settings = {"kl_coeff": 0.01, "learning_rate": rate, "save_steps": save_steps, "num_iterations": iterations}
    config = tiny(tmp_path, max_kl=limit, max_steps=8, eval_samples=0, **settings)
    with pytest.raises(UserError, match="moved too far") as raised:  # noqa: PT012  what came before it is wanted
        for event in trainer.train(config):
            events.append(event)  # noqa: PERF402  kept although an error ends the list
    done = only(events, StepFinished)[-1].step
    assert "KL divergence is 0.0 " not in raised.value.why
    newest, notes = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert newest is not None
    assert newest.name == f"{done:06}"
    assert not notes
    assert str(newest) in raised.value.why
    end = record(tmp_path / "run")[-1]
    assert isinstance(end, TrainingFailed)
    assert (end.what, end.why, end.fault) == (raised.value.what, raised.value.why, "input")
    # Going on takes it back.
    stop_at(trainer.train(config.model_copy(update={"max_kl": 0.0}), tmp_path / "run"), right_after(TrainingStarted, 1))
    assert not only(record(tmp_path / "run"), TrainingFailed)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_disk_that_fills_while_the_model_is_written_leaves_the_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(tmp_path, max_steps=1, eval_samples=0, train_type="lora", fuse=True)
    opened = Path.open

    def full(path: Path, *rest: Any, **named: Any) -> Any:
        at_fault = path.parent.parent.name.startswith(".fused") and path.suffix == ".safetensors"
        return opened(Path("/dev/full"), "wb") if at_fault else opened(path, *rest, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        with pytest.raises(OSError, match="No space left") as raised:
            run(config)
    said = errors.explain(raised.value)
    assert said.what == "The disk is full."
    assert "model.safetensors" in said.why
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["000001"]
    *_, end = trainer.train(config, tmp_path / "run")
    assert isinstance(end, TrainingFinished)
    assert Path(end.fused).is_dir()


@pytest.mark.parametrize("iterations", [1, 2])
def test_weights_that_are_no_numbers_never_reach_a_checkpoint(
    iterations: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient's norm is made NaN in the third step, as an overflow makes it."""
    from engine.grpo.update import Updater

    whole = Updater._gradients
    calls = {"steps": 0}

    def broken(self: Updater, *arguments: Any) -> Any:
        loss, metrics, gradients = whole(self, *arguments)
        return loss * (mx.nan if calls["steps"] == 2 else 1.0), metrics, gradients

    monkeypatch.setattr(Updater, "_gradients", broken)
    config = tiny(tmp_path, save_steps=1, eval_samples=0, num_iterations=iterations)
    with pytest.raises(UserError, match="not a number") as raised:  # noqa: PT012  the steps before it are counted
        for event in trainer.train(config):
            calls["steps"] += isinstance(event, StepFinished)
    newest, _ = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert newest is not None
    assert newest.name == "000002"
    assert str(newest) in raised.value.why
    weights = checkpoint.load(newest).tensors["weights"]
    assert all(bool(mx.isfinite(array).all().item()) for array in weights.values())
    monkeypatch.undo()
    *_, end = trainer.train(config, tmp_path / "run")
    assert isinstance(end, TrainingFinished)


def test_a_model_that_cannot_share_prompts_is_refused_by_what_it_needs_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which only the loaded model tells."""
    asked = {"max_prompt_length": 512, "system_prompt": "Answer well. " * 25, "num_generations": 16, "batch_size": 2}
    config = tiny(tmp_path, train_type="lora", eval_samples=0, max_steps=1, max_new_tokens=8, **asked)
    needs = []
    for share in (True, False):
        planned = [*trainer.plan(config.model_copy(update={"share_prompts": share}))][-1]
        assert isinstance(planned, TrainingPlanned)
        needs.append(planned.peak)
    assert needs[1] > 1.5 * needs[0]
    monkeypatch.setattr(forecast, "_fits", lambda found, _machine: found.peak < 1.3 * needs[0])
    assert last(run(config)).step == 1
    monkeypatch.setattr(policy, "can_share", lambda *_parts: False)
    with pytest.raises(UserError, match="cannot be trained with these settings"):
        run(config.model_copy(update={"run_name": "alone"}))


def test_evaluating_without_rows_is_a_fault(tmp_path: Path) -> None:
    file = rows(tmp_path, [("1+1", "2"), ("2+2", "4")])
    with pytest.raises(UserError, match="nothing to evaluate on"):
        list(trainer.evaluate_model("starter", "", tiny(tmp_path, dataset=str(file), eval_fraction=0.0)))


@pytest.mark.parametrize("rewards", ["accuracy", "flat"])
def test_a_model_whose_weights_are_no_numbers_is_not_trained(
    rewards: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its completions may all be alike, which alone would be no loss at all."""
    whole = policy.open_policy

    def broken(config: TrainConfig) -> Any:
        opened = yield from whole(config)
        opened.put({name: array * mx.nan for name, array in opened.trainable().items()})
        return opened

    monkeypatch.setattr(policy, "open_policy", broken)
    changes = (
        {}
        if rewards == "accuracy"
        else reward_file(tmp_path, "    return [float(i) for i, _ in enumerate(completions)]")
    )
    with pytest.raises(UserError, match="not a number"):
        run(tiny(tmp_path, eval_samples=0, **changes))
