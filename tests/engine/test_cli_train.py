"""The commands train and eval, as a person or a script calls them."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Generator
from pathlib import Path

import pytest

from engine import jobs
from engine.cli import run
from engine.cli_train import save_when_stopped
from engine.events import Event, Note, Progress, from_json
from engine.grpo import checkpoint, config_file
from engine.grpo.settings import TrainConfig
from engine.training_events import TrainingPlanned, TrainingStarted, TrainingStopped

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "mlx_grpo", "train"]
# A run of the starter that takes a second.
SMALL = ["--set=batch_size=2", "--set=num_generations=4", "--set=eval_samples=4", "--set=save_steps=1"]

STARTED = TrainingStarted("/runs/a b", "starter", "full", 200_000, 0, 400, False)


def call(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command line."""
    with pytest.raises(SystemExit) as left:
        run([str(word) for word in words])
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


@pytest.mark.parametrize("command", ["train", "eval"])
def test_a_mistake_is_told_in_sentences_with_exit_status_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    status, out, said = call(capsys, command, "--set", "learnin_rate=1e-4")
    assert (status, out) == (2, "")
    assert said == "There is no setting learnin_rate.\nDid you mean learning_rate?\n"
    broken = tmp_path / "broken.toml"
    broken.write_text("seed = 1\n[[\n", "utf-8")
    status, out, said = call(capsys, command, "--config", broken)
    assert (status, out) == (2, "")
    assert "line 2" in said
    status, out, said = call(capsys, command, "--config", tmp_path)
    assert status == 2
    assert "give a file" in said
    status, out, said = call(capsys, command, "--config", tmp_path / "none.toml", "--json")
    assert status == 2
    assert json.loads(out)["fault"] == "input"
    assert said == ""


