"""The lanes: order, priority, pause, cancel, errors, and delivery on the window's thread at frame rate."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PySide6.QtCore import QThread
from pytestqt.qtbot import QtBot

from engine import jobs, workers
from engine.chat.conversations import Conversations
from engine.chat.requests import ChatOptions
from engine.config import Sampling
from engine.events import Cancelled, Done, Failed, Note, Progress, ReplyFinished, Token
from engine.workers import ComputeLane, Job, Lane, NetworkLane, ProcessLane

WAIT = 20_000


@pytest.fixture
def generators(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests carry their own generator function."""
    monkeypatch.setattr(jobs, "start", lambda request, bench: request.run())


@pytest.fixture
def lane(qtbot: QtBot) -> Iterator[ComputeLane]:
    lane = ComputeLane()
    yield lane
    lane.close()


def request(run: Any, priority: int = jobs.CHAT) -> Any:
    return SimpleNamespace(run=run, priority=priority)


class Heard:
    """What a job said."""

    def __init__(self, job: Job) -> None:
        self.events: list[object] = []
        self.batches: list[tuple[object, ...]] = []
        self.endings: list[object] = []
        self.threads: set[object] = set()
        job.events.connect(self._on_events)
        job.ended.connect(self._on_ended)

    def _on_events(self, batch: tuple[object, ...]) -> None:
        assert not self.endings, "an event after the ending"
        self.batches.append(batch)
        self.events.extend(batch)
        self.threads.add(QThread.currentThread())

    def _on_ended(self, ending: object) -> None:
        self.endings.append(ending)
        self.threads.add(QThread.currentThread())


def until_ended(qtbot: QtBot, *heard: Heard) -> None:
    qtbot.waitUntil(lambda: all(each.endings for each in heard), timeout=WAIT)
    qtbot.wait(50)
    assert all(len(each.endings) == 1 for each in heard)


def count(to: int, pause: float = 0.0) -> Iterator[Progress]:
    for step in range(to):
        time.sleep(pause)
        yield Progress("Counting", step, to)


@pytest.mark.usefixtures("generators")
def test_events_arrive_in_order_on_the_windows_thread_and_the_ending_last(qtbot: QtBot, lane: ComputeLane) -> None:
    heard = Heard(lane.submit(request(lambda: count(1000))))
    until_ended(qtbot, heard)
    assert [event.done for event in heard.events] == list(range(1000))  # type: ignore[attr-defined]
    assert heard.endings == [Done()]
    assert heard.threads == {QThread.currentThread()}


@pytest.mark.usefixtures("generators")
def test_at_most_one_batch_a_frame(qtbot: QtBot, lane: ComputeLane) -> None:
    began = time.monotonic()
    heard = Heard(lane.submit(request(lambda: count(400, 0.001))))
    until_ended(qtbot, heard)
    frames = (time.monotonic() - began) / 0.033
    assert 2 <= len(heard.batches) <= frames + 2


@pytest.mark.usefixtures("generators")
def test_all_jobs_run_on_one_thread(qtbot: QtBot, lane: ComputeLane) -> None:
    seen: set[int] = set()

    def note() -> Iterator[Note]:
        seen.add(threading.get_ident())
        yield Note("")

    heard = [Heard(lane.submit(request(note))) for _ in range(5)]
    until_ended(qtbot, *heard)
    assert len(seen) == 1
    assert threading.get_ident() not in seen


@pytest.mark.usefixtures("generators")
def test_the_most_urgent_goes_first_and_the_other_waits(qtbot: QtBot, lane: ComputeLane) -> None:
    order: list[str] = []

    def work(name: str, steps: int) -> Iterator[Progress]:
        for event in count(steps, 0.002):
            order.append(name)
            yield event

    training = Heard(lane.submit(request(lambda: work("train", 200), jobs.TRAINING)))
    qtbot.waitUntil(lambda: len(order) > 5, timeout=WAIT)
    chat = Heard(lane.submit(request(lambda: work("chat", 20), jobs.CHAT)))
    until_ended(qtbot, training, chat)
    first, last = order.index("chat"), len(order) - 1 - order[::-1].index("chat")
    assert order[first : last + 1] == ["chat"] * 20
    assert order.count("train") == 200


@pytest.mark.usefixtures("generators")
def test_pause_is_not_asking_for_the_next_event(qtbot: QtBot, lane: ComputeLane) -> None:
    steps: list[int] = []

    def work() -> Iterator[Progress]:
        for event in count(100_000, 0.001):
            steps.append(1)
            yield event

    job = lane.submit(request(work))
    heard = Heard(job)
    qtbot.waitUntil(lambda: len(steps) > 5, timeout=WAIT)
    job.pause()
    qtbot.wait(100)
    at_pause = len(steps)
    other = Heard(lane.submit(request(lambda: count(3))))
    until_ended(qtbot, other)
    assert len(steps) == at_pause
    job.resume()
    qtbot.waitUntil(lambda: len(steps) > at_pause + 5, timeout=WAIT)
    job.pause()
    job.cancel()
    until_ended(qtbot, heard)
    assert heard.endings == [Cancelled()]


