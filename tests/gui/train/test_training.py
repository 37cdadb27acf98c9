"""Runs that train in this window: begun, held, told, stopped, gone on with, and one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from engine import jobs
from engine.grpo.controls import Command
from engine.training_events import SettingChanged, StepFinished, TrainingFinished, TrainingStopped
from gui import theme as looks
from gui.desk import Desk
from gui.train import standing
from gui.train.record import Record
from gui.train.training import Training, Trainings, tell
from tests.engine.grpo.runs import only, run, tiny
from tests.engine.grpo.test_resume import figures, record, samples_of, weights_sum

WAIT = 60_000
SHORT: dict[str, Any] = {"eval_steps": 0, "eval_samples": 4, "max_steps": 4, "save_steps": 0}


@pytest.fixture
def desk(qtbot: QtBot, theme: looks.Theme) -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


@pytest.fixture
def trainings(desk: Desk) -> Trainings:
    return Trainings(desk, desk)


def until(qtbot: QtBot, found: Callable[[], object]) -> None:
    qtbot.waitUntil(lambda: bool(found()), timeout=WAIT)


def steps(folder: Path) -> int:
    return len(only(record(folder), StepFinished)) if (folder / "events.jsonl").is_file() else 0


def test_hold_go_on_stop_and_go_on_ends_as_if_nothing_had_been(
    qtbot: QtBot, trainings: Trainings, tmp_path: Path
) -> None:
    run(tiny(tmp_path, "undisturbed", **SHORT))
    folder, config = tmp_path / "run", tiny(tmp_path, **SHORT)
    training = trainings.start(jobs.Train(config))
    assert training.state == "waiting"
    until(qtbot, lambda: steps(folder) == 1)
    training.pause()
    assert training.state == "paused"
    qtbot.wait(300)
    held = (folder / "events.jsonl").read_bytes()
    qtbot.wait(3000)
    assert (folder / "events.jsonl").read_bytes() == held
    training.resume()
    until(qtbot, lambda: steps(folder) == 2)
    with qtbot.waitSignal(trainings.ended, timeout=WAIT) as ended:
        training.stop()
    assert isinstance(ended.args[0].result, TrainingStopped)
    assert isinstance(record(folder)[-1], TrainingStopped)
    assert trainings.all == []
    with qtbot.waitSignal(trainings.ended, timeout=WAIT) as ended:
        trainings.start(jobs.Train(config, resume=str(folder)))
    assert isinstance(ended.args[0].result, TrainingFinished)
    undisturbed = tmp_path / "undisturbed"
    assert weights_sum(folder) == weights_sum(undisturbed)
    assert figures(folder) == figures(undisturbed)
    assert samples_of(folder) == samples_of(undisturbed)


def test_a_held_run_can_be_stopped(qtbot: QtBot, trainings: Trainings, tmp_path: Path) -> None:
    training = trainings.start(jobs.Train(tiny(tmp_path, **SHORT | {"max_steps": 1000})))
    until(qtbot, lambda: steps(tmp_path / "run"))
    training.pause()
    with qtbot.waitSignal(trainings.ended, timeout=WAIT):
        training.stop()
        assert training.state == "stopping"
        training.stop()  # again, as an impatient person does
    assert isinstance(record(tmp_path / "run")[-1], TrainingStopped)


def test_one_that_has_not_begun_leaves_nothing(qtbot: QtBot, trainings: Trainings, tmp_path: Path) -> None:
    training = trainings.start(jobs.Train(tiny(tmp_path, **SHORT)))
    until(qtbot, lambda: training.state == "starting")
    with qtbot.waitSignal(trainings.ended, timeout=WAIT):
        training.stop()
    assert not (tmp_path / "run").exists()


def test_a_second_one_waits_for_the_first(qtbot: QtBot, trainings: Trainings, tmp_path: Path) -> None:
    first = trainings.start(jobs.Train(tiny(tmp_path, "first", **SHORT)))
    second = trainings.start(jobs.Train(tiny(tmp_path, "second", **SHORT)))
    until(qtbot, lambda: steps(tmp_path / "first"))
    assert (first.state, second.state) == ("training", "waiting")
    until(qtbot, lambda: not trainings.all)
    assert isinstance(record(tmp_path / "second")[-1], TrainingFinished)


def test_what_cannot_begin_says_why(qtbot: QtBot, trainings: Trainings, tmp_path: Path) -> None:
    with qtbot.waitSignal(trainings.ended, timeout=WAIT) as ended:
        trainings.start(jobs.Train(tiny(tmp_path, model_name="/no/such/model")))
    training = ended.args[0]
    assert isinstance(training, Training)
    assert training.failure is not None
    assert "/no/such/model" in training.failure.what
    assert training.folder == ""


def test_it_is_told_through_its_folder(qtbot: QtBot, desk: Desk, trainings: Trainings, tmp_path: Path) -> None:
    training = trainings.start(jobs.Train(tiny(tmp_path, **SHORT | {"max_steps": 1000})))
    until(qtbot, lambda: steps(tmp_path / "run"))
    assert tell(desk, training.folder, Command("set", "temperature", 0.9))
    until(qtbot, lambda: only(record(tmp_path / "run"), SettingChanged))
    assert not tell(desk, training.folder, Command("set", "learning_rate", -1.0))
    assert not tell(desk, str(tmp_path / "nowhere"), Command("pause"))
    training.stop()
    until(qtbot, lambda: not trainings.all)


def test_how_it_stands_is_said_in_words(qtbot: QtBot, desk: Desk, trainings: Trainings, tmp_path: Path) -> None:
    config = tiny(tmp_path, **SHORT | {"eval_samples": 20, "max_steps": 30})
    training = trainings.start(jobs.Train(config))
    until(qtbot, lambda: training.folder)
    read = Record(desk, training.folder, desk)
    read.follow()
    until(qtbot, lambda: len(read))
    assert standing.state(read, training) == "Training"
    assert "step " in standing.progress(read, training)
    training.pause()
    assert standing.state(read, training) == "Paused"
    training.resume()
    until(qtbot, lambda: read.ending is not None and not read.live)
    assert standing.state(read, None) == "Finished"
    assert standing.progress(read, None).startswith("step 30 of 30 · ")
    assert "before)" in standing.results(read)
    assert standing.problems(read) == ()
    assert standing.newest_model(read) == f"{read.folder}/model"


@pytest.mark.parametrize(
    ("lines", "state", "problem"),
    [
        ("", "Interrupted", "before its first checkpoint"),
        ('{"event": "checkpoint_saved", "step": 5, "folder": "/elsewhere/5"}\n', "Interrupted", "go on from step 5"),
        ('{"event": "training_stopped", "run": "r", "step": 5}\n', "Stopped and saved", ""),
        ('{"event": "training_failed", "what": "a", "why": "b", "remedy": "c"}\n', "Failed", ""),
        ('{"event": "training_stopped", "run": "r", "step": 5}\n{"event": "ste', "Stopped and saved", "cut off"),
        ('{"event": "failed", "what": "a", "why": "b", "remedy": "c"}\n', "Interrupted", "not understood"),
        (
            '{"event": "dreamt", "of": 3}\n{"event": "training_stopped", "run": "r", "step": 5}\n',
            "Stopped and saved",
            "newer version",
        ),
    ],
)
def test_what_is_wrong_is_explained(
    lines: str, state: str, problem: str, qtbot: QtBot, desk: Desk, tmp_path: Path
) -> None:
    (tmp_path / "events.jsonl").write_text(lines, "utf-8")
    (tmp_path / ".lock").touch()
    read = Record(desk, str(tmp_path), desk)
    read.look()
    until(qtbot, lambda: read.loaded)
    assert standing.state(read, None) == state
    said = standing.problems(read)
    assert any(problem in sentence for sentence in said) if problem else said == ()


def test_the_newest_checkpoint_is_found_where_the_run_lies_now(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text(
        '{"event": "checkpoint_saved", "step": 5, "folder": "/elsewhere/000005"}\n'
        '{"event": "training_stopped", "run": "/elsewhere", "step": 7}\n'
    )
    read = Record(desk, str(tmp_path), desk)
    assert standing.newest_model(read) == ""
    read.look()
    until(qtbot, lambda: read.loaded)
    assert standing.newest_model(read) == f"{tmp_path}/checkpoints/000007"
