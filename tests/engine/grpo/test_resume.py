"""A run that is stopped, killed or short of room, and goes on: it is the run that was not."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from engine.errors import UserError
from engine.events import Event, Note, Progress, from_json
from engine.grpo import checkpoint, config_file, trainer
from engine.grpo.settings import TrainConfig
from engine.live import LivePolicies
from engine.training_events import CheckpointSaved, Evaluated, StepFinished, TrainingFinished, TrainingStarted
from tests.engine.grpo.runs import tiny

ROOT = Path(__file__).parents[3]
HARD: dict[str, Any] = {
    "train_type": "lora",
    "lora_dropout": 0.1,
    "kl_coeff": 0.05,
    "num_iterations": 2,
    "dynamic_sampling": True,
    "max_resampling": 1,
    "max_steps": 3,
}
_TIMES = ("elapsed", "seconds", "rollout_seconds", "reward_seconds", "update_seconds", "peak_memory")
Cut = Callable[[list[Event]], bool]


def timeless(event: Any) -> Event:
    """The event without what a clock or the memory's use decides."""
    fields = {field.name for field in dataclasses.fields(event)}
    same: Event = dataclasses.replace(event, **{name: 0 for name in _TIMES if name in fields})
    return same


def record(folder: Path) -> list[Event]:
    return [from_json(line) for line in (folder / "events.jsonl").read_text("utf-8").splitlines()]


def figures(folder: Path) -> list[Event]:
    """The steps and evaluations of a run's record, in their order."""
    return [timeless(event) for event in record(folder) if isinstance(event, StepFinished | Evaluated)]


def whole_record(folder: Path) -> list[Event]:
    """The whole record of a run, less its own name."""
    text = (folder / "events.jsonl").read_text("utf-8").replace(str(folder), "/run")
    return [timeless(from_json(line)) for line in text.splitlines()]


def steps_of(folder: Path) -> list[Event]:
    return [event for event in figures(folder) if isinstance(event, StepFinished)]


def weights_sum(folder: Path) -> str:
    (file,) = [path for path in (folder / "model").iterdir() if path.suffix == ".safetensors"]
    return hashlib.sha256(file.read_bytes()).hexdigest()


def samples_of(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text("utf-8").splitlines()]


def stop_at(events: Iterator[Event], cut: Cut) -> list[Event]:
    """The events up to the first that `cut` says is the last, and the run closed there."""
    seen: list[Event] = []
    for event in events:
        seen.append(event)
        if cut(seen):
            break
    else:
        pytest.fail("the run ended before it was to be stopped")
    events.close()  # type: ignore[attr-defined]
    return seen


def during(what: str, step: int, times: int = 3) -> Cut:
    """Within the step after `step`: at the `times`-th event of this work."""

    def cut(seen: list[Event]) -> bool:
        done = [event for event in seen if isinstance(event, StepFinished)]
        if len(done) != step:
            return False
        since = seen[seen.index(done[-1]) :] if done else seen
        return sum(isinstance(event, Progress) and event.what == what for event in since) == times

    return cut


def right_after(kind: type[Event], count: int) -> Cut:
    return lambda seen: sum(isinstance(event, kind) for event in seen) == count


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    *_, end = trainer.train(tiny(folder, "whole"))
    assert isinstance(end, TrainingFinished)
    return Path(end.run)


@pytest.fixture(scope="module")
def undisturbed_hard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hard")
    *_, end = trainer.train(tiny(folder, "whole", **HARD))
    assert isinstance(end, TrainingFinished)
    return Path(end.run)


