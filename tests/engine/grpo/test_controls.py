"""Commands to a run through its folder: what can be asked, what is read, and what a run does with it."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.events import Event, Note, Progress
from engine.grpo import checkpoint, controls, trainer
from engine.grpo.controls import COMMANDS, Command, Reader, ask
from engine.grpo.settings import TrainConfig
from engine.grpo.steering import applied
from engine.training_events import (
    CheckpointSaved,
    SettingChanged,
    StepFinished,
    TrainingFinished,
    TrainingStarted,
    TrainingStopped,
)
from tests.engine.grpo import test_resume
from tests.engine.grpo.runs import last, only, run, tiny
from tests.engine.grpo.test_resume import figures, record, right_after, samples_of, steps_of, stop_at, weights_sum

LEARNING_RATE = Command("set", "learning_rate", 5e-4)


def test_what_is_asked_is_read_once_in_its_order(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    assert reader.read() == []
    asked = [Command("pause"), LEARNING_RATE, Command("resume")]
    for command in asked:
        ask(tmp_path, command)
    assert reader.read() == asked
    assert reader.read() == []


def test_commands_of_an_earlier_session_are_not_seen(tmp_path: Path) -> None:
    ask(tmp_path, Command("stop"))
    reader = Reader(tmp_path)
    ask(tmp_path, Command("checkpoint"))
    assert reader.read() == [Command("checkpoint")]


def test_the_disk_is_looked_at_now_and_then_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(controls.time, "monotonic", lambda: clock[0])
    reader = Reader(tmp_path)
    ask(tmp_path, Command("stop"))
    assert reader.read(at_once=False) == []
    clock[0] = 1.0
    assert reader.read(at_once=False) == [Command("stop")]


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    with (tmp_path / COMMANDS).open("ab", buffering=0) as file:
        file.write(b'{"command": "st')
        assert reader.read() == []
        file.write(b'op"}\n')
    assert reader.read() == [Command("stop")]


def test_a_torn_line_spoils_no_later_command(tmp_path: Path) -> None:
    (tmp_path / COMMANDS).write_bytes(b'{"command": "st')
    reader = Reader(tmp_path)
    ask(tmp_path, Command("pause"))
    assert reader.read() == [Command("pause")]


def test_a_file_that_vanishes_or_shrinks_ends_no_run(tmp_path: Path) -> None:
    ask(tmp_path, Command("pause"))
    ask(tmp_path, Command("resume"))
    reader = Reader(tmp_path)
    (tmp_path / COMMANDS).write_text("\n", "utf-8")
    assert reader.read() == []
    ask(tmp_path, Command("stop"))
    assert reader.read() == [Command("stop")]
    (tmp_path / COMMANDS).unlink()
    assert reader.read() == []
    (tmp_path / COMMANDS).mkdir()
    assert reader.read() == []


@given(st.binary(max_size=60))
def test_no_line_breaks_the_reader(line: bytes) -> None:
    for found in (controls._parsed(line), controls._parsed(json.dumps(line.decode("latin-1")).encode())):
        assert isinstance(found, Command | UserError)


@pytest.mark.parametrize(
    "line",
    [
        '{"command": "dance"}',
        '{"command": "set", "name": "learning_rate", "value": "fast"}',
        '{"command": "set", "name": "learning_rate", "value": NaN}',
        '{"command": "set", "name": "seed", "value": 1}',
        '{"command": ["stop"]}',
        f'{{"command": "set", "name": "learning_rate", "value": 1{"0" * 400}}}',
        "[" * 100_000,
        "[]",
    ],
)
def test_what_is_no_command_is_an_error_in_words(line: str) -> None:
    found = controls._parsed(line.encode())
    assert isinstance(found, UserError)
    assert found.what
    assert found.remedy


@pytest.mark.parametrize(
    ("name", "value"),
    [("learning_rate", 0.0), ("learning_rate", 2.0), ("kl_coeff", -0.1), ("temperature", 0.0), ("batch_size", 8.0)],
)
def test_what_the_settings_do_not_allow_is_not_asked(name: str, value: float, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=name):
        ask(tmp_path, Command("set", name, value))
    assert not (tmp_path / COMMANDS).exists()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        ask(tmp_path / "nowhere", Command("stop"))


def test_commands_of_many_windows_do_not_mix(tmp_path: Path) -> None:
    reader = Reader(tmp_path)

    def asks(rate: float) -> None:
        for _ in range(50):
            ask(tmp_path, Command("set", "learning_rate", rate))

    threads = [threading.Thread(target=asks, args=(10.0**-number,)) for number in range(2, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = reader.read()
    assert len(found) == 200
    assert all(isinstance(each, Command) for each in found)


def test_a_setting_that_was_written_anew_counts() -> None:
    written = TrainConfig(learning_rate=1e-4)
    changes = {"learning_rate": [1e-4, 1e-5], "temperature": [0.5, 0.7]}
    assert applied(written, changes).learning_rate == 1e-5
    assert applied(written, changes).temperature == written.temperature
    assert applied(TrainConfig(learning_rate=1e-3), changes).learning_rate == 1e-3


# Runs


def told(config: TrainConfig, orders: dict[int, list[Command]], resume: Path | None = None) -> list[Event]:
    """The events of a run that is told these commands right after these steps, 0 being its start."""
    return list(telling(trainer.train(config, resume), Path(config.output_dir) / config.run_name, orders))


def telling(events: Iterator[Event], folder: Path, orders: dict[int, list[Command]]) -> Iterator[Event]:
    for number, event in enumerate(events):
        step = event.step if isinstance(event, StepFinished) else 0 if number == 0 else None
        for command in orders.get(step, []) if step is not None else []:
            ask(folder, command)
        yield event


PLAIN: dict[str, Any] = {"eval_samples": 0, "save_steps": 0}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    events = run(tiny(tmp_path_factory.mktemp("plain"), **PLAIN))
    # Otherwise nothing would differ, whatever a command did.
    assert all(event.gradient_norm > 0 for event in only(events, StepFinished))
    return Path(last(events).run)


def rates(folder: Path) -> list[float]:
    return [event.learning_rate for event in only(record(folder), StepFinished)]


def test_a_checkpoint_is_saved_when_it_is_asked_for(plain: Path, tmp_path: Path) -> None:
    events = told(tiny(tmp_path, **PLAIN), {2: [Command("checkpoint")]})
    assert [event.step for event in only(events, CheckpointSaved)] == [2, 4]
    assert weights_sum(tmp_path / "run") == weights_sum(plain)
    assert figures(tmp_path / "run") == figures(plain)


def test_there_is_nothing_to_save_before_the_first_step(plain: Path, tmp_path: Path) -> None:
    events = told(tiny(tmp_path, **PLAIN), {0: [Command("checkpoint")]})
    assert "nothing to save" in only(events, Note)[0].text
    assert [event.step for event in only(events, CheckpointSaved)] == [4]
    assert weights_sum(tmp_path / "run") == weights_sum(plain)


def test_a_learning_rate_scales_what_is_left_of_the_schedule(plain: Path, tmp_path: Path) -> None:
    events = told(tiny(tmp_path, **PLAIN), {2: [LEARNING_RATE]})
    assert only(events, SettingChanged) == [SettingChanged(2, "learning_rate", 1e-3, 5e-4)]
    before, changed = rates(plain), rates(tmp_path / "run")
    assert changed[:2] == before[:2]
    assert changed[2:] == pytest.approx([rate / 2 for rate in before[2:]])
    assert steps_of(tmp_path / "run")[:2] == steps_of(plain)[:2]
    assert weights_sum(tmp_path / "run") != weights_sum(plain)
    assert only(record(tmp_path / "run"), SettingChanged) == only(events, SettingChanged)


def test_a_change_at_the_start_is_the_run_with_that_setting(tmp_path: Path) -> None:
    """Every setting acts wherever it is used: in rollouts, in the update and in the schedule."""
    values = {"learning_rate": 5e-4, "kl_coeff": 0.1, "temperature": 0.7}
    for kind in ("full", "lora"):
        said = told(
            tiny(tmp_path, f"changed {kind}", train_type=kind, **PLAIN),
            {0: [Command("set", name, value) for name, value in values.items()]},
        )
        assert {event.name: event.after for event in only(said, SettingChanged)} == values
        run(tiny(tmp_path, f"given {kind}", train_type=kind, **PLAIN | values))
        given, changed = tmp_path / f"given {kind}", tmp_path / f"changed {kind}"
        assert weights_sum(changed) == weights_sum(given)
        assert samples_of(changed) == samples_of(given)
        assert all(event.kl is not None for event in only(record(changed), StepFinished))


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_a_changed_run_that_goes_on_keeps_its_changes(kind: str, tmp_path: Path) -> None:
    """KL from the middle of a run on is to the policy of before its first step, also after a resume."""
    orders = {2: [Command("set", "kl_coeff", 0.2), Command("set", "temperature", 0.8)], 3: [LEARNING_RATE]}
    whole = tiny(tmp_path, "whole", train_type=kind, **PLAIN)
    told(whole, orders)
    stopped = tiny(tmp_path, "stopped", train_type=kind, **PLAIN)
    folder = tmp_path / "stopped"

    def updating(seen: list[Event]) -> bool:
        return len(only(seen, SettingChanged)) == 2 and getattr(seen[-1], "what", "") == "Updating the weights"

    stop_at(telling(trainer.train(stopped), folder, {2: orders[2]}), updating)
    assert [event.step for event in only(record(folder), CheckpointSaved)] == [2]
    told(stopped, {3: orders[3]}, folder)
    assert weights_sum(folder) == weights_sum(tmp_path / "whole")
    assert steps_of(folder) == steps_of(tmp_path / "whole")
    assert only(record(folder), SettingChanged) == only(record(tmp_path / "whole"), SettingChanged)


def test_settings_given_at_a_resume_come_before_changes_of_before(tmp_path: Path) -> None:
    config = tiny(tmp_path, **PLAIN)
    told(config, {2: [LEARNING_RATE]})
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "000004")
    again = config.model_copy(update={"learning_rate": 2e-3})
    for _ in trainer.train(again, tmp_path / "run"):
        pass
    run(tiny(tmp_path, "given", **PLAIN | {"learning_rate": 2e-3}))
    assert rates(tmp_path / "run")[2:] == rates(tmp_path / "given")[2:]


def test_a_setting_given_anew_with_its_old_value_takes_a_change_back_for_good(tmp_path: Path) -> None:
    config = tiny(tmp_path, **PLAIN)
    folder = tmp_path / "run"
    told(config, {2: [LEARNING_RATE, Command("set", "temperature", 0.8)], 3: [Command("stop")]})
    stop_at(trainer.train(config, folder, given=["learning_rate"]), right_after(TrainingStarted, 1))
    newest, _ = checkpoint.latest(folder / "checkpoints")
    assert newest is not None
    assert checkpoint.load(newest).state["changes"] == {"temperature": [1.0, 0.8]}
    list(trainer.train(config, folder))
    run(tiny(tmp_path, "plain", **PLAIN))
    assert rates(folder)[2] == LEARNING_RATE.value / config.learning_rate * rates(tmp_path / "plain")[2]
    assert rates(folder)[3] == rates(tmp_path / "plain")[3]


def test_a_change_does_not_come_to_life_again(tmp_path: Path) -> None:
    """Where its setting was written anew, and is given its old value later."""
    config = tiny(tmp_path, **PLAIN)
    folder = tmp_path / "run"
    told(config, {2: [LEARNING_RATE], 3: [Command("stop")]})
    stop_at(trainer.train(config.model_copy(update={"learning_rate": 2e-3}), folder), right_after(TrainingStarted, 1))
    list(trainer.train(config, folder))
    run(tiny(tmp_path, "plain", **PLAIN))
    assert rates(folder)[3] == rates(tmp_path / "plain")[3]


def test_rules_to_end_early_change_while_it_trains(tmp_path: Path) -> None:
    """Two evaluations without a rise end it, as a rule that was given when it was half way."""
    config = tiny(tmp_path, **PLAIN | {"max_steps": 12, "eval_steps": 1, "eval_samples": 10, "learning_rate": 1e-9})
    said = told(config, {2: [Command("set", "early_stop_patience", 2)]})
    assert only(said, SettingChanged) == [SettingChanged(2, "early_stop_patience", 0, 2)]
    assert last(said).reason == "no progress"
    assert last(said).step < 12
    newest, _ = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert newest is not None
    kept = applied(config, checkpoint.load(newest).state["changes"]).early_stop_patience
    assert (kept, type(kept)) == (2, int)


def test_a_reference_that_is_not_there_any_more_changes_nothing(plain: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(Path(__file__).parents[3] / "resources" / "starter", model)
    config = tiny(tmp_path, model_name=str(model), **PLAIN)
    said: list[Event] = []
    for event in telling(trainer.train(config), tmp_path / "run", {2: [Command("set", "kl_coeff", 0.2)]}):
        said.append(event)
        if isinstance(event, StepFinished) and event.step == 2:
            (model / "model.safetensors").rename(tmp_path / "gone")
        if isinstance(event, Note):
            (tmp_path / "gone").rename(model / "model.safetensors")
    assert len(only(said, Note)) == 1
    assert not only(said, SettingChanged)
    assert weights_sum(tmp_path / "run") == weights_sum(plain)


def test_a_stop_saves_the_last_whole_step(plain: Path, tmp_path: Path) -> None:
    config = tiny(tmp_path, **PLAIN)
    events = told(config, {2: [Command("stop")]})
    folder = tmp_path / "run"
    assert not only(events, TrainingFinished)
    assert events[-1] == TrainingStopped(str(folder), 2)
    assert record(folder)[-1] == events[-1]
    newest, _ = checkpoint.latest(folder / "checkpoints")
    assert newest is not None
    going_on = list(trainer.train(config, folder))
    assert isinstance(going_on[-1], TrainingFinished)
    assert weights_sum(folder) == weights_sum(plain)
    assert figures(folder) == figures(plain)


def test_a_stop_before_the_first_step_leaves_nothing(tmp_path: Path) -> None:
    events = told(tiny(tmp_path, **PLAIN), {0: [Command("stop")]})
    assert events[-1] == TrainingStopped("", 0)
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_process_is_told_alike(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = test_resume.told(tiny(tmp_path, **PLAIN | {"max_steps": 1000}), tmp_path)
    with test_resume.child(*arguments, "--json") as process:
        assert process.stdout is not None
        ask_at = {"step_finished": Command("pause"), "Paused": LEARNING_RATE, "setting_changed": Command("stop")}
        seen: list[str] = []
        for line in process.stdout:
            for word in [word for word in ask_at if f'"{word}"' in line]:
                ask(folder, ask_at.pop(word))
                if word == "Paused":
                    ask(folder, Command("resume"))
            seen.append(line)
    assert process.returncode == 130
    assert not ask_at
    assert '"training_stopped"' in seen[-2]
    assert '"cancelled"' in seen[-1]
    newest, _ = checkpoint.latest(folder / "checkpoints")
    assert newest is not None
    assert checkpoint.load(newest).state["changes"] == {"learning_rate": [1e-3, 5e-4]}


def test_a_paused_run_waits_and_goes_on_unchanged(plain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    waited = 0
    for event in telling(trainer.train(tiny(tmp_path, **PLAIN)), folder, {1: [Command("pause")]}):
        if isinstance(event, Progress) and event.what == "Paused":
            waited += 1
            if waited == 3:
                ask(folder, Command("resume"))
        else:
            assert waited in {0, 3, 4}
    assert waited >= 3
    assert isinstance(event, TrainingFinished)
    assert weights_sum(folder) == weights_sum(plain)


def test_a_paused_run_can_be_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    said = []
    for event in telling(trainer.train(tiny(tmp_path, **PLAIN)), folder, {1: [Command("pause")]}):
        said.append(event)
        if isinstance(event, Progress) and event.what == "Paused":
            ask(folder, Command("stop"))
    assert said[-1] == TrainingStopped(str(folder), 1)
    assert checkpoint.latest(folder / "checkpoints")[0] is not None


def test_what_is_not_understood_is_said_and_harms_nothing(plain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    said = []
    for event in trainer.train(tiny(tmp_path, **PLAIN)):
        said.append(event)
        if isinstance(event, StepFinished) and event.step == 1:
            (folder / COMMANDS).write_text('{"command": "dance"}\n', "utf-8")
    assert "not understood" in only(said, Note)[0].text
    assert weights_sum(folder) == weights_sum(plain)
