"""The list of runs: how each stands, whatever state its folder is in."""

from __future__ import annotations

import json
import os
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import places
from engine.errors import UserError
from engine.grpo.settings import TrainConfig
from engine.monitor import runs
from engine.run_events import CheckpointFound, ConfigRead, RunFound, RunMoved
from tests.engine.grpo.runs import tiny
from tests.engine.monitor.run_folders import copied, evaluated, started, step, trained, training, written


def listed(*folders: Path) -> list[RunFound]:
    return [event for event in runs.found(list(map(str, folders))) if isinstance(event, RunFound)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs"), "whole")


def test_a_run_that_is_over(finished: Path) -> None:
    (run,) = listed(finished.parent)
    assert (run.name, run.model, run.status, run.problem) == ("whole", "starter", "finished", "")
    assert (run.step, run.steps, run.checkpoints) == (4, 4, (2, 4))
    assert run.reward is not None
    assert run.accuracy is not None
    assert run.accuracy_before is not None
    assert run.folder == str(finished)
    assert 0 < run.began <= run.changed


def test_a_run_may_be_named_by_itself_and_is_listed_once(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(finished)
    assert [run.name for run in listed(finished, finished.parent, tmp_path)] == ["whole"]
    assert [run.name for run in listed(tmp_path)] == ["link"]


def test_the_programs_own_runs_come_unasked(finished: Path) -> None:
    copied(finished, places.runs_folder() / "mine")
    assert [run.name for run in listed()] == ["mine"]


def test_a_copy_from_another_machine_is_as_it_was(finished: Path, tmp_path: Path) -> None:
    copied(finished, tmp_path / "copy", age=0)
    (run,) = listed(tmp_path)
    assert run.status == "finished"


def test_a_run_trains_in_another_process_and_is_killed(tmp_path: Path) -> None:
    with training(tmp_path) as folder:
        (run,) = listed(tmp_path)
        assert run.status == "training"
        assert run.step >= 1
        assert run.steps == 100000
    (run,) = listed(tmp_path)
    assert run.status == "interrupted"
    assert run.folder == str(folder)


def test_a_record_without_a_lock_is_live_while_it_is_written(tmp_path: Path) -> None:
    written(tmp_path / "fresh", started(), step(1), age=1)
    written(tmp_path / "old", started(), step(1))
    assert {run.name: run.status for run in listed(tmp_path)} == {"fresh": "training", "old": "interrupted"}


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ({"event": "training_stopped", "run": "", "step": 2}, "stopped"),
        ({"event": "training_finished", "reason": "target reached"}, "target reached"),
        ({"event": "training_finished", "reason": "reward fell"}, "reward fell"),
        ({"event": "training_finished", "reason": "the moon is full"}, "finished"),
        ({"event": "training_paused_for_lunch"}, "interrupted"),
    ],
)
def test_how_a_run_ended(tmp_path: Path, end: dict[str, object], status: str) -> None:
    written(tmp_path / "run", started(), step(1), step(2), end)
    (run,) = listed(tmp_path)
    assert run.status == status
    assert run.step == 2


def test_a_run_that_went_on_has_not_ended(tmp_path: Path) -> None:
    stop = {"event": "training_stopped", "run": "", "step": 1}
    written(tmp_path / "run", started(), step(1), stop, started(200, step=1, resumed=True), step(2, 200))
    (run,) = listed(tmp_path)
    assert (run.status, run.step, run.steps) == ("interrupted", 2, 200)


def test_the_latest_accuracy_is_found_far_back(tmp_path: Path) -> None:
    filler = [step(number, rows=list(range(200))) for number in range(3, 400)]
    lines = [started(), evaluated(0.4, when="before"), step(1), evaluated(0.6, 1), step(2), evaluated(0.7, 2), *filler]
    file = written(tmp_path / "run", *lines) / "events.jsonl"
    assert file.stat().st_size > 3 * 64 * 1024
    (run,) = listed(tmp_path)
    assert (run.accuracy_before, run.accuracy, run.step) == (0.4, 0.7, 399)


def test_what_was_evaluated_before_the_training_is_no_result(tmp_path: Path) -> None:
    written(tmp_path / "run", started(), evaluated(0.4, when="before"), step(1))
    (run,) = listed(tmp_path)
    assert (run.accuracy_before, run.accuracy) == (0.4, None)


def test_a_line_longer_than_a_block_is_read_whole(tmp_path: Path) -> None:
    written(tmp_path / "run", started(), step(1), step(2, rows=list(range(50000))))
    (run,) = listed(tmp_path)
    assert run.step == 2


def test_a_torn_last_line_hides_nothing(finished: Path, tmp_path: Path) -> None:
    file = copied(finished, tmp_path / "torn") / "events.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:5]) + lines[5][:40])
    os.utime(file, (1, 1))
    (run,) = listed(tmp_path)
    assert run.status == "interrupted"
    assert run.step >= 1
    assert run.problem == ""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=60))
def test_whatever_is_in_the_files_the_run_is_listed(tmp_path: Path, record: bytes, config: bytes, notes: bytes) -> None:
    folder = tmp_path / "any"
    folder.mkdir(exist_ok=True)
    for name, content in (("events.jsonl", record), ("config.toml", config), ("notes.json", notes)):
        (folder / name).write_bytes(content)
        # The same size and moment would be the same file.
        os.utime(folder / name, ns=(time.time_ns(), time.time_ns()))
    (run,) = listed(tmp_path)
    assert run.name == "any"