CUTS = {
    "in a rollout": during("Generating completions", 1),
    "in the update": during("Updating the weights", 1, 1),
    "in an evaluation": during("Evaluating", 2),
    "after a step": right_after(StepFinished, 1),
    "after a step that is evaluated": right_after(StepFinished, 2),
    "after an evaluation": right_after(Evaluated, 2),
    "after a checkpoint": right_after(CheckpointSaved, 1),
    "in the last step": during("Updating the weights", 3, 1),
    "in the last evaluation": during("Evaluating", 4),
    "after the last evaluation": right_after(Evaluated, 3),
    "while the model is saved": during("Saving the model", 4, 1),
    "after the end": right_after(TrainingFinished, 1),
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_stopped_run_goes_on_as_if_nothing_had_been(cut: str, undisturbed: Path, tmp_path: Path) -> None:
    stop_at(trainer.train(tiny(tmp_path, "stopped")), CUTS[cut])
    folder = tmp_path / "stopped"
    *_, end = trainer.train(tiny(tmp_path, "stopped"), folder)
    assert isinstance(end, TrainingFinished)
    assert weights_sum(folder) == weights_sum(undisturbed)
    assert whole_record(folder) == whole_record(undisturbed)
    assert samples_of(folder) == samples_of(undisturbed)
    whole = record(undisturbed)[-1]
    assert isinstance(whole, TrainingFinished)
    assert (end.accuracy_before, end.accuracy_after) == (whole.accuracy_before, whole.accuracy_after)


HARD_CUTS = {
    "in a rollout": during("Generating completions", 1),
    "in the first iteration": during("Updating the weights", 1, 1),
    "in the second iteration": lambda seen: during("Updating the weights", 1, batches_of_a_step(seen))(seen),
    "in the rollout of replacements": during("Reading prompts", 1, 2),
}


def batches_of_a_step(seen: list[Event]) -> int:
    """How many micro-batches one iteration has, and one more: the first of the second iteration."""
    last = [event for event in seen if isinstance(event, Progress) and event.what == "Updating the weights"][-1:]
    return int(last[0].total or 0) + 1 if last else 1


@pytest.mark.parametrize("cut", HARD_CUTS)
def test_a_stopped_run_with_everything_random_goes_on_too(cut: str, undisturbed_hard: Path, tmp_path: Path) -> None:
    config = tiny(tmp_path, "stopped", **HARD)
    stop_at(trainer.train(config), HARD_CUTS[cut])
    folder = tmp_path / "stopped"
    for _ in trainer.train(config, folder):
        pass
    assert weights_sum(folder) == weights_sum(undisturbed_hard)
    assert steps_of(folder) == steps_of(undisturbed_hard)
    assert samples_of(folder) == samples_of(undisturbed_hard)


HALF: dict[str, dict[str, Any]] = {
    "all weights": {"kl_coeff": 0.05, "quantize_for_rollouts": True},
    "adapters": {"train_type": "lora", "lora_dropout": 0.1},
}


@pytest.mark.parametrize("cut", ["after a step", "in the second iteration"])
@pytest.mark.parametrize("kind", HALF)
def test_a_stopped_run_in_16_bits_goes_on_too(kind: str, cut: str, tmp_path: Path) -> None:
    settings = HALF[kind] | {"precision": "bfloat16", "num_iterations": 2, "max_steps": 3, "eval_samples": 4}
    for _ in trainer.train(tiny(tmp_path, "whole", **settings)):
        pass
    config = tiny(tmp_path, "stopped", **settings)
    stop_at(trainer.train(config), (CUTS | HARD_CUTS)[cut])
    for _ in trainer.train(config, tmp_path / "stopped"):
        pass
    assert weights_sum(tmp_path / "stopped") == weights_sum(tmp_path / "whole")
    assert steps_of(tmp_path / "stopped") == steps_of(tmp_path / "whole")
    assert samples_of(tmp_path / "stopped") == samples_of(tmp_path / "whole")


def test_a_run_goes_on_in_another_number_format(tmp_path: Path) -> None:
    """Computing in float32 is the way out where 16 bits are too few."""
    config = tiny(tmp_path, "run", precision="bfloat16", max_steps=4, eval_samples=0)
    stop_at(trainer.train(config), right_after(StepFinished, 2))
    policies = LivePolicies()
    types = set()
    for event in trainer.train(config.model_copy(update={"precision": "float32"}), tmp_path / "run", policies):
        if isinstance(event, StepFinished):
            (policy,) = policies._policies.values()
            types |= {array.dtype for array in policy.trainable().values()}
    assert types == {mx.float32}


def test_a_run_stopped_again_and_again_arrives(undisturbed: Path, tmp_path: Path) -> None:
    moments = random.Random(0)
    folder = tmp_path / "stopped"
    resume: Path | None = None
    for _ in range(4):
        count = moments.randrange(40, 90)
        stop_at(trainer.train(tiny(tmp_path, "stopped"), resume), lambda seen, count=count: len(seen) == count)  # type: ignore[misc]
        resume = folder if folder.exists() else None
    for _event in trainer.train(tiny(tmp_path, "stopped"), resume):
        pass
    assert weights_sum(folder) == weights_sum(undisturbed)
    assert whole_record(folder) == whole_record(undisturbed)


@pytest.mark.parametrize("save_steps", [0, 1])
@pytest.mark.parametrize("cut", ["after an evaluation", "after a checkpoint", "after the last evaluation"])
def test_each_checkpoint_is_in_the_record_once(cut: str, save_steps: int, tmp_path: Path) -> None:
    """Also those of a best evaluation, and those that a stop left before they were due."""
    whole = tiny(tmp_path, "whole", save_steps=save_steps, eval_steps=1)
    for _ in trainer.train(whole):
        pass
    stopped = whole.model_copy(update={"run_name": "stopped"})
    stop_at(trainer.train(stopped), CUTS[cut])
    for _ in trainer.train(stopped, tmp_path / "stopped"):
        pass
    assert whole_record(tmp_path / "stopped") == whole_record(tmp_path / "whole")


def test_a_resumed_run_says_so_and_can_be_named_by_its_name(tmp_path: Path) -> None:
    stop_at(trainer.train(tiny(tmp_path, "stopped")), right_after(StepFinished, 3))
    events = list(trainer.train(tiny(tmp_path, "stopped"), Path("stopped")))
    (started,) = [event for event in events if isinstance(event, TrainingStarted)]
    assert (started.step, started.steps, started.resumed) == (3, 4, True)
    assert [event.step for event in events if isinstance(event, StepFinished)] == [4]


def test_elapsed_goes_on_from_where_it_was(tmp_path: Path) -> None:
    stop_at(trainer.train(tiny(tmp_path, "stopped")), right_after(StepFinished, 3))
    events = list(trainer.train(tiny(tmp_path, "stopped"), tmp_path / "stopped"))
    times = [event.elapsed for event in record(tmp_path / "stopped") if isinstance(event, StepFinished)]
    assert times == sorted(times)
    assert len(times) == 4
    assert isinstance(events[-1], TrainingFinished)
    assert events[-1].elapsed >= times[-1]


def test_a_damaged_checkpoint_is_passed_over(undisturbed: Path, tmp_path: Path) -> None:
    stop_at(trainer.train(tiny(tmp_path, "stopped")), right_after(StepFinished, 3))
    folder = tmp_path / "stopped"
    newest, _ = checkpoint.latest(folder / "checkpoints")
    assert newest is not None
    file = newest / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    events = list(trainer.train(tiny(tmp_path, "stopped"), folder))
    assert any(isinstance(event, Note) and "damaged" in event.text for event in events)
    assert weights_sum(folder) == weights_sum(undisturbed)
    assert figures(folder) == figures(undisturbed)


def child(*arguments: str) -> subprocess.Popen[str]:
    """The program's own command `train` in a process of its own."""
    command = [sys.executable, "-m", "engine.cli", "train", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"QT_QPA_PLATFORM": "offscreen"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def told(config: TrainConfig, folder: Path) -> list[str]:
    """The command line for these settings."""
    file = folder / "settings.toml"
    file.write_text(config_file.to_toml(config), "utf-8")
    return ["--config", str(file)]


def test_a_killed_process_loses_nothing_that_was_saved(undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    arguments = told(tiny(tmp_path, "killed"), tmp_path)
    moments = random.Random(1)
    for wanted in (1, 3):
        with child(*arguments) as process:
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                if (folder / "events.jsonl").exists() and len(steps_of_half_written(folder)) >= wanted:
                    break
                time.sleep(0.005)
            time.sleep(moments.uniform(0.0, 0.1))
            process.send_signal(signal.SIGKILL)
        arguments = ["--resume", str(folder)]
    with child(*arguments) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert weights_sum(folder) == weights_sum(undisturbed)
    assert whole_record(folder) == whole_record(undisturbed)
    assert samples_of(folder) == samples_of(undisturbed)


def steps_of_half_written(folder: Path) -> list[str]:
    return [line for line in (folder / "events.jsonl").read_text("utf-8").splitlines() if '"step_finished"' in line]


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A disk of its own of this size, where the system lets us have one."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("no disk of its own may be made here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(sys.platform == "darwin", reason="disks are made another way there")
def test_a_full_disk_ends_the_run_and_leaves_what_was_saved(
    undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from engine.cli import run

    disk = tmp_path / "disk"
    config = tiny(disk, "full", save_steps=1, eval_steps=0)
    with small_disk(disk, "6m"):
        with pytest.raises(SystemExit, match="2"):
            run(["train", *told(config, tmp_path)])
        assert "The disk is full." in capsys.readouterr().err
        folder = disk / "full"
        newest, notes = checkpoint.latest(folder / "checkpoints")
        assert newest is not None
        assert not notes
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        for _ in trainer.train(config, folder):
            pass
        assert weights_sum(folder) == weights_sum(undisturbed)


def test_two_processes_cannot_train_in_one_run(tmp_path: Path) -> None:
    events = trainer.train(tiny(tmp_path, "one"))
    for event in events:
        if isinstance(event, StepFinished):
            break
    with pytest.raises(UserError, match="Another process trains"):
        next(trainer.train(tiny(tmp_path, "one"), tmp_path / "one"))
    events.close()  # type: ignore[attr-defined]


def test_more_steps_can_be_asked_for(tmp_path: Path) -> None:
    for _ in trainer.train(tiny(tmp_path, "longer", lr_scheduler_type="constant", warmup_ratio=0.0)):
        pass
    longer = tiny(tmp_path, "longer", lr_scheduler_type="constant", warmup_ratio=0.0, max_steps=6)
    *_, end = trainer.train(longer, tmp_path / "longer")
    assert isinstance(end, TrainingFinished)
    assert (end.step, end.steps) == (6, 6)
    for _ in trainer.train(longer.model_copy(update={"run_name": "at once"})):
        pass
    assert weights_sum(tmp_path / "longer") == weights_sum(tmp_path / "at once")


def test_another_model_cannot_go_on_with_a_run(undisturbed: Path) -> None:
    config = tiny(undisturbed.parent, "whole", train_type="lora")
    with pytest.raises(UserError, match="train_type cannot change"):
        next(trainer.train(config, undisturbed))


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("lora_rank", "lora_rank = 8", "lora_rank = 4"), ("train_type", 'train_type = "lora"', 'train_type = "dora"'),
     ("lora_scale", "lora_scale = ", "lora_scale = 1"), ("model_name", '"starter"', '"elsewhere"')],
)  # fmt: skip
def test_settings_edited_in_the_file_cannot_make_it_another_run(
    name: str, before: str, after: str, tmp_path: Path
) -> None:
    stop_at(trainer.train(tiny(tmp_path, "stopped", train_type="lora", lora_rank=8)), right_after(CheckpointSaved, 1))
    folder = tmp_path / "stopped"
    file = folder / "config.toml"
    whole = file.read_text("utf-8")
    assert before in whole
    file.write_text(whole.replace(before, after), "utf-8")
    left = everything(folder)
    with pytest.raises(UserError, match=f"{name} cannot change"):
        list(trainer.train(config_file.of_run(folder), folder))
    assert everything(folder) == left
    # The right value may be given by hand as well.
    right = getattr(tiny(tmp_path, train_type="lora", lora_rank=8), name)
    *_, end = trainer.train(config_file.of_run(folder, [f"{name}={right}"]), folder)
    assert isinstance(end, TrainingFinished)


def everything(folder: Path) -> dict[str, bytes]:
    """All files of a run but its lock."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if name != ".lock"}


@pytest.mark.parametrize("train_type", ["lora", "dora"])
def test_arrays_that_are_not_the_models_are_refused(train_type: str, tmp_path: Path) -> None:
    """As in a run of before checkpoints kept those settings."""
    stop_at(trainer.train(tiny(tmp_path, "stopped", train_type="lora", lora_rank=8)), right_after(CheckpointSaved, 1))
    folder = tmp_path / "stopped"
    newest, _ = checkpoint.latest(folder / "checkpoints")
    assert newest is not None
    _, state = checkpoint.state_of(newest)
    checkpoint.restate(newest, {name: value for name, value in state.items() if name not in {"fixed", "looked"}})
    config = tiny(tmp_path, "stopped", train_type=train_type, lora_rank=4)
    (folder / "config.toml").write_text(config_file.to_toml(config), "utf-8")
    left = everything(folder)
    with pytest.raises(UserError, match="does not fit the model"):
        list(trainer.train(config, folder))
    assert everything(folder) == left
    right = tiny(tmp_path, "stopped", train_type="lora", lora_rank=8)
    (folder / "config.toml").write_text(config_file.to_toml(right), "utf-8")
    assert isinstance(list(trainer.train(right, folder))[-1], TrainingFinished)


@pytest.mark.parametrize("loss", ["damaged", "deleted", "unsaid"])
def test_a_run_whose_checkpoints_are_lost_is_left_as_it_is(loss: str, tmp_path: Path) -> None:
    """Also where the only one was written and not yet recorded."""
    config, folder = tiny(tmp_path, "stopped"), tmp_path / "stopped"
    stop_at(trainer.train(config), right_after(StepFinished, 1 if loss == "unsaid" else 3))
    for file in (folder / "checkpoints").glob("*/weights.safetensors"):
        file.write_bytes(file.read_bytes()[:-1])
    if loss == "deleted":
        shutil.rmtree(folder / "checkpoints")
    left = everything(folder)
    with pytest.raises(UserError, match="no whole checkpoint") as raised:
        list(trainer.train(config, folder))
    assert str(folder / "config.toml") in raised.value.remedy
    assert everything(folder) == left


def test_a_run_without_any_checkpoint_begins_anew(undisturbed: Path, tmp_path: Path) -> None:
    """As after a kill; what is left of an unfinished one is no checkpoint."""
    config, folder = tiny(tmp_path, "stopped"), tmp_path / "stopped"
    stop_at(trainer.train(config), right_after(StepFinished, 1))
    (folder / "checkpoints" / "000001").rename(folder / "checkpoints" / ".000001.partial")
    list(trainer.train(config, folder))
    assert weights_sum(folder) == weights_sum(undisturbed)
    assert whole_record(folder) == whole_record(undisturbed)


def test_a_checkpoint_that_the_record_does_not_tell_of_is_gone_on_from(undisturbed: Path, tmp_path: Path) -> None:
    """The process was killed between the two."""
    config, folder = tiny(tmp_path, "stopped"), tmp_path / "stopped"
    stop_at(trainer.train(config), right_after(CheckpointSaved, 1))
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    assert b"checkpoint_saved" in lines[-1]
    (folder / "events.jsonl").write_bytes(b"".join(lines[:-1]))
    events = list(trainer.train(config, folder))
    assert next(event for event in events if isinstance(event, TrainingStarted)).step == 2
    assert whole_record(folder) == whole_record(undisturbed)


def test_steps_cannot_be_taken_back(tmp_path: Path) -> None:
    stop_at(trainer.train(tiny(tmp_path, "stopped")), right_after(StepFinished, 3))
    left = everything(tmp_path / "stopped")
    with pytest.raises(UserError, match="has done 3 steps already"):
        list(trainer.train(tiny(tmp_path, "stopped", max_steps=2), tmp_path / "stopped"))
    assert everything(tmp_path / "stopped") == left
    *_, end = trainer.train(tiny(tmp_path, "stopped", max_steps=3), tmp_path / "stopped")
    assert isinstance(end, TrainingFinished)


def test_settings_of_a_resume_that_fails_are_not_kept(tmp_path: Path) -> None:
    stop_at(trainer.train(tiny(tmp_path, "stopped")), right_after(StepFinished, 3))
    left = everything(tmp_path / "stopped")
    with pytest.raises(UserError):
        list(trainer.train(tiny(tmp_path, "stopped", dataset=str(tmp_path / "none.jsonl")), tmp_path / "stopped"))
    assert everything(tmp_path / "stopped") == left


BEST_AT_THE_END = {"eval_steps": 0, "max_steps": 2}


def test_going_on_with_a_finished_run_evaluates_nothing_again(tmp_path: Path) -> None:
    """The last evaluation is the best, and its checkpoint is written after it."""
    config = tiny(tmp_path, "stopped", **BEST_AT_THE_END)
    for _ in trainer.train(config):
        pass
    before = figures(tmp_path / "stopped")
    for _ in trainer.train(config, tmp_path / "stopped"):
        pass
    assert figures(tmp_path / "stopped") == before


def test_stopping_in_the_last_evaluation_keeps_the_last_step(tmp_path: Path) -> None:
    config = tiny(tmp_path, "stopped", save_steps=0, eval_steps=0)
    stop_at(trainer.train(config), during("Evaluating", 4))
    newest, _ = checkpoint.latest(tmp_path / "stopped" / "checkpoints")
    assert newest is not None
    assert newest.name == "000004"


def test_a_reward_that_fails_late_keeps_the_last_whole_step(tmp_path: Path) -> None:
    file = tmp_path / "judge.py"
    file.write_text(
        "calls = []\n\n\ndef judge(completions, **columns):\n    calls.append(1)\n"
        "    return [float(i % 3) for i, _ in enumerate(completions)] if len(calls) < 4 else 1 / 0\n",
        "utf-8",
    )
    config = tiny(
        tmp_path, "stopped", rewards=["judge"], reward_weights=[], reward_file=str(file), save_steps=0, eval_steps=0
    )
    with pytest.raises(UserError):
        list(trainer.train(config))
    newest, _ = checkpoint.latest(tmp_path / "stopped" / "checkpoints")
    assert newest is not None
    assert newest.name == "000002"