@pytest.mark.usefixtures("generators")
def test_cancel_closes_the_generator_on_its_own_thread(qtbot: QtBot, lane: ComputeLane) -> None:
    closed: list[int] = []

    def work() -> Iterator[Progress]:
        try:
            yield from count(100_000, 0.001)
        finally:
            closed.append(threading.get_ident())

    job = lane.submit(request(work))
    heard = Heard(job)
    qtbot.waitUntil(lambda: bool(heard.events), timeout=WAIT)
    job.cancel()
    until_ended(qtbot, heard)
    assert heard.endings == [Cancelled()]
    assert len(closed) == 1
    assert closed[0] != threading.get_ident()


@pytest.mark.usefixtures("generators")
def test_a_job_that_waits_can_be_cancelled_before_it_begins(qtbot: QtBot, lane: ComputeLane) -> None:
    begun: list[int] = []

    def waiting() -> Iterator[Progress]:
        begun.append(1)
        yield from count(1)

    first = lane.submit(request(lambda: count(100_000, 0.001)))
    second = lane.submit(request(waiting))
    one, two = Heard(first), Heard(second)
    second.cancel()
    until_ended(qtbot, two)
    assert two.endings == [Cancelled()]
    assert begun == []
    first.cancel()
    until_ended(qtbot, one)


@pytest.mark.usefixtures("generators")
@pytest.mark.parametrize("error", [RuntimeError("There is no Stream"), KeyError("x"), SystemExit(3), MemoryError()])
def test_an_error_of_any_kind_ends_the_job_and_not_the_lane(
    qtbot: QtBot, lane: ComputeLane, error: BaseException
) -> None:
    def fail() -> Iterator[Progress]:
        yield Progress("x", 0)
        raise error

    heard = Heard(lane.submit(request(fail)))
    until_ended(qtbot, heard)
    (ending,) = heard.endings
    assert isinstance(ending, Failed)
    assert ending.what
    assert len(heard.events) == 1
    after = Heard(lane.submit(request(lambda: count(2))))
    until_ended(qtbot, after)
    assert after.endings == [Done()]


@pytest.mark.usefixtures("generators")
def test_an_error_while_closing_is_not_lost(qtbot: QtBot, lane: ComputeLane) -> None:
    def work() -> Iterator[Progress]:
        try:
            yield from count(100_000, 0.001)
        finally:
            raise ValueError("cannot tidy up")

    job = lane.submit(request(work))
    heard = Heard(job)
    qtbot.waitUntil(lambda: bool(heard.events), timeout=WAIT)
    job.cancel()
    until_ended(qtbot, heard)
    assert isinstance(heard.endings[0], Failed)
    assert "cannot tidy up" in heard.endings[0].why


@pytest.mark.usefixtures("generators")
def test_closing_the_lane_ends_everything(qtbot: QtBot) -> None:
    lane = ComputeLane()
    heard = [Heard(lane.submit(request(lambda: count(100_000, 0.001)))) for _ in range(3)]
    qtbot.wait(50)
    lane.close()
    assert [each.endings for each in heard] == [[Cancelled()]] * 3
    assert not lane.busy


@pytest.mark.usefixtures("generators")
def test_network_jobs_run_side_by_side_and_can_be_cancelled(qtbot: QtBot) -> None:
    lane = NetworkLane()
    barrier = threading.Barrier(2, timeout=10)

    def meet() -> Iterator[Progress]:
        barrier.wait()
        yield from count(5)

    heard = [Heard(lane.submit(request(meet))) for _ in range(2)]
    until_ended(qtbot, *heard)
    assert [each.endings for each in heard] == [[Done()], [Done()]]
    endless = lane.submit(request(lambda: count(100_000, 0.001)))
    last = Heard(endless)
    qtbot.waitUntil(lambda: bool(last.events), timeout=WAIT)
    endless.pause()
    endless.cancel()
    until_ended(qtbot, last)
    assert last.endings == [Cancelled()]
    lane.close()


def test_an_answer_of_the_real_model_through_the_lane(qtbot: QtBot, lane: ComputeLane, home: Path) -> None:
    database = home / "c.sqlite3"
    with Conversations(database) as store:
        conversation = store.create()
        asked = store.add(conversation.id, None, "user", "What is 47 + 38?")
        answer = store.add(conversation.id, asked.id, "assistant", "", state="writing")
        request = jobs.Reply(jobs.LoadModel("starter"), database, answer.id, Sampling(temperature=0.0))
        heard = Heard(lane.submit(request))
        until_ended(qtbot, heard)
        assert heard.endings == [Done()]
        text = "".join(event.text for event in heard.events if isinstance(event, Token))
        stored = store.ancestors(answer.id)[-1]
        assert stored.text == text
        assert "<answer>" in text
        assert stored.state == "done"
        assert isinstance(stored.stats, ReplyFinished)
        measured = Heard(lane.submit(jobs.Measure()))
        until_ended(qtbot, measured)
        assert measured.events[0].active > 100_000  # type: ignore[attr-defined]
        freed = Heard(lane.submit(jobs.UnloadModel()))
        until_ended(qtbot, freed)
        assert freed.events[0].freed > 100_000  # type: ignore[attr-defined]