def test_a_damaged_or_missing_file_is_named(tmp_path: Path) -> None:
    for name in ("no config", "bad config", "no record", "bad record", "bad notes"):
        written(tmp_path / name, started(), step(1))
    (tmp_path / "no config" / "config.toml").unlink()
    (tmp_path / "bad config" / "config.toml").write_text("model_name = ")
    (tmp_path / "no record" / "events.jsonl").unlink()
    (tmp_path / "bad record" / "events.jsonl").write_bytes(b"\x00\xff\n" * 40)
    (tmp_path / "bad notes" / "notes.json").write_text("[")
    found = {run.name: run for run in listed(tmp_path)}
    assert len(found) == 5
    assert "config.toml is not in" in found["no config"].problem
    assert found["no config"].model == "starter"
    assert "config.toml cannot be read" in found["bad config"].problem
    assert "events.jsonl is not in" in found["no record"].problem
    assert found["bad record"].status == "unreadable"
    assert "notes.json cannot be read" in found["bad notes"].problem


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may read everything")
def test_a_record_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (written(tmp_path / "run", started()) / "events.jsonl").chmod(0)
    (run,) = listed(tmp_path)
    assert run.status == "unreadable"
    assert "refuses access" in run.problem


def test_settings_and_lines_of_a_newer_version(tmp_path: Path) -> None:
    folder = written(tmp_path / "run", started(mood="good"), step(3, colour="red"), {"event": "song_sung", "key": 4})
    file = folder / "config.toml"
    file.write_text('dream_depth = 3\nmood = "good"\n' + file.read_text())
    (run,) = listed(tmp_path)
    assert run.step == 3
    assert "newer version" in run.problem
    with pytest.raises(UserError, match="does not know all settings") as caught:
        list(runs.config(str(folder)))
    assert "dream_depth, mood" in caught.value.why


def test_hidden_folders_and_other_folders_are_no_runs(tmp_path: Path) -> None:
    written(tmp_path / ".run.deleted", started())
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    assert listed(tmp_path) == []


def test_a_folder_of_runs_that_is_gone_is_told(tmp_path: Path) -> None:
    events = list(runs.found([str(tmp_path / "gone"), "~nobody-here/x", "nul\0"]))
    assert events == [RunMoved(str(tmp_path / "gone"), "")]


def test_the_newest_comes_first(tmp_path: Path) -> None:
    for age in (50, 10, 900):
        written(tmp_path / f"run-{age}", started(), age=age)
    assert [run.name for run in listed(tmp_path)] == ["run-10", "run-50", "run-900"]


def test_a_change_is_seen_at_once(tmp_path: Path) -> None:
    folder = written(tmp_path / "run", started(), step(1))
    assert listed(tmp_path)[0].step == 1
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(step(2)) + "\n")
    (folder / "notes.json").write_text(json.dumps({"notes": "a", "tags": ["b"]}))
    (run,) = listed(tmp_path)
    assert (run.step, run.notes, run.tags) == (2, "a", ("b",))


def test_settings_of_a_run_a_file_and_a_name(finished: Path) -> None:
    for name in (str(finished), str(finished / "config.toml"), "starter"):
        (event,) = runs.config(name)
        assert isinstance(event, ConfigRead)
        assert TrainConfig(**tomllib.loads(event.toml)).model_name == "starter"
        assert event.name == name
    assert TrainConfig(**tomllib.loads(next(runs.config(str(finished))).toml)) == tiny(finished.parent, "whole")  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["nowhere.toml", "starterr"])
def test_settings_that_are_not_there(name: str) -> None:
    with pytest.raises(UserError, match="There is no training configuration"):
        list(runs.config(name))


def test_settings_of_a_folder_without_any(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        list(runs.config(str(tmp_path)))


def test_what_a_run_left_to_be_used(finished: Path, tmp_path: Path) -> None:
    found = [event for event in runs.checkpoints(finished) if isinstance(event, CheckpointFound)]
    assert [(event.kind, event.step, event.adapters, event.ready) for event in found] == [
        ("checkpoint", 2, False, False),
        ("checkpoint", 4, False, False),
        ("model", 4, False, True),
    ]
    assert {event.model for event in found} == {"starter"}
    assert found[0].size == sum(path.stat().st_size for path in Path(found[0].folder).iterdir())
    (finished / "checkpoints" / ".000009.partial").mkdir()
    (finished / "checkpoints" / "000009").mkdir()
    assert len(list(runs.checkpoints(finished))) == 3
    with pytest.raises(UserError, match="does not exist"):
        list(runs.checkpoints(tmp_path / "gone"))
    assert list(runs.checkpoints(tmp_path)) == []


def test_adapters_need_their_model(tmp_path: Path) -> None:
    folder = trained(tmp_path, "lora", train_type="lora", max_steps=1, fuse=True, eval_samples=0)
    found = [event for event in runs.checkpoints(folder) if isinstance(event, CheckpointFound)]
    assert [(event.kind, event.adapters, event.ready) for event in found] == [
        ("checkpoint", True, False),
        ("model", True, False),
        ("fused", False, True),
    ]