@pytest.mark.parametrize("setting", ["dataset", "eval_file", "reward_file", "output_dir", "model_name"])
@pytest.mark.parametrize(("path", "word"), [("~nobody-here/x.jsonl", "no home folder"), ("x\0.jsonl", "NUL")])
def test_a_path_that_cannot_be_is_told_in_sentences(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    path: str,
    word: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "run.toml"
    small = {"model_name": "starter", "dataset": "arithmetic", "rewards": ["accuracy"], "max_steps": 1}
    file.write_text(config_file.to_toml(TrainConfig(**{**small, "eval_samples": 0, setting: path})), "utf-8")
    status, out, said = call(capsys, "train", "--config", file)
    assert (status, out) == (2, "")
    assert word in said
    assert [path.name for path in tmp_path.iterdir()] == ["run.toml"]


def test_a_run_that_is_not_there_cannot_go_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in (tmp_path, "nowhere"):
        status, _, said = call(capsys, "train", "--resume", name)
        assert status == 2
        assert f"There is no training run {name}." in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_waits_for_the_next_event_and_says_how_to_go_on(number: signal.Signals) -> None:
    closed: list[str] = []

    def steps() -> Generator[Event, None, None]:
        yield STARTED
        try:
            os.kill(os.getpid(), number)
            closed.append("in the middle of a step")
            yield Progress("Training", 1)
            closed.append("a further step")
        finally:
            closed.append("saved")

    before = signal.getsignal(number)
    said: list[Event] = []
    events = save_when_stopped(steps())
    with pytest.raises(KeyboardInterrupt):
        said.extend(events)
    assert closed == ["in the middle of a step", "saved"]
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("kept", [True, False])
def test_the_sentence_on_how_to_go_on_can_be_pasted(kept: bool, tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    started = dataclasses.replace(STARTED, run=str(folder))

    def steps() -> Generator[Event, None, None]:
        folder.mkdir()
        yield started
        os.kill(os.getpid(), signal.SIGINT)
        try:
            yield Progress("Training", 1)
        finally:
            if not kept:
                folder.rmdir()

    events = save_when_stopped(steps())
    assert [next(events), next(events)] == [started, Progress("Training", 1)]
    note = next(events)
    assert isinstance(note, Note)
    assert note.text.endswith(f"mlx-grpo train --resume '{folder}'" if kept else "Nothing of it is kept.")
    with pytest.raises(KeyboardInterrupt):
        next(events)


def test_a_run_that_was_told_to_stop_is_interrupted() -> None:
    stopped = TrainingStopped("/runs/a b", 3)
    events = save_when_stopped(iter_of(STARTED, stopped))
    assert [next(events), next(events)] == [STARTED, stopped]
    with pytest.raises(KeyboardInterrupt):
        next(events)


def iter_of(*events: Event) -> Generator[Event, None, None]:
    yield from events


def test_an_empty_name_begins_no_new_run(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    for name in ("", " "):
        status, out, said = call(capsys, "train", "--resume", name, *SMALL)
        assert (status, out) == (2, "")
        assert said.startswith("--resume needs the folder or name of a run.")
    assert not (home / "Runs").exists()


@pytest.mark.parametrize("content", ["", "\ufeff", "seed = 1\n"])
def test_a_run_whose_settings_are_damaged_does_not_go_on_with_others(
    content: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(content, "utf-8")
    status, out, said = call(capsys, "train", "--resume", tmp_path)
    assert (status, out) == (2, "")
    assert "are damaged" in said


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ([], set()),
        (["--set=learning_rate=1e-3", "--set=columns.a=b"], {"learning_rate", "columns"}),
        (["--config=FILE", "--set=temperature=0.5"], {"seed", "temperature"}),
        (["--config=FILE", "--given="], set()),
        (["--config=FILE", "--given=seed,top_p"], {"seed", "top_p"}),
    ],
)
def test_what_a_run_that_goes_on_is_given_anew_is_named(
    words: list[str],
    given: set[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "config.toml").write_text(config_file.to_toml(TrainConfig()), "utf-8")
    file = tmp_path / "other.toml"
    file.write_text("seed = 3\n", "utf-8")
    asked: list[jobs.Request] = []
    monkeypatch.setattr(jobs, "start", lambda request, _: asked.append(request) or iter(()))
    status, _, said = call(capsys, "train", "--resume", tmp_path, *(word.replace("FILE", str(file)) for word in words))
    assert status == 0, said
    (request,) = asked
    assert isinstance(request, jobs.Train)
    assert set(request.given) == given


def test_a_reader_that_goes_away_stops_the_run_and_saves_it(home: Path) -> None:
    words = " ".join([*COMMAND, *SMALL, "--set=save_steps=0", "--set=max_steps=500", "--set=run_name=read", "--json"])
    done = subprocess.run(
        ["bash", "-c", f"{words} | grep -m 2 step_finished; exit ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert checkpoint.last_step(home / "Runs" / "read" / "checkpoints") >= 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk is full here")
def test_messages_that_nobody_can_read_end_no_run(tmp_path: Path) -> None:
    words = " ".join([*COMMAND, *SMALL, "--set=max_steps=1", f"--set=output_dir={tmp_path}", "--set=run_name=mute"])
    for expected in (0, 2):
        done = subprocess.run(
            ["sh", "-c", f"{words} 2>/dev/full"], capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert done.returncode == expected
        assert done.stdout == (f"{tmp_path / 'mute' / 'model'}\n" if expected == 0 else "")


def test_a_second_signal_stops_at_once() -> None:
    def steps() -> Generator[Event, None, None]:
        yield STARTED
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError

    with pytest.raises(KeyboardInterrupt):
        list(save_when_stopped(steps()))


def test_a_request_and_its_command_line_mean_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever file the environment names."""
    monkeypatch.setenv("MLX_GRPO_CONFIG", "/elsewhere.toml")
    settings = TrainConfig(model_name="m", clip_eps_high=0.28, columns={"gold": "answer"})
    words = jobs.command_line(jobs.Train(settings, "run", dry_run=True, given=("seed", "top_p")))
    assert words[:5] == ["train", "--resume", "run", "--dry-run", "--given=seed,top_p"]
    assignments = [word.removeprefix("--set=") for word in words if word.startswith("--set=")]
    assert config_file.load(words[words.index("--config") + 1], assignments) == settings
    words = jobs.command_line(jobs.Evaluate("m", "a", settings))
    assert words[:5] == ["eval", "--model", "m", "--adapter", "a"]
    assert words[-1] == "--json"


def test_a_run_from_the_command_line_and_the_model_it_leaves(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    status, out, said = call(capsys, "train", *SMALL, "--set=max_steps=2", "--set=run_name=first")
    assert status == 0, said
    run_folder = home / "Runs" / "first"
    assert out == f"{run_folder / 'model'}\n"
    assert said.count("\nstep ") == 2
    assert "Before training: accuracy" in said
    kept = config_file.load(str(run_folder / "config.toml"), [])
    assert kept == config_file.load(
        "starter", [word.removeprefix("--set=") for word in SMALL] + ["max_steps=2", "run_name=first"]
    )
    status, out, said = call(capsys, "eval", "--model", out.strip(), "--set=eval_samples=4")
    assert status == 0, said
    assert 0.0 <= float(out) <= 1.0
    assert said.startswith("Evaluation: accuracy")
    status, _, said = call(capsys, "train", *SMALL, "--set=max_steps=2", "--set=run_name=first")
    assert status == 2
    assert "exists already" in said


def test_a_run_that_is_interrupted_is_saved_and_goes_on_under_its_own_settings(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    command = [*COMMAND, *SMALL, "--set=run_name=a run", "--json"]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(json.loads(line))
            if lines[-1]["event"] == "step_finished":
                process.send_signal(signal.SIGINT)
                break
        lines += [json.loads(line) for line in process.stdout]
    assert process.returncode == 130
    assert [line["event"] for line in lines[-2:]] == ["note", "cancelled"]
    assert lines[-2]["text"].endswith(f"mlx-grpo train --resume '{home / 'Runs' / 'a run'}'")
    last = max(line["step"] for line in lines if line["event"] == "step_finished")
    events = jobs.start(jobs.Train(config_file.load(None, []), "a run"), jobs.Workbench())
    for event in events:
        if isinstance(event, TrainingStarted):
            assert event.resumed
            assert event.step >= last
            break
    events.close()  # type: ignore[attr-defined]


def test_a_dry_run_prints_the_plan_and_all_settings_and_makes_nothing(
    capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    status, out, said = call(capsys, "train", *SMALL, "--dry-run")
    assert status == 0, said
    assert "Memory      about" in said
    assert re.search(r"^Time        up to about [0-9.]*[1-9][0-9.]* s a step, ", said, re.MULTILINE), said
    assert not (home / "Runs").exists()
    file = tmp_path / "resolved.toml"
    file.write_text(out, "utf-8")
    assert config_file.load(str(file), []) == config_file.load(
        "starter", [word.removeprefix("--set=") for word in SMALL]
    )
    status, out, _ = call(capsys, "train", "--config", file, "--dry-run", "--json")
    assert status == 0
    events = [from_json(line) for line in out.splitlines()]
    planned = next(event for event in events if isinstance(event, TrainingPlanned))
    assert planned.fits
    assert planned.steps == 600
    assert tomllib.loads(next(event.text for event in events if isinstance(event, Note)))["batch_size"] == 2


def test_a_dry_run_without_model_and_data_says_that_there_is_no_forecast(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """As with the configurations of the original project, whose models and data are elsewhere."""
    file = tmp_path / "original.toml"
    file.write_text('model_name = "utils/mlx_model"\nnum_generations = 2\nmax_new_tokens = 32\n', "utf-8")
    status, out, said = call(capsys, "train", "--config", file, "--dry-run")
    assert status == 0, said
    assert "no forecast" in said
    assert 'model_name = "utils/mlx_model"' in out