def test_a_reply_that_fails_says_so_in_the_conversation(qtbot: QtBot, lane: ComputeLane, home: Path) -> None:
    database = home / "c.sqlite3"
    with Conversations(database) as store:
        conversation = store.create()
        asked = store.add(conversation.id, None, "user", "Hello")
        answer = store.add(conversation.id, asked.id, "assistant", "", state="writing")
        heard = Heard(lane.submit(jobs.Reply(jobs.LoadModel("/no/such/model"), database, answer.id)))
        until_ended(qtbot, heard)
        assert isinstance(heard.endings[0], Failed)
        stored = store.ancestors(answer.id)[-1]
        assert stored.state == "failed"
        assert "/no/such/model" in stored.error


def test_a_child_process_says_the_same(qtbot: QtBot) -> None:
    lane = ProcessLane()
    sampling = Sampling(temperature=0.0, stop=("</reasoning>", "zzz"))
    generate = jobs.Generate(jobs.LoadModel("starter"), "What is 47 + 38?", sampling=sampling)
    heard = Heard(lane.submit(generate))
    until_ended(qtbot, heard)
    assert heard.endings == [Done()]
    here = list(jobs.start(generate, jobs.Workbench()))
    assert heard.events[-1].text == here[-1].text  # type: ignore[union-attr, attr-defined]
    assert heard.events[-1].stop_reason == "stop string"  # type: ignore[attr-defined]
    bad = Heard(lane.submit(jobs.Generate(jobs.LoadModel("/no/such/model"), "x")))
    until_ended(qtbot, bad)
    assert isinstance(bad.endings[0], Failed)
    assert "/no/such/model" in bad.endings[0].what
    here_only = Heard(lane.submit(jobs.UnloadModel()))
    until_ended(qtbot, here_only)
    assert isinstance(here_only.endings[0], Failed)
    lane.close()


def test_a_child_process_can_be_stopped_and_a_killed_one_is_reported(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "child.py"
    script.write_text(
        "import os, signal, sys, time\n"
        "if sys.argv[1] == 'die':\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "try:\n    for i in range(100000):\n"
        '        print(\'{"event": "progress", "what": "x", "done": %d}\' % i, flush=True); time.sleep(0.01)\n'
        'except KeyboardInterrupt:\n    print(\'{"event": "cancelled"}\', flush=True)\n'
    )
    monkeypatch.setattr(workers, "_COMMAND", [sys.executable, str(script)])
    monkeypatch.setattr(jobs, "command_line", lambda request: request.words)
    lane = ProcessLane()
    job = lane.submit(SimpleNamespace(words=["go"]))  # type: ignore[arg-type]
    heard = Heard(job)
    qtbot.waitUntil(lambda: len(heard.events) > 3, timeout=WAIT)
    job.pause()
    paused = -1
    for _ in range(20):  # what was on its way when the process stopped may still arrive
        if len(heard.events) == paused:
            break
        paused = len(heard.events)
        qtbot.wait(200)
    assert len(heard.events) == paused
    job.resume()
    qtbot.waitUntil(lambda: len(heard.events) > paused, timeout=WAIT)
    job.pause()
    job.cancel()
    until_ended(qtbot, heard)
    assert heard.endings == [Cancelled()]
    at_once = lane.submit(SimpleNamespace(words=["go"]))  # type: ignore[arg-type]
    unheard = Heard(at_once)
    at_once.cancel()
    until_ended(qtbot, unheard)
    assert unheard.endings == [Cancelled()]
    dead = Heard(lane.submit(SimpleNamespace(words=["die"])))  # type: ignore[arg-type]
    until_ended(qtbot, dead)
    assert isinstance(dead.endings[0], Failed)
    assert "ended unexpectedly" in dead.endings[0].what
    lane.close()


def test_lanes_share_one_interface() -> None:
    for kind in (ComputeLane, NetworkLane, ProcessLane):
        assert issubclass(kind, Lane)
    words = jobs.command_line(jobs.Generate(jobs.LoadModel("m"), "p", sampling=Sampling(top_k=3)))
    assert words[:4] == ["generate", "--model", "m", "--prompt=p"]
    assert "--top-k" in words
    assert json.dumps(words)
    options = ChatOptions(when_full="drop oldest", kv_bits=8, draft="auto")
    words = jobs.command_line(jobs.Generate(jobs.LoadModel("m"), "p", options=options))
    assert words[-7:] == ["--when-full", "drop-oldest", "--kv-bits", "8", "--draft", "auto", "--json"]
    with pytest.raises(ValueError, match="no command line"):
        jobs.command_line(jobs.UnloadModel())


@pytest.mark.usefixtures("generators")
@pytest.mark.parametrize("kind", [ComputeLane, NetworkLane, ProcessLane])
def test_a_closed_lane_takes_nothing_on(qtbot: QtBot, kind: type[Lane]) -> None:
    lane = kind()
    lane.close()
    heard = Heard(lane.submit(request(lambda: count(3))))
    until_ended(qtbot, heard)
    assert heard.endings == [Cancelled()]
    assert heard.events == []
