"""A real run on the compute lane, as the window has it: paused, resumed, chatted with, stopped and gone on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from engine.config import Sampling
from engine.events import Cancelled, Done, Event, Failed, Progress, ReplyFinished, Token
from engine.grpo import checkpoint
from engine.grpo.controls import Command, ask
from engine.jobs import Generate, LoadModel, Train
from engine.training_events import SettingChanged, StepFinished, TrainingFinished, TrainingStopped
from engine.workers import ComputeLane, Job
from tests.engine.grpo.runs import last, only, run, tiny
from tests.engine.grpo.test_resume import figures, record, samples_of, weights_sum

WAIT = 60_000
SHORT: dict[str, Any] = {"eval_steps": 0, "eval_samples": 4, "max_steps": 4, "save_steps": 0}


class WatchedLane(ComputeLane):
    """Notes what happens on the lane's thread, in its order."""

    def __init__(self) -> None:
        self.order: list[tuple[Job, Event] | str] = []
        super().__init__()

    def _post(self, job: Job, event: Event) -> None:
        self.order.append((job, event))
        super()._post(job, event)

    def of(self, job: Job) -> list[Event]:
        return [entry[1] for entry in self.order if not isinstance(entry, str) and entry[0] is job]


@pytest.fixture
def lane(qtbot: QtBot) -> Iterator[WatchedLane]:
    lane = WatchedLane()
    yield lane
    lane.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(last(run(tiny(tmp_path_factory.mktemp("undisturbed"), **SHORT))).run)


def until(qtbot: QtBot, found: Callable[[], object]) -> None:
    qtbot.waitUntil(lambda: bool(found()), timeout=WAIT)


def ended(lane: WatchedLane, job: Job) -> Event | None:
    events = lane.of(job)
    return events[-1] if events and isinstance(events[-1], Done | Cancelled | Failed) else None


def finish(qtbot: QtBot, lane: WatchedLane, job: Job) -> Event | None:
    """The job's ending, once it is there."""
    until(qtbot, lambda: ended(lane, job))
    return ended(lane, job)


def chat(folder: Path) -> Generate:
    return Generate(LoadModel(f"run:{folder}"), "12+34", sampling=Sampling(temperature=0.0, max_tokens=5))


def test_pause_chat_go_on_stop_and_go_on(qtbot: QtBot, lane: WatchedLane, tmp_path: Path, undisturbed: Path) -> None:
    folder, config = tmp_path / "run", tiny(tmp_path, **SHORT)
    job = lane.submit(Train(config))
    until(qtbot, lambda: only(lane.of(job), StepFinished))
    job.pause()
    qtbot.wait(100)
    at_pause = len(lane.of(job))
    qtbot.wait(300)
    assert len(lane.of(job)) == at_pause
    for _ in range(2):
        reply = lane.submit(chat(folder))
        assert finish(qtbot, lane, reply) == Done()
        assert only(lane.of(reply), ReplyFinished)
    assert len(lane.of(job)) == at_pause
    job.resume()
    until(qtbot, lambda: len(only(lane.of(job), StepFinished)) == 2)
    job.cancel()
    assert finish(qtbot, lane, job) == Cancelled()
    assert checkpoint.latest(folder / "checkpoints")[0] is not None
    assert isinstance(finish(qtbot, lane, lane.submit(chat(folder))), Failed)
    again = lane.submit(Train(config, str(folder)))
    assert finish(qtbot, lane, again) == Done()
    assert isinstance(lane.of(again)[-2], TrainingFinished)
    assert weights_sum(folder) == weights_sum(undisturbed)
    assert figures(folder) == figures(undisturbed)
    assert samples_of(folder) == samples_of(undisturbed)


def test_a_chat_waits_for_one_training_event_at_most(
    qtbot: QtBot, lane: WatchedLane, tmp_path: Path, undisturbed: Path
) -> None:
    folder = tmp_path / "run"
    job = lane.submit(Train(tiny(tmp_path, **SHORT)))
    for moment in ("Generating completions", "Updating the weights", "Generating completions"):
        before = len(lane.of(job))
        until(
            qtbot,
            lambda moment=moment, before=before: any(
                isinstance(event, Progress) and event.what == moment for event in lane.of(job)[before:]
            ),
        )
        reply = lane.submit(chat(folder))
        lane.order.append("asked")
        assert finish(qtbot, lane, reply) == Done()
        began = next(place for place, entry in enumerate(lane.order) if entry[0] is reply)
        asked = max(place for place, entry in enumerate(lane.order) if entry == "asked")
        assert sum(entry[0] is job for entry in lane.order[asked:began]) <= 1
        # From its first event to its end nothing comes between.
        close = max(place for place, entry in enumerate(lane.order) if entry[0] is reply)
        assert not any(entry[0] is job for entry in lane.order[began:close])
        assert only(lane.of(reply), Token)
    assert finish(qtbot, lane, job) == Done()
    assert weights_sum(folder) == weights_sum(undisturbed)


def test_settings_change_and_the_run_stops_through_its_folder(qtbot: QtBot, lane: WatchedLane, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    job = lane.submit(Train(tiny(tmp_path, **SHORT | {"max_steps": 1000})))
    until(qtbot, lambda: only(lane.of(job), StepFinished))
    ask(folder, Command("set", "learning_rate", 5e-4))
    until(qtbot, lambda: only(lane.of(job), SettingChanged))
    ask(folder, Command("pause"))
    until(qtbot, lambda: [event for event in only(lane.of(job), Progress) if event.what == "Paused"])
    steps = len(only(lane.of(job), StepFinished))
    reply = lane.submit(chat(folder))
    assert finish(qtbot, lane, reply) == Done()
    assert len(only(lane.of(job), StepFinished)) == steps
    ask(folder, Command("stop"))
    assert finish(qtbot, lane, job) == Done()
    assert isinstance(record(folder)[-1], TrainingStopped)
    assert lane.of(job)[-2] == record(folder)[-1]
    assert checkpoint.latest(folder / "checkpoints")[0] is not None
